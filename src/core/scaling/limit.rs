//! Rate limits and bounds. `convertDesiredReplicasWithBehaviorRate` and its helpers of the HPA controller
//! (`pkg/controller/podautoscaler/horizontal.go`), with its floats, so that people get the numbers they know:
//! 100 + 10 % is 111, 10 + 10 % is 11, 1000 + 10 % is 1100.

use std::fmt::Write as _;

use crate::core::policy::{RateKind, RatePolicy, ScalingRules, SelectPolicy};
use crate::core::quantity::Replicas;
use crate::core::reason::Reason;
use crate::core::report::ScaleEvent;
use crate::core::time::Time;

/// What bounds a change.
#[derive(Clone, Copy, Debug)]
pub struct Limits<'a> {
    /// Lower and upper bound; `None`: unbounded.
    pub bounds: Option<(Replicas, Replicas)>,
    /// Rate limits for up and down; `None`: any rate.
    pub rates: Option<(&'a ScalingRules, &'a ScalingRules)>,
    /// Own scale events.
    pub history: &'a [ScaleEvent],
}

impl Limits<'_> {
    /// The nearest to `wanted` that the limits allow from `current`, and which limit bit. `current` itself is always
    /// allowed.
    #[must_use]
    pub fn apply(&self, now: Time, current: Replicas, wanted: Replicas) -> (Replicas, Option<Reason>) {
        let (min, max) = self.bounds.unwrap_or((Replicas::ZERO, Replicas::MAX));
        if wanted > current {
            let limit = self.rates.map_or(Replicas::MAX, |(up, _)| {
                up_limit(now, current, up, self.history).max(current)
            });
            let (cap, reason) = if max > limit {
                (limit, Reason::ScaleUpLimit)
            } else {
                (max, Reason::TooManyReplicas)
            };
            if wanted > cap {
                return (cap, Some(reason));
            }
        } else if wanted < current {
            let limit = self.rates.map_or(Replicas::ZERO, |(_, down)| {
                down_limit(now, current, down, self.history).min(current)
            });
            let (floor, reason) = if min < limit {
                (limit, Reason::ScaleDownLimit)
            } else {
                (min, Reason::TooFewReplicas)
            };
            if wanted < floor {
                return (floor, Some(reason));
            }
        }
        (wanted, None)
    }
}

/// The most that the rate limits allow now. May lie below `current`.
///
/// From zero it is at least one unless disabled: in the HPA a limit in percent can never leave zero.
#[must_use]
pub fn up_limit(now: Time, current: Replicas, rules: &ScalingRules, history: &[ScaleEvent]) -> Replicas {
    let limits = rules.policies.iter().map(|policy| {
        let start = period_start(now, current, policy, history);
        let value = i64::from(policy.value);
        match policy.kind {
            RateKind::Pods => Replicas::from_i64(start + value),
            RateKind::Percent => Replicas::from_i64((start as f64 * (1.0 + value as f64 / 100.0)).ceil() as i64),
        }
    });
    let limit = match rules.select {
        SelectPolicy::Disabled => return current,
        SelectPolicy::Max => limits.max(),
        SelectPolicy::Min => limits.min(),
    };
    let limit = limit.unwrap_or(current);
    if current == Replicas::ZERO {
        limit.max(Replicas::new(1))
    } else {
        limit
    }
}

/// The fewest that the rate limits allow now. May lie above `current`.
#[must_use]
pub fn down_limit(now: Time, current: Replicas, rules: &ScalingRules, history: &[ScaleEvent]) -> Replicas {
    let limits = rules.policies.iter().map(|policy| {
        let start = period_start(now, current, policy, history);
        let value = i64::from(policy.value);
        match policy.kind {
            RateKind::Pods => Replicas::from_i64(start - value),
            RateKind::Percent => Replicas::from_i64((start as f64 * (1.0 - value as f64 / 100.0)).trunc() as i64),
        }
    });
    let limit = match rules.select {
        SelectPolicy::Disabled => return current,
        SelectPolicy::Max => limits.min(),
        SelectPolicy::Min => limits.max(),
    };
    limit.unwrap_or(current)
}

/// The replicas at the period's start: own changes strictly younger than it are taken back, in both directions.
fn period_start(now: Time, current: Replicas, policy: &RatePolicy, history: &[ScaleEvent]) -> i64 {
    let change: i64 = history
        .iter()
        .filter(|event| now.since(event.at) < policy.period)
        .map(|event| i64::from(event.to.get()) - i64::from(event.from.get()))
        .sum();
    i64::from(current.get()) - change
}

/// The rate limits in words, such as `4 pods or 100% in 15s`.
#[must_use]
pub fn in_words(rules: &ScalingRules) -> String {
    let between = match rules.select {
        SelectPolicy::Disabled => return "disabled".into(),
        SelectPolicy::Max => " or ",
        SelectPolicy::Min => " and at most ",
    };
    let mut text = String::new();
    for (i, policy) in rules.policies.iter().enumerate() {
        if i > 0 {
            text.push_str(between);
        }
        let unit = match policy.kind {
            RateKind::Percent => "%",
            RateKind::Pods if policy.value == 1 => " pod",
            RateKind::Pods => " pods",
        };
        let _ = write!(text, "{}{unit}", policy.value);
        if rules
            .policies
            .get(i + 1)
            .is_none_or(|next| next.period != policy.period)
        {
            let _ = write!(text, " in {}", policy.period);
        }
    }
    text
}
