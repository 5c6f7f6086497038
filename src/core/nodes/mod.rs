//! Node pools: which pods wait → what would hold them → within the limits → add; what is empty → mark → remove.

use serde::{Deserialize, Serialize};

use super::engine::Draft;
use super::event::Outcome;
use super::guard::InFlight;
use super::names::PolicyKey;
use super::policy::NodePoolPolicy;
use super::state::State;
use super::time::Time;

/// What is remembered of a NodePoolPolicy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Memory {
    /// The policy.
    pub policy: NodePoolPolicy,
}

/// A NodePoolPolicy was made or changed.
pub fn accept(state: &mut State, _at: Time, policy: NodePoolPolicy) {
    state.nodes.insert(policy.meta.key.clone(), Memory { policy });
}

/// Decides on one policy.
pub fn evaluate(_state: &mut State, _now: Time, _key: &PolicyKey, _draft: &mut Draft) {}

/// Learns what became of an action.
pub fn settle(_state: &mut State, _at: Time, _flight: &InFlight, _outcome: &Outcome) {}

/// The provider says that a node will not come.
pub fn node_failed(_state: &mut State, _at: Time, _node: &str, _message: &str) {}
