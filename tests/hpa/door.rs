//! The same questions through `homeostat plan`: as a policy with `compat: HPAv2` and a snapshot.

use homeostat::core::scaling::hpa::input::{
    Container, Metric, Outcome, Phase, Pod, PodSample, PodValue, Requests, Rules, SelectPolicy, Selector, Source,
    Status, Target, TargetKind,
};
use homeostat::core::scaling::hpa::{Input, decide};
use homeostat::core::time::{Span, Time};
use homeostat::offline::plan;
use serde_json::{Map, Value, json};

use super::generate;

const TARGET: &str = "asked";

/// How many questions can be said as a policy and a snapshot, and get the answer that the algorithm itself gives.
#[test]
fn plan_gives_the_same_answers() {
    // Text is read and written for each, which an unoptimised build does slowly.
    let cases = super::setting("HOMEOSTAT_HPA_CASES").unwrap_or(20_000) / 10;
    let seed = super::setting("HOMEOSTAT_HPA_SEED").unwrap_or(1);
    let (mut asked, mut changed) = (0, 0);
    for number in 0..cases {
        let mut input = generate::case(seed, number);
        if !tame(&mut input) {
            continue;
        }
        let ours = decide(&input);
        let document = snapshot(&input);
        let snapshot = serde_json::from_value(document.clone()).unwrap();
        let answer = plan::answer(&snapshot, None, None);
        let told = answer.policies.first();
        let desired = told
            .and_then(|told| told.desired)
            .map(homeostat::core::quantity::Replicas::as_i32);
        // What the API server would refuse to write is not wanted.
        let wanted = if ours.desired < 0 { input.replicas } else { ours.desired };
        assert!(
            answer.is_whole()
                && desired == Some(wanted)
                && told.is_some_and(|told| told.would_act == (wanted != input.replicas)),
            "case {number} of seed {seed}: the algorithm wants {}, plan {desired:?}\n{}\n{}\n{ours:?}",
            wanted,
            serde_json::to_string(&answer).unwrap(),
            document
        );
        asked += 1;
        changed += u64::from(wanted != input.replicas);
    }
    println!(
        "{asked} of {cases} cases of seed {seed} said as snapshots, every answer equal; {changed} of them change the size"
    );
    assert!(asked > cases / 5 && changed > asked / 10, "too few to prove anything");
}

/// Leaves out what no autoscaling/v2 object can say, or one snapshot cannot: flags that a policy has no field for, targets that
/// are refused at admission, and two lists of what the same pods use.
fn tame(input: &mut Input) -> bool {
    input.flags.tolerance = 0.1;
    input.flags.downscale_stabilization = Span::from_mins(5);
    let mut usage = 0;
    input.metrics.retain(|metric| {
        let of_pods = matches!(
            metric.source,
            Source::Resource { .. } | Source::ContainerResource { .. }
        );
        usage += u32::from(of_pods);
        fits(metric) && (!of_pods || usage == 1)
    });
    input.min.unwrap_or(1) <= input.max
        && input.max >= 1
        && !input.metrics.is_empty()
        && input.selector != Selector::Invalid
        && input
            .pods
            .iter()
            .all(|pod| pod.ready.is_none_or(|ready| ready.since.is_some()))
}

fn fits(metric: &Metric) -> bool {
    let Target {
        kind,
        value,
        average_value,
        average_utilization,
    } = metric.target;
    let set = [value.is_some(), average_value.is_some(), average_utilization.is_some()];
    let positive = value.or(average_value).is_none_or(|n| n > 0);
    let one = set.iter().filter(|is| **is).count() == 1 && positive;
    let matches = match kind {
        TargetKind::Utilization => average_utilization.is_some(),
        TargetKind::Value => value.is_some(),
        TargetKind::AverageValue => average_value.is_some(),
    };
    let suits = match metric.source {
        Source::Resource { .. } | Source::ContainerResource { .. } => kind != TargetKind::Value,
        Source::Pods { .. } => kind == TargetKind::AverageValue,
        Source::Object { .. } | Source::External { .. } => kind != TargetKind::Utilization,
    };
    let distinct = match &metric.source {
        Source::Pods { samples: Ok(samples) } => {
            let mut names: Vec<_> = samples.iter().map(|s| &s.pod).collect();
            names.sort();
            names.windows(2).all(|pair| pair[0] != pair[1])
        }
        _ => true,
    };
    one && matches && suits && distinct
}

