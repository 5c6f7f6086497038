//! Stated answers → readings, by the rules of whoever would have asked.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::answers::{Failure, Metric, Metrics, PodMetrics, PrometheusAnswer};
use super::snapshot::Reference;
use crate::api::common::{LabelSelector, LabelSelectorRequirement};
use crate::api::convert::selector_text;
use crate::core::names::{MetricName, ObjectRef, QueryKey};
use crate::core::quantity::Milli;
use crate::core::sample::{Contributors, PodUsage, PodValue, Reading};
use crate::core::time::{Span, Time};
use crate::edge::prometheus::answer;

/// The window of a custom metric that says none, as the HPA takes it.
const DEFAULT_WINDOW: Span = Span::from_secs(60);

/// A question and what was answered.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// Where it stands in the snapshot.
    pub path: String,
    /// What was asked.
    pub query: QueryKey,
    /// When.
    pub at: Time,
    /// How often in a row there was no value that can be used, where that is stated.
    pub failed_tries: Option<u32>,
    /// What was answered.
    pub reading: Reading,
}

/// Every answer of a snapshot; `clock` is when those were asked that do not say when.
///
/// # Errors
/// What is wrong, each with its path.
pub fn answers(metrics: &Metrics, clock: Time) -> Result<Vec<Answer>, Vec<String>> {
    let mut reader = Reader {
        clock,
        seen: BTreeMap::new(),
        answers: Vec::new(),
        problems: Vec::new(),
    };
    reader.prometheus(metrics);
    reader.per_pod(metrics);
    reader.whole(metrics);
    if reader.problems.is_empty() {
        Ok(reader.answers)
    } else {
        Err(reader.problems)
    }
}

struct Reader {
    clock: Time,
    seen: BTreeMap<QueryKey, String>,
    answers: Vec<Answer>,
    problems: Vec<String>,
}

/// What all answers have.
struct Frame<'a> {
    path: String,
    query: QueryKey,
    at: Option<Time>,
    failed_tries: Option<u32>,
    error: Option<&'a Failure>,
}

impl Reader {
    /// Adds an answer: the error, or what `read` makes of the rest. `choices` names what there is to choose from, and `given`
    /// says how many of those are there, the error included.
    fn add(
        &mut self,
        frame: Frame<'_>,
        (choices, given): (&str, usize),
        read: impl FnOnce(Time) -> Result<Reading, String>,
    ) {
        let Frame { path, query, .. } = frame;
        let mut wrong = |problem: String| self.problems.push(format!("{path}{problem}"));
        if given != 1 {
            return wrong(format!(": exactly one of {choices} must be there"));
        }
        let at = frame.at.unwrap_or(self.clock);
        if at > self.clock {
            return wrong(format!(".at: {at} is after the clock, {}", self.clock));
        }
        if frame.failed_tries == Some(0) {
            return wrong(".failedTries: must be at least 1; leave it out where there was a value".into());
        }
        let reading = match frame.error {
            Some(failure) => Ok(Reading::Failed {
                error: failure.reason.into(),
                message: failure.message.chars().take(500).collect(),
            }),
            None => read(at),
        };
        let reading = match reading {
            Ok(reading) => reading,
            Err(problem) => return wrong(problem),
        };
        if let Some(other) = self.seen.insert(query.clone(), path.clone()) {
            return wrong(format!(": asks what {other} asks already; keep one of them"));
        }
        self.answers.push(Answer {
            path,
            query,
            at,
            failed_tries: frame.failed_tries,
            reading,
        });
    }

    fn prometheus(&mut self, metrics: &Metrics) {
        for (i, stated) in metrics.prometheus.iter().enumerate() {
            let frame = Frame {
                path: format!("metrics.prometheus[{i}]"),
                query: QueryKey::prometheus(&stated.server, &stated.query),
                at: stated.at,
                failed_tries: stated.failed_tries,
                error: stated.error.as_ref(),
            };
            let given = count(&[stated.result.is_some(), stated.scalar.is_some(), stated.error.is_some()]);
            self.add(frame, ("result, scalar, error", given), |at| {
                Ok(of_prometheus(stated, at))
            });
        }
    }

    fn per_pod(&mut self, metrics: &Metrics) {
        for (i, stated) in metrics.resource.iter().enumerate() {
            let target = object(&stated.target);
            let frame = Frame {
                path: format!("metrics.resource[{i}]"),
                query: QueryKey::Resources { target: target.clone() },
                at: stated.at,
                failed_tries: stated.failed_tries,
                error: stated.error.as_ref(),
            };
            let given = count(&[stated.items.is_some(), stated.error.is_some()]);
            let items = stated.items.as_deref().unwrap_or_default();
            self.add(frame, ("items, error", given), |_| usage(items, &target.namespace));
        }
        for (i, stated) in metrics.pods.iter().enumerate() {
            let frame = Frame {
                path: format!("metrics.pods[{i}]"),
                query: QueryKey::Pods {
                    target: object(&stated.target),
                    metric: name(&stated.metric),
                },
                at: stated.at,
                failed_tries: stated.failed_tries,
                error: stated.error.as_ref(),
            };
            let given = count(&[stated.items.is_some(), stated.error.is_some()]);
            let items = stated.items.as_deref().unwrap_or_default();
            self.add(frame, ("items, error", given), |at| {
                let pods = items.iter().map(|item| PodValue {
                    pod: item.pod.clone(),
                    at: item.timestamp.unwrap_or(at),
                    window: item
                        .window_seconds
                        .map_or(DEFAULT_WINDOW, |s| Span::from_secs(s.into())),
                    value: item.value.0,
                });
                let pods = by_name(pods, |v| &v.pod).map_err(|(i, pod)| twice(i, &pod))?;
                Ok(if pods.is_empty() {
                    Reading::Empty
                } else {
                    Reading::PodValues { pods }
                })
            });
        }
    }

