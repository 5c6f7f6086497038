//! What was really answered → answers as the snapshot format states them.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::answers::{
    ContainerMetrics, Contributors, Element, ExternalAnswer, ExternalValue, Failure, Metric, Metrics, ObjectAnswer,
    PodMetrics, PodMetricsMeta, PodValue, PodsAnswer, PrometheusAnswer, ResourceAnswer, Scalar, Selector,
    SelectorRequirement,
};
use super::scalar::{Quantity, SampleValue, Window};
use super::snapshot::Reference;
use crate::api::common::LabelOperator;
use crate::core::names::{MetricName, ObjectRef, QueryKey};
use crate::core::quantity::Milli;
use crate::core::sample::{QueryError, Reading};
use crate::core::time::Time;
use crate::core::world::Operator;
use crate::edge::kube::convert::selector_from_text;
use crate::edge::prometheus::answer;

/// An answer as it came.
#[derive(Clone, Debug)]
pub enum Said {
    /// By a metrics API, or a failure.
    Reading(Reading),
    /// By Prometheus: HTTP status and body, and what the result was made from.
    Prometheus(u16, Vec<u8>, Option<Contributors>),
}

impl Said {
    /// There is no server of this name that can be asked.
    #[must_use]
    pub fn no_server(why: &str) -> Self {
        Self::Reading(answer::failed(QueryError::UnknownServer, why))
    }
}

/// An object, as the format names it.
#[must_use]
pub fn reference(object: &ObjectRef) -> Reference {
    Reference {
        api_version: object.api_version.clone(),
        kind: object.kind.clone(),
        namespace: object.namespace.clone(),
        name: object.name.clone(),
    }
}

/// Adds what was answered to a question at a time.
pub fn add(metrics: &mut Metrics, query: &QueryKey, at: Time, said: Said) {
    let at = Some(at);
    let reading = match said {
        Said::Reading(reading) => reading,
        Said::Prometheus(status, body, contributors) => {
            let QueryKey::Prometheus { server, expr } = query else {
                return;
            };
            let mut stated = of_body(status, &body);
            (stated.server, stated.query, stated.at) = (server.clone(), expr.clone(), at);
            stated.contributors = contributors.filter(|_| stated.error.is_none());
            return metrics.prometheus.push(stated);
        }
    };
    add_reading(metrics, query, at, reading);
}

fn add_reading(metrics: &mut Metrics, query: &QueryKey, at: Option<Time>, reading: Reading) {
    let error = failure(&reading);
    let fine = error.is_none();
    match query {
        QueryKey::Prometheus { server, expr } => metrics.prometheus.push(PrometheusAnswer {
            server: server.clone(),
            query: expr.clone(),
            at,
            result: fine.then(Vec::new),
            error,
            ..PrometheusAnswer::default()
        }),
        QueryKey::Resources { target } => metrics.resource.push(ResourceAnswer {
            target: reference(target),
            at,
            items: fine.then(|| usage(reading)),
            error,
            ..ResourceAnswer::default()
        }),
        QueryKey::Pods { target, metric } => metrics.pods.push(PodsAnswer {
            target: reference(target),
            metric: name(metric),
            at,
            items: fine.then(|| values(reading)),
            error,
            ..PodsAnswer::default()
        }),
        QueryKey::Object { object, metric } => {
            let value = number(&reading);
            metrics.object.push(ObjectAnswer {
                object: reference(object),
                metric: name(metric),
                at,
                value: value.map(|(v, _)| v),
                timestamp: value.map(|(_, t)| t),
                empty: (fine && value.is_none()).then_some(true),
                error,
                ..ObjectAnswer::default()
            });
        }
        QueryKey::External { namespace, metric } => {
            metrics.external.push(ExternalAnswer {
                namespace: namespace.clone(),
                metric: name(metric),
                at,
                items: fine.then(|| series(&reading)),
                error,
                ..ExternalAnswer::default()
            });
        }
    }
}

fn failure(reading: &Reading) -> Option<Failure> {
    match reading {
        Reading::Failed { error, message } => Some(Failure {
            reason: (*error).into(),
            message: message.clone(),
        }),
        _ => None,
    }
}

