//! Decides on one policy: validate → gather → propose → shrink → act or refuse.

use std::collections::BTreeSet;

use super::gather::Census;
use super::memory::{Memory, Request, touch_all};
use super::propose::{Growth, grow};
use super::report::{self, Account, PoolCount, means_the_same};
use super::shrink::{Shrinkage, shrink};
use super::validate::validate;
use crate::core::engine::Draft;
use crate::core::guard::Safeguard;
use crate::core::names::{ObjectRef, PolicyKey};
use crate::core::plan::Deed;
use crate::core::policy::Mode;
use crate::core::reason::Reason;
use crate::core::state::State;
use crate::core::time::{Span, Time};

/// An action that is wanted, and why.
type Wanted = (Deed, Reason, String);

/// Decides on one policy.
pub fn evaluate(state: &mut State, now: Time, key: &PolicyKey, draft: &mut Draft) {
    let Some((key, mut memory)) = state.nodes.remove_entry(key) else {
        return;
    };
    let account = if let Err(gate) = validate(state, &memory) {
        // What was empty before may not have been so all the time.
        memory.nodes.clear();
        Account::Gated(gate)
    } else {
        let before = (memory.requests.clone(), memory.troubles.clone());
        memory.follow(now, &state.world);
        let account = decide(state, now, &mut memory, draft);
        if (&before.0, &before.1) != (&memory.requests, &memory.troubles) {
            touch_all(state);
        }
        account
    };
    draft.report(state, report::report(state, &memory, account), means_the_same);
    state.nodes.insert(key, memory);
}

fn decide(state: &mut State, now: Time, memory: &mut Memory, draft: &mut Draft) -> Account {
    let census = Census::take(state, memory, now);
    let growth = grow(state, memory, &census, now);
    let shrinkage = shrink(state, memory, &census, &growth, now);
    let mut counts = report::count(memory, &census, &growth, now);
    let coming = census.nodes.iter().filter_map(|seen| census.ready_by(seen)).min();
    drop(census);
    let Growth {
        add,
        refused,
        waiting,
        roomy,
        wake: retry,
        ..
    } = growth;
    let Shrinkage {
        deeds,
        refused: staying,
        timers,
        wake: due,
    } = shrinkage;
    memory.nodes = timers;
    memory.roomy = roomy;
    let key = memory.policy.meta.key.clone();
    for (subject, reason, message) in &refused {
        draft.refuse(&key, subject, "AddNode", *reason, message.clone());
    }
    for (subject, reason, message) in &staying {
        draft.refuse(&key, subject, "MarkNode", *reason, message.clone());
    }
    let mut wanted: Vec<Wanted> = Vec::new();
    let (unmark, others): (Vec<Wanted>, Vec<Wanted>) = deeds
        .into_iter()
        .partition(|(deed, ..)| matches!(deed, Deed::UnmarkNode { .. }));
    wanted.extend(unmark);
    wanted.extend(add.into_iter().map(|new| (new.deed, new.reason, new.message)));
    wanted.extend(others);
    act(state, now, memory, wanted, &mut counts, draft);
    let times = memory.wakes().chain(retry).chain(due).chain(coming);
    if let Some(next) = times.filter(|at| *at > now).min() {
        state.wake(&key, next.max(now + Span::from_millis(1)));
    }
    Account::Decided {
        counts,
        waiting,
        limited: refused.into_iter().map(|(_, reason, message)| (reason, message)).next(),
    }
}

/// Acts; in dry-run mode each action is shown once.
fn act(
    state: &mut State,
    now: Time,
    memory: &mut Memory,
    wanted: Vec<Wanted>,
    counts: &mut [PoolCount],
    draft: &mut Draft,
) {
    let meta = memory.policy.meta.clone();
    let mut shown = BTreeSet::new();
    for (deed, reason, message) in wanted {
        let subject = deed.subject();
        report::expect(counts, memory, &deed);
        if meta.mode == Mode::DryRun {
            let what = format!("{} {}", deed.verb(), subject.name);
            if !memory.shown.contains(&what) {
                let _ = draft.act(state, &meta.key, meta.mode, deed, (reason, message));
            }
            shown.insert(what);
            continue;
        }
        if state.guard.on(Safeguard::OneAtATime) && is_busy(state, &subject) {
            continue;
        }
        let request = match &deed {
            Deed::AddNode { node, pool, .. } => Some((node.clone(), pool.clone())),
            _ => None,
        };
        let acted = draft.act(state, &meta.key, meta.mode, deed, (reason, message));
        if let (Ok(_), Some((node, label))) = (acted, request) {
            ask(memory, now, node, &label);
        }
    }
    memory.shown = shown;
}

fn is_busy(state: &State, subject: &ObjectRef) -> bool {
    state.guard.under_way(subject).is_some()
}

/// Remembers a request. One that is repeated after an ambiguous answer keeps its time.
fn ask(memory: &mut Memory, now: Time, node: String, label: &str) {
    let pool = label.rsplit_once('.').map_or(label, |(_, pool)| pool).to_owned();
    match memory.requests.get_mut(&node) {
        Some(old) if !old.lost => {}
        _ => {
            let request = Request {
                pool,
                since: now,
                seen: false,
                lost: false,
                unsure: None,
            };
            memory.requests.insert(node, request);
        }
    }
}
