//! Laws of the format: what is written reads back as it was, and the order in which things are stated changes nothing.

use std::io::Cursor;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::answers::{
    ContainerMetrics, Element, ExternalAnswer, ExternalValue, Failure, FailureReason, Metric, Metrics, PodMetrics,
    PodMetricsMeta, PrometheusAnswer, ResourceAnswer,
};
use super::plan::answer;
use super::read::{snapshot, snapshots};
use super::scalar::{Quantity, SampleValue, Window};
use super::snapshot::{History, PastChange, PastRecommendation, Reference, Scale, Snapshot};
use crate::core::quantity::Milli;
use crate::core::time::{Span, Time};

const CLOCK: Time = Time::from_secs(1_700_000_000);

fn web() -> Reference {
    Reference {
        api_version: "apps/v1".into(),
        kind: "Deployment".into(),
        namespace: "default".into(),
        name: "web".into(),
    }
}

fn policy() -> Value {
    json!({
        "apiVersion": "homeostat.dev/v1alpha1", "kind": "ScalingPolicy", "metadata": {"name": "web"},
        "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "web"}, "maxReplicas": 50, "triggers": [
            {"name": "rps", "prometheus": {"query": "rps", "combine": "Sum"}, "target": {"averageValue": "10"}},
            {"name": "cpu", "resource": {"name": "cpu"}, "target": {"averageUtilization": 50}},
            {"name": "lag", "external": {"metric": {"name": "lag"}}, "target": {"value": "100"}},
        ]},
    })
}

fn pod(name: &str, (phase, ready, age): (&str, bool, i64)) -> Value {
    let started = CLOCK - Span::from_secs(age);
    let status = if ready { "True" } else { "False" };
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": "web"}},
        "spec": {"containers": [{"name": "app", "resources": {"requests": {"cpu": "500m"}}}]},
        "status": {"phase": phase, "startTime": started, "conditions": [
            {"type": "Ready", "status": status, "lastTransitionTime": started}]},
    })
}

fn usage(name: &str, (milli, age): (i64, i64)) -> PodMetrics {
    PodMetrics {
        metadata: PodMetricsMeta {
            name: name.into(),
            ..PodMetricsMeta::default()
        },
        timestamp: CLOCK - Span::from_secs(age),
        window: Window(Span::from_millis(15_012)),
        containers: vec![ContainerMetrics {
            name: "app".into(),
            usage: [("cpu".to_owned(), Quantity(Milli::new(milli)))].into(),
        }],
        ..PodMetrics::default()
    }
}

fn failure() -> impl Strategy<Value = Option<Failure>> {
    let reasons = prop_oneof![Just(FailureReason::Timeout), Just(FailureReason::NoMetricsApi)];
    let failure = reasons.prop_map(|reason| Failure {
        reason,
        message: "no".into(),
    });
    option::weighted(0.2, failure)
}

fn metrics() -> impl Strategy<Value = Metrics> {
    let number = prop_oneof![4 => (0.0..2_000.0).prop_map(SampleValue), 1 => Just(SampleValue(f64::INFINITY))];
    let elements = vec((number, 0_i64..200), 0..4);
    let used = vec((0_i64..2_000, 0_i64..120), 0..6);
    let lags = vec(-5_i64..500, 0..4);
    (
        elements,
        failure(),
        used,
        failure(),
        lags,
        failure(),
        option::of(1_u32..5),
    )
        .prop_map(|(elements, e1, used, e2, lags, e3, failed_tries)| {
            let elements = elements.into_iter().enumerate().map(|(i, (value, age))| Element {
                labels: [("i".to_owned(), i.to_string())].into(),
                value,
                timestamp: Some(CLOCK - Span::from_secs(age)),
            });
            let used = used.into_iter().enumerate().map(|(i, u)| usage(&format!("web-{i}"), u));
            let lags = lags.into_iter().map(|units| ExternalValue {
                value: Quantity(Milli::from_units(units)),
                ..ExternalValue::default()
            });
            Metrics {
                prometheus: vec![PrometheusAnswer {
                    server: "default".into(),
                    query: "rps".into(),
                    result: e1.is_none().then(|| elements.collect()),
                    error: e1,
                    failed_tries,
                    ..PrometheusAnswer::default()
                }],
                resource: vec![ResourceAnswer {
                    target: web(),
                    items: e2.is_none().then(|| used.collect()),
                    error: e2,
                    ..ResourceAnswer::default()
                }],
                external: vec![ExternalAnswer {
                    namespace: "default".into(),
                    metric: Metric {
                        name: "lag".into(),
                        selector: None,
                    },
                    items: e3.is_none().then(|| lags.collect()),
                    error: e3,
                    ..ExternalAnswer::default()
                }],
                ..Metrics::default()
            }
        })
}

