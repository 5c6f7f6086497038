//! What is learnt after a remedy: how it went.

use super::drift::brought_back;
use super::memory::Delay;
use crate::core::event::Outcome;
use crate::core::guard::{self, InFlight};
use crate::core::plan::Deed;
use crate::core::report::IncidentPhase;
use crate::core::state::State;
use crate::core::time::{Span, Time};

/// The first delay after the API refused a remedy; it doubles.
const FIRST: Span = Span::from_secs(30);
/// What has just changed is seen within this time.
const LOOK_AGAIN: Span = Span::from_secs(5);
/// The longest delay.
const LONGEST: Span = Span::from_mins(5);

/// Learns what became of a remedy. Where nothing was done, neither the attempt nor the budget is used up; where that is not
/// known, both are, and the effect is awaited.
pub fn settle(state: &mut State, at: Time, flight: &InFlight, outcome: &Outcome) {
    let subject = flight.action.what.subject();
    if let (Deed::Restore { source, object, .. }, Outcome::Done) = (&flight.action.what, outcome) {
        brought_back(state, source, object);
    }
    let Some(memory) = state.healing.get_mut(&flight.action.policy) else {
        return;
    };
    let Some(incident) = memory
        .incidents
        .values_mut()
        .find(|i| i.object == subject && i.phase == IncidentPhase::Intended)
    else {
        return;
    };
    let id = incident.id.clone();
    let nothing_done = |message: &str| format!("{}: not done: {message}", flight.action.message);
    match outcome {
        Outcome::Done => {
            incident.phase = IncidentPhase::Acted;
            memory.delays.remove(&id);
            return;
        }
        Outcome::Unknown { message } => {
            incident.phase = IncidentPhase::Acted;
            incident.message = format!(
                "{}: it is not known whether it was done: {message}",
                flight.action.message
            );
            return;
        }
        Outcome::Blocked { message } | Outcome::Failed { message } => {
            incident.phase = IncidentPhase::Blocked;
            incident.message = nothing_done(message);
            let delay = Delay::after(memory.delays.get(&id).copied(), at, FIRST, LONGEST);
            memory.delays.insert(id.clone(), delay);
        }
        Outcome::Conflict { message, .. } | Outcome::Skipped { message } => {
            incident.phase = IncidentPhase::Blocked;
            incident.message = nothing_done(message);
            let failures = memory.delays.get(&id).map_or(0, |d| d.failures);
            let retry_at = at + LOOK_AGAIN;
            memory.delays.insert(id.clone(), Delay { failures, retry_at });
        }
    }
    incident.attempts = incident.attempts.saturating_sub(1);
    if let Some(last) = memory.spent.iter().rposition(|spent| *spent == flight.since) {
        memory.spent.remove(last);
    }
    guard::refund(state, &subject.namespace, flight.since);
}
