//! What the adapter answers to which URL.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::PoisonError;

use http::Uri;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use kube::api::{Api, ListParams};
use serde_json::{Value, json};

use super::{Series, Served, Subject};
use crate::Error;

type Answer = Result<Value, (u16, String)>;

/// The answer, or an HTTP status with a sentence.
pub(super) async fn answer(served: &Served, uri: &Uri) -> Answer {
    let path = decode(uri.path());
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let query: BTreeMap<String, String> = uri
        .query()
        .unwrap_or_default()
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(k, v)| (k.to_owned(), decode(&v.replace('+', " "))))
        .collect();
    match parts.as_slice() {
        ["apis", "external.metrics.k8s.io", "v1beta1"] => Ok(resources("external.metrics.k8s.io/v1beta1")),
        ["apis", "custom.metrics.k8s.io", version] if served.custom.iter().any(|v| v == version) => {
            Ok(resources(&format!("custom.metrics.k8s.io/{version}")))
        }
        [
            "apis",
            "external.metrics.k8s.io",
            "v1beta1",
            "namespaces",
            namespace,
            metric,
        ] => {
            let subject = Subject::External((*namespace).into());
            let found = series(served, metric, &query, "labelSelector", |s| *s == subject)?;
            Ok(external(&found))
        }
        ["apis", "custom.metrics.k8s.io", version, rest @ ..] if served.custom.iter().any(|v| v == version) => {
            custom(served, version, rest, &query).await
        }
        _ => Err((404, format!("nothing is served at {path}"))),
    }
}

async fn custom(served: &Served, version: &str, rest: &[&str], query: &BTreeMap<String, String>) -> Answer {
    let (namespace, resource, name, metric) = match *rest {
        ["namespaces", name, "metrics", metric] => ("", "namespaces", name, metric),
        ["namespaces", namespace, resource, name, metric] => (namespace, resource, name, metric),
        [resource, name, metric] => ("", resource, name, metric),
        _ => return Err((404, "there is no such metric".into())),
    };
    let wanted = if name == "*" {
        pods(served, namespace, query.get("labelSelector").map_or("", String::as_str)).await?
    } else {
        BTreeSet::from([name.to_owned()])
    };
    let found = series(
        served,
        metric,
        query,
        "metricLabelSelector",
        |subject| matches!(subject, Subject::Object(ns, of, one) if ns == namespace && of == resource && wanted.contains(one)),
    )?;
    if found.is_empty() && name != "*" {
        let message = format!("the server could not find the metric {metric} for {resource} {name}");
        return Err((404, message));
    }
    let now = json!(Time(Timestamp::now()));
    let items: Vec<Value> = found.iter().map(|s| item(version, s, &now)).collect();
    let api_version = format!("custom.metrics.k8s.io/{version}");
    Ok(json!({"kind": "MetricValueList", "apiVersion": api_version, "metadata": {}, "items": items}))
}

fn item(version: &str, series: &Series, now: &Value) -> Value {
    let Subject::Object(namespace, resource, name) = &series.subject else {
        return Value::Null;
    };
    let kind = if resource == "pods" { "Pod" } else { resource.as_str() };
    let mut item = json!({
        "describedObject": {"kind": kind, "namespace": namespace, "name": name, "apiVersion": "/v1"},
        "timestamp": now,
        "windowSeconds": 60,
        "value": series.value,
    });
    if version == "v1beta1" {
        item["metricName"] = json!(series.metric);
        item["selector"] = Value::Null;
    } else {
        item["metric"] = json!({"name": series.metric, "selector": null});
    }
    item
}

fn external(found: &[Series]) -> Value {
    let now = json!(Time(Timestamp::now()));
    let item =
        |s: &Series| json!({"metricName": s.metric, "metricLabels": s.labels, "timestamp": now, "value": s.value});
    let items: Vec<Value> = found.iter().map(item).collect();
    json!({"kind": "ExternalMetricValueList", "apiVersion": "external.metrics.k8s.io/v1beta1", "metadata": {},
        "items": items})
}

/// Every series of a metric, of these subjects, whose labels the selector of the query takes.
fn series(
    served: &Served,
    metric: &str,
    query: &BTreeMap<String, String>,
    selector: &str,
    of: impl Fn(&Subject) -> bool,
) -> Result<Vec<Series>, (u16, String)> {
    let values = served.values.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(code) = values.failure {
        return Err((code, "made to fail".into()));
    }
    let selector = query.get(selector).map_or("", String::as_str);
    let mut found = Vec::new();
    for one in &values.series {
        if one.metric == metric && of(&one.subject) && takes(selector, &one.labels)? {
            found.push(one.clone());
        }
    }
    Ok(found)
}

/// Whether a selector takes these labels. Equality is all that tests need.
fn takes(selector: &str, labels: &BTreeMap<String, String>) -> Result<bool, (u16, String)> {
    let mut all = true;
    for term in selector.split(',').filter(|term| !term.is_empty()) {
        let (key, value) = term
            .split_once('=')
            .filter(|(key, _)| !key.contains([' ', '!']))
            .ok_or_else(|| (400, format!("the selector {selector} is not one of equalities")))?;
        let value = value.trim_start_matches('=');
        all &= labels.get(key).is_some_and(|v| v == value);
    }
    Ok(all)
}

async fn pods(served: &Served, namespace: &str, selector: &str) -> Result<BTreeSet<String>, Error> {
    let api: Api<Pod> = Api::namespaced(served.client.clone(), namespace);
    let list = api.list(&ListParams::default().labels(selector)).await;
    let list = list.map_err(|e| Error::new("list pods", e))?;
    Ok(list.iter().map(ResourceExt::name_any).collect())
}

fn resources(group_version: &str) -> Value {
    json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": []})
}

/// Without its percent escapes.
fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let escaped = (first == b'%')
            .then(|| after.get(..2).and_then(|hex| std::str::from_utf8(hex).ok()))
            .flatten()
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(escaped.unwrap_or(first));
        rest = if escaped.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
