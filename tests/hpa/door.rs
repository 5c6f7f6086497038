//! The same random questions, asked through the snapshot format: what a policy with `compat: HPAv2` wants is what the module
//! says that the controller wants, whose own code [`super`] has asked.

use std::collections::BTreeSet;

use homeostat::core::scaling::hpa::input::{
    Behavior, Flags, Metric, Outcome, Phase, Pod, PodSample, PolicyKind, Requests, Rules, SelectPolicy, Selector,
    Source, Status, Target, TargetKind,
};
use homeostat::core::scaling::hpa::{Input, decide};
use homeostat::core::time::{Span, Time};
use homeostat::offline::plan::answer;
use homeostat::offline::read::snapshot;
use serde_json::{Map, Value, json};

/// How many of the questions are asked so; they take longer.
const CASES: u64 = 3_000;

#[test]
fn a_snapshot_is_answered_as_the_controller_answers() {
    let cases = super::setting("HOMEOSTAT_HPA_DOOR_CASES").unwrap_or(CASES);
    let seed = super::setting("HOMEOSTAT_HPA_SEED").unwrap_or(1);
    let mut asked = 0;
    for number in 0..cases {
        let Some(input) = sayable(super::generate::case(seed, number)) else {
            continue;
        };
        let place = format!("case {number} of seed {seed}");
        let stated = stated(&input);
        let read = snapshot(stated.clone()).unwrap_or_else(|e| differs(&place, &e, &stated));
        let said = answer(&read, None, None);
        let ours = said.policies.first().filter(|_| said.is_whole());
        let Some(ours) = ours else {
            let problem = said
                .policies
                .first()
                .map_or(said.problems.join("; "), |p| p.message.clone());
            differs(&place, &problem, &stated)
        };
        let theirs = decide(&input);
        let desired = ours.desired.map(|n| n.as_i32());
        if desired != Some(theirs.desired) || ours.would_act != theirs.rescale {
            let (wanted, course, message) = (theirs.desired, &theirs.course, &ours.message);
            differs(
                &place,
                &format!("wanted {wanted} ({course:?}), found {desired:?}: {message}"),
                &stated,
            );
        }
        asked += 1;
    }
    assert!(asked * 3 > cases, "only {asked} of {cases} can be said");
}

/// Fails, and leaves the snapshot behind for `homeostat plan`.
fn differs(place: &str, problem: &str, stated: &Value) -> ! {
    let path = std::env::temp_dir().join("homeostat-door.json");
    std::fs::write(&path, stated.to_string()).expect("it can be written");
    panic!("{place}: {problem}\nThe snapshot is in {}", path.display());
}

/// The question as far as policies can say it: the flags that policies have, valid targets, one answer about usage.
fn sayable(mut input: Input) -> Option<Input> {
    input.flags = Flags {
        cpu_initialization: Span::from_secs(input.flags.cpu_initialization.as_millis() / 1000),
        initial_readiness_delay: Span::from_secs(input.flags.initial_readiness_delay.as_millis() / 1000),
        ..Flags::default()
    };
    let mut used = false;
    input.metrics.retain(|metric| {
        let usage = matches!(
            metric.source,
            Source::Resource { .. } | Source::ContainerResource { .. }
        );
        let again = usage && std::mem::replace(&mut used, true);
        !again && is_valid(metric)
    });
    for rules in input
        .behavior
        .iter_mut()
        .flat_map(|b| [&mut b.scale_up, &mut b.scale_down])
        .flatten()
    {
        rules.tolerance = rules.tolerance.map(|t| (t * 1000.0).round() / 1000.0);
    }
    for events in [&mut input.history.up, &mut input.history.down] {
        events.iter_mut().for_each(|event| event.outdated = false);
    }
    let history = &input.history;
    let events = history.up.iter().chain(&history.down);
    let past = events
        .clone()
        .map(|e| e.at)
        .chain(history.recommendations.iter().map(|r| r.at));
    let sane = (1..=1_000_000).contains(&input.max)
        && input.min.is_none_or(|min| (0..=input.max).contains(&min))
        && (input.min.is_some() || input.max >= 1)
        && !input.metrics.is_empty()
        && input.status_replicas >= 0
        && past.clone().all(|at| at <= input.now)
        && history.recommendations.iter().all(|r| r.replicas >= 0)
        && events.clone().all(|e| (0..1_000_000).contains(&e.change))
        && events.count() <= 64
        && input
            .behavior
            .iter()
            .all(|b| [&b.scale_up, &b.scale_down].into_iter().flatten().all(are_valid));
    sane.then_some(input)
}

fn are_valid(rules: &Rules) -> bool {
    rules.tolerance.is_none_or(|t| (0.0..1e6).contains(&t))
        && rules
            .stabilization_window_seconds
            .is_none_or(|s| (0..=3600).contains(&s))
        && rules.policies.as_ref().is_none_or(|all| {
            let valid = |p: &homeostat::core::scaling::hpa::input::Policy| {
                (1..=1_000_000).contains(&p.value) && (1..=1800).contains(&p.period_seconds)
            };
            (1..=16).contains(&all.len()) && all.iter().all(valid)
        })
}

