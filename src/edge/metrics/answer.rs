//! What the metrics APIs answer when all is well.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::core::names::QueryKey;
use crate::core::quantity::Milli;
use crate::core::sample::{PodUsage, PodValue, QueryError, Reading};
use crate::core::time::{Span, Time};

/// The window of a value that does not tell, as the HPA assumes it.
const WINDOW: Span = Span::from_secs(60);

#[derive(Deserialize)]
struct List<T> {
    items: Vec<T>,
}

#[derive(Deserialize)]
struct PodMetrics {
    metadata: Named,
    timestamp: Time,
    window: String,
    #[serde(default)]
    containers: Vec<ContainerMetrics>,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

#[derive(Deserialize)]
struct ContainerMetrics {
    name: String,
    #[serde(default)]
    usage: BTreeMap<String, String>,
}

/// Of either version: what differs between them is not needed.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct MetricValue {
    described_object: Named,
    timestamp: Time,
    window_seconds: Option<i64>,
    value: String,
}

#[derive(Deserialize)]
struct ExternalValue {
    timestamp: Time,
    value: String,
}

/// Reads an answer to this question.
pub(super) fn read(key: &QueryKey, body: &[u8]) -> Reading {
    let read = match key {
        QueryKey::Resources { .. } => list(body).and_then(usage),
        QueryKey::Pods { .. } => list(body).and_then(values),
        QueryKey::Object { .. } => list(body).and_then(|items| one(&items)),
        QueryKey::External { .. } => list(body).and_then(|items| series(&items)),
        QueryKey::Prometheus { .. } => Err("it is Prometheus' business".into()),
    };
    read.unwrap_or_else(|problem| Reading::Failed {
        error: QueryError::Malformed,
        message: format!(
            "the answer of {} is not as its API says ({problem}): is its adapter of a version for this Kubernetes?",
            key.server()
        ),
    })
}

fn list<T: DeserializeOwned>(body: &[u8]) -> Result<Vec<T>, String> {
    serde_json::from_slice::<List<T>>(body)
        .map(|list| list.items)
        .map_err(|e| e.to_string().chars().take(200).collect())
}

fn usage(items: Vec<PodMetrics>) -> Result<Reading, String> {
    let mut pods = items.into_iter().map(of_pod).collect::<Result<Vec<_>, _>>()?;
    pods.sort_by(|a, b| a.pod.cmp(&b.pod));
    Ok(if pods.is_empty() {
        Reading::Empty
    } else {
        Reading::PodUsage { pods }
    })
}

fn of_pod(item: PodMetrics) -> Result<PodUsage, String> {
    let mut containers = BTreeMap::new();
    for container in item.containers {
        let amount = |(resource, text): (String, String)| Ok((resource, milli(&text)?));
        let usage = container.usage.into_iter().map(amount).collect::<Result<_, String>>()?;
        containers.insert(container.name, usage);
    }
    Ok(PodUsage {
        pod: item.metadata.name,
        at: item.timestamp,
        window: go_duration(&item.window).ok_or_else(|| format!("`{}` is not a window", item.window))?,
        containers,
    })
}

fn values(items: Vec<MetricValue>) -> Result<Reading, String> {
    let value = |item: MetricValue| {
        Ok(PodValue {
            pod: item.described_object.name,
            at: item.timestamp,
            window: item.window_seconds.map_or(WINDOW, Span::from_secs),
            value: milli(&item.value)?,
        })
    };
    let mut pods = items.into_iter().map(value).collect::<Result<Vec<_>, String>>()?;
    pods.sort_by(|a, b| a.pod.cmp(&b.pod));
    Ok(if pods.is_empty() {
        Reading::Empty
    } else {
        Reading::PodValues { pods }
    })
}

/// Of one object there is one value.
fn one(items: &[MetricValue]) -> Result<Reading, String> {
    match items {
        [] => Ok(Reading::Empty),
        [item] => Ok(Reading::Value {
            value: milli(&item.value)?,
            sampled_at: item.timestamp,
            contributors: None,
        }),
        many => Err(format!("{} values of one object", many.len())),
    }
}

/// The sum of all series, as old as the oldest.
fn series(items: &[ExternalValue]) -> Result<Reading, String> {
    let Some(sampled_at) = items.iter().map(|item| item.timestamp).min() else {
        return Ok(Reading::Empty);
    };
    let values = items.iter().map(|item| milli(&item.value)).collect::<Result<_, _>>()?;
    Ok(Reading::Series { values, sampled_at })
}

fn milli(text: &str) -> Result<Milli, String> {
    text.parse().map_err(|e| format!("{e}"))
}

