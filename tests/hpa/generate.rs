//! Random questions, most of them near some edge.

use homeostat::core::scaling::hpa::Input;
use homeostat::core::scaling::hpa::history::{History, Recommendation, ScaleEvent};
use homeostat::core::scaling::hpa::input::{
    Behavior, Flags, Metric, Policy, PolicyKind, Rules, SelectPolicy, Selector,
};
use homeostat::core::scaling::hpa::quantity::Quantity;
use homeostat::core::time::{Span, Time};
use homeostat::sim::random::Random;

mod metrics;
mod pods;

/// The instant at which the oracle's clock stands: 2000-01-01T00:00:00Z.
const NOW: Time = Time::from_secs(946_684_800);

/// Question `number` of a seed.
pub fn case(seed: u64, number: u64) -> Input {
    let mut random = Random::new(seed).fork(&number.to_string());
    let shape = Shape::draw(&mut random);
    let pods = pods::draw(&mut random, &shape);
    let count = if shape.wild {
        random.between(1, 6)
    } else {
        random.between(1, 3)
    };
    let count = if random.below(500) == 0 { 0 } else { count };
    let metrics: Vec<Metric> = (0..count).map(|_| metrics::draw(&mut random, &shape, &pods)).collect();
    let replicas = replicas(&mut random, pods.len());
    let (min, max) = bounds(&mut random, replicas);
    let status_replicas = match random.below(10) {
        0 => random.between(0, 12) as i32,
        1 => pods.len() as i32,
        _ => replicas,
    };
    let flags = flags(&mut random);
    let behavior = random.chance(60).then(|| behavior(&mut random));
    let history = history(&mut random, replicas);
    let selector = match random.below(100) {
        0 => Selector::Missing,
        1 => Selector::Invalid,
        _ => Selector::Valid,
    };
    Input {
        now: NOW,
        flags,
        min,
        max,
        metrics,
        behavior,
        replicas,
        status_replicas,
        selector,
        pods,
        history,
    }
}

/// What kind of question it is.
pub struct Shape {
    /// Numbers that no cluster has.
    pub wild: bool,
    /// All pods are well, and have metrics; or else anything may be the matter with each.
    pub tidy: bool,
    /// The resource that is measured most.
    pub resource: &'static str,
}

impl Shape {
    fn draw(random: &mut Random) -> Self {
        Self {
            wild: random.chance(8),
            tidy: random.chance(40),
            resource: if random.chance(75) { "cpu" } else { "memory" },
        }
    }
}

/// Near the number of pods.
fn replicas(random: &mut Random, pods: usize) -> i32 {
    let pods = pods as i64;
    let replicas = match random.below(100) {
        0..=54 => pods,
        55..=79 => pods + random.between(-2, 4),
        80..=81 => 0,
        82..=97 => random.between(1, 120),
        98 => random.between(1, 1_000_000),
        _ => random.between(1_000_000_000, i64::from(i32::MAX)),
    };
    replicas.max(0) as i32
}

/// Most often around the current size, now and then beside it.
fn bounds(random: &mut Random, replicas: i32) -> (Option<i32>, i32) {
    let current = i64::from(replicas);
    let min = match random.below(40) {
        0..=4 => None,
        5..=8 => Some(0),
        9..=12 => Some(current),
        13..=14 => Some(current + random.between(1, 3)),
        _ => Some(random.between(1, current.max(1))),
    };
    let least = min.unwrap_or(1);
    let max = match random.below(40) {
        0..=2 => least,
        3..=6 => current,
        7..=8 => current - random.between(1, 3),
        9..=12 => i64::from(i32::MAX),
        _ => least.max(current) + random.between(0, 30),
    };
    let max = if random.chance(98) { max.max(least) } else { max };
    let fit = |n: i64| n.clamp(0, i64::from(i32::MAX)) as i32;
    (min.map(fit), fit(max.max(1)))
}