fn is_valid(metric: &Metric) -> bool {
    let Target {
        kind,
        value,
        average_value,
        average_utilization,
    } = metric.target;
    let target = match kind {
        TargetKind::Value => value.is_some_and(|v| v > 0) && average_value.is_none(),
        TargetKind::AverageValue => average_value.is_some_and(|v| v > 0) && value.is_none(),
        TargetKind::Utilization => average_utilization.is_some_and(|u| (1..=10_000).contains(&u)),
    };
    let distinct = |names: Vec<&String>| names.iter().collect::<BTreeSet<_>>().len() == names.len();
    let fits = match &metric.source {
        Source::Resource { samples, .. } | Source::ContainerResource { samples, .. } => {
            let pods = samples.iter().flatten();
            kind != TargetKind::Value
                && distinct(pods.clone().map(|s| &s.pod).collect())
                && pods
                    .clone()
                    .all(|s| distinct(s.containers.iter().map(|c| &c.name).collect()))
        }
        Source::Pods { samples } => {
            kind == TargetKind::AverageValue && distinct(samples.iter().flatten().map(|s| &s.pod).collect())
        }
        Source::Object { .. } | Source::External { .. } => kind != TargetKind::Utilization,
    };
    let single = average_utilization.is_none() || kind == TargetKind::Utilization;
    let only = kind != TargetKind::Utilization || (value.is_none() && average_value.is_none());
    target && fits && single && only
}

fn milli(amount: i64) -> Value {
    json!(format!("{amount}m"))
}

fn web() -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "namespace": "default", "name": "web"})
}

/// The question as a snapshot.
fn stated(input: &Input) -> Value {
    let selector = match input.selector {
        Selector::Valid => "app=web",
        Selector::Missing => "",
        Selector::Invalid => "a b",
    };
    let mut metrics = Map::new();
    let triggers: Vec<Value> = input
        .metrics
        .iter()
        .enumerate()
        .map(|(i, m)| trigger(i, m, &mut metrics))
        .collect();
    let mut spec = json!({
        "compat": "HPAv2", "scaleTargetRef": {"kind": "Deployment", "name": "web"}, "maxReplicas": input.max,
        "triggers": triggers,
        "readiness": {
            "cpuInitializationPeriod": input.flags.cpu_initialization.to_string(),
            "initialReadinessDelay": input.flags.initial_readiness_delay.to_string(),
        },
    });
    if let Some(min) = input.min {
        spec["minReplicas"] = json!(min);
    }
    if let Some(written) = &input.behavior {
        spec["behavior"] = behavior(written);
    }
    let policy = json!({
        "apiVersion": "homeostat.dev/v1alpha1", "kind": "ScalingPolicy", "metadata": {"name": "web"}, "spec": spec,
    });
    let objects: Vec<Value> = std::iter::once(policy).chain(input.pods.iter().map(pod)).collect();
    json!({
        "apiVersion": "homeostat.dev/v1alpha1", "kind": "Snapshot", "at": input.now, "objects": objects,
        "scales": [{"target": web(), "replicas": input.replicas, "statusReplicas": input.status_replicas, "selector": selector}],
        "metrics": metrics,
        "history": [history(input)],
    })
}

fn history(input: &Input) -> Value {
    let up = input
        .history
        .up
        .iter()
        .map(|e| json!({"at": e.at, "from": 1, "to": 1 + e.change}));
    let down = input
        .history
        .down
        .iter()
        .map(|e| json!({"at": e.at, "from": 1 + e.change, "to": 1}));
    let recommendations = &input.history.recommendations;
    let all: Vec<Value> = recommendations
        .iter()
        .map(|r| json!({"at": r.at, "replicas": r.replicas}))
        .collect();
    let mut history = json!({"name": "web", "scaleEvents": up.chain(down).collect::<Vec<_>>()});
    if !all.is_empty() {
        history["recommendations"] = json!(all);
    }
    history
}

fn behavior(written: &Behavior) -> Value {
    let rules = |rules: &Rules| {
        let mut all = Map::new();
        if let Some(window) = rules.stabilization_window_seconds {
            all.insert("stabilizationWindowSeconds".into(), json!(window));
        }
        if let Some(select) = rules.select_policy {
            let select = match select {
                SelectPolicy::Max => "Max",
                SelectPolicy::Min => "Min",
                SelectPolicy::Disabled => "Disabled",
            };
            all.insert("selectPolicy".into(), json!(select));
        }
        if let Some(policies) = &rules.policies {
            let policies = policies.iter().map(|p| {
                let kind = if p.kind == PolicyKind::Pods { "Pods" } else { "Percent" };
                json!({"type": kind, "value": p.value, "periodSeconds": p.period_seconds})
            });
            all.insert("policies".into(), policies.collect());
        }
        if let Some(tolerance) = rules.tolerance {
            all.insert("tolerance".into(), milli((tolerance * 1000.0).round() as i64));
        }
        Value::Object(all)
    };
    let mut both = Map::new();
    if let Some(up) = &written.scale_up {
        both.insert("scaleUp".into(), rules(up));
    }
    if let Some(down) = &written.scale_down {
        both.insert("scaleDown".into(), rules(down));
    }
    Value::Object(both)
}

