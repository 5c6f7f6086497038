//! Declared objects that are missing or were changed by hand: brought back for a GitSource that enforces them. Who brings
//! the same object back again and again is fighting somebody, and backs off.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::memory::Delay;
use super::plan::is_covered;
use crate::core::engine::Draft;
use crate::core::event::Outcome;
use crate::core::guard::{self, InFlight, Safeguard};
use crate::core::names::{ObjectRef, PolicyKey, Uid};
use crate::core::plan::Deed;
use crate::core::policy::Mode;
use crate::core::reason::Reason;
use crate::core::state::State;
use crate::core::time::{Span, Time};
use crate::core::world::{DeclaredSet, DeclaredState, View};

/// So many restores of one object within [`HEAT_WINDOW`] are a fight (Config Sync's KNV2005 calls five rewrites a minute one).
const FIGHT: usize = 5;
/// The window in which restores of one object are counted.
const HEAT_WINDOW: Span = Span::from_mins(10);
/// The first pause in a fight, or after a failure; it doubles.
const FIRST: Span = Span::from_secs(30);
/// The longest pause.
const LONGEST: Span = Span::from_mins(15);
/// After an outcome that settles nothing, the object is looked at again first.
const LOOK_AGAIN: Span = Span::from_secs(5);

/// What is remembered of a GitSource's drift.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DriftMemory {
    /// Per object.
    pub objects: BTreeMap<ObjectRef, Heat>,
}

/// How often one object was brought back.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Heat {
    /// When, within [`HEAT_WINDOW`], oldest first.
    pub restored: Vec<Time>,
    /// Failures in a row, or rounds of a fight.
    pub delay: Option<Delay>,
    /// What happened last, in words.
    pub message: String,
}

/// A declared object that is not as declared.
pub(super) struct Drifted {
    pub source: PolicyKey,
    pub revision: String,
    pub object: ObjectRef,
    pub uid: Option<Uid>,
    pub since: Time,
    pub reason: Reason,
    /// What is wrong, in words.
    pub symptom: String,
}

impl Drifted {
    pub fn deed(&self) -> Deed {
        Deed::Restore {
            object: self.object.clone(),
            source: self.source.clone(),
            revision: self.revision.clone(),
            uid: self.uid.clone(),
        }
    }
}

/// The declared objects that are not as declared, of the sources that are asked for.
pub(super) fn drifted(state: &State, which: impl Fn(&PolicyKey, &DeclaredSet) -> bool) -> Vec<Drifted> {
    let sets = state.world.declared.iter().filter(|(source, set)| which(source, set));
    sets.flat_map(|(source, set)| {
        let all = set.objects.iter();
        all.filter_map(move |(object, seen)| look(source, set, object, seen))
    })
    .collect()
}

fn look(source: &PolicyKey, set: &DeclaredSet, object: &ObjectRef, seen: &DeclaredState) -> Option<Drifted> {
    let (since, uid, reason, symptom) = match seen {
        DeclaredState::InSync => return None,
        DeclaredState::Missing { since } => {
            let symptom = format!("{object} is declared by {} and is missing", set.revision);
            (*since, None, Reason::ObjectDeleted, symptom)
        }
        DeclaredState::Drifted {
            since,
            uid,
            fields,
            writer,
        } => {
            let by = writer.as_ref().map_or_else(String::new, |who| format!(" by {who}"));
            let symptom = format!("{object} was changed{by} at {}", fields.join(", "));
            (*since, Some(uid.clone()), Reason::ObjectDrifted, symptom)
        }
    };
    Some(Drifted {
        source: source.clone(),
        revision: set.revision.clone(),
        object: object.clone(),
        uid,
        since,
        reason,
        symptom,
    })
}

