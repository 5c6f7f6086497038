//! The HPA's exact answers: cases computed by hand from its algorithm, one or more a calculator, and its quirks by name. That every
//! answer is the controller's is proven elsewhere (`tests/hpa`); here it can be read what the answers are.

use homeostat::core::scaling::hpa::history::{Recommendation, ScaleEvent};
use homeostat::core::scaling::hpa::input::{
    Behavior, Container, ContainerUsage, Metric, Phase, Pod, PodSample, Policy, PolicyKind, Ready, Rules, Source,
    Status, Target, TargetKind,
};
use homeostat::core::scaling::hpa::{Input, Limit, decide};
use homeostat::core::time::{Span, Time};

const NOW: Time = Time::from_secs(1_000_000);

fn ago(secs: i64) -> Time {
    NOW - Span::from_secs(secs)
}

/// A pod that has long been Ready and requests 100 millicores.
fn pod(name: &str) -> Pod {
    Pod {
        name: name.into(),
        phase: Phase::Running,
        deleting: false,
        start_time: Some(ago(7200)),
        ready: Some(Ready {
            status: Status::True,
            since: Some(ago(7000)),
        }),
        containers: vec![Container {
            name: "app".into(),
            restartable: false,
            requests: [("cpu".to_owned(), 100)].into(),
        }],
        init_containers: Vec::new(),
        requests: None,
        overhead: None,
    }
}

/// What the first pods use, in millicores; the others have no data.
fn cpu(usages: &[i64], target: Target) -> Metric {
    let sample = |(i, usage): (usize, &i64)| PodSample {
        pod: format!("p{i}"),
        at: ago(10),
        window: Span::from_secs(30),
        containers: vec![ContainerUsage {
            name: "app".into(),
            usage: Some(*usage),
        }],
    };
    Metric {
        source: Source::Resource {
            name: "cpu".into(),
            samples: Ok(usages.iter().enumerate().map(sample).collect()),
        },
        target,
    }
}

fn utilization(percent: i32) -> Target {
    Target {
        kind: TargetKind::Utilization,
        value: None,
        average_value: None,
        average_utilization: Some(percent),
    }
}

fn average(milli: i64) -> Target {
    Target {
        kind: TargetKind::AverageValue,
        value: None,
        average_value: Some(milli),
        average_utilization: None,
    }
}

fn value(milli: i64) -> Target {
    Target {
        kind: TargetKind::Value,
        value: Some(milli),
        average_value: None,
        average_utilization: None,
    }
}

fn external(values: &[i64], target: Target) -> Metric {
    Metric {
        source: Source::External {
            values: Ok(values.to_vec()),
        },
        target,
    }
}

/// As many replicas as pods, bounds of 1 and 100, and a recommendation too old to hold anything.
fn input(pods: usize, metrics: Vec<Metric>) -> Input {
    let mut input: Input = serde_json::from_value(serde_json::json!({
        "now": NOW, "max": 100, "replicas": pods, "statusReplicas": pods,
    }))
    .unwrap();
    input.pods = (0..pods).map(|i| pod(&format!("p{i}"))).collect();
    input.metrics = metrics;
    input.history.recommendations.push(Recommendation {
        replicas: 1,
        at: ago(4000),
    });
    input
}

fn proposal(input: &Input) -> i32 {
    decide(input).proposals[0].clone().unwrap().replicas
}

#[test]
fn utilization_is_cut_to_whole_percents_and_counts_ready_pods() {
    for (usages, target, expected) in [
        // Both ends of the tolerance are within it.
        (&[55, 55][..], 50, 2),
        (&[45, 45], 50, 2),
        // 56 % of 50 % is a ratio of 1.12: ceil(1.12 × 2).
        (&[56, 56], 50, 3),
        // 111 of 200 is 55 % after the cut, a ratio of 1.1: within.
        (&[55, 56], 50, 2),
        (&[44, 44], 50, 2),
        (&[20, 20, 20, 20], 50, 2),
        (&[100, 100, 100], 50, 6),
        (&[0, 0], 50, 0),
    ] {
        let input = input(usages.len(), vec![cpu(usages, utilization(target))]);
        assert_eq!(proposal(&input), expected, "{usages:?}");
    }
}