fn history() -> impl Strategy<Value = Vec<History>> {
    let recommendations = option::of(vec((0_i64..400, 0_u32..40), 0..5));
    let changes = vec((0_i64..60, 1_u32..20, 1_u32..20), 0..4);
    let one = (recommendations, changes).prop_map(|(recommendations, changes)| History {
        namespace: "default".into(),
        name: "web".into(),
        recommendations: recommendations.map(|all| {
            let all = all.into_iter().map(|(age, replicas)| PastRecommendation {
                at: CLOCK - Span::from_secs(age),
                replicas,
            });
            all.collect()
        }),
        scale_events: changes
            .into_iter()
            .map(|(age, from, to)| PastChange {
                at: CLOCK - Span::from_secs(age),
                from,
                to,
            })
            .collect(),
        ..History::default()
    });
    vec(one, 0..2)
}

prop_compose! {
    fn any_snapshot()(
        pods in vec((prop_oneof![4 => Just("Running"), 1 => Just("Pending")], any::<bool>(), 0_i64..1_000), 0..6),
        replicas in 0_u32..12,
        status_replicas in option::of(0_u32..12),
        metrics in metrics(),
        history in history(),
    ) -> Snapshot {
        let pods = pods.into_iter().enumerate().map(|(i, p)| pod(&format!("web-{i}"), p));
        Snapshot {
            at: Some(CLOCK),
            objects: std::iter::once(policy()).chain(pods).collect(),
            scales: vec![Scale {
                target: web(),
                replicas: Some(replicas),
                status_replicas,
                selector: Some("app=web".into()),
                ..Scale::default()
            }],
            metrics,
            history,
            ..Snapshot::default()
        }
    }
}

fn said(snapshot: &Snapshot) -> String {
    serde_json::to_string(&answer(snapshot, None, None)).unwrap()
}

proptest! {
    #[test]
    fn what_is_written_reads_back_as_it_was(written in any_snapshot()) {
        let text = serde_json::to_string(&written).unwrap();
        let read = snapshot(serde_json::from_str(&text).unwrap());
        prop_assert_eq!(read.as_ref(), Ok(&written));
        let yaml = serde_saphyr::to_string(&written).unwrap();
        let mut all = Vec::new();
        snapshots::<std::io::Error>(Cursor::new(yaml), |read| {
            all.push(read);
            Ok(())
        })
        .unwrap();
        prop_assert_eq!(all, vec![Ok(written)]);
    }

    #[test]
    fn the_same_snapshot_gets_the_same_answer_whatever_the_order(one in any_snapshot()) {
        let mut other = one.clone();
        other.objects.reverse();
        for answer in &mut other.metrics.resource {
            answer.items.iter_mut().for_each(|items| items.reverse());
        }
        for history in &mut other.history {
            history.scale_events.reverse();
            history.scale_events.sort_by_key(|e| e.at);
        }
        let told = said(&one);
        prop_assert!(told.contains("\"desired\":"), "{}", told);
        prop_assert_eq!(&told, &said(&one));
        prop_assert_eq!(told, said(&other));
    }
}