fn number(reading: &Reading) -> Option<(Quantity, Time)> {
    match reading {
        Reading::Value { value, sampled_at, .. } => Some((Quantity(*value), *sampled_at)),
        _ => None,
    }
}

fn series(reading: &Reading) -> Vec<ExternalValue> {
    let Reading::Series { values, sampled_at } = reading else {
        return Vec::new();
    };
    let item = |value: &Milli| ExternalValue {
        value: Quantity(*value),
        timestamp: Some(*sampled_at),
        ..ExternalValue::default()
    };
    values.iter().map(item).collect()
}

fn usage(reading: Reading) -> Vec<PodMetrics> {
    let Reading::PodUsage { pods } = reading else {
        return Vec::new();
    };
    let container = |(name, amounts): (String, BTreeMap<_, _>)| ContainerMetrics {
        name,
        usage: amounts.into_iter().map(|(k, v)| (k, Quantity(v))).collect(),
    };
    pods.into_iter()
        .map(|pod| PodMetrics {
            metadata: PodMetricsMeta {
                name: pod.pod,
                ..PodMetricsMeta::default()
            },
            timestamp: pod.at,
            window: Window(pod.window),
            containers: pod.containers.into_iter().map(container).collect(),
            ..PodMetrics::default()
        })
        .collect()
}

fn values(reading: Reading) -> Vec<PodValue> {
    let Reading::PodValues { pods } = reading else {
        return Vec::new();
    };
    pods.into_iter()
        .map(|pod| PodValue {
            pod: pod.pod,
            value: Quantity(pod.value),
            timestamp: Some(pod.at),
            window_seconds: u32::try_from(pod.window.as_millis() / 1000).ok(),
        })
        .collect()
}

/// The name, and the selector in the form in which triggers have it.
fn name(metric: &MetricName) -> Metric {
    let selector = selector_from_text(&metric.selector).filter(|s| !s.is_empty());
    Metric {
        name: metric.name.clone(),
        selector: selector.map(|selector| Selector {
            match_labels: selector.match_labels,
            match_expressions: selector
                .match_expressions
                .into_iter()
                .map(|r| SelectorRequirement {
                    key: r.key,
                    operator: match r.operator {
                        Operator::In => LabelOperator::In,
                        Operator::NotIn => LabelOperator::NotIn,
                        Operator::Exists => LabelOperator::Exists,
                        Operator::DoesNotExist => LabelOperator::DoesNotExist,
                    },
                    values: r.values,
                })
                .collect(),
        }),
    }
}

#[derive(Deserialize)]
struct Envelope {
    data: Data,
    #[serde(default)]
    warnings: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    result_type: String,
    result: Value,
}

#[derive(Deserialize)]
struct Series {
    #[serde(default)]
    metric: BTreeMap<String, String>,
    value: (f64, SampleValue),
}

