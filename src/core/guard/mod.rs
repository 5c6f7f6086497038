//! What holds whatever the rules say: budgets, brakes, one action at a time per object, never the operator itself.
//! Every action passes [`check`], the last line, before it enters a plan.

mod budget;
mod storm;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::names::{ActionId, ObjectRef, Uid};
use super::plan::{Action, Deed};
use super::reason::Reason;
use super::state::State;
use super::time::Time;

pub use budget::{check_budget, recall, refund, spend};
pub use storm::{Storm, update_storm};

/// What the guard remembers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Memory {
    /// Actions whose outcome is not known yet.
    pub in_flight: BTreeMap<ActionId, InFlight>,
    /// The object of every action under way.
    pub busy: BTreeMap<ObjectRef, ActionId>,
    /// Times of healing actions, by namespace, oldest first.
    pub spent: BTreeMap<String, Vec<Time>>,
    /// What of [`Memory::spent`] comes from the incidents of policies, by namespace and policy.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub recalled: BTreeMap<String, BTreeMap<Uid, Vec<Time>>>,
    /// The storm latch.
    pub storm: Storm,
    /// Which safeguards are off; never any in the operator.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub switched_off: Vec<Safeguard>,
}

impl Memory {
    /// Whether a safeguard is on.
    #[must_use]
    pub fn on(&self, safeguard: Safeguard) -> bool {
        !self.switched_off.contains(&safeguard)
    }

    /// The action under way on this object.
    #[must_use]
    pub fn under_way(&self, object: &ObjectRef) -> Option<&InFlight> {
        self.in_flight.get(self.busy.get(object)?)
    }
}

/// An action whose outcome is not known yet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InFlight {
    /// The action.
    pub action: Action,
    /// When it was decided.
    pub since: Time,
}

/// The safeguards. Each can be switched off, for the simulator's proof that each is needed; the operator has no way to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Safeguard {
    /// Missing, stale, partial or failed data never scale down.
    HoldOnMissingData,
    /// Replicas stay within the policy's bounds.
    ReplicaBounds,
    /// Rate limits and stabilization windows are kept.
    RateLimits,
    /// Of two policies on one target only the older acts.
    OnePolicyPerTarget,
    /// Homeostat backs off where somebody else keeps writing the same field.
    FightBackOff,
    /// Nodes stay within the pool's bounds.
    PoolBounds,
    /// Only marked nodes without pods of their own are removed.
    EmptyNodesOnly,
    /// Healing actions per namespace and window are bounded.
    HealingBudget,
    /// Attempts per incident are bounded.
    AttemptLimit,
    /// A pod is healed only where its siblings are healthy, and never the last Ready one.
    HealthySiblings,
    /// Healing stops when much breaks at once.
    StormBrake,
    /// One action at a time per object.
    OneAtATime,
    /// A suspended policy acts not at all.
    Suspend,
    /// Nothing is done before the whole picture is seen.
    CompleteView,
    /// The operator never acts on its own pod or node.
    OwnIdentity,
    /// Only what the current revision declares is brought back.
    CurrentRevisionOnly,
}

impl Safeguard {
    /// Every safeguard.
    pub const ALL: [Self; 16] = [
        Self::HoldOnMissingData,
        Self::ReplicaBounds,
        Self::RateLimits,
        Self::OnePolicyPerTarget,
        Self::FightBackOff,
        Self::PoolBounds,
        Self::EmptyNodesOnly,
        Self::HealingBudget,
        Self::AttemptLimit,
        Self::HealthySiblings,
        Self::StormBrake,
        Self::OneAtATime,
        Self::Suspend,
        Self::CompleteView,
        Self::OwnIdentity,
        Self::CurrentRevisionOnly,
    ];
}

/// The last line: what no rule may do.
///
/// # Errors
/// The reason why the action is refused, with a sentence.
pub fn check(state: &State, deed: &Deed) -> Result<(), (Reason, String)> {
    let subject = deed.subject();
    if state.guard.on(Safeguard::OneAtATime)
        && let Some(other) = state.guard.under_way(&subject)
    {
        let message = format!("{} of {subject} is still under way", other.action.what.verb());
        return Err((Reason::ActionInFlight, message));
    }
    if state.guard.on(Safeguard::OwnIdentity)
        && let Some(own) = &state.world.own
    {
        let is_own = match deed {
            Deed::Evict { pod, .. } => *pod == own.pod,
            Deed::RemoveNode { node, .. } | Deed::MarkNode { node, .. } => own.node.as_ref() == Some(node),
            _ => false,
        };
        if is_own {
            return Err((Reason::OwnPod, format!("{subject} is where this operator runs")));
        }
    }
    Ok(())
}
