//! What bounds growing and shrinking: the pool's maximum, back-off, and how much one policy has under way at once.

use super::gather::Pool;
use super::memory::Memory;
use crate::core::guard::Safeguard;
use crate::core::names::PolicyKey;
use crate::core::plan::Deed;
use crate::core::state::State;
use crate::core::time::{Span, Time};

/// Requests for nodes that one policy has under way at once. More follow as soon as they are answered.
pub const ADD_AT_ONCE: usize = 50;
/// Nodes that one policy marks or removes at once; empty nodes go quickly, and a mistake stays small.
pub const REMOVE_AT_ONCE: usize = 10;
/// A node is not given back in its first minute of being Ready: what it was made for may be on its way.
pub(super) const YOUNG: Span = Span::from_mins(1);
/// Between mark and removal: a pod that the scheduler was placing at that moment is seen.
pub(super) const MARK_SETTLES: Span = Span::from_secs(5);
/// Pods for which there is room, and which the scheduler does not place, are told of after this time.
pub(super) const PATIENCE: Span = Span::from_mins(5);
/// Refusals of one evaluation on pods that wait, and on nodes that stay. Who is left out is counted in the report.
pub(super) const MOST_REFUSALS: usize = 20;

/// How many nodes the pool may still add. What is leaving and what is lost count: both may be there.
pub(super) fn room(state: &State, pool: &Pool) -> u32 {
    if !state.guard.on(Safeguard::PoolBounds) {
        return u32::MAX;
    }
    pool.spec.max.get().saturating_sub(pool.objects + pool.asked)
}

/// Whether a pool can help a pod that fits its nodes, now.
pub(super) fn can_help(state: &State, pool: &Pool, memory: &Memory, now: Time) -> bool {
    let open = room(state, pool) > 0 && memory.backing_off(&pool.spec.name, now).is_none();
    open || pool.marked > 0
}

/// How many more actions of a kind this policy may have under way.
pub(super) fn quota(state: &State, policy: &PolicyKey, most: usize, kind: fn(&Deed) -> bool) -> usize {
    let flights = state.guard.in_flight.values();
    let busy = flights.filter(|f| f.action.policy == *policy && kind(&f.action.what));
    most.saturating_sub(busy.count())
}