/// Decides on the drift of one GitSource.
pub fn evaluate_drift(state: &mut State, now: Time, source: &PolicyKey, draft: &mut Draft) {
    let Some(set) = state.world.declared.get(source) else {
        return;
    };
    if set.suspend && state.guard.on(Safeguard::Suspend) {
        return;
    }
    let (enforce, covered) = (set.enforce, is_covered(state, source));
    let found = drifted(state, |of, _| of == source);
    let mut memory = state.drift.remove(source).unwrap_or_default();
    memory.objects.retain(|_, heat| {
        heat.restored.retain(|at| now.since(*at) < HEAT_WINDOW);
        !heat.restored.is_empty() || heat.delay.is_some_and(|d| now.since(d.retry_at) < HEAT_WINDOW)
    });
    for drifted in found {
        if state.guard.under_way(&drifted.object).is_some() {
            continue;
        }
        let obstacle = if enforce {
            obstacle(state, &memory, &drifted, now)
        } else if covered {
            continue;
        } else {
            let advice =
                "drift is only reported (spec.drift: Warn); set drift: Enforce, or heal it by a rule with when.drift";
            Some((Reason::DriftWarnOnly, format!("{}: {advice}", drifted.symptom), None))
        };
        let symptom = drifted.symptom.clone();
        if let Some((reason, message, again)) = obstacle {
            draft.refuse(source, &drifted.object, "Restore", reason, message);
            if let Some(at) = again {
                state.wake(source, at.max(now + LOOK_AGAIN));
            }
            continue;
        }
        let why = (drifted.reason, symptom);
        if draft.act(state, source, Mode::Enforce, drifted.deed(), why).is_ok() {
            guard::spend(state, &drifted.object.namespace, now);
        }
    }
    if memory != DriftMemory::default() {
        state.drift.insert(source.clone(), memory);
    }
}

/// What stands in the way of bringing an object back, and when to look again.
fn obstacle(
    state: &State,
    memory: &DriftMemory,
    drifted: &Drifted,
    now: Time,
) -> Option<(Reason, String, Option<Time>)> {
    // What healing policies have done, and whether they cover this source, is known only when all are seen.
    if state.guard.on(Safeguard::CompleteView) && !state.world.sees(View::Policies) {
        let message = format!(
            "{}: the operator does not see all policies at the moment",
            drifted.symptom
        );
        return Some((Reason::ViewIncomplete, message, None));
    }
    if let Some(heat) = memory.objects.get(&drifted.object)
        && let Some(delay) = heat.delay.filter(|d| d.retry_at > now)
    {
        let fights = heat.restored.len() >= FIGHT;
        if !fights || state.guard.on(Safeguard::FightBackOff) {
            let reason = if fights { Reason::Fighting } else { Reason::Blocked };
            let message = format!("{}: {}; next try at {}", drifted.symptom, heat.message, delay.retry_at);
            return Some((reason, message, Some(delay.retry_at)));
        }
    }
    let (reason, message) = guard::check_budget(state, &drifted.object.namespace, now).err()?;
    Some((reason, format!("{}: {message}", drifted.symptom), Some(now + FIRST)))
}

/// Learns what became of bringing an object back.
pub fn settle_drift(state: &mut State, at: Time, flight: &InFlight, outcome: &Outcome) {
    let Deed::Restore { source, object, .. } = &flight.action.what else {
        return;
    };
    if *outcome == Outcome::Done {
        brought_back(state, source, object);
    }
    let memory = state.drift.entry(source.clone()).or_default();
    let heat = memory.objects.entry(object.clone()).or_default();
    let soon = Some(Delay {
        failures: heat.delay.map_or(0, |d| d.failures),
        retry_at: at + LOOK_AGAIN,
    });
    match outcome {
        Outcome::Done => {
            heat.restored.push(at);
            let times = heat.restored.len();
            heat.message = format!("it was brought back {times} times within {HEAT_WINDOW} and is changed each time");
            heat.delay = (times >= FIGHT).then(|| Delay::after(heat.delay, at, FIRST, LONGEST));
        }
        Outcome::Unknown { message } => {
            heat.message = format!("it is not known whether it was brought back: {message}");
            heat.delay = soon;
        }
        Outcome::Conflict { message, .. } | Outcome::Skipped { message } => {
            heat.message.clone_from(message);
            heat.delay = soon;
        }
        Outcome::Blocked { message } | Outcome::Failed { message } => {
            heat.message = format!("it could not be brought back: {message}");
            heat.delay = Some(Delay::after(heat.delay, at, FIRST, LONGEST));
        }
    }
    if !matches!(outcome, Outcome::Done | Outcome::Unknown { .. }) {
        guard::refund(state, &object.namespace, flight.since);
    }
}

/// It is as declared, until it is seen otherwise.
pub(super) fn brought_back(state: &mut State, source: &PolicyKey, object: &ObjectRef) {
    let set = state.world.declared.get_mut(source);
    if let Some(seen) = set.and_then(|set| set.objects.get_mut(object)) {
        *seen = DeclaredState::InSync;
    }
}