fn milli(amount: i64) -> Value {
    json!(format!("{amount}m"))
}

fn snapshot(input: &Input) -> Value {
    let selector = if input.selector == Selector::Valid {
        "app=asked"
    } else {
        ""
    };
    let mut objects = vec![
        policy(input),
        json!({"apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": TARGET, "namespace": "default", "uid": "d"}, "spec": {"replicas": input.replicas,
        "selector": {"matchLabels": {"app": "asked"}}, "template": {"metadata": {}, "spec": {"containers": []}}}}),
    ];
    objects.extend(input.pods.iter().map(pod));
    json!({
        "apiVersion": "homeostat.dev/v1alpha1", "kind": "Snapshot", "at": input.now, "objects": objects,
        "scales": [{"target": target(), "uid": "d", "replicas": input.replicas,
            "statusReplicas": input.status_replicas, "selector": selector}],
        "metrics": metrics(input),
        "history": [history(input)],
    })
}

fn target() -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "namespace": "default", "name": TARGET})
}

fn history(input: &Input) -> Value {
    let history = &input.history;
    let past = |at: Time, from: i32, to: i32| json!({"at": at, "from": from, "to": to});
    let up = history.up.iter().map(|event| past(event.at, 0, event.change));
    let down = history.down.iter().map(|event| past(event.at, event.change, 0));
    let mut stated = json!({"namespace": "default", "name": TARGET, "scaleEvents": up.chain(down).collect::<Vec<_>>()});
    if !history.recommendations.is_empty() {
        let all = history.recommendations.iter();
        stated["recommendations"] = all.map(|r| json!({"at": r.at, "replicas": r.replicas})).collect();
    }
    stated
}

fn policy(input: &Input) -> Value {
    let mut spec = json!({
        "compat": "HPAv2", "scaleTargetRef": {"kind": "Deployment", "name": TARGET}, "maxReplicas": input.max,
        "readiness": {"cpuInitializationPeriod": input.flags.cpu_initialization.to_string(),
            "initialReadinessDelay": input.flags.initial_readiness_delay.to_string()},
        "triggers": input.metrics.iter().enumerate().map(|(i, m)| trigger(i, m)).collect::<Vec<_>>(),
    });
    if let Some(min) = input.min {
        spec["minReplicas"] = min.into();
    }
    if let Some(behavior) = &input.behavior {
        let mut written = Map::new();
        for (name, rules) in [("scaleUp", &behavior.scale_up), ("scaleDown", &behavior.scale_down)] {
            if let Some(stated) = rules {
                written.insert(name.into(), self::rules(stated));
            }
        }
        spec["behavior"] = written.into();
    }
    json!({"apiVersion": "homeostat.dev/v1alpha1", "kind": "ScalingPolicy",
        "metadata": {"name": TARGET, "namespace": "default", "uid": "p"}, "spec": spec})
}

fn rules(rules: &Rules) -> Value {
    let mut written = Map::new();
    if let Some(seconds) = rules.stabilization_window_seconds {
        written.insert("stabilizationWindowSeconds".into(), seconds.into());
    }
    if let Some(select) = rules.select_policy {
        let select = match select {
            SelectPolicy::Max => "Max",
            SelectPolicy::Min => "Min",
            SelectPolicy::Disabled => "Disabled",
        };
        written.insert("selectPolicy".into(), select.into());
    }
    if let Some(policies) = &rules.policies {
        written.insert("policies".into(), serde_json::to_value(policies).unwrap());
    }
    if let Some(tolerance) = rules.tolerance {
        written.insert("tolerance".into(), milli((tolerance * 1000.0).round() as i64));
    }
    written.into()
}

fn trigger(number: usize, metric: &Metric) -> Value {
    let Target {
        value,
        average_value,
        average_utilization,
        ..
    } = metric.target;
    let target = match (value, average_value, average_utilization) {
        (Some(value), ..) => json!({"value": milli(value)}),
        (_, Some(average), _) => json!({"averageValue": milli(average)}),
        (.., utilization) => json!({"averageUtilization": utilization}),
    };
    let name = format!("m{number}");
    let (source, what) = match &metric.source {
        Source::Resource { name, .. } => ("resource", json!({"name": name})),
        Source::ContainerResource { name, container, .. } => {
            ("containerResource", json!({"name": name, "container": container}))
        }
        Source::Pods { .. } => ("pods", json!({"metric": {"name": name}})),
        Source::Object { .. } => (
            "object",
            json!({"describedObject": {"kind": "Service", "name": "front"}, "metric": {"name": name}}),
        ),
        Source::External { .. } => ("external", json!({"metric": {"name": name}})),
    };
    json!({"name": name, source: what, "target": target})
}

