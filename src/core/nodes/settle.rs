//! What is learnt after an action: how it went, and that a node will not come.

use super::memory::{ASK_AGAIN, ASK_AGAIN_LONGEST, Backoff, Memory, touch_all};
use crate::core::event::Outcome;
use crate::core::guard::InFlight;
use crate::core::names::Uid;
use crate::core::plan::Deed;
use crate::core::state::State;
use crate::core::time::{Span, Time};
use crate::core::world::{Node, REMOVAL_TAINT, Taint};

/// The first pause after a mark or a removal that was not done; it doubles.
const FIRST: Span = Span::from_secs(5);
/// The longest pause.
const LONGEST: Span = Span::from_mins(5);
/// The pause after an action that was not even tried.
const AFTER_SKIP: Span = Span::from_secs(5);

/// Learns what became of an action.
pub fn settle(state: &mut State, at: Time, flight: &InFlight, outcome: &Outcome) {
    let done = *outcome == Outcome::Done;
    match &flight.action.what {
        Deed::AddNode { node, .. } => {
            if let Some(memory) = state.nodes.get_mut(&flight.action.policy) {
                asked(memory, at, node, outcome);
            }
            touch_all(state);
        }
        Deed::MarkNode { node, uid } | Deed::UnmarkNode { node, uid } => {
            let mark = matches!(flight.action.what, Deed::MarkNode { .. });
            let live = state.world.nodes.get_mut(node).filter(|n| n.uid == *uid);
            if let Some(live) = live.filter(|_| done) {
                set_mark(live, mark);
            }
            acted(state, at, flight, (node, uid), outcome);
        }
        Deed::RemoveNode { node, uid, .. } => {
            let memory = state.nodes.get_mut(&flight.action.policy);
            if let Some(memory) = memory.filter(|_| done) {
                memory.leaving.insert(node.clone(), (uid.clone(), at));
            }
            acted(state, at, flight, (node, uid), outcome);
            touch_all(state);
        }
        _ => {}
    }
}

/// A node was asked for.
fn asked(memory: &mut Memory, at: Time, node: &str, outcome: &Outcome) {
    let Some(request) = memory.requests.get_mut(node) else {
        return;
    };
    match outcome {
        Outcome::Done => request.unsure = None,
        Outcome::Unknown { message } => {
            let pauses = (ASK_AGAIN, ASK_AGAIN_LONGEST);
            request.unsure = Some(Backoff::after(request.unsure.as_ref(), at, pauses, message));
        }
        // Asked again soon, under the same name: it may have been heard before.
        Outcome::Skipped { message } if request.unsure.is_some() => {
            let pauses = (AFTER_SKIP, AFTER_SKIP);
            request.unsure = Some(Backoff::after(request.unsure.as_ref(), at, pauses, message));
        }
        Outcome::Skipped { message } => {
            let (pool, since) = (request.pool.clone(), request.since);
            memory.requests.remove(node);
            if memory.troubles.get(&pool).is_none_or(|old| since > old.at) {
                let failures = memory.troubles.get(&pool).map_or(0, |t| t.failures);
                let message = format!("the request for node {node} was not made: {message}");
                let retry_at = at + AFTER_SKIP;
                memory.troubles.insert(
                    pool,
                    Backoff {
                        failures,
                        at,
                        retry_at,
                        message,
                    },
                );
            }
        }
        Outcome::Conflict { message, .. } | Outcome::Blocked { message } | Outcome::Failed { message } => {
            fail(memory, at, node, message);
        }
    }
}

/// A node will not come: its name and its place in the pool are free again.
fn fail(memory: &mut Memory, at: Time, node: &str, message: &str) {
    if let Some(request) = memory.requests.remove(node) {
        let message = format!("node {node} could not be had: {message}");
        memory.failed(&request.pool, request.since, at, &message);
    }
}

/// A node was marked, unmarked or removed, or not.
fn acted(state: &mut State, at: Time, flight: &InFlight, (node, uid): (&String, &Uid), outcome: &Outcome) {
    let Some(memory) = state.nodes.get_mut(&flight.action.policy) else {
        return;
    };
    let Some(timers) = memory.nodes.get_mut(node).filter(|m| m.uid == *uid) else {
        return;
    };
    timers.trouble = match outcome {
        Outcome::Done => None,
        Outcome::Skipped { message } => Some(Backoff::after(None, at, (AFTER_SKIP, AFTER_SKIP), message)),
        Outcome::Conflict { message, .. }
        | Outcome::Blocked { message }
        | Outcome::Failed { message }
        | Outcome::Unknown { message } => Some(Backoff::after(timers.trouble.as_ref(), at, (FIRST, LONGEST), message)),
    };
}

fn set_mark(node: &mut Node, marked: bool) {
    node.taints.retain(|taint| taint.key != REMOVAL_TAINT);
    if marked {
        node.taints.push(Taint {
            key: REMOVAL_TAINT.into(),
            value: String::new(),
            effect: "NoSchedule".into(),
        });
    }
}

/// The provider says that a node will not come.
pub fn node_failed(state: &mut State, at: Time, node: &str, message: &str) {
    for memory in state.nodes.values_mut() {
        fail(memory, at, node, message);
    }
    touch_all(state);
}