/// Go's durations: `10.012s`, `1m0s`, `500ms`.
fn go_duration(text: &str) -> Option<Span> {
    let (mut rest, mut total) = (text, 0.0);
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let end = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let millis = match &rest[..end] {
            "ns" => 1e-6,
            "us" | "µs" => 1e-3,
            "ms" => 1.0,
            "s" => 1e3,
            "m" => 60e3,
            "h" => 3600e3,
            _ => return None,
        };
        total += number * millis;
        rest = &rest[end..];
    }
    Some(Span::from_millis(f64::round(total) as i64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::names::{MetricName, ObjectRef};

    fn web() -> ObjectRef {
        ObjectRef::new("apps/v1", "Deployment", "shop", "web")
    }

    fn read(key: &QueryKey, items: &str) -> Reading {
        super::read(key, format!(r#"{{"kind":"List","items":{items}}}"#).as_bytes())
    }

    fn at(text: &str) -> Time {
        text.parse().unwrap()
    }

    #[test]
    fn usage_is_read_per_pod_and_container_in_the_order_of_names() {
        let items = r#"[
            {"metadata":{"name":"b","namespace":"shop"},"timestamp":"2026-11-24T09:00:05Z","window":"10.012s",
             "containers":[{"name":"app","usage":{"cpu":"300000000n","memory":"1Mi"}},{"name":"helper","usage":{"cpu":"1"}}]},
            {"metadata":{"name":"a"},"timestamp":"2026-11-24T09:00:06Z","window":"1m0s","containers":[]}]"#;
        let Reading::PodUsage { pods } = read(&QueryKey::Resources { target: web() }, items) else {
            panic!("no usage");
        };
        assert_eq!(pods.iter().map(|p| p.pod.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(pods[0].window, Span::from_secs(60));
        assert_eq!(
            (pods[1].at, pods[1].window),
            (at("2026-11-24T09:00:05Z"), Span::from_millis(10_012))
        );
        assert_eq!(pods[1].containers["app"]["cpu"], Milli::new(300));
        assert_eq!(pods[1].containers["app"]["memory"], Milli::from_units(1 << 20));
        assert_eq!(pods[1].containers["helper"]["cpu"], Milli::from_units(1));
    }

    #[test]
    fn both_versions_of_custom_metrics_are_read() {
        let key = QueryKey::Pods {
            target: web(),
            metric: MetricName::default(),
        };
        let items = r#"[
            {"describedObject":{"kind":"Pod","name":"p2"},"metric":{"name":"rps"},"timestamp":"2026-11-24T09:00:00Z","value":"1500m"},
            {"describedObject":{"kind":"Pod","name":"p1"},"metricName":"rps","selector":null,"timestamp":"2026-11-24T09:00:00Z",
             "windowSeconds":30,"value":"7"}]"#;
        let Reading::PodValues { pods } = read(&key, items) else {
            panic!("no values");
        };
        let seen: Vec<_> = pods.iter().map(|p| (p.pod.as_str(), p.value, p.window)).collect();
        let expected = [
            ("p1", Milli::from_units(7), Span::from_secs(30)),
            ("p2", Milli::new(1500), WINDOW),
        ];
        assert_eq!(seen, expected);
    }

    #[test]
    fn one_value_of_an_object_and_the_sum_of_an_external_metric() {
        let object = QueryKey::Object {
            object: ObjectRef::new("v1", "Service", "shop", "front"),
            metric: MetricName::default(),
        };
        let one = r#"{"describedObject":{"name":"front"},"timestamp":"2026-11-24T09:00:00Z","value":"42"}"#;
        let sampled_at = at("2026-11-24T09:00:00Z");
        let value = |units| Reading::Value {
            value: Milli::from_units(units),
            sampled_at,
            contributors: None,
        };
        assert_eq!(read(&object, &format!("[{one}]")), value(42));
        assert!(matches!(
            read(&object, &format!("[{one},{one}]")),
            Reading::Failed {
                error: QueryError::Malformed,
                ..
            }
        ));
        let external = QueryKey::External {
            namespace: "shop".into(),
            metric: MetricName::default(),
        };
        let series = r#"[{"metricName":"lag","metricLabels":{"a":"b"},"timestamp":"2026-11-24T09:00:01Z","value":"30"},
            {"metricName":"lag","timestamp":"2026-11-24T09:00:00Z","value":"12"}]"#;
        let expected = Reading::Series {
            values: vec![Milli::from_units(30), Milli::from_units(12)],
            sampled_at: "2026-11-24T09:00:00Z".parse().unwrap(),
        };
        assert_eq!(read(&external, series), expected);
    }

    #[test]
    fn nothing_and_nonsense_are_different_things() {
        let keys = [
            "resources|apps/v1|Deployment|shop|web",
            "pods|apps/v1|Deployment|shop|web|rps|",
            "object|v1|Service|shop|front|rps|",
            "external|shop|lag|",
        ];
        for key in keys {
            let key = QueryKey::try_from(key.to_owned()).unwrap();
            assert_eq!(read(&key, "[]"), Reading::Empty);
            let nonsense = [
                r#"{"items":null}"#,
                "<html>",
                r#"{"items":[{"metadata":{"name":"a"},"describedObject":{"name":"a"},"timestamp":"yesterday","value":"1"}]}"#,
                r#"{"items":[{"metadata":{"name":"a"},"describedObject":{"name":"a"},"timestamp":"2026-11-24T09:00:00Z",
                    "window":"soon","value":"much"}]}"#,
            ];
            for body in nonsense {
                let Reading::Failed { error, message } = super::read(&key, body.as_bytes()) else {
                    panic!("{key} took {body}");
                };
                assert_eq!(error, QueryError::Malformed);
                assert!(message.contains(key.server()) && message.len() < 500, "{message}");
            }
        }
        assert_eq!(go_duration("1h0m0.5s"), Some(Span::from_millis(3_600_500)));
        assert_eq!(go_duration("5"), None);
    }
}