/// Prometheus' answer: its elements, or the failure that the operator would see in it.
fn of_body(status: u16, body: &[u8]) -> PrometheusAnswer {
    let failure = |error: QueryError, message: String| PrometheusAnswer {
        error: Some(Failure {
            reason: error.into(),
            message,
        }),
        ..PrometheusAnswer::default()
    };
    if let Reading::Failed { error, message } = answer::read(status, body) {
        return failure(error, message);
    }
    let Ok(Envelope { data, warnings }) = serde_json::from_slice(body) else {
        return failure(QueryError::Malformed, "the answer has no result".into());
    };
    let time = |seconds: f64| Some(Time::from_millis((seconds * 1000.0).round() as i64));
    let mut stated = PrometheusAnswer {
        warnings,
        ..PrometheusAnswer::default()
    };
    if data.result_type == "scalar" {
        let pair = serde_json::from_value::<(f64, SampleValue)>(data.result);
        stated.scalar = pair.ok().map(|(at, value)| Scalar {
            value,
            timestamp: time(at),
        });
    } else {
        let series: Vec<Series> = serde_json::from_value(data.result).unwrap_or_default();
        let elements = series.into_iter().map(|s| Element {
            labels: s.metric,
            value: s.value.1,
            timestamp: time(s.value.0),
        });
        stated.result = Some(elements.collect());
    }
    stated
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::sample;
    use crate::core::time::Span;
    use crate::offline::metrics::answers;

    /// What was answered reads back as the same readings for the same questions.
    #[test]
    fn what_is_stated_reads_back_as_it_was_answered() {
        let at = Time::from_secs(1_000);
        let web = ObjectRef::new("apps/v1", "Deployment", "shop", "web");
        let metric = |selector: &str| MetricName {
            name: "m".into(),
            selector: selector.into(),
        };
        let value = Reading::Value {
            value: Milli::new(1250),
            sampled_at: at - Span::from_secs(5),
            contributors: None,
        };
        let failed = answer::failed(QueryError::Timeout, "too slow");
        let usage = sample::PodUsage {
            pod: "a".into(),
            at,
            window: Span::from_millis(15_012),
            containers: BTreeMap::from([("app".into(), BTreeMap::from([("cpu".into(), Milli::new(250))]))]),
        };
        let per_pod = sample::PodValue {
            pod: "a".into(),
            at,
            window: Span::from_secs(30),
            value: Milli::new(-7),
        };
        let object = |selector| QueryKey::Object {
            object: web.clone(),
            metric: metric(selector),
        };
        let external = |selector| QueryKey::External {
            namespace: "shop".into(),
            metric: metric(selector),
        };
        let cases = [
            (
                QueryKey::Resources { target: web.clone() },
                Reading::PodUsage { pods: vec![usage] },
            ),
            (
                QueryKey::Pods {
                    target: web.clone(),
                    metric: metric("a=b,c in (d,e),!f,g notin (h),i"),
                },
                Reading::PodValues { pods: vec![per_pod] },
            ),
            (object(""), value),
            (object("a=b"), Reading::Empty),
            (
                external("a=b"),
                Reading::Series {
                    values: vec![Milli::new(-5), Milli::new(12)],
                    sampled_at: at,
                },
            ),
            (external(""), Reading::Empty),
            (QueryKey::prometheus("default", "x"), failed),
        ];
        let mut metrics = Metrics::default();
        for (query, reading) in &cases {
            add(&mut metrics, query, at, Said::Reading(reading.clone()));
        }
        let read: BTreeMap<QueryKey, Reading> = answers(&metrics, at)
            .unwrap()
            .into_iter()
            .map(|answer| (answer.query, answer.reading))
            .collect();
        assert_eq!(read, cases.into_iter().collect());
    }

    #[test]
    fn every_answer_of_prometheus_reads_back_as_the_operator_reads_it() {
        let vector = |result: &str| {
            format!(r#"{{"status":"success","warnings":["w"],"data":{{"resultType":"vector","result":{result}}}}}"#)
        };
        let bodies = [
            vector(r#"[{"metric":{"a":"b"},"value":[1.5,"0.25"]}]"#),
            vector(r#"[{"metric":{},"value":[1.5,"2"]},{"metric":{"a":"b"},"value":[2,"7e3"]}]"#),
            vector(r#"[{"value":[1,"NaN"]}]"#),
            vector("[]"),
            r#"{"status":"success","data":{"resultType":"scalar","result":[1,"-Inf"]}}"#.to_owned(),
            r#"{"status":"error","errorType":"bad_data","error":"parse error"}"#.to_owned(),
            "<html>".to_owned(),
        ];
        let query = QueryKey::prometheus("default", "x");
        for body in bodies {
            let mut metrics = Metrics::default();
            let from = Contributors {
                series: 2,
                targets: 2,
                down: 1,
                oldest: Some(Time::from_secs(7)),
                newest: Some(Time::from_secs(8)),
            };
            let said = Said::Prometheus(200, body.clone().into_bytes(), Some(from));
            add(&mut metrics, &query, Time::from_secs(9), said);
            let read = answers(&metrics, Time::from_secs(9)).unwrap();
            let mut operator = answer::read(200, body.as_bytes());
            let from = sample::Contributors {
                series: 2,
                targets: 2,
                down: 1,
                oldest: Some(Time::from_secs(7)),
            };
            operator.made_from(Some(from), Some(Time::from_secs(8)));
            assert_eq!(read[0].reading, operator, "{body}");
        }
    }
}
