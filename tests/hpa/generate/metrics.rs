//! Metrics whose values lie near their targets, or anywhere, or nowhere.

use homeostat::core::scaling::hpa::input::{
    ContainerUsage, Metric, Outcome, Pod, PodSample, PodValue, Source, Target, TargetKind,
};
use homeostat::core::time::Span;
use homeostat::sim::random::Random;

use super::{NOW, Shape};

pub fn draw(random: &mut Random, shape: &Shape, pods: &[Pod]) -> Metric {
    match random.below(10) {
        0..=3 => resource(random, shape, pods, None),
        4 => {
            let containers = ["c0", "c0", "c0", "c1", "i0", "gone"];
            let container = random.pick(&containers).copied().unwrap_or("c0");
            resource(random, shape, pods, Some(container))
        }
        5..=6 => pods_metric(random, shape, pods),
        7 => object(random, shape, pods),
        _ => external(random, shape, pods),
    }
}

/// Hundredths of a target, near the edges of usual tolerances and anywhere.
fn percent(random: &mut Random) -> i64 {
    let edges = [
        0, 1, 50, 70, 80, 89, 90, 91, 95, 99, 100, 100, 101, 105, 109, 110, 111, 120, 130, 150, 200, 300, 1000,
    ];
    if random.chance(75) {
        random.pick(&edges).copied().unwrap_or(100)
    } else {
        random.between(0, 400)
    }
}

fn any(random: &mut Random) -> i64 {
    match random.below(5) {
        0 => i64::MAX,
        1 => i64::MAX / random.between(1, 1000),
        2 => -random.between(0, 100_000),
        3 => i64::MIN / random.between(1, 1000),
        _ => random.between(0, 1_000_000_000_000),
    }
}

/// A value of so many hundredths of the target, with a little more or less now and then.
fn near(random: &mut Random, shape: &Shape, target: i64, percent: i64) -> i64 {
    if shape.wild && random.chance(40) {
        return any(random);
    }
    let exact = i128::from(target) * i128::from(percent) / 100;
    let little = if random.chance(25) { random.between(-1, 1) } else { 0 };
    (exact as i64).saturating_add(little).max(0)
}

fn target_value(random: &mut Random, shape: &Shape) -> i64 {
    if shape.wild && random.chance(30) {
        return any(random);
    }
    let targets = [1, 3, 7, 100, 500, 1000, 1000, 10_000, 33_333, 100_000, 1_048_576_000];
    random.pick(&targets).copied().unwrap_or(1000)
}

fn data<T>(random: &mut Random, list: Vec<T>) -> Outcome<Vec<T>> {
    match random.below(50) {
        0..=1 => Err("the server is away".into()),
        2 => Ok(Vec::new()),
        _ => Ok(list),
    }
}

/// Names of pods that have data: those there are, less some, and now and then a stranger.
fn measured(random: &mut Random, shape: &Shape, pods: &[Pod]) -> Vec<String> {
    let missing = if shape.tidy { 0 } else { 12 };
    let mut names: Vec<String> = pods.iter().map(|pod| pod.name.clone()).collect();
    names.retain(|_| !random.chance(missing));
    if random.chance(6) {
        names.push("stranger".into());
    }
    names
}

fn resource(random: &mut Random, shape: &Shape, pods: &[Pod], container: Option<&str>) -> Metric {
    let other = if shape.resource == "cpu" { "memory" } else { "cpu" };
    let name = if random.chance(90) { shape.resource } else { other };
    let utilization = random
        .pick(&[1, 30, 50, 50, 60, 70, 80, 80, 100, 120, 150, 200])
        .copied();
    let target_kind = random.below(100);
    let average = target_value(random, shape);
    let target = match target_kind {
        0..=64 => Target {
            kind: TargetKind::Utilization,
            value: None,
            average_value: None,
            average_utilization: utilization,
        },
        65..=95 => Target {
            kind: TargetKind::AverageValue,
            value: None,
            average_value: Some(average),
            // The controller would not look at it.
            average_utilization: utilization.filter(|_| target_kind > 92),
        },
        _ => Target {
            kind: TargetKind::Value,
            value: Some(average),
            average_value: None,
            average_utilization: None,
        },
    };
    let aim = percent(random);
    let mut list = Vec::new();
    for pod in measured(random, shape, pods) {
        let of = pods.iter().find(|p| p.name == pod);
        let steady = random.chance(60);
        let percent = if steady { aim } else { self::percent(random) };
        list.push(sample(random, shape, (pod, of), name, &target, percent));
    }
    let samples = data(random, list);
    let name = name.to_owned();
    let source = match container {
        None => Source::Resource { name, samples },
        Some(container) => Source::ContainerResource {
            name,
            container: container.into(),
            samples,
        },
    };
    Metric { source, target }
}

