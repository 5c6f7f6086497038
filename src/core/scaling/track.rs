//! Policies come, change and go. Which policies ask a query and name a target follows, in time that grows with the policy
//! and not with the cluster.

use std::collections::BTreeSet;

use super::memory::Memory;
use crate::core::names::{ObjectRef, PolicyKey, Uid};
use crate::core::policy::ScalingPolicy;
use crate::core::report::ScalingHistory;
use crate::core::state::{PolicyId, QueryId, State};
use crate::core::time::Time;
use crate::core::world::TargetId;

/// What is remembered of a policy, with the numbers of all that it names.
#[derive(Clone, Debug)]
pub struct Tracked {
    /// What is remembered.
    pub memory: Memory,
    /// Its target.
    pub target: TargetId,
    /// Of each of its triggers, in their order, the query.
    pub queries: Vec<QueryId>,
}

/// A ScalingPolicy was made or changed. What is remembered of it goes on as long as it is the same object with the same
/// target; `history` counts only where nothing is remembered.
pub fn accept(state: &mut State, _at: Time, policy: ScalingPolicy, history: ScalingHistory) {
    let id = state.policies.enter(policy.meta.key.clone());
    state.leaving.remove(&policy.meta.key);
    let old = take(state, id);
    let (target, queries) = link(state, id, &policy);
    if let Some(old) = &old {
        let keep = queries.iter().copied().collect();
        unlink_queries(state, id, old, &keep);
        if old.target != target {
            unlink_target(state, id, old);
        }
    }
    let memory = match old.map(|old| old.memory) {
        Some(old) if old.policy.meta.uid == policy.meta.uid && old.policy.target == policy.target => {
            let mode_changed = old.policy.meta.mode != policy.meta.mode;
            Memory {
                policy,
                shown: old.shown.filter(|_| !mode_changed),
                ..old
            }
        }
        // Events on another target limit nothing on this one.
        Some(old) if old.policy.meta.uid == policy.meta.uid => Memory::new(policy, ScalingHistory::default()),
        _ => Memory::new(policy, history),
    };
    put(
        state,
        id,
        Tracked {
            memory,
            target,
            queries,
        },
    );
    touch_at(state, target);
}

/// What was remembered of a policy when the state was stored.
pub fn restore(state: &mut State, memory: Memory) {
    let id = state.policies.enter(memory.policy.meta.key.clone());
    let (target, queries) = link(state, id, &memory.policy);
    let tracked = Tracked {
        memory,
        target,
        queries,
    };
    put(state, id, tracked);
}

/// Takes what is remembered of a policy out of the state.
pub(super) fn take(state: &mut State, id: PolicyId) -> Option<Box<Tracked>> {
    state.policies.at_mut(id)?.take()
}

fn put(state: &mut State, id: PolicyId, tracked: Tracked) {
    put_back(state, id, Box::new(tracked));
}

/// Puts back what [`take`] has taken.
pub(super) fn put_back(state: &mut State, id: PolicyId, tracked: Box<Tracked>) {
    if let Some(place) = state.policies.at_mut(id) {
        *place = Some(tracked);
    }
}

/// Another replica acts for this policy: the history that comes with its next event counts, and not what is remembered here.
/// What is seen of its target goes on.
pub fn acted_elsewhere(state: &mut State, key: &PolicyKey) {
    let id = state.policies.id(key);
    if let Some(memory) = id.and_then(|id| state.scaling_at_mut(id)) {
        memory.policy.meta.uid = Uid::default();
    }
}

/// A ScalingPolicy is gone or cannot be used any more: its target stays as it is.
pub fn forget(state: &mut State, key: &PolicyKey) {
    let Some(id) = state.policies.id(key) else { return };
    if let Some(old) = take(state, id) {
        unlink_queries(state, id, &old, &BTreeSet::new());
        unlink_target(state, id, &old);
    }
}

/// Notes that a policy names its target and asks its queries.
fn link(state: &mut State, id: PolicyId, policy: &ScalingPolicy) -> (TargetId, Vec<QueryId>) {
    let target = state.world.targets.name(&policy.target, id);
    let queries = policy.triggers.iter().map(|trigger| {
        let query = state.queries.enter(trigger.query.clone());
        if let Some(query) = state.queries.at_mut(query) {
            query.asked_by.insert(id);
        }
        query
    });
    (target, queries.collect())
}

/// Queries that nobody asks any more go, with what they said last.
fn unlink_queries(state: &mut State, id: PolicyId, old: &Tracked, keep: &BTreeSet<QueryId>) {
    for gone in old.queries.iter().filter(|query| !keep.contains(query)) {
        if let Some(query) = state.queries.at_mut(*gone) {
            query.asked_by.remove(&id);
            if query.asked_by.is_empty() {
                state.queries.remove(*gone);
            }
        }
    }
}

/// Policies that name the target too may go on now. What was seen of it is dropped with the next step: where a policy is
/// deleted and made again in between, whoever watches the target sees no difference and does not tell it anew.
fn unlink_target(state: &mut State, id: PolicyId, old: &Tracked) {
    let target = &old.memory.policy.target;
    if let Some(known) = state.world.targets.known_mut(target) {
        known.named_by.remove(&id);
        if known.named_by.is_empty() {
            state.unnamed.insert(target.clone());
            state.world.unusable_targets.remove(target);
        }
    }
    touch(state, target);
}

/// A target that no policy names is not watched any more, so that what was seen of it must not be used again.
pub fn drop_unnamed(state: &mut State) {
    for target in std::mem::take(&mut state.unnamed) {
        state.world.targets.drop_unnamed(&target);
    }
}

/// All policies that name this target have to be looked at again.
pub(super) fn touch(state: &mut State, target: &ObjectRef) {
    if let Some(known) = state.world.targets.known(target) {
        state.agenda.touch_all(&known.named_by);
    }
}

fn touch_at(state: &mut State, target: TargetId) {
    if let Some(known) = state.world.targets.at(target) {
        state.agenda.touch_all(&known.named_by);
    }
}
