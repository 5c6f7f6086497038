//! A converted HorizontalPodAutoscaler decides as the HorizontalPodAutoscaler did: `plan` asks the engine with the policy, and
//! what the autoscaler itself would do is said by `core::scaling::hpa`, which is held against the real controller elsewhere.

use std::io::Cursor;

use homeostat::core::scaling::hpa::history::{History, Recommendation, ScaleEvent};
use homeostat::core::scaling::hpa::input::{Container, ContainerUsage, Phase, Pod, PodSample, Ready, Status};
use homeostat::core::scaling::hpa::{Input, decide};
use homeostat::core::time::{Span, Time};
use homeostat::offline::convert::{Options, Source, convert};
use homeostat::offline::print::{Form, print};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::numbers::behavior;

const NOW: Time = Time::from_secs(1_798_761_600);
/// What each pod requests, in thousandths of a processor.
const REQUEST: i64 = 500;

/// What is measured.
#[derive(Clone, Debug)]
enum Measured {
    /// What each pod uses, in thousandths of a processor, and the percentage that it should be.
    Cpu(Vec<i64>, i64),
    /// Series, whether the target is an average, and the target.
    External(Vec<i64>, bool, i64),
}

fn measured(pods: usize) -> impl Strategy<Value = Measured> {
    let cpu = (proptest::collection::vec(0..2000_i64, pods), 10..150_i64);
    let series = proptest::collection::vec(0..500_000_i64, 1..4);
    prop_oneof![
        cpu.prop_map(|(usage, target)| Measured::Cpu(usage, target)),
        (series, any::<bool>(), 1000..100_000_i64)
            .prop_map(|(s, average, target)| Measured::External(s, average, target)),
    ]
}

fn milli(n: i64) -> String {
    format!("{n}m")
}