fn sample(
    random: &mut Random,
    shape: &Shape,
    (name, pod): (String, Option<&Pod>),
    resource: &str,
    target: &Target,
    percent: i64,
) -> PodSample {
    let mut containers = Vec::new();
    let sidecars = pod
        .iter()
        .flat_map(|p| p.init_containers.iter().filter(|c| c.restartable));
    let all = pod.iter().flat_map(|p| &p.containers).chain(sidecars);
    let listed: Vec<(String, Option<i64>)> = all
        .map(|c| (c.name.clone(), c.requests.get(resource).copied()))
        .collect();
    let many = listed.len().max(1) as i64;
    for (container, request) in listed {
        let wanted = match (target.average_value, target.average_utilization) {
            (Some(average), _) => average / many,
            (None, utilization) => {
                let request = i128::from(request.unwrap_or(100));
                (request * i128::from(utilization.unwrap_or(100)) / 100) as i64
            }
        };
        let usage = near(random, shape, wanted, percent);
        let listed = shape.tidy || !random.chance(3);
        containers.push(ContainerUsage {
            name: container,
            usage: listed.then_some(usage),
        });
    }
    if pod.is_none() {
        let usage = Some(near(random, shape, 100, percent));
        containers.push(ContainerUsage {
            name: "c0".into(),
            usage,
        });
    }
    if !shape.tidy && random.chance(3) {
        containers.pop();
    }
    let age = match random.below(4) {
        0 => 0,
        1 => random.between(0, 120),
        _ => random.between(5, 40),
    };
    PodSample {
        pod: name,
        at: NOW - Span::from_secs(age),
        window: Span::from_millis(
            random
                .pick(&[0, 1_000, 10_000, 15_123, 30_000, 60_000])
                .copied()
                .unwrap_or(0),
        ),
        containers,
    }
}

fn pods_metric(random: &mut Random, shape: &Shape, pods: &[Pod]) -> Metric {
    let average = target_value(random, shape);
    let aim = percent(random);
    let mut list = Vec::new();
    for pod in measured(random, shape, pods) {
        let percent = if random.chance(60) { aim } else { percent(random) };
        let value = near(random, shape, average, percent);
        list.push(PodValue { pod, value });
    }
    if random.chance(5)
        && let Some(first) = list.first().cloned()
    {
        list.push(PodValue {
            value: first.value / 2,
            ..first
        });
    }
    Metric {
        source: Source::Pods {
            samples: data(random, list),
        },
        target: Target {
            kind: TargetKind::AverageValue,
            value: None,
            average_value: Some(average),
            average_utilization: None,
        },
    }
}

/// By value or by average, now and then by what suits neither; and what the whole should be for so many hundredths of it.
fn by_value_or_average(random: &mut Random, shape: &Shape, pods: &[Pod]) -> (Target, i64) {
    let amount = target_value(random, shape);
    let (kind, value, average) = match random.below(20) {
        0..=8 => (TargetKind::Value, Some(amount), None),
        9..=17 => (TargetKind::AverageValue, None, Some(amount)),
        18 => (TargetKind::Utilization, Some(amount), None),
        _ => (TargetKind::Value, None, None),
    };
    let pods = if average.is_some() { pods.len() as i64 } else { 1 };
    let target = Target {
        kind,
        value,
        average_value: average,
        average_utilization: None,
    };
    (target, amount.saturating_mul(pods))
}

fn object(random: &mut Random, shape: &Shape, pods: &[Pod]) -> Metric {
    let (target, whole) = by_value_or_average(random, shape, pods);
    let percent = percent(random);
    let value = near(random, shape, whole, percent);
    let value = if random.chance(4) {
        Err("the server is away".into())
    } else {
        Ok(value)
    };
    Metric {
        source: Source::Object { value },
        target,
    }
}

fn external(random: &mut Random, shape: &Shape, pods: &[Pod]) -> Metric {
    let (target, whole) = by_value_or_average(random, shape, pods);
    let percent = percent(random);
    let series = if random.chance(60) { 1 } else { random.between(2, 4) };
    let mut values = Vec::new();
    for _ in 0..series {
        values.push(near(random, shape, whole / series, percent));
    }
    if shape.wild && random.chance(20) {
        values.extend([i64::MAX, i64::MAX, -1, -5]);
    }
    Metric {
        source: Source::External {
            values: data(random, values),
        },
        target,
    }
}
