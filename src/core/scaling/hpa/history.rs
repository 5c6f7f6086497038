//! What the controller remembers between decisions, and how it uses its slots again: the newest takes the place of the last
//! one that is too old to matter. Which slot is taken can only be seen by who lengthens a window later; it is kept all the same.

use serde::{Deserialize, Serialize};

use super::input::Rules;
use crate::core::time::{Span, Time};

/// Recommendations and own scale events.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct History {
    /// Before stabilization and limits.
    pub recommendations: Vec<Recommendation>,
    /// Own changes upwards.
    pub up: Vec<ScaleEvent>,
    /// Own changes downwards.
    pub down: Vec<ScaleEvent>,
}

/// A recommendation of the past.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recommendation {
    /// How many.
    pub replicas: i32,
    /// When.
    pub at: Time,
}

/// An own change of the past.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScaleEvent {
    /// By how many replicas; never negative.
    pub change: i32,
    /// When.
    pub at: Time,
    /// Found too old when another was stored. It stays so, and its place may be taken; where it is young enough it counts.
    #[serde(default)]
    pub outdated: bool,
}

impl History {
    /// `recordInitialRecommendation`.
    pub(super) fn seed(&mut self, now: Time, current: i32) {
        if self.recommendations.is_empty() {
            self.recommendations.push(Recommendation {
                replicas: current,
                at: now,
            });
        }
    }

    /// Remembers a recommendation in the place of the last that is too old, if one is.
    pub(super) fn recommend(&mut self, now: Time, replicas: i32, too_old: impl Fn(Time) -> bool) {
        let new = Recommendation { replicas, at: now };
        match self.recommendations.iter_mut().rev().find(|old| too_old(old.at)) {
            Some(slot) => *slot = new,
            None => self.recommendations.push(new),
        }
    }

    /// `storeScaleEvent`: `rules` are those of the direction.
    pub(super) fn scaled(&mut self, now: Time, from: i32, to: i32, rules: &Rules) {
        let periods = rules.policies.iter().flatten().map(|policy| policy.period_seconds);
        let cutoff = now - Span::from_secs(i64::from(periods.max().unwrap_or(0).max(0)));
        let (events, change) = if to > from {
            (&mut self.up, to.wrapping_sub(from))
        } else {
            (&mut self.down, from.wrapping_sub(to))
        };
        for event in events.iter_mut().filter(|event| event.at <= cutoff) {
            event.outdated = true;
        }
        let new = ScaleEvent {
            change,
            at: now,
            outdated: false,
        };
        match events.iter_mut().rev().find(|event| event.outdated) {
            Some(slot) => *slot = new,
            None => events.push(new),
        }
    }
}

/// `getReplicasChangePerPeriod`: by how much the events that are younger than the period changed the replicas.
pub(super) fn change_within(now: Time, period_seconds: i32, events: &[ScaleEvent]) -> i32 {
    let cutoff = now - Span::from_secs(i64::from(period_seconds));
    let young = events.iter().filter(|event| event.at > cutoff);
    young.fold(0, |sum, event| sum.wrapping_add(event.change))
}
