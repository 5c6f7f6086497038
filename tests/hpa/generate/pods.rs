//! Pods in every state that the controller tells apart.

use std::collections::BTreeMap;

use homeostat::core::scaling::hpa::input::{Container, Phase, Pod, Ready, Requests, Status};
use homeostat::core::time::{Span, Time};
use homeostat::sim::random::Random;

use super::{NOW, Shape};

pub fn draw(random: &mut Random, shape: &Shape) -> Vec<Pod> {
    let count = match random.below(100) {
        0..=3 => 0,
        4..=69 => random.between(1, 5),
        70..=97 => random.between(4, 14),
        _ => random.between(14, 60),
    };
    // What a template gives is the same for all of them.
    let template = template(random, shape);
    (0..count).map(|number| pod(random, shape, &template, number)).collect()
}

fn pod(random: &mut Random, shape: &Shape, template: &Pod, number: i64) -> Pod {
    let mut pod = Pod {
        name: format!("p{number}"),
        ..template.clone()
    };
    if shape.tidy {
        return pod;
    }
    pod.phase = match random.below(20) {
        0..=1 => Phase::Pending,
        2 => Phase::Failed,
        3 => Phase::Succeeded,
        4 => Phase::Unknown,
        _ => Phase::Running,
    };
    pod.deleting = random.chance(7);
    pod.start_time = (!random.chance(5)).then(|| started(random));
    pod.ready = ready(random, pod.start_time);
    if random.chance(5) {
        let other = self::template(random, shape);
        pod.containers = other.containers;
        pod.init_containers = other.init_containers;
        pod.requests = other.requests;
    }
    pod
}

/// Near the edges of the initialization period, or long ago. In whole seconds, as Kubernetes keeps it.
fn started(random: &mut Random) -> Time {
    let edges = [0, 1, 10, 30, 59, 60, 61, 119, 120, 121, 299, 300, 301, 7200];
    let age = match random.below(3) {
        0 => random.pick(&edges).copied().unwrap_or(0),
        1 => random.between(0, 400),
        _ => random.between(300, 100_000),
    };
    NOW - Span::from_secs(age)
}

/// Changed soon after the start, at an edge of the readiness delay, or lately.
fn ready(random: &mut Random, start: Option<Time>) -> Option<Ready> {
    let status = match random.below(20) {
        0 => return None,
        1 => Status::Unknown,
        2..=7 => Status::False,
        _ => Status::True,
    };
    let edges = [0, 1, 5, 9, 10, 11, 29, 30, 31, 60, 61];
    let edge = Span::from_secs(random.pick(&edges).copied().unwrap_or(0));
    let since = match random.below(20) {
        0 => None,
        1..=9 => Some(start.unwrap_or(NOW) + edge),
        10..=14 => Some(NOW - edge),
        _ => Some(NOW - Span::from_secs(random.between(0, 5000))),
    };
    Some(Ready { status, since })
}

fn template(random: &mut Random, shape: &Shape) -> Pod {
    let count = if random.chance(70) { 1 } else { random.between(2, 3) };
    let containers = (0..count).map(|i| container(random, shape, &format!("c{i}"))).collect();
    let inits = if random.chance(75) { 0 } else { random.between(1, 3) };
    let init_containers = (0..inits)
        .map(|i| Container {
            restartable: random.chance(60),
            ..container(random, shape, &format!("i{i}"))
        })
        .collect();
    let own = random.chance(15).then(|| {
        let mut own = requests(random, shape);
        if random.chance(20) {
            own.insert("hugepages-2Mi".into(), 1000);
        }
        if random.chance(40) {
            own.remove(shape.resource);
        }
        if random.chance(20) {
            own.insert("example.com/gpu".into(), 1000);
        }
        own
    });
    let requests = |random: &mut Random| requests(random, shape);
    Pod {
        name: String::new(),
        phase: Phase::Running,
        deleting: false,
        start_time: Some(NOW - Span::from_secs(7200)),
        ready: Some(Ready {
            status: Status::True,
            since: Some(NOW - Span::from_secs(7100)),
        }),
        containers,
        init_containers,
        requests: own,
        overhead: random.chance(8).then(|| requests(random)),
    }
}

fn container(random: &mut Random, shape: &Shape, name: &str) -> Container {
    Container {
        name: name.into(),
        restartable: false,
        requests: requests(random, shape),
    }
}

fn requests(random: &mut Random, shape: &Shape) -> Requests {
    let mut requests = BTreeMap::new();
    for (name, unit) in [("cpu", 1), ("memory", 1_048_576_000)] {
        let missing = if name == shape.resource { 3 } else { 30 };
        if !random.chance(missing) {
            let amounts = [0, 1, 3, 10, 100, 100, 100, 250, 500, 1000, 1000, 4000];
            let mut amount = random.pick(&amounts).copied().unwrap_or(100) * unit;
            if shape.wild && random.chance(30) {
                amount = i64::MAX / random.between(1, 1000);
            }
            requests.insert(name.into(), amount);
        }
    }
    requests
}
