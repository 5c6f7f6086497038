//! A policy is deleted, and its target gets back the size that it had before (`onDelete: RestoreReplicas`).
//!
//! Never holds a deletion up: what is to be done is noted when the deletion is seen, and is tried for a while. Where nobody
//! sees it, the target keeps its size. Never takes back what somebody else wrote: only a size that this policy set itself is
//! undone, and only from that size.

use serde::{Deserialize, Serialize};

use super::conflict::{FIELD_MANAGER, older_policy, writes};
use super::memory::Memory;
use crate::core::engine::Draft;
use crate::core::event::Outcome;
use crate::core::guard::InFlight;
use crate::core::names::{ObjectRef, PolicyKey, Uid};
use crate::core::plan::Deed;
use crate::core::policy::{Direction, Mode, OnDelete, ScalingPolicy};
use crate::core::quantity::Replicas;
use crate::core::reason::Reason;
use crate::core::report::Original;
use crate::core::state::{PolicyId, State};
use crate::core::time::{Span, Time};
use crate::core::world::{Sight, Target};

/// For so long after the deletion it is tried.
const PATIENCE: Span = Span::from_mins(2);
/// Between two tries.
const RETRY: Span = Span::from_secs(5);

/// What a deleted policy still has to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Leaving {
    /// The identity of the policy that was deleted.
    pub uid: Uid,
    /// What it scaled.
    pub target: ObjectRef,
    /// The identity of that.
    pub target_uid: Uid,
    /// The size that the policy left.
    pub from: Replicas,
    /// What a write of the policy may have made of it, where it is not known yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub or: Option<Replicas>,
    /// The size that it gets back.
    pub to: Replicas,
    /// Not before this time.
    pub retry_at: Time,
    /// Not after this time.
    pub until: Time,
}

impl Memory {
    /// Notes the size that the target has before this policy first changes it, where the policy will give it back.
    pub(super) fn note_original(&mut self, target: &Target) {
        let asked = self.policy.on_delete == OnDelete::RestoreReplicas && writes(&self.policy.meta);
        let known = self.original.as_ref().is_some_and(|o| o.uid == target.uid);
        if !asked {
            self.original = None;
        } else if !known {
            self.original = Some(Original {
                replicas: target.replicas,
                uid: target.uid.clone(),
            });
        }
    }
}

/// A policy is deleted: what there is to do yet is noted.
pub fn depart(state: &mut State, at: Time, key: &PolicyKey) {
    let late = state.leaving.iter().filter(|(_, leaving)| at >= leaving.until);
    let late: Vec<PolicyKey> = late.map(|(key, _)| key.clone()).collect();
    for key in &late {
        done(state, key);
    }
    let Some(memory) = state.scaling(key) else { return };
    if let Some(leaving) = last_wish(state, at, memory) {
        state.leaving.insert(key.clone(), leaving);
    }
}

fn last_wish(state: &State, at: Time, memory: &Memory) -> Option<Leaving> {
    let policy = &memory.policy;
    let known = state.world.targets.known(&policy.target)?;
    let Sight::There(target) = &known.seen else {
        return None;
    };
    let original = memory.original.as_ref().filter(|o| o.uid == target.uid)?;
    let wanted = policy.on_delete == OnDelete::RestoreReplicas
        && writes(&policy.meta)
        && policy.hold.as_ref().is_none_or(|hold| !hold.holds(at))
        && older_policy(state, policy, &known.named_by).is_none();
    if !wanted || target.deleting || target.other_scaler.is_some() || !is_ours(at, memory, target) {
        return None;
    }
    let own = state.guard.under_way(&policy.target);
    let own = own.filter(|flight| flight.action.policy == policy.meta.key);
    let under_way = own.and_then(|flight| match &flight.action.what {
        Deed::Scale { to, .. } => Some(*to),
        _ => None,
    });
    let unsure = memory.unsure.as_ref().and_then(|unsure| unsure.tried);
    let or = under_way.or(unsure.map(|tried| tried.to));
    let to = bounded(policy, original.replicas);
    let allowed = match policy.direction {
        Direction::Both => true,
        Direction::UpOnly => to > target.replicas,
        Direction::DownOnly => to < target.replicas,
    };
    let needed = to != target.replicas || or.is_some_and(|or| or != to);
    (allowed && needed).then(|| Leaving {
        uid: policy.meta.uid.clone(),
        target: policy.target.clone(),
        target_uid: target.uid.clone(),
        from: target.replicas,
        or,
        to,
        retry_at: at,
        until: at + PATIENCE,
    })
}