/// The metric as the autoscaler has it.
fn written(number: usize, measured: &Measured) -> Value {
    match measured {
        Measured::Cpu(_, percent) => json!({"type": "Resource", "resource":
            {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": percent}}}),
        Measured::External(_, average, n) => {
            let (kind, field) = if *average {
                ("AverageValue", "averageValue")
            } else {
                ("Value", "value")
            };
            let metric = json!({"name": format!("depth-{number}")});
            json!({"type": "External", "external": {"metric": metric, "target": {"type": kind, field: milli(*n)}}})
        }
    }
}

/// The metric as the reference has it, with its data.
fn asked(measured: &Measured) -> Value {
    match measured {
        Measured::Cpu(usage, percent) => {
            let samples: Vec<PodSample> = usage
                .iter()
                .enumerate()
                .map(|(i, usage)| PodSample {
                    pod: format!("web-{i}"),
                    at: NOW - Span::from_secs(10),
                    window: Span::from_secs(15),
                    containers: vec![ContainerUsage {
                        name: "app".into(),
                        usage: Some(*usage),
                    }],
                })
                .collect();
            json!({"resource": {"name": "cpu", "samples": {"Ok": samples}},
                "target": {"type": "Utilization", "averageUtilization": percent}})
        }
        Measured::External(values, average, n) => {
            let (kind, field) = if *average {
                ("AverageValue", "averageValue")
            } else {
                ("Value", "value")
            };
            json!({"external": {"values": {"Ok": values}}, "target": {"type": kind, field: n}})
        }
    }
}

/// Everything that both are asked about.
#[derive(Clone, Debug)]
struct Scene {
    replicas: i32,
    min: Option<i32>,
    max: i32,
    behavior: Option<Value>,
    metrics: Vec<Measured>,
    /// Seconds ago, replicas.
    wanted: Vec<(i64, i32)>,
    /// Seconds ago, from, to.
    changes: Vec<(i64, i32, i32)>,
}

fn scene() -> impl Strategy<Value = Scene> {
    (1..12_i32).prop_flat_map(|replicas| {
        (
            Just(replicas),
            proptest::option::of(1..8_i32),
            0..40_i32,
            behavior(),
            proptest::collection::vec(measured(replicas as usize), 1..4),
            proptest::collection::vec((1..700_i64, 1..30_i32), 0..4),
            proptest::collection::vec((1..100_i64, 1..12_i32, 1..12_i32), 0..3),
        )
            .prop_map(|(replicas, min, more, (behavior, _), metrics, wanted, changes)| Scene {
                replicas,
                min,
                max: min.unwrap_or(1) + more,
                behavior,
                metrics,
                wanted,
                changes: changes.into_iter().filter(|(_, from, to)| from != to).collect(),
            })
    })
}

impl Scene {
    fn autoscaler(&self) -> Value {
        let mut spec = json!({
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
            "maxReplicas": self.max,
            "metrics": self.metrics.iter().enumerate().map(|(i, m)| written(i, m)).collect::<Vec<_>>(),
        });
        if let Some(min) = self.min {
            spec["minReplicas"] = json!(min);
        }
        if let Some(behavior) = &self.behavior {
            spec["behavior"] = behavior.clone();
        }
        json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "web", "namespace": "shop"}, "spec": spec})
    }

    /// The reference's question.
    fn input(&self) -> Input {
        let mut behavior = self.behavior.clone();
        for direction in ["/scaleUp/tolerance", "/scaleDown/tolerance"] {
            if let Some(tolerance) = behavior.as_mut().and_then(|b| b.pointer_mut(direction)) {
                let milli: f64 = tolerance.as_str().unwrap().trim_end_matches('m').parse().unwrap();
                *tolerance = json!(milli / 1000.0);
            }
        }
        let pods = (0..self.replicas).map(|i| Pod {
            name: format!("web-{i}"),
            phase: Phase::Running,
            deleting: false,
            start_time: Some(NOW - Span::from_mins(60)),
            ready: Some(Ready {
                status: Status::True,
                since: Some(NOW - Span::from_mins(59)),
            }),
            containers: vec![Container {
                name: "app".into(),
                restartable: false,
                requests: [("cpu".to_owned(), REQUEST)].into(),
            }],
            init_containers: Vec::new(),
            requests: None,
            overhead: None,
        });
        let at = |seconds: i64| NOW - Span::from_secs(seconds);
        let change = |(seconds, from, to): &(i64, i32, i32)| ScaleEvent {
            change: (to - from).abs(),
            at: at(*seconds),
            outdated: false,
        };
        let history = History {
            up: self
                .changes
                .iter()
                .filter(|(_, from, to)| to > from)
                .map(change)
                .collect(),
            down: self
                .changes
                .iter()
                .filter(|(_, from, to)| to < from)
                .map(change)
                .collect(),
            recommendations: self
                .wanted
                .iter()
                .map(|(seconds, replicas)| Recommendation {
                    replicas: *replicas,
                    at: at(*seconds),
                })
                .collect(),
        };
        let input = json!({
            "now": NOW, "min": self.min, "max": self.max, "behavior": behavior,
            "metrics": self.metrics.iter().map(asked).collect::<Vec<_>>(),
            "replicas": self.replicas, "statusReplicas": self.replicas,
        });
        let input: Input = serde_json::from_value(input).unwrap();
        Input {
            pods: pods.collect(),
            history,
            ..input
        }
    }

    /// The snapshot, with the converted policy in it.
    fn snapshot(&self) -> Value {
        let time = |seconds: i64| (NOW - Span::from_secs(seconds)).to_string();
        let mut objects = vec![self.policy()];
        let labels = json!({"app": "web"});
        objects.push(json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "web", "namespace": "shop", "uid": "d1"},
            "spec": {"replicas": self.replicas, "selector": {"matchLabels": labels}}, "status": {"replicas": self.replicas}}));
        objects.extend((0..self.replicas).map(|i| {
            let requests = json!({"cpu": milli(REQUEST)});
            json!({"apiVersion": "v1", "kind": "Pod",
                "metadata": {"name": format!("web-{i}"), "namespace": "shop", "labels": labels},
                "spec": {"containers": [{"name": "app", "resources": {"requests": requests}}]},
                "status": {"phase": "Running", "startTime": time(3600),
                    "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": time(3540)}]}})
        }));
        let mut metrics = json!({"external": []});
        for (number, measured) in self.metrics.iter().enumerate() {
            match measured {
                Measured::Cpu(usage, _) => {
                    let items = usage.iter().enumerate().map(|(i, usage)| {
                        json!({"metadata": {"name": format!("web-{i}"), "namespace": "shop"}, "timestamp": time(10),
                            "window": "15s", "containers": [{"name": "app", "usage": {"cpu": milli(*usage)}}]})
                    });
                    let target =
                        json!({"apiVersion": "apps/v1", "kind": "Deployment", "namespace": "shop", "name": "web"});
                    metrics["resource"] = json!([{"target": target, "items": items.collect::<Vec<_>>()}]);
                }
                Measured::External(values, ..) => {
                    let items = values.iter().map(|v| json!({"value": milli(*v), "timestamp": time(5)}));
                    let metric = json!({"name": format!("depth-{number}")});
                    let answer = json!({"namespace": "shop", "metric": metric, "items": items.collect::<Vec<_>>()});
                    metrics["external"].as_array_mut().unwrap().push(answer);
                }
            }
        }
        let mut history = json!({"namespace": "shop", "name": "web",
            "scaleEvents": self.changes.iter()
                .map(|(seconds, from, to)| json!({"at": time(*seconds), "from": from, "to": to})).collect::<Vec<_>>()});
        if !self.wanted.is_empty() {
            let wanted = self
                .wanted
                .iter()
                .map(|(seconds, n)| json!({"at": time(*seconds), "replicas": n}));
            history["recommendations"] = wanted.collect();
        }
        json!({"apiVersion": "homeostat.dev/v1alpha1", "kind": "Snapshot", "at": NOW.to_string(),
            "objects": objects, "metrics": metrics, "history": [history]})
    }

    fn policy(&self) -> Value {
        let source = Source {
            place: "here".into(),
            api_version: "autoscaling/v2".into(),
            kind: "HorizontalPodAutoscaler".into(),
            namespace: Some("shop".into()),
            name: "web".into(),
            object: self.autoscaler(),
            comments: 0,
        };
        let conversion = convert(&[source], Vec::new(), Options::default());
        serde_json::to_value(&conversion.policies[0]).unwrap()
    }
}

/// What `plan` says of the one policy.
fn planned(snapshot: &Value) -> Value {
    let mut out = Vec::new();
    let whole = print(Cursor::new(snapshot.to_string()), None, None, Form::Json, &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert!(whole, "{text}");
    let answer: Value = serde_json::from_str(&text).unwrap();
    answer["policies"][0].clone()
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 4000, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn a_converted_autoscaler_decides_as_before(mut scene in scene()) {
        // One answer of metrics-server serves all triggers of a target.
        let mut usage = None;
        for measured in &mut scene.metrics {
            if let Measured::Cpu(values, _) = measured {
                values.clone_from(usage.get_or_insert_with(|| values.clone()));
            }
        }
        let wanted = decide(&scene.input());
        let told = planned(&scene.snapshot());
        prop_assert_eq!(&told["desired"], &json!(wanted.desired), "{:#}\n{:?}", told, wanted);
        prop_assert_eq!(&told["wouldAct"], &json!(wanted.rescale), "{:#}\n{:?}", told, wanted);
    }
}