/// The error, or what `say` makes of the data.
fn outcome<T>(data: &Outcome<T>, field: &str, say: impl Fn(&T) -> Value) -> (String, Value) {
    match data {
        Ok(data) => (field.into(), say(data)),
        Err(message) => ("error".into(), json!({"reason": "Status", "message": message})),
    }
}

fn metrics(input: &Input) -> Value {
    let mut lists: Map<String, Value> = Map::new();
    for (i, metric) in input.metrics.iter().enumerate() {
        let name = json!({"name": format!("m{i}")});
        let (list, mut answer, (field, data)) = match &metric.source {
            Source::Resource { name, samples } | Source::ContainerResource { name, samples, .. } => {
                let say = |samples: &Vec<PodSample>| samples.iter().map(|s| usage(s, name)).collect();
                ("resource", json!({"target": target()}), outcome(samples, "items", say))
            }
            Source::Pods { samples } => {
                let item = |s: &PodValue| json!({"pod": s.pod, "value": milli(s.value)});
                let say = |samples: &Vec<PodValue>| samples.iter().map(item).collect();
                let answer = json!({"target": target(), "metric": name});
                ("pods", answer, outcome(samples, "items", say))
            }
            Source::Object { value } => {
                let front = json!({"apiVersion": "v1", "kind": "Service", "namespace": "default", "name": "front"});
                let answer = json!({"object": front, "metric": name});
                ("object", answer, outcome(value, "value", |n| milli(*n)))
            }
            Source::External { values } => {
                let say = |values: &Vec<i64>| values.iter().map(|n| json!({"value": milli(*n)})).collect();
                ("external", json!({"metric": name}), outcome(values, "items", say))
            }
        };
        answer[field] = data;
        let all = lists.entry(list).or_insert_with(|| json!([]));
        all.as_array_mut().unwrap().push(answer);
    }
    lists.into()
}

fn usage(sample: &PodSample, resource: &str) -> Value {
    let containers = sample.containers.iter().map(|container| {
        let usage: Map<_, _> = container
            .usage
            .map(|amount| (resource.to_owned(), milli(amount)))
            .into_iter()
            .collect();
        json!({"name": container.name, "usage": usage})
    });
    json!({"metadata": {"name": sample.pod}, "timestamp": sample.at, "window": sample.window.to_string(),
        "containers": containers.collect::<Vec<_>>()})
}

fn requests(requests: &Requests) -> Value {
    requests
        .iter()
        .map(|(name, amount)| (name.clone(), milli(*amount)))
        .collect()
}

fn container(container: &Container) -> Value {
    let mut written = json!({"name": container.name, "resources": {"requests": requests(&container.requests)}});
    if container.restartable {
        written["restartPolicy"] = "Always".into();
    }
    written
}

fn pod(pod: &Pod) -> Value {
    let list = |all: &[Container]| all.iter().map(container).collect::<Vec<_>>();
    let mut written = json!({"apiVersion": "v1", "kind": "Pod",
    "metadata": {"name": pod.name, "namespace": "default", "labels": {"app": "asked"}},
    "spec": {"containers": list(&pod.containers), "initContainers": list(&pod.init_containers)},
    "status": {"phase": match pod.phase {
        Phase::Pending => "Pending",
        Phase::Running => "Running",
        Phase::Succeeded => "Succeeded",
        Phase::Failed => "Failed",
        Phase::Unknown => "Unknown",
    }}});
    if pod.deleting {
        written["metadata"]["deletionTimestamp"] = "1999-12-31T23:59:00Z".into();
    }
    if let Some(start) = pod.start_time {
        written["status"]["startTime"] = json!(start);
    }
    if let Some(ready) = &pod.ready {
        let status = match ready.status {
            Status::True => "True",
            Status::False => "False",
            Status::Unknown => "Unknown",
        };
        written["status"]["conditions"] =
            json!([{"type": "Ready", "status": status, "lastTransitionTime": ready.since}]);
    }
    if let Some(own) = &pod.requests {
        written["spec"]["resources"] = json!({"requests": requests(own)});
    }
    if let Some(overhead) = &pod.overhead {
        written["spec"]["overhead"] = requests(overhead);
    }
    written
}