#[test]
fn the_replicas_are_those_of_ready_pods_not_of_the_spec() {
    let mut input = input(4, vec![cpu(&[100, 100, 100, 100], average(50))]);
    // A pod that goes away takes its metric with it: 2.0 × 3 ready.
    input.pods[3].deleting = true;
    assert_eq!(proposal(&input), 6);
    input.pods[2].phase = Phase::Failed;
    assert_eq!(proposal(&input), 4);
}

#[test]
fn missing_pods_use_nothing_going_up_and_all_of_their_request_going_down() {
    // Up: 200 % over two of four, then 100 % over four: hold.
    assert_eq!(proposal(&input(4, vec![cpu(&[100, 100], utilization(50))])), 4);
    // 300 / 4 requests of 100 = 75 %: ceil(1.5 × 4).
    assert_eq!(proposal(&input(4, vec![cpu(&[150, 150], utilization(50))])), 6);
    // Down: (10 + 10 + 100 + 100) / 400 = 55 % would turn up: hold.
    assert_eq!(proposal(&input(4, vec![cpu(&[10, 10], utilization(50))])), 4);
    // (10 + 10 + 10 + 100) / 400 = 32 %: ceil(0.64 × 4).
    assert_eq!(proposal(&input(4, vec![cpu(&[10, 10, 10], utilization(50))])), 3);
    // By value a missing pod uses exactly the target: (10 + 10 + 10 + 50) / 4 = 20: ceil(0.4 × 4).
    assert_eq!(proposal(&input(4, vec![cpu(&[10, 10, 10], average(50))])), 2);
}

#[test]
fn cpu_of_a_pod_that_starts_counts_only_after_a_whole_window() {
    let mut input = input(2, vec![cpu(&[100, 1000], utilization(50))]);
    input.pods[1].start_time = Some(ago(60));
    // Measured at -10 s over 30 s, Ready since -39 s: the window began before.
    input.pods[1].ready = Some(Ready {
        status: Status::True,
        since: Some(ago(39)),
    });
    assert_eq!(
        proposal(&input),
        2,
        "its usage is left out, and zero is assumed: 100 of 200 is 50 %"
    );
    input.pods[1].ready = Some(Ready {
        status: Status::True,
        since: Some(ago(40)),
    });
    assert_eq!(proposal(&input), 22);
}

#[test]
fn a_value_is_scaled_by_ready_pods_and_an_average_by_status_replicas() {
    let mut by_value = input(4, vec![external(&[1500, 500], value(1000))]);
    by_value.pods[0].ready = None;
    assert_eq!(proposal(&by_value), 6, "2.0 × 3 ready");
    by_value.pods[1].deleting = true;
    assert_eq!(proposal(&by_value), 6, "what goes away counts here");

    let mut by_average = input(4, vec![external(&[4200], average(1000))]);
    by_average.status_replicas = 5;
    assert_eq!(proposal(&by_average), 5, "0.84 of 5: ceil(4.2)");
    by_average.metrics = vec![external(&[4600], average(1000))];
    by_average.status_replicas = 4;
    assert_eq!(proposal(&by_average), 5, "1.15 of 4: ceil(4.6)");
    by_average.status_replicas = 0;
    assert_eq!(proposal(&by_average), 5, "no tolerance at zero");
    assert_eq!(
        proposal(&input(1, vec![external(&[i64::MAX, 1], average(1))])),
        i32::MAX
    );
}

#[test]
fn partial_metrics_scale_up_and_never_down() {
    let broken = Metric {
        source: Source::External {
            values: Err("the server is away".into()),
        },
        target: average(1000),
    };
    let up = decide(&input(2, vec![external(&[4000], average(1000)), broken.clone()]));
    assert_eq!(
        (up.desired, up.conditions().scaling_active.unwrap().reason),
        (4, "ValidMetricFound")
    );
    let down = decide(&input(2, vec![external(&[1000], average(1000)), broken.clone()]));
    assert_eq!((down.desired, down.rescale), (2, false));
    assert_eq!(
        down.conditions().scaling_active.unwrap().reason,
        "FailedGetExternalMetric"
    );
    assert_eq!(decide(&input(2, vec![broken])).desired, 2);
}

