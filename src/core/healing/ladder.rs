//! Which remedy is next: the attempts of one rung, then the next rung; after the last one it stops and says so.

use crate::core::policy::{HealingRule, Remedy};
use crate::core::report::Incident;
use crate::core::time::{Span, Time};

/// After this long without an attempt, what was tried before is forgotten: a new fault gets a whole ladder.
const FORGET: Span = Span::from_mins(60);

/// What the ladder says.
#[derive(Debug, PartialEq)]
pub(super) enum Step<'a> {
    /// This remedy is next, as the attempt of this number (counted from 1 over the whole ladder).
    Try(&'a Remedy, u32),
    /// The last attempt's effect is awaited.
    Wait { until: Time, remedy: &'a Remedy },
    /// Every remedy has been tried as often as allowed.
    Exhausted,
}

/// What comes next for an incident. With `endless` (a safeguard is off) the last rung is repeated for ever.
pub(super) fn next<'a>(rule: &'a HealingRule, incident: Option<&Incident>, now: Time, endless: bool) -> Step<'a> {
    let tried = incident.map_or(0, |i| counted(i, now));
    if let Some(until) = incident.and_then(|i| awaited_until(rule, i))
        && until > now
        && tried > 0
        && let Some(remedy) = rung(rule, tried)
    {
        return Step::Wait { until, remedy };
    }
    match rung(rule, tried + 1).or_else(|| rule.remedies.last().filter(|_| endless)) {
        Some(remedy) => Step::Try(remedy, tried + 1),
        None => Step::Exhausted,
    }
}

/// Attempts that still count.
fn counted(incident: &Incident, now: Time) -> u32 {
    match incident.last_attempt {
        Some(at) if now.since(at) < FORGET || !is_over(incident) => incident.attempts,
        _ => 0,
    }
}

/// A ladder that is used up is not begun again because time passes, only because it was well in between.
fn is_over(incident: &Incident) -> bool {
    incident.phase == crate::core::report::IncidentPhase::Recovered
}

/// The remedy of the attempt with this number, counted from 1.
fn rung(rule: &HealingRule, attempt: u32) -> Option<&Remedy> {
    let mut last = 0;
    rule.remedies.iter().find(|remedy| {
        last += remedy.attempts;
        attempt <= last
    })
}

/// Until when the effect of the last attempt is awaited.
pub(super) fn awaited_until(rule: &HealingRule, incident: &Incident) -> Option<Time> {
    let wait = rung(rule, incident.attempts.max(1)).or(rule.remedies.last())?.wait;
    incident.last_attempt.map(|at| at + wait)
}

/// Attempts that the whole ladder allows.
pub(super) fn total(rule: &HealingRule) -> u32 {
    rule.remedies.iter().map(|r| r.attempts).sum()
}
