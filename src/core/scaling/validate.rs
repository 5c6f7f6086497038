//! What must hold before a policy decides at all.

use super::conflict::{conflict_message, older_policy, writes};
use super::track::Tracked;
use crate::core::guard::Safeguard;
use crate::core::quantity::Replicas;
use crate::core::reason::Reason;
use crate::core::state::State;
use crate::core::time::Time;
use crate::core::world::{Sight, Target, View};

/// Why a policy does not decide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Gate {
    /// Who can change it.
    pub kind: GateKind,
    /// Stable code.
    pub reason: Reason,
    /// In a sentence, with what to do.
    pub message: String,
}

/// Who can change that a policy does not decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GateKind {
    /// It is wanted so.
    Off,
    /// It passes by itself.
    Waiting,
    /// A person has to act.
    Stalled,
}

/// The target, if the policy may decide on it.
pub(super) fn validate<'a>(state: &'a State, now: Time, tracked: &Tracked) -> Result<&'a Target, Gate> {
    let memory = &tracked.memory;
    let policy = &memory.policy;
    let known = state.world.targets.at(tracked.target);
    let gate = |kind, reason, message| Err(Gate { kind, reason, message });
    if policy.meta.suspend && state.guard.on(Safeguard::Suspend) {
        let message = "spec.suspend is true: nothing is scaled until it is false".into();
        return gate(GateKind::Off, Reason::Suspended, message);
    }
    if state.guard.on(Safeguard::CompleteView) && !state.world.sees(View::Policies) {
        let message = "the operator does not see all policies yet, or its watch is broken; it goes on by itself".into();
        return gate(GateKind::Waiting, Reason::ViewIncomplete, message);
    }
    if state.guard.on(Safeguard::OnePolicyPerTarget)
        && writes(&policy.meta)
        && let Some(known) = known
        && let Some(older) = older_policy(state, policy, &known.named_by)
    {
        let (reason, message) = conflict_message(policy, &older);
        return gate(GateKind::Stalled, reason, message);
    }
    let target = match known.map(|known| &known.seen) {
        None | Some(Sight::Unseen) => {
            if let Some(message) = state.world.unusable_targets.get(&policy.target) {
                return gate(GateKind::Stalled, Reason::TargetUnusable, message.clone());
            }
            let message = format!("{} has not been looked at yet", policy.target);
            return gate(GateKind::Waiting, Reason::ViewIncomplete, message);
        }
        Some(Sight::Absent) => {
            let message = format!(
                "{} ({}) does not exist: create it, or correct spec.scaleTargetRef",
                policy.target, policy.target.api_version
            );
            return gate(GateKind::Stalled, Reason::TargetNotFound, message);
        }
        Some(Sight::There(target)) => target,
    };
    if target.deleting {
        let message = format!("{} is being deleted", policy.target);
        return gate(GateKind::Waiting, Reason::TargetDeleting, message);
    }
    // A policy that only shows what it would do may stand beside the autoscaler that it shall replace.
    if let Some(other) = target.other_scaler.as_ref().filter(|_| writes(&policy.meta)) {
        let message = format!(
            "{other} already scales {}: delete it, or let this policy only show what it would do with mode: DryRun",
            policy.target
        );
        return gate(GateKind::Stalled, Reason::OtherAutoscaler, message);
    }
    let may_be_zero = policy.min == Replicas::ZERO
        || policy.idle.is_some_and(|idle| idle.replicas == Replicas::ZERO)
        || policy.hold.as_ref().is_some_and(|hold| hold.holds(now));
    if target.replicas == Replicas::ZERO && !may_be_zero && !memory.zeroed() {
        let message = format!(
            "{} was set to 0 replicas by {}, which switches scaling off: set it to {} or more to switch it on again",
            policy.target,
            target.writer.as_deref().unwrap_or("somebody else"),
            policy.min
        );
        return gate(GateKind::Off, Reason::ScaledToZero, message);
    }
    Ok(target)
}
