//! Policies come, change and go. The indexes by target and by query follow, in time that grows with the policy and not with
//! the cluster.

use std::collections::BTreeSet;

use super::memory::Memory;
use crate::core::names::{ObjectRef, PolicyKey, QueryKey, Uid};
use crate::core::policy::ScalingPolicy;
use crate::core::report::ScalingHistory;
use crate::core::state::State;
use crate::core::time::Time;

/// A ScalingPolicy was made or changed. What is remembered of it goes on as long as it is the same object with the same
/// target; `history` counts only where nothing is remembered.
pub fn accept(state: &mut State, _at: Time, policy: ScalingPolicy, history: ScalingHistory) {
    let key = policy.meta.key.clone();
    state.leaving.remove(&key);
    let old = state.scaling.remove(&key);
    if let Some(old) = &old {
        unlink_queries(state, &old.policy, &queries(&policy));
        if old.policy.target != policy.target {
            unlink_target(state, &key, &old.policy.target);
        }
    }
    for trigger in &policy.triggers {
        let policies = state.by_query.entry(trigger.query.clone()).or_default();
        policies.insert(key.clone());
    }
    let policies = state.by_target.entry(policy.target.clone()).or_default();
    policies.insert(key.clone());
    let target = policy.target.clone();
    let memory = match old {
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
    state.scaling.insert(key, memory);
    touch(state, &target);
}

/// Another replica acts for this policy: the history that comes with its next event counts, and not what is remembered here.
/// What is seen of its target goes on.
pub fn acted_elsewhere(state: &mut State, key: &PolicyKey) {
    if let Some(memory) = state.scaling.get_mut(key) {
        memory.policy.meta.uid = Uid::default();
    }
}

/// A ScalingPolicy is gone or cannot be used any more: its target stays as it is.
pub fn forget(state: &mut State, key: &PolicyKey) {
    if let Some(old) = state.scaling.remove(key) {
        unlink_queries(state, &old.policy, &BTreeSet::new());
        unlink_target(state, key, &old.policy.target);
    }
}

fn queries(policy: &ScalingPolicy) -> BTreeSet<QueryKey> {
    policy.triggers.iter().map(|t| t.query.clone()).collect()
}

/// Queries that nobody asks any more go, with what they said last.
fn unlink_queries(state: &mut State, policy: &ScalingPolicy, keep: &BTreeSet<QueryKey>) {
    for query in queries(policy).difference(keep) {
        if let Some(policies) = state.by_query.get_mut(query) {
            policies.remove(&policy.meta.key);
            if policies.is_empty() {
                state.by_query.remove(query);
                state.samples.remove(query);
            }
        }
    }
}

/// Policies that name the target too may go on now. What was seen of it is dropped with the next step: where a policy is
/// deleted and made again in between, whoever watches the target sees no difference and does not tell it anew.
fn unlink_target(state: &mut State, key: &PolicyKey, target: &ObjectRef) {
    if let Some(policies) = state.by_target.get_mut(target) {
        policies.remove(key);
        if policies.is_empty() {
            state.by_target.remove(target);
            state.unnamed.insert(target.clone());
            state.world.unusable_targets.remove(target);
        }
    }
    touch(state, target);
}

/// A target that no policy names is not watched any more, so that what was seen of it must not be used again.
pub fn drop_unnamed(state: &mut State) {
    for target in std::mem::take(&mut state.unnamed) {
        if !state.by_target.contains_key(&target) {
            state.world.targets.remove(&target);
        }
    }
}

/// All policies that name this target have to be looked at again.
pub(super) fn touch(state: &mut State, target: &ObjectRef) {
    for key in state.by_target.get(target).into_iter().flatten() {
        state.agenda.touch(key);
    }
}
