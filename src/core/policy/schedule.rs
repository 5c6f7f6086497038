//! Other bounds and targets at certain times.

use serde::{Deserialize, Serialize};

use super::ScalingPolicy;
use super::trigger::MetricTarget;
use crate::core::quantity::Replicas;
use crate::core::schedule::{Occurrence, Window, ramp};
use crate::core::time::{Span, Time};

/// What counts instead while a window is open. Where several are open, the last in the list that says something counts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Schedule {
    /// Unique in the policy.
    pub name: String,
    /// When.
    pub window: Window,
    /// Lower bound.
    pub min: Option<Replicas>,
    /// Upper bound.
    pub max: Option<Replicas>,
    /// Trigger → what its value is measured against.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<(String, MetricTarget)>,
    /// How long the bounds take from their usual values to these, in a straight line.
    #[serde(default)]
    pub ramp: Span,
}

/// A policy as it is at one time.
#[derive(Clone, Debug, PartialEq)]
pub struct InForce {
    /// With the bounds and targets of the schedules.
    pub policy: ScalingPolicy,
    /// The schedules whose windows are open.
    pub names: Vec<String>,
}

/// The policy as its schedules make it now; `None` where no window is open. An upper bound below the lower one lowers that.
#[must_use]
pub fn in_force(policy: &ScalingPolicy, now: Time) -> Option<InForce> {
    let open: Vec<(&Schedule, Occurrence)> = policy
        .schedules
        .iter()
        .filter_map(|schedule| Some((schedule, schedule.window.active(now)?)))
        .collect();
    if open.is_empty() {
        return None;
    }
    let mut changed = policy.clone();
    for (schedule, occurrence) in &open {
        let on_the_way = |from: Replicas, to: Replicas| {
            Replicas::new(ramp(from.get(), to.get(), occurrence.start, schedule.ramp, now))
        };
        if let Some(min) = schedule.min {
            changed.min = on_the_way(policy.min, min);
        }
        if let Some(max) = schedule.max {
            changed.max = on_the_way(policy.max, max);
        }
        for (name, target) in &schedule.targets {
            let triggers = changed.triggers.iter_mut();
            for trigger in triggers.filter(|trigger| trigger.name == *name) {
                trigger.target = *target;
            }
        }
    }
    changed.min = changed.min.min(changed.max);
    Some(InForce {
        policy: changed,
        names: open.iter().map(|(schedule, _)| schedule.name.clone()).collect(),
    })
}

/// When a window opens or closes next.
#[must_use]
pub fn next_change(policy: &ScalingPolicy, now: Time) -> Option<Time> {
    let all = policy.schedules.iter();
    all.filter_map(|schedule| schedule.window.next_change(now)).min()
}
