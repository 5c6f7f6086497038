//! Stabilization, rate limits, bounds: `normalizeDesiredReplicas` and `normalizeDesiredReplicasWithBehaviors` of
//! `horizontal.go`, with the defaults of `pkg/apis/autoscaling/v2/defaults.go`.

use super::answer::{Limit, Normalized, Stabilized};
use super::go;
use super::history::{History, ScaleEvent, change_within};
use super::input::{Input, Policy, PolicyKind, Rules, SelectPolicy};
use crate::core::time::{Span, Time};

/// What a recommendation becomes; it is remembered.
pub fn normalize(input: &Input, history: &mut History, min: i32, recommended: i32) -> Normalized {
    if input.behavior.is_some() {
        let (up, down) = rules(input);
        let (stabilized, stabilization) = stabilize(input, history, recommended, &up, &down);
        let (desired, limit) = limit_by_rate(input, history, min, stabilized, &up, &down);
        Normalized {
            stabilized,
            stabilization,
            desired,
            limit,
        }
    } else {
        let stabilized = stabilize_plainly(input, history, recommended);
        let (desired, limit) = limit_plainly(input, min, stabilized);
        Normalized {
            stabilized,
            stabilization: (stabilized != recommended).then_some(Stabilized::ScaleDownStabilized),
            desired,
            limit,
        }
    }
}

/// The rules for up and down with all defaults filled in.
pub fn rules(input: &Input) -> (Rules, Rules) {
    let policy = |kind, value| Policy {
        kind,
        value,
        period_seconds: 15,
    };
    let pods = policy(PolicyKind::Pods, 4);
    let percent = policy(PolicyKind::Percent, 100);
    let fill = |rules: Option<&Rules>, window: i64, policies: Vec<Policy>| {
        let mut rules = rules.cloned().unwrap_or_default();
        rules.stabilization_window_seconds.get_or_insert(window as i32);
        rules.select_policy.get_or_insert(SelectPolicy::Max);
        rules.policies.get_or_insert(policies);
        rules
    };
    let behavior = input.behavior.as_ref();
    let up = behavior.and_then(|b| b.scale_up.as_ref());
    let down = behavior.and_then(|b| b.scale_down.as_ref());
    let window = input.flags.downscale_stabilization.as_millis() / 1000;
    (fill(up, 0, vec![pods, percent]), fill(down, window, vec![percent]))
}

/// `stabilizeRecommendation`: the highest of the window.
fn stabilize_plainly(input: &Input, history: &mut History, recommended: i32) -> i32 {
    let cutoff = input.now - input.flags.downscale_stabilization;
    let young = history.recommendations.iter().filter(|r| r.at > cutoff);
    let highest = young.map(|r| r.replicas).fold(recommended, i32::max);
    history.recommend(input.now, recommended, |at| at <= cutoff);
    highest
}

/// `convertDesiredReplicasWithRules`.
fn limit_plainly(input: &Input, min: i32, desired: i32) -> (i32, Limit) {
    let rate = go::int32((2.0 * f64::from(input.replicas)).max(4.0));
    let (most, limit) = if input.max > rate {
        (rate, Limit::ScaleUpLimit)
    } else {
        (input.max, Limit::TooManyReplicas)
    };
    if desired < min {
        (min, Limit::TooFewReplicas)
    } else if desired > most {
        (most, limit)
    } else {
        (desired, Limit::DesiredWithinRange)
    }
}

/// `stabilizeRecommendationWithBehaviors`: to the nearest between the lowest of the window for up and the highest of the one
/// for down.
fn stabilize(
    input: &Input,
    history: &mut History,
    recommended: i32,
    up: &Rules,
    down: &Rules,
) -> (i32, Option<Stabilized>) {
    let cutoff = |rules: &Rules| {
        let window = rules.stabilization_window_seconds.unwrap_or(0);
        input.now - Span::from_secs(i64::from(window))
    };
    let (up_cutoff, down_cutoff) = (cutoff(up), cutoff(down));
    let (mut lowest, mut highest) = (recommended, recommended);
    for old in &history.recommendations {
        if old.at > up_cutoff {
            lowest = lowest.min(old.replicas);
        }
        if old.at > down_cutoff {
            highest = highest.max(old.replicas);
        }
    }
    let mut stabilized = input.replicas;
    if stabilized < lowest {
        stabilized = lowest;
    }
    if stabilized > highest {
        stabilized = highest;
    }
    history.recommend(input.now, recommended, |at| at <= up_cutoff && at <= down_cutoff);
    let reason = if recommended >= input.replicas {
        Stabilized::ScaleUpStabilized
    } else {
        Stabilized::ScaleDownStabilized
    };
    (stabilized, (stabilized != recommended).then_some(reason))
}

/// `convertDesiredReplicasWithBehaviorRate`. Where nothing changes, the bounds are not looked at.
fn limit_by_rate(input: &Input, history: &History, min: i32, desired: i32, up: &Rules, down: &Rules) -> (i32, Limit) {
    let current = input.replicas;
    if desired > current {
        let rate = up_limit(input.now, current, history, up).max(current);
        let (most, limit) = if input.max > rate {
            (rate, Limit::ScaleUpLimit)
        } else {
            (input.max, Limit::TooManyReplicas)
        };
        if desired > most {
            return (most, limit);
        }
    } else if desired < current {
        let rate = down_limit(input.now, current, history, down).min(current);
        let (least, limit) = if min < rate {
            (rate, Limit::ScaleDownLimit)
        } else {
            (min, Limit::TooFewReplicas)
        };
        if desired < least {
            return (least, limit);
        }
    }
    (desired, Limit::DesiredWithinRange)
}

/// `calculateScaleUpLimitWithScalingRules`.
fn up_limit(now: Time, current: i32, history: &History, rules: &Rules) -> i32 {
    let limits = limits(now, current, history, rules, |start, policy| match policy.kind {
        PolicyKind::Pods => start.wrapping_add(policy.value),
        PolicyKind::Percent => go::int32((f64::from(start) * (1.0 + f64::from(policy.value) / 100.0)).ceil()),
    });
    match rules.select_policy {
        Some(SelectPolicy::Disabled) => current,
        Some(SelectPolicy::Min) => limits.fold(i32::MAX, i32::min),
        Some(SelectPolicy::Max) | None => limits.fold(i32::MIN, i32::max),
    }
}

/// `calculateScaleDownLimitWithBehaviors`.
fn down_limit(now: Time, current: i32, history: &History, rules: &Rules) -> i32 {
    let limits = limits(now, current, history, rules, |start, policy| match policy.kind {
        PolicyKind::Pods => start.wrapping_sub(policy.value),
        PolicyKind::Percent => go::int32(f64::from(start) * (1.0 - f64::from(policy.value) / 100.0)),
    });
    match rules.select_policy {
        Some(SelectPolicy::Disabled) => current,
        Some(SelectPolicy::Min) => limits.fold(i32::MIN, i32::max),
        Some(SelectPolicy::Max) | None => limits.fold(i32::MAX, i32::min),
    }
}

/// What each policy allows from the replicas at its period's start, when own changes since are taken back.
fn limits<'a>(
    now: Time,
    current: i32,
    history: &'a History,
    rules: &'a Rules,
    allow: impl Fn(i32, &Policy) -> i32 + 'a,
) -> impl Iterator<Item = i32> + 'a {
    rules.policies.iter().flatten().map(move |policy| {
        let within = |events: &[ScaleEvent]| change_within(now, policy.period_seconds, events);
        let start = current
            .wrapping_sub(within(&history.up))
            .wrapping_add(within(&history.down));
        allow(start, policy)
    })
}
