//! Stabilization: over a window the most careful recommendation counts. `stabilizeRecommendationWithBehaviors` of the HPA
//! controller (`pkg/controller/podautoscaler/horizontal.go`), with memory that keeps only what can still matter: for each
//! direction a monotonic queue, whose front is the extreme of its window.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::core::policy::Behavior;
use crate::core::quantity::Replicas;
use crate::core::report::{Recommendation, ScalingHistory};
use crate::core::time::{Span, Time};

/// How many recommendations each queue keeps at most. Beyond it the two oldest become one that is as careful as the more
/// careful of them and lasts as long as the later.
pub const MAX_KEPT: usize = 256;

/// The recommendations that can still matter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Windows {
    /// For scaling up: ever higher towards the newest, so that the front is the lowest.
    lowest: VecDeque<Recommendation>,
    /// For scaling down: ever lower towards the newest, so that the front is the highest.
    highest: VecDeque<Recommendation>,
    /// When a recommendation was last made.
    last: Option<Time>,
}

/// How many recommendations of each queue a status tells.
const MAX_TOLD: usize = 8;

impl Windows {
    /// As they were, as far as that was kept.
    #[must_use]
    pub fn restore(history: &ScalingHistory) -> Self {
        let mut windows = Self::default();
        let mut all = history.recommendations.clone();
        all.sort_by_key(|r| r.at);
        for recommendation in all {
            push(&mut windows.lowest, recommendation, |old, new| old >= new);
            push(&mut windows.highest, recommendation, |old, new| old <= new);
        }
        windows.last = history.complete_until;
        windows
    }

    /// Begins with the current size, as the HPA does: a policy that has just begun changes nothing before its windows have
    /// passed. Where no recommendation was made for as long as the window for scaling down (and three intervals), scaling
    /// down begins anew in the same way; the HPA would shrink at the first sample after an outage.
    pub fn seed(&mut self, now: Time, current: Replicas, behavior: &Behavior, interval: Span) {
        let seed = Recommendation {
            at: now,
            replicas: current,
        };
        match self.last {
            None => {
                push(&mut self.lowest, seed, |old, new| old >= new);
                push(&mut self.highest, seed, |old, new| old <= new);
                self.last = Some(now);
            }
            Some(last) if now.since(last) >= behavior.down.stabilization.max(interval.times(3)) => {
                push(&mut self.highest, seed, |old, new| old <= new);
            }
            Some(_) => {}
        }
    }

    /// The stabilized replicas for a recommendation, which is remembered. Twice at the same time is the same as once.
    pub fn stabilize(&mut self, now: Time, current: Replicas, desired: Replicas, behavior: &Behavior) -> Replicas {
        expire(&mut self.lowest, now, behavior.up.stabilization);
        expire(&mut self.highest, now, behavior.down.stabilization);
        let up = self.lowest.front().map_or(desired, |r| r.replicas.min(desired));
        let down = self.highest.front().map_or(desired, |r| r.replicas.max(desired));
        let new = Recommendation {
            at: now,
            replicas: desired,
        };
        push(&mut self.lowest, new, |old, new| old >= new);
        push(&mut self.highest, new, |old, new| old <= new);
        self.last = Some(now);
        // As the HPA does it: `up` is never above `down`, so that the order of the two does not matter.
        current.max(up).min(down)
    }

    /// The recommendations that matter most, oldest first; few enough for a status.
    #[must_use]
    pub fn recent(&self) -> Vec<Recommendation> {
        let mut all: Vec<_> = self.highest.iter().take(MAX_TOLD).copied().collect();
        all.extend(self.lowest.iter().take(MAX_TOLD));
        all.sort_by_key(|r| (r.at, r.replicas));
        all.dedup();
        all
    }

    /// How many recommendations are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lowest.len() + self.highest.len()
    }

    /// Whether none is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Only strictly younger ones count.
fn expire(queue: &mut VecDeque<Recommendation>, now: Time, window: Span) {
    while queue.front().is_some_and(|r| now.since(r.at) >= window) {
        queue.pop_front();
    }
}

/// Adds a recommendation; what it makes meaningless goes.
fn push(queue: &mut VecDeque<Recommendation>, new: Recommendation, meaningless: fn(Replicas, Replicas) -> bool) {
    let mut at = new.at;
    while let Some(last) = queue.back().filter(|last| meaningless(last.replicas, new.replicas)) {
        at = at.max(last.at);
        queue.pop_back();
    }
    queue.push_back(Recommendation { at, ..new });
    if queue.len() > MAX_KEPT
        && let Some(first) = queue.pop_front()
        && let Some(second) = queue.front_mut()
    {
        second.replicas = first.replicas;
    }
}
