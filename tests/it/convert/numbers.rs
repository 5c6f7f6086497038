//! Any HorizontalPodAutoscaler that the API server takes becomes a policy with its numbers.

use homeostat::api::convert::event;
use homeostat::core::event::Event;
use homeostat::core::names::PolicyKind;
use homeostat::core::policy::{
    Behavior, Compat, MetricTarget, RateKind, RatePolicy, ScalingPolicy, ScalingRules, SelectPolicy,
};
use homeostat::core::time::Span;
use homeostat::offline::convert::{Options, Source, convert};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

fn convert_to_core(object: &Value) -> ScalingPolicy {
    let source = Source {
        place: "here".into(),
        api_version: "autoscaling/v2".into(),
        kind: "HorizontalPodAutoscaler".into(),
        namespace: Some("shop".into()),
        name: "web".into(),
        object: object.clone(),
        comments: 0,
    };
    let conversion = convert(&[source], Vec::new(), Options::default());
    assert_eq!(conversion.policies.len(), 1, "{}", conversion.report.text());
    assert_eq!(conversion.report.by_hand(), 0, "{}", conversion.report.text());
    let policy = serde_json::from_value(serde_json::to_value(&conversion.policies[0]).unwrap()).unwrap();
    match event(PolicyKind::ScalingPolicy, policy) {
        Event::ScalingPolicy { policy, .. } => *policy,
        other => panic!("{other:?}"),
    }
}

/// One direction: what is written, and what counts of it.
fn rules(default: ScalingRules) -> impl Strategy<Value = (Value, ScalingRules)> {
    let rate = (any::<bool>(), 1..=1000_u32, 1..=1800_i64);
    (
        proptest::option::of(0..=3600_i64),
        proptest::option::of(0..3_usize),
        proptest::option::of(proptest::collection::vec(rate, 1..4)),
        proptest::option::of(0..=900_u32),
    )
        .prop_map(move |(window, select, rates, tolerance)| {
            let (mut written, mut rules) = (Map::new(), default.clone());
            if let Some(seconds) = window {
                written.insert("stabilizationWindowSeconds".into(), json!(seconds));
                rules.stabilization = Span::from_secs(seconds);
            }
            if let Some(i) = select {
                written.insert("selectPolicy".into(), json!(["Max", "Min", "Disabled"][i]));
                rules.select = [SelectPolicy::Max, SelectPolicy::Min, SelectPolicy::Disabled][i];
            }
            if let Some(rates) = rates {
                let rate = |(pods, value, seconds): &(bool, u32, i64)| {
                    json!({"type": if *pods { "Pods" } else { "Percent" }, "value": value, "periodSeconds": seconds})
                };
                written.insert("policies".into(), rates.iter().map(rate).collect());
                let rate = |(pods, value, seconds)| RatePolicy {
                    kind: if pods { RateKind::Pods } else { RateKind::Percent },
                    value,
                    period: Span::from_secs(seconds),
                };
                rules.policies = rates.into_iter().map(rate).collect();
            }
            if let Some(milli) = tolerance {
                written.insert("tolerance".into(), json!(format!("{milli}m")));
                rules.tolerance = f64::from(milli) / 1000.0;
            }
            (Value::Object(written), rules)
        })
}

/// `behavior`: absent, partly or wholly there.
pub(super) fn behavior() -> impl Strategy<Value = (Option<Value>, Behavior)> {
    let default = Behavior::default();
    let (up, down) = (rules(default.up.clone()), rules(default.down.clone()));
    let there = (proptest::option::of(up), proptest::option::of(down)).prop_map(|(up, down)| {
        let (mut written, mut behavior) = (Map::new(), Behavior::default());
        if let Some((text, rules)) = up {
            written.insert("scaleUp".into(), text);
            behavior.up = rules;
        }
        if let Some((text, rules)) = down {
            written.insert("scaleDown".into(), text);
            behavior.down = rules;
        }
        (Some(Value::Object(written)), behavior)
    });
    prop_oneof![Just((None, Behavior::default())), there]
}

/// One metric and what is aimed at.
fn metric() -> impl Strategy<Value = (Value, MetricTarget)> {
    let milli = |n: u32| format!("{n}m").parse().unwrap();
    let resource = (1..=10_000_u32).prop_map(|percent| {
        let target = json!({"type": "Utilization", "averageUtilization": percent});
        let metric = json!({"type": "Resource", "resource": {"name": "cpu", "target": target}});
        (metric, MetricTarget::Utilization(percent))
    });
    let memory = (1..=1_000_000_u32).prop_map(move |n| {
        let target = json!({"type": "AverageValue", "averageValue": format!("{n}m")});
        let of = json!({"name": "memory", "container": "app", "target": target});
        let metric = json!({"type": "ContainerResource", "containerResource": of});
        (metric, MetricTarget::AverageValue(milli(n)))
    });
    let pods = (1..=1_000_u32).prop_map(move |n| {
        let target = json!({"type": "AverageValue", "averageValue": n});
        let metric = json!({"type": "Pods", "pods": {"metric": {"name": "rps"}, "target": target}});
        (metric, MetricTarget::AverageValue(milli(n * 1000)))
    });
    let external = (any::<bool>(), 1..=1_000_000_u32).prop_map(move |(average, n)| {
        let (kind, field) = if average {
            ("AverageValue", "averageValue")
        } else {
            ("Value", "value")
        };
        let target = json!({"type": kind, field: format!("{n}m")});
        let metric = json!({"type": "External", "external": {"metric": {"name": "depth"}, "target": target}});
        let aim = if average {
            MetricTarget::AverageValue
        } else {
            MetricTarget::Value
        };
        (metric, aim(milli(n)))
    });
    prop_oneof![resource, memory, pods, external]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn the_numbers_of_any_autoscaler_arrive(
        min in proptest::option::of(1..=50_u32),
        more in 0..=100_u32,
        (written, behavior) in behavior(),
        metrics in proptest::collection::vec(metric(), 0..6),
    ) {
        let max = min.unwrap_or(1) + more;
        let mut spec = json!({
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
            "maxReplicas": max,
        });
        if let Some(min) = min {
            spec["minReplicas"] = json!(min);
        }
        if let Some(written) = &written {
            spec["behavior"] = written.clone();
        }
        if !metrics.is_empty() {
            spec["metrics"] = metrics.iter().map(|(metric, _)| metric.clone()).collect();
        }
        let policy = convert_to_core(&json!({"metadata": {"name": "web", "namespace": "shop"}, "spec": spec}));
        prop_assert_eq!((policy.min.get(), policy.max.get()), (min.unwrap_or(1), max));
        // The last bit of a tolerance is as the HorizontalPodAutoscaler computes it.
        let mut arrived = policy.behavior;
        for (arrived, wanted) in [(&mut arrived.up, &behavior.up), (&mut arrived.down, &behavior.down)] {
            prop_assert!((arrived.tolerance - wanted.tolerance).abs() < 1e-12);
            arrived.tolerance = wanted.tolerance;
        }
        prop_assert_eq!(arrived, behavior);
        let compat = if written.is_some() { Compat::HpaV2 } else { Compat::HpaV2WithoutBehavior };
        prop_assert_eq!(policy.compat, compat);
        let aims: Vec<MetricTarget> = policy.triggers.iter().map(|t| t.target).collect();
        let mut wanted: Vec<MetricTarget> = metrics.into_iter().map(|(_, aim)| aim).collect();
        if wanted.is_empty() {
            wanted.push(MetricTarget::Utilization(80));
        }
        prop_assert_eq!(aims, wanted);
    }
}