/// A trigger; what it was answered goes to the metrics.
fn trigger(i: usize, metric: &Metric, metrics: &mut Map<String, Value>) -> Value {
    let name = format!("m{i}");
    let mut add = |part: &str, question: Value, answer: Result<(&str, Value), &String>| {
        let mut all = question;
        match answer {
            Ok((field, value)) => all[field] = value,
            Err(message) => all["error"] = json!({"reason": "Status", "message": message}),
        }
        let list = metrics.entry(part).or_insert_with(|| json!([]));
        list.as_array_mut().expect("it is a list").push(all);
    };
    let source = match &metric.source {
        Source::Resource {
            name: resource,
            samples,
        } => {
            add("resource", json!({"target": web()}), usage(samples, resource));
            json!({"resource": {"name": resource}})
        }
        Source::ContainerResource {
            name: resource,
            container,
            samples,
        } => {
            add("resource", json!({"target": web()}), usage(samples, resource));
            json!({"containerResource": {"name": resource, "container": container}})
        }
        Source::Pods { samples } => {
            let items = |all: &Vec<_>| {
                let item =
                    |s: &homeostat::core::scaling::hpa::input::PodValue| json!({"pod": s.pod, "value": milli(s.value)});
                ("items", all.iter().map(item).collect())
            };
            add(
                "pods",
                json!({"target": web(), "metric": {"name": name}}),
                samples.as_ref().map(items),
            );
            json!({"pods": {"metric": {"name": name}}})
        }
        Source::Object { value } => {
            let object = json!({"apiVersion": "v1", "kind": "Service", "name": "front"});
            let answer = value.as_ref().map(|v| ("value", milli(*v)));
            add("object", json!({"object": object, "metric": {"name": name}}), answer);
            json!({"object": {"describedObject": object, "metric": {"name": name}}})
        }
        Source::External { values } => {
            let items = |all: &Vec<i64>| ("items", all.iter().map(|v| json!({"value": milli(*v)})).collect());
            add(
                "external",
                json!({"metric": {"name": name}}),
                values.as_ref().map(items),
            );
            json!({"external": {"metric": {"name": name}}})
        }
    };
    let mut trigger = source;
    trigger["name"] = json!(name);
    let Target {
        value,
        average_value,
        average_utilization,
        ..
    } = metric.target;
    trigger["target"] = match (value, average_value) {
        (Some(value), _) => json!({"value": milli(value)}),
        (_, Some(value)) => json!({"averageValue": milli(value)}),
        _ => json!({"averageUtilization": average_utilization}),
    };
    trigger
}

fn usage<'a>(samples: &'a Outcome<Vec<PodSample>>, resource: &str) -> Result<(&'static str, Value), &'a String> {
    let item = |sample: &PodSample| {
        let containers = sample.containers.iter().map(|c| match c.usage {
            Some(amount) => json!({"name": c.name, "usage": {resource: milli(amount)}}),
            None => json!({"name": c.name, "usage": {}}),
        });
        json!({
            "metadata": {"name": sample.pod}, "timestamp": sample.at, "containers": containers.collect::<Vec<_>>(),
            "window": format!("{}ms", sample.window.as_millis()),
        })
    };
    samples.as_ref().map(|all| ("items", all.iter().map(item).collect()))
}

fn pod(pod: &Pod) -> Value {
    let requests = |all: &Requests| Value::Object(all.iter().map(|(name, n)| (name.clone(), milli(*n))).collect());
    let containers = |all: &[homeostat::core::scaling::hpa::input::Container]| {
        let one = |c: &homeostat::core::scaling::hpa::input::Container| {
            let mut one = json!({"name": c.name, "resources": {"requests": requests(&c.requests)}});
            if c.restartable {
                one["restartPolicy"] = json!("Always");
            }
            one
        };
        Value::Array(all.iter().map(one).collect())
    };
    let phase = match pod.phase {
        Phase::Pending => "Pending",
        Phase::Running => "Running",
        Phase::Succeeded => "Succeeded",
        Phase::Failed => "Failed",
        Phase::Unknown => "Unknown",
    };
    let conditions = pod.ready.iter().map(|ready| {
        let status = match ready.status {
            Status::True => "True",
            Status::False => "False",
            Status::Unknown => "Unknown",
        };
        json!({"type": "Ready", "status": status, "lastTransitionTime": ready.since})
    });
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": pod.name, "labels": {"app": "web"},
            "deletionTimestamp": pod.deleting.then_some(Time::from_secs(946_684_000)),
        },
        "spec": {
            "containers": containers(&pod.containers), "initContainers": containers(&pod.init_containers),
            "resources": pod.requests.as_ref().map(|r| json!({"requests": requests(r)})),
            "overhead": pod.overhead.as_ref().map(requests),
        },
        "status": {"phase": phase, "startTime": pod.start_time, "conditions": conditions.collect::<Vec<_>>()},
    })
}
