//! Replicas of workloads: gather → propose → stabilize → limit → act or refuse.

use serde::{Deserialize, Serialize};

use super::engine::Draft;
use super::event::Outcome;
use super::guard::InFlight;
use super::names::{ObjectRef, PolicyKey};
use super::policy::ScalingPolicy;
use super::report::ScaleEvent;
use super::state::State;
use super::time::Time;
use super::world::Target;

/// What is remembered of a ScalingPolicy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Memory {
    /// The policy.
    pub policy: ScalingPolicy,
    /// Own scale events, oldest first.
    pub history: Vec<ScaleEvent>,
}

/// A ScalingPolicy was made or changed.
pub fn accept(state: &mut State, _at: Time, policy: ScalingPolicy, history: Vec<ScaleEvent>) {
    let key = policy.meta.key.clone();
    forget(state, &key);
    state
        .by_target
        .entry(policy.target.clone())
        .or_default()
        .insert(key.clone());
    for trigger in &policy.triggers {
        state
            .by_query
            .entry(trigger.query.clone())
            .or_default()
            .insert(key.clone());
    }
    state.scaling.insert(key, Memory { policy, history });
}

/// A ScalingPolicy is gone or cannot be used any more: its target stays as it is.
pub fn forget(state: &mut State, key: &PolicyKey) {
    if state.scaling.remove(key).is_some() {
        state.by_target.retain(|_, policies| {
            policies.remove(key);
            !policies.is_empty()
        });
        state.by_query.retain(|_, policies| {
            policies.remove(key);
            !policies.is_empty()
        });
    }
}

/// How a target is now.
pub fn observe_target(state: &mut State, _at: Time, object: ObjectRef, target: Option<Target>) {
    for key in state.by_target.get(&object).into_iter().flatten() {
        state.agenda.touch(key);
    }
    state.world.targets.insert(object, target);
}

/// Decides on one policy.
pub fn evaluate(_state: &mut State, _now: Time, _key: &PolicyKey, _draft: &mut Draft) {}

/// Learns what became of an action.
pub fn settle(_state: &mut State, _at: Time, _flight: &InFlight, _outcome: &Outcome) {}