/// The bounds of the policy hold for the last time, so that its end is no outage.
fn bounded(policy: &ScalingPolicy, original: Replicas) -> Replicas {
    let idle = policy.idle.map_or(policy.min, |idle| idle.replicas.min(policy.min));
    original.min(policy.max).max(idle)
}

/// Whether the size that is there is this policy's work. After a restart the own writes may be forgotten: then it is
/// managedFields that tell, or nobody does.
fn is_ours(at: Time, memory: &Memory, target: &Target) -> bool {
    let by_writes = memory.written.as_ref().map(|written| !written.replaced);
    let by_marks = || target.writer.as_deref().is_none_or(|writer| writer == FIELD_MANAGER);
    !memory.fight.holds(at) && by_writes.unwrap_or_else(by_marks)
}

/// Does what a deleted policy left to do.
pub(super) fn carry_out(state: &mut State, now: Time, id: PolicyId, draft: &mut Draft) {
    let Some(key) = state.policies.key(id).map(|key| key.as_ref().clone()) else {
        return;
    };
    if state.leaving.contains_key(&key) {
        attempt(state, now, &key, draft);
        if !state.leaving.contains_key(&key) {
            state.drop_policy(&key);
        }
    }
}

/// It is over, one way or the other.
fn done(state: &mut State, key: &PolicyKey) {
    if state.leaving.remove(key).is_some() && state.scaling(key).is_none() && !state.invalid.contains_key(key) {
        state.drop_policy(key);
    }
}

fn attempt(state: &mut State, now: Time, key: &PolicyKey, draft: &mut Draft) {
    let Some(mut leaving) = state.leaving.remove(key) else {
        return;
    };
    if now >= leaving.until || taken_over(state, &leaving.target) {
        return;
    }
    // Its own last write ends first.
    let wait = state.guard.under_way(&leaving.target).map(|_| now + RETRY);
    if let Some(later) = wait.or_else(|| (now < leaving.retry_at).then_some(leaving.retry_at)) {
        state.wake(key, later);
        state.leaving.insert(key.clone(), leaving);
        return;
    }
    if leaving.from == leaving.to {
        match leaving.or.take().filter(|or| *or != leaving.to) {
            Some(or) => leaving.from = or,
            None => return,
        }
    }
    let message = format!(
        "the policy was deleted, and with onDelete: RestoreReplicas {} gets back the {} replicas that it had before it",
        leaving.target, leaving.to
    );
    let deed = Deed::Scale {
        target: leaving.target.clone(),
        uid: leaving.target_uid.clone(),
        from: leaving.from,
        to: leaving.to,
    };
    let acted = draft.act(state, key, Mode::Enforce, deed, (Reason::Restored, message));
    if acted.is_ok() {
        state.wake(key, leaving.until);
        state.leaving.insert(key.clone(), leaving);
    }
}

/// Another policy decides on the target now.
fn taken_over(state: &State, target: &ObjectRef) -> bool {
    let known = state.world.targets.known(target);
    let others = known.into_iter().flat_map(|known| &known.named_by);
    others
        .filter_map(|id| state.scaling_at(*id))
        .any(|memory| writes(&memory.policy.meta))
}

/// Learns how a write of a deleted policy went: the one that gives the size back, or the one before it.
pub(super) fn learn(state: &mut State, at: Time, flight: &InFlight, outcome: &Outcome) {
    let key = &flight.action.policy;
    let (Deed::Scale { to, .. }, Some(leaving)) = (&flight.action.what, state.leaving.get_mut(key)) else {
        return;
    };
    let restoring = flight.action.reason == Reason::Restored;
    let expected = leaving.or.take();
    let over = match outcome {
        Outcome::Done if restoring => true,
        Outcome::Done => {
            leaving.from = *to;
            false
        }
        // What is there is what the policy wrote last after all, or somebody else's.
        Outcome::Conflict { found: Some(found), .. } if expected == Some(*found) => {
            leaving.from = *found;
            false
        }
        Outcome::Conflict { .. } => true,
        Outcome::Unknown { .. } | Outcome::Blocked { .. } | Outcome::Failed { .. } | Outcome::Skipped { .. } => {
            leaving.or = expected;
            leaving.retry_at = if restoring { at + RETRY } else { at };
            false
        }
    };
    if over {
        done(state, key);
    }
}