    fn whole(&mut self, metrics: &Metrics) {
        for (i, stated) in metrics.object.iter().enumerate() {
            let frame = Frame {
                path: format!("metrics.object[{i}]"),
                query: QueryKey::Object {
                    object: object(&stated.object),
                    metric: name(&stated.metric),
                },
                at: stated.at,
                failed_tries: stated.failed_tries,
                error: stated.error.as_ref(),
            };
            let empty = stated.empty == Some(true);
            let given = count(&[stated.value.is_some(), empty, stated.error.is_some()]);
            self.add(frame, ("value, empty, error", given), |at| {
                Ok(stated.value.map_or(Reading::Empty, |value| Reading::Value {
                    value: value.0,
                    sampled_at: stated.timestamp.unwrap_or(at),
                    contributors: None,
                }))
            });
        }
        for (i, stated) in metrics.external.iter().enumerate() {
            let frame = Frame {
                path: format!("metrics.external[{i}]"),
                query: QueryKey::External {
                    namespace: stated.namespace.clone(),
                    metric: name(&stated.metric),
                },
                at: stated.at,
                failed_tries: stated.failed_tries,
                error: stated.error.as_ref(),
            };
            let given = count(&[stated.items.is_some(), stated.error.is_some()]);
            let items = stated.items.as_deref().unwrap_or_default();
            self.add(frame, ("items, error", given), |at| {
                let oldest = items.iter().map(|item| item.timestamp.unwrap_or(at)).min();
                Ok(oldest.map_or(Reading::Empty, |sampled_at| Reading::Series {
                    values: items.iter().map(|item| item.value.0).collect(),
                    sampled_at,
                }))
            });
        }
    }
}

fn count(given: &[bool]) -> usize {
    given.iter().filter(|g| **g).count()
}

pub(super) fn object(reference: &Reference) -> ObjectRef {
    ObjectRef::new(
        &reference.api_version,
        &reference.kind,
        &reference.namespace,
        &reference.name,
    )
}

/// The same name, and selector in the same words, as a trigger of a policy is read as.
fn name(metric: &Metric) -> MetricName {
    let selector = metric.selector.as_ref().map(|selector| LabelSelector {
        match_labels: selector.match_labels.clone(),
        match_expressions: selector
            .match_expressions
            .iter()
            .map(|r| LabelSelectorRequirement {
                key: r.key.clone(),
                operator: r.operator,
                values: r.values.clone(),
            })
            .collect(),
    });
    MetricName {
        name: metric.name.clone(),
        selector: selector.as_ref().map(selector_text).unwrap_or_default(),
    }
}

/// As Prometheus would have written it, read as the operator reads it.
fn of_prometheus(stated: &PrometheusAnswer, at: Time) -> Reading {
    let pair = |time: Option<Time>, value: String| json!([time.unwrap_or(at).as_millis() as f64 / 1000.0, value]);
    let data = match (&stated.result, &stated.scalar) {
        (None, Some(scalar)) => json!({
            "resultType": "scalar",
            "result": pair(scalar.timestamp, scalar.value.to_string()),
        }),
        (elements, _) => {
            let elements = elements.iter().flatten();
            let elements =
                elements.map(|e| json!({"metric": e.labels, "value": pair(e.timestamp, e.value.to_string())}));
            json!({"resultType": "vector", "result": elements.collect::<Vec<_>>()})
        }
    };
    let body = json!({"status": "success", "data": data, "warnings": stated.warnings});
    let mut reading = answer::read(200, body.to_string().as_bytes());
    if let Some(from) = &stated.contributors {
        let contributors = Contributors {
            series: from.series,
            targets: from.targets,
            down: from.down,
            oldest: from.oldest,
        };
        reading.made_from(Some(contributors), from.newest);
    }
    reading
}

fn usage(items: &[PodMetrics], namespace: &str) -> Result<Reading, String> {
    let mut pods = Vec::new();
    for (i, item) in items.iter().enumerate() {
        let stated = item.metadata.namespace.as_deref().unwrap_or(namespace);
        if stated != namespace {
            return Err(format!(
                ".items[{i}].metadata.namespace: {stated} is not the target's, which is {namespace}"
            ));
        }
        let mut containers = BTreeMap::new();
        for (j, container) in item.containers.iter().enumerate() {
            let amounts: BTreeMap<String, Milli> = container.usage.iter().map(|(k, v)| (k.clone(), v.0)).collect();
            if containers.insert(container.name.clone(), amounts).is_some() {
                return Err(format!(
                    ".items[{i}].containers[{j}].name: {} is there twice",
                    container.name
                ));
            }
        }
        pods.push(PodUsage {
            pod: item.metadata.name.clone(),
            at: item.timestamp,
            window: item.window.0,
            containers,
        });
    }
    let pods = by_name(pods, |u| &u.pod).map_err(|(i, pod)| twice(i, &pod))?;
    Ok(if pods.is_empty() {
        Reading::Empty
    } else {
        Reading::PodUsage { pods }
    })
}

fn twice(i: usize, pod: &str) -> String {
    format!(".items[{i}]: pod {pod} is there twice")
}

/// In the order of their names; or which comes for the second time.
fn by_name<T>(items: impl IntoIterator<Item = T>, name: fn(&T) -> &String) -> Result<Vec<T>, (usize, String)> {
    let (mut seen, mut all) = (BTreeSet::new(), Vec::new());
    for (i, item) in items.into_iter().enumerate() {
        if !seen.insert(name(&item).clone()) {
            return Err((i, name(&item).clone()));
        }
        all.push(item);
    }
    all.sort_by(|a, b| name(a).cmp(name(b)));
    Ok(all)
}
