//! Healing: detect → diagnose → next rung of the ladder → guard → act → await the outcome.

use serde::{Deserialize, Serialize};

use super::engine::Draft;
use super::event::Outcome;
use super::guard::InFlight;
use super::names::PolicyKey;
use super::policy::HealingPolicy;
use super::report::Incident;
use super::state::State;
use super::time::Time;
use super::world::Pod;

/// What is remembered of a HealingPolicy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Memory {
    /// The policy.
    pub policy: HealingPolicy,
    /// What is or was wrong.
    pub incidents: Vec<Incident>,
}

/// What is remembered of a GitSource's drift.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DriftMemory {}

/// A HealingPolicy was made or changed.
pub fn accept(state: &mut State, _at: Time, policy: HealingPolicy, incidents: Vec<Incident>) {
    state
        .healing
        .insert(policy.meta.key.clone(), Memory { policy, incidents });
}

/// Whether a pod shows any symptom now, however short.
#[must_use]
pub fn is_unhealthy(_pod: &Pod) -> bool {
    false
}

/// Decides on one policy.
pub fn evaluate(_state: &mut State, _now: Time, _key: &PolicyKey, _draft: &mut Draft) {}

/// Learns what became of an action.
pub fn settle(_state: &mut State, _at: Time, _flight: &InFlight, _outcome: &Outcome) {}

/// Decides on the drift of one GitSource.
pub fn evaluate_drift(_state: &mut State, _now: Time, _source: &PolicyKey, _draft: &mut Draft) {}

/// Learns what became of bringing an object back.
pub fn settle_drift(_state: &mut State, _at: Time, _flight: &InFlight, _outcome: &Outcome) {}