fn flags(random: &mut Random) -> Flags {
    if random.chance(70) {
        return Flags::default();
    }
    let mut span = |choices: &[i64]| Span::from_millis(random.pick(choices).copied().unwrap_or(0));
    let downscale_stabilization = span(&[0, 1_000, 60_000, 90_500, 300_000, 3_600_000]);
    let cpu_initialization = span(&[0, 1_000, 60_000, 120_000, 300_000]);
    let initial_readiness_delay = span(&[0, 1_000, 10_000, 30_000, 60_000]);
    Flags {
        tolerance: random
            .pick(&[0.0, 0.01, 0.1, 0.2, 0.3, 0.5, 1.0])
            .copied()
            .unwrap_or(0.1),
        downscale_stabilization,
        cpu_initialization,
        initial_readiness_delay,
    }
}

fn behavior(random: &mut Random) -> Behavior {
    Behavior {
        scale_up: random.chance(75).then(|| rules(random)),
        scale_down: random.chance(75).then(|| rules(random)),
    }
}

fn rules(random: &mut Random) -> Rules {
    let select = match random.below(10) {
        0 => Some(SelectPolicy::Disabled),
        1..=3 => Some(SelectPolicy::Min),
        4..=5 => Some(SelectPolicy::Max),
        _ => None,
    };
    let windows = [0, 0, 0, 0, 1, 15, 60, 120, 300, 600, 3600];
    let policies = random
        .chance(70)
        .then(|| (0..random.between(1, 3)).map(|_| policy(random)).collect());
    let tolerance = random.chance(30).then(|| {
        let thousandths = random.pick(&[0, 1, 10, 50, 70, 100, 150, 200, 300, 330, 700, 999, 1000, 2500]);
        let text = format!("{}m", thousandths.copied().unwrap_or(100));
        text.parse::<Quantity>().map_or(0.1, Quantity::approximate)
    });
    Rules {
        stabilization_window_seconds: random.chance(75).then(|| random.pick(&windows).copied().unwrap_or(0)),
        select_policy: select,
        policies,
        tolerance,
    }
}

fn policy(random: &mut Random) -> Policy {
    let period_seconds = random.pick(&[1, 15, 15, 30, 60, 120, 300, 1800]).copied().unwrap_or(15);
    let (kind, value) = if random.chance(50) {
        let values = [1, 1, 2, 3, 4, 5, 10, 50, 1000, i32::MAX];
        (PolicyKind::Pods, random.pick(&values).copied().unwrap_or(1))
    } else {
        let values = [
            1,
            5,
            10,
            10,
            20,
            33,
            50,
            99,
            100,
            100,
            101,
            150,
            200,
            900,
            100_000,
            i32::MAX,
        ];
        (PolicyKind::Percent, random.pick(&values).copied().unwrap_or(100))
    };
    Policy {
        kind,
        value,
        period_seconds,
    }
}

/// Ages at the edges of windows and periods, one millisecond beside them, and anywhere.
fn past(random: &mut Random) -> Time {
    let edges = [0, 1, 15, 30, 60, 90, 120, 300, 600, 1800, 3600];
    let edge = random.pick(&edges).copied().unwrap_or(0) * 1000;
    let age = match random.below(4) {
        0 => edge,
        1 => edge + random.between(-1, 1),
        2 => random.between(0, 600_000),
        _ => random.between(0, 60_000),
    };
    NOW - Span::from_millis(age.max(0))
}

fn history(random: &mut Random, replicas: i32) -> History {
    let near = |random: &mut Random| (i64::from(replicas) + random.between(-4, 6)).clamp(0, i64::from(i32::MAX)) as i32;
    let count = if random.chance(25) { 0 } else { random.between(1, 6) };
    let recommendations = (0..count)
        .map(|_| Recommendation {
            replicas: near(random),
            at: past(random),
        })
        .collect();
    let mut events = || -> Vec<ScaleEvent> {
        let count = if random.chance(50) { 0 } else { random.between(1, 4) };
        (0..count)
            .map(|_| ScaleEvent {
                change: if random.below(200) == 0 {
                    i32::MAX
                } else {
                    random.between(0, 8) as i32
                },
                at: past(random),
                outdated: random.chance(10),
            })
            .collect()
    };
    History {
        up: events(),
        down: events(),
        recommendations,
    }
}
