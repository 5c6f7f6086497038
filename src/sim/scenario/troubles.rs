//! Draws what goes wrong: eight troubles an hour on average, from all that the field knows of.

use super::{OPERATOR_STARTS, QUIET, Scenario, Trouble, What};
use crate::core::names::PolicyKey;
use crate::core::time::Span;
use crate::sim::cluster::WorkloadId;
use crate::sim::metrics::MetricFault;
use crate::sim::policies::Spec;
use crate::sim::random::Random;
use crate::sim::wires::Wire;

/// Troubles an hour.
const RATE: i64 = 8;

pub(super) fn random(draw: &mut Random, scenario: &Scenario) -> Vec<Trouble> {
    let first = OPERATOR_STARTS.as_millis() + 120_000;
    let last = (scenario.length.as_millis() - QUIET.as_millis()).max(first);
    let count = (last - first) * RATE / 3_600_000;
    let mut troubles: Vec<Trouble> = (0..count.max(1))
        .filter_map(|_| {
            let at = Span::from_millis(draw.between(first, last));
            let what = what(draw, scenario)?;
            let longest = Span::from_millis(last).as_millis() - at.as_millis();
            let lasts = lasts(draw, &what).as_millis().min(longest.max(1000));
            Some(Trouble {
                at,
                lasts: Span::from_millis(lasts),
                what,
            })
        })
        .collect();
    troubles.sort_by_key(|t| t.at);
    troubles
}

fn small(draw: &mut Random, low: i64, high: i64) -> u32 {
    u32::try_from(draw.between(low, high)).unwrap_or(0)
}

fn what(draw: &mut Random, scenario: &Scenario) -> Option<What> {
    let any = 2 + draw.index(scenario.workloads.len() - 2);
    match draw.below(100) {
        0..=13 => Some(What::Crash {
            workload: any,
            pods: small(draw, 1, 2),
            inherited: if draw.chance(40) { small(draw, 1, 6) } else { 0 },
        }),
        14..=22 => {
            let most = if draw.chance(30) { 12 } else { 2 };
            let pods = small(draw, 1, most);
            Some(What::Unready { workload: any, pods })
        }
        23..=25 => Some(What::Storm {
            percent: small(draw, 10, 60),
        }),
        26..=28 => Some(What::BadRollout(any)),
        29 => Some(if draw.chance(50) {
            What::ProviderFails
        } else {
            What::IntruderOnMarked
        }),
        30..=31 => Some(What::NodeDown(small(draw, 1, i64::from(scenario.nodes) - 1))),
        32..=43 => {
            let one = draw.index(scenario.questions.len());
            let how = *draw.pick(&MetricFault::ALL)?;
            Some(What::Metrics((!draw.chance(30)).then_some(one), how))
        }
        44..=48 => Some(What::Surge(draw.index(scenario.questions.len()), small(draw, 10, 300))),
        49..=62 => Some(edge(draw)),
        63..=66 => Some(if draw.chance(60) {
            What::Restart
        } else {
            What::LeaderChange
        }),
        67..=68 => Some(What::OwnUnready),
        69..=89 => people(draw, scenario),
        _ => drift(draw, scenario),
    }
}

fn edge(draw: &mut Random) -> What {
    let wires = [Wire::Pods, Wire::Nodes, Wire::Policies, Wire::Targets, Wire::Declared];
    let wire = wires[draw.index(wires.len())];
    match draw.below(9) {
        0..=1 => What::ApiDown,
        2..=3 => What::WatchBroken(wire),
        4..=5 => What::WatchLag(wire, Span::from_secs(draw.between(2, 90))),
        6 => What::SlowWrites(Span::from_secs(draw.between(3, 90))),
        _ => {
            let count = draw.between(1, 3);
            What::OddAnswers((0..count).map(|_| (draw.chance(50), draw.chance(70))).collect())
        }
    }
}

fn scaled(draw: &mut Random, scenario: &Scenario) -> Option<(PolicyKey, WorkloadId)> {
    let policies: Vec<_> = scenario
        .policies
        .iter()
        .filter_map(|spec| match spec {
            Spec::Scaling(policy) => Some(policy),
            _ => None,
        })
        .collect();
    let policy = draw.pick(&policies)?;
    let target = &policy.target;
    let named = |w: &super::Workload| w.namespace == target.namespace && w.name == target.name;
    Some((policy.meta.key.clone(), scenario.workloads.iter().position(named)?))
}

fn people(draw: &mut Random, scenario: &Scenario) -> Option<What> {
    let (policy, workload) = scaled(draw, scenario)?;
    let any = draw.pick(&scenario.policies)?.meta().key.clone();
    Some(match draw.below(14) {
        0..=1 => What::SetReplicas(workload, small(draw, 0, 30)),
        2..=4 => What::Fight(workload, Span::from_secs(draw.between(5, 40))),
        5 => What::TargetDeleted(workload),
        6 => What::OtherScaler(workload),
        7..=8 => What::Suspend(any),
        9 => {
            let min = small(draw, 1, 6);
            What::Bounds(policy, min, min + small(draw, 2, 12))
        }
        10 => What::DryRun(any),
        11 => What::PolicyDeleted(any),
        12 => What::Duplicate(policy, draw.chance(40)),
        _ => What::Invalid(any),
    })
}

fn drift(draw: &mut Random, scenario: &Scenario) -> Option<What> {
    let source = draw.index(scenario.sources.len());
    let object = draw.pick(&scenario.sources.get(source)?.2)?.clone();
    Some(match draw.below(8) {
        0..=3 => What::Drift(source, object, draw.chance(50)),
        4..=5 => What::DriftFight(source, object),
        6 => What::NewRevision(source, object),
        _ => What::SuspendSource(source),
    })
}

/// How long a trouble lasts.
fn lasts(draw: &mut Random, what: &What) -> Span {
    let mut minutes = |low: i64, high: i64| Span::from_secs(draw.between(low * 60, high * 60));
    match what {
        What::SetReplicas(..) | What::Drift(..) | What::LeaderChange | What::OddAnswers(_) | What::IntruderOnMarked => {
            Span::ZERO
        }
        What::Restart => Span::from_secs(draw.between(2, 60)),
        What::ApiDown | What::WatchBroken(_) | What::WatchLag(..) | What::SlowWrites(_) => minutes(1, 10),
        What::NodeDown(_) | What::Metrics(..) | What::Surge(..) | What::Fight(..) | What::DriftFight(..) => {
            minutes(2, 25)
        }
        What::Crash { .. } | What::Unready { .. } => minutes(5, 60),
        _ => minutes(3, 30),
    }
}
