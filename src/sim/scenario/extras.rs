//! Draws what only some policies have: an idle size, what counts where data are missing, schedules, formulas, steps.

use super::UNITS;
use crate::core::policy::{Fallback, Idle, MetricTarget, OnMissing, ScalingPolicy, Schedule, Trigger};
use crate::core::quantity::{Milli, Replicas};
use crate::core::scaling::formula::Formula;
use crate::core::schedule::Window;
use crate::core::time::Span;
use crate::sim::random::Random;

pub(super) fn add(mut draw: Random, mut policy: ScalingPolicy) -> ScalingPolicy {
    let draw = &mut draw;
    if draw.chance(20) {
        policy.step = number(draw, 2, 4);
    }
    if draw.chance(20) {
        policy.behavior.min_ready_percent = number(draw, 20, 80);
    }
    if draw.chance(25) {
        policy.schedules = schedules(draw, &policy);
    }
    let by_pods = |t: &Trigger| matches!(t.target, MetricTarget::Value(_));
    let by_pods = policy.triggers.iter().any(by_pods);
    if draw.chance(25) && !by_pods {
        policy.idle = Some(idle(draw, policy.min.get()));
        // So little load is nothing to do.
        for trigger in &mut policy.triggers {
            trigger.activation = Milli::from_units(draw.between(1, 8) * UNITS);
        }
    }
    if draw.chance(20) && !by_pods {
        policy.formula = formula(draw, &policy.triggers);
    } else {
        for trigger in &mut policy.triggers {
            trigger.on_missing = on_missing(draw);
        }
    }
    policy
}

fn number(draw: &mut Random, low: i64, high: i64) -> u32 {
    u32::try_from(draw.between(low, high)).unwrap_or(1)
}

fn idle(draw: &mut Random, min: u32) -> Idle {
    Idle {
        replicas: Replicas::new(number(draw, 0, i64::from(min) - 1)),
        cooldown: Span::from_mins(draw.between(0, 10)),
    }
}

/// One or two windows an hour.
fn schedules(draw: &mut Random, policy: &ScalingPolicy) -> Vec<Schedule> {
    let mut made = Vec::new();
    for n in 0..=draw.below(2) {
        let minute = draw.below(60);
        let (Ok(cron), Ok(zone)) = (format!("{minute} * * * *").parse(), "UTC".parse()) else {
            continue;
        };
        let Ok(window) = Window::cron(cron, Span::from_mins(draw.between(5, 40)), zone) else {
            continue;
        };
        let (min, max) = (policy.min.get(), policy.max.get());
        let low = draw.chance(70).then(|| Replicas::new(min + number(draw, 0, 6)));
        let high = (low.is_none() || draw.chance(50)).then(|| {
            let least = low.map_or(1, Replicas::get);
            Replicas::new(least + number(draw, 0, i64::from(max)))
        });
        made.push(Schedule {
            name: format!("s{n}"),
            window,
            min: low,
            max: high,
            targets: Vec::new(),
            ramp: Span::ZERO,
        });
    }
    made
}

/// Those that the checker can compute.
fn formula(draw: &mut Random, triggers: &[Trigger]) -> Option<Formula> {
    let (one, two) = (
        ["max(t0, 3)", "max(t0.orValue(2), 3)"],
        ["max(t0, t1)", "max(t0.orValue(4), t1)"],
    );
    let all = if triggers.len() == 1 { one } else { two };
    let text = all[draw.index(all.len())];
    let names: Vec<String> = triggers.iter().map(|t| t.name.clone()).collect();
    Formula::parse(text, &names).ok()
}

fn on_missing(draw: &mut Random) -> OnMissing {
    let after = number(draw, 1, 6);
    match draw.below(10) {
        0..=1 => OnMissing::Fallback {
            replicas: Replicas::new(number(draw, 1, 12)),
            against: [
                Fallback::Static,
                Fallback::CurrentReplicas,
                Fallback::CurrentReplicasIfHigher,
                Fallback::CurrentReplicasIfLower,
            ][draw.index(4)],
            after,
        },
        2 => OnMissing::Ignore { after },
        3 => OnMissing::Zero { after },
        _ => OnMissing::Hold,
    }
}