#[test]
fn zero_and_out_of_bounds_need_no_metrics() {
    let mut asked = input(5, Vec::new());
    asked.max = 3;
    assert_eq!(decide(&asked).desired, 3);
    asked.max = 100;
    asked.min = Some(9);
    assert_eq!(decide(&asked).desired, 9);
    asked.replicas = 0;
    let answer = decide(&asked);
    assert_eq!((answer.desired, answer.rescale), (0, false));
    assert_eq!(answer.conditions().scaling_active.unwrap().reason, "ScalingDisabled");
}

fn limit(input: &Input) -> (i32, &'static str) {
    let answer = decide(input);
    (
        answer.desired,
        answer.conditions().scaling_limited.map_or("", |c| c.reason),
    )
}

#[test]
fn without_behavior_it_doubles_at_most_and_goes_down_after_the_window() {
    assert_eq!(
        limit(&input(1, vec![external(&[90_000], average(1000))])),
        (4, "ScaleUpLimit")
    );
    assert_eq!(
        limit(&input(10, vec![external(&[90_000], average(1000))])),
        (20, "ScaleUpLimit")
    );
    let mut down = input(10, vec![external(&[2000], average(1000))]);
    assert_eq!(decide(&down).desired, 2);
    down.history.recommendations.push(Recommendation {
        replicas: 7,
        at: ago(299),
    });
    let answer = decide(&down);
    assert_eq!(
        (answer.desired, answer.history.recommendations.len()),
        (7, 2),
        "the slot of the old one is used"
    );
    down.history.recommendations.clear();
    assert_eq!(
        decide(&down).desired,
        10,
        "a new autoscaler begins with the current size"
    );
}

#[allow(clippy::unnecessary_wraps, reason = "the field that it fills is an option")]
fn percent(value: i32) -> Option<Rules> {
    let policies = Some(vec![Policy {
        kind: PolicyKind::Percent,
        value,
        period_seconds: 60,
    }]);
    Some(Rules {
        policies,
        ..Rules::default()
    })
}

#[test]
fn percents_are_rounded_as_the_controllers_floats_are() {
    for (replicas, expected) in [(10, 11), (50, 56), (100, 111), (200, 221), (1000, 1100)] {
        let mut up = input(1, vec![external(&[9_000_000], average(1000))]);
        (up.max, up.replicas) = (5000, replicas);
        up.behavior = Some(Behavior {
            scale_up: percent(10),
            scale_down: None,
        });
        assert_eq!(limit(&up), (expected, "ScaleUpLimit"), "{replicas}");
    }
}

#[test]
fn own_changes_of_both_directions_count_against_a_rate() {
    let mut down = input(10, vec![external(&[1000], average(1000))]);
    down.behavior = Some(Behavior {
        scale_up: None,
        scale_down: percent(50),
    });
    assert_eq!(limit(&down), (5, Limit::ScaleDownLimit.as_str()));
    // From 14 a minute ago: trunc(14 × 0.5).
    let event = |change, secs| ScaleEvent {
        change,
        at: ago(secs),
        outdated: false,
    };
    down.history.down.push(event(4, 59));
    assert_eq!(limit(&down).0, 7);
    // Less 6 that were added since: trunc(8 × 0.5).
    down.history.up.push(event(6, 30));
    assert_eq!(limit(&down).0, 4);
    down.history.down[0].at = ago(60);
    assert_eq!(
        limit(&down).0,
        2,
        "a whole period ago is no longer in it: trunc(4 × 0.5)"
    );
    let written = decide(&down).written(&down);
    assert_eq!(written.down, vec![event(8, 0)], "the outdated one gave its place");
}
