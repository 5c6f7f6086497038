//! The snapshot format: what was asked about metrics, and what was answered.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::scalar::{Quantity, SampleValue, Window};
use super::snapshot::{Reference, default_namespace};
use crate::core::sample::QueryError;
use crate::core::time::Time;

/// What was asked, and what was answered. Every question is there at most once.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Metrics {
    /// PromQL queries.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub prometheus: Vec<PrometheusAnswer>,
    /// What the pods of a target use: metrics.k8s.io. For triggers `resource` and `containerResource`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resource: Vec<ResourceAnswer>,
    /// A metric of each pod of a target: custom.metrics.k8s.io. For triggers `pods`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pods: Vec<PodsAnswer>,
    /// A metric of one object: custom.metrics.k8s.io. For triggers `object`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub object: Vec<ObjectAnswer>,
    /// A metric of no object: external.metrics.k8s.io. For triggers `external`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub external: Vec<ExternalAnswer>,
}

impl Metrics {
    /// Whether nothing was asked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// How a question failed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Failure {
    /// What kind of failure.
    pub reason: FailureReason,
    /// In a sentence.
    #[serde(default)]
    pub message: String,
}

/// What kind of failure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum FailureReason {
    /// The server cannot parse or execute what was asked.
    BadQuery,
    /// No answer in time.
    Timeout,
    /// No connection, or it broke.
    Unreachable,
    /// The server answered with an error.
    #[default]
    Status,
    /// The answer cannot be read.
    Malformed,
    /// The answer is too large.
    TooLarge,
    /// The policy names a server that nobody knows.
    UnknownServer,
    /// The cluster has no such metrics API.
    NoMetricsApi,
    /// The operator may not ask.
    Forbidden,
}

/// What Prometheus said. Exactly one of `result`, `scalar` and `error`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PrometheusAnswer {
    /// Name of the server in the OperatorConfig. Default: default.
    #[serde(default = "default_namespace")]
    pub server: String,
    /// The expression, exactly as in the trigger.
    pub query: String,
    /// When it was asked. Default: the clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Time>,
    /// How often in a row, this time included, it gave no value that can be used; at least 1. Default: 1 where it gave none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub failed_tries: Option<u32>,
    /// The elements of an instant vector; empty: no data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Vec<Element>>,
    /// A scalar.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scalar: Option<Scalar>,
    /// It failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Failure>,
    /// Warnings that came with the result: parts of the data may be missing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// What the result was made from, all selectors of the expression together. Default: nobody asked, and the result counts as
    /// complete and as old as its elements say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contributors: Option<Contributors>,
}

/// What a result was made from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Contributors {
    /// Series that have a sample.
    pub series: u32,
    /// Scrape targets (`job` and `instance`) that they come from.
    pub targets: u32,
    /// Scrape targets that gave series within the last 10 minutes, and whose last scrape failed. Default: 0.
    #[serde(default)]
    pub down: u32,
    /// The oldest of the series' last samples. Default: as old as the result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest: Option<Time>,
    /// The newest of them: how old the result is. Default: what its elements say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest: Option<Time>,
}

/// One element of an instant vector.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Element {
    /// Its labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Its value.
    pub value: SampleValue,
    /// The time that came with it. Default: when it was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<Time>,
}

/// A scalar.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scalar {
    /// Its value.
    pub value: SampleValue,
    /// The time that came with it. Default: when it was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<Time>,
}

/// What metrics.k8s.io said of the pods that a target's selector selects. Exactly one of `items` and `error`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ResourceAnswer {
    /// The target of the policies.
    pub target: Reference,
    /// When it was asked. Default: the clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Time>,
    /// How often in a row, this time included, it gave no value that can be used; at least 1. Default: 1 where it gave none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub failed_tries: Option<u32>,
    /// PodMetrics as the API gives them, each pod at most once; a pod that does not exist may have some. Empty: no data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub items: Option<Vec<PodMetrics>>,
    /// It failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Failure>,
}

/// What one pod uses, as metrics.k8s.io gives it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PodMetrics {
    /// metrics.k8s.io/v1beta1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// PodMetrics.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Which pod.
    pub metadata: PodMetricsMeta,
    /// The end of the time over which it was measured.
    pub timestamp: Time,
    /// Over which time, such as `30s`.
    pub window: Window,
    /// Its containers, each at most once.
    pub containers: Vec<ContainerMetrics>,
}

/// Which pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PodMetricsMeta {
    /// The pod's name.
    pub name: String,
    /// The pod's namespace; the target's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The pod's labels; not looked at.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Not looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub creation_timestamp: Option<Time>,
}

/// What one container uses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ContainerMetrics {
    /// Its name.
    pub name: String,
    /// Resource → quantity. A resource that is absent is missing, which is not zero.
    #[serde(default)]
    pub usage: BTreeMap<String, Quantity>,
}

/// A metric, and which of its series.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Metric {
    /// Its name.
    pub name: String,
    /// The selector exactly as in the trigger. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<Selector>,
}

/// A label selector, as in the trigger.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Selector {
    /// Labels that must have exactly these values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub match_labels: BTreeMap<String, String>,
    /// Requirements on labels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub match_expressions: Vec<SelectorRequirement>,
}

/// A requirement on one label.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SelectorRequirement {
    /// The label's key.
    pub key: String,
    /// How the label relates to the values.
    pub operator: crate::api::common::LabelOperator,
    /// The values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
}

/// What custom.metrics.k8s.io said of the pods that a target's selector selects. Exactly one of `items` and `error`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PodsAnswer {
    /// The target of the policies.
    pub target: Reference,
    /// Which metric.
    pub metric: Metric,
    /// When it was asked. Default: the clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Time>,
    /// How often in a row, this time included, it gave no value that can be used; at least 1. Default: 1 where it gave none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub failed_tries: Option<u32>,
    /// A value of each pod, each pod at most once; a pod that does not exist may have one. Empty: no data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub items: Option<Vec<PodValue>>,
    /// It failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Failure>,
}

/// A metric of one pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PodValue {
    /// The pod's name.
    pub pod: String,
    /// Its value.
    pub value: Quantity,
    /// The end of the time over which it was measured. Default: when it was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<Time>,
    /// Over how many seconds. Default: 60, as the HorizontalPodAutoscaler takes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub window_seconds: Option<u32>,
}

/// What custom.metrics.k8s.io said of an object. Exactly one of `value`, `empty` and `error`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ObjectAnswer {
    /// Which object, in the policies' namespace; `apiVersion` as in the trigger (v1 where it says none).
    pub object: Reference,
    /// Which metric.
    pub metric: Metric,
    /// When it was asked. Default: the clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Time>,
    /// How often in a row, this time included, it gave no value that can be used; at least 1. Default: 1 where it gave none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub failed_tries: Option<u32>,
    /// Its value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Quantity>,
    /// When it was measured. Default: when it was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<Time>,
    /// True: the list that came held no value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub empty: Option<bool>,
    /// It failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Failure>,
}

/// What external.metrics.k8s.io said. Exactly one of `items` and `error`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExternalAnswer {
    /// The namespace of the policies. Default: default.
    #[serde(default = "default_namespace")]
    pub namespace: String,
    /// Which metric.
    pub metric: Metric,
    /// When it was asked. Default: the clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Time>,
    /// How often in a row, this time included, it gave no value that can be used; at least 1. Default: 1 where it gave none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub failed_tries: Option<u32>,
    /// Its series, whose sum counts. Empty: no data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub items: Option<Vec<ExternalValue>>,
    /// It failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Failure>,
}

/// One series of an external metric.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExternalValue {
    /// Its labels; not looked at, since the server has selected already.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Its value.
    pub value: Quantity,
    /// When it was measured. Default: when it was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<Time>,
}

impl From<FailureReason> for QueryError {
    fn from(reason: FailureReason) -> Self {
        match reason {
            FailureReason::BadQuery => Self::BadQuery,
            FailureReason::Timeout => Self::Timeout,
            FailureReason::Unreachable => Self::Unreachable,
            FailureReason::Status => Self::Status,
            FailureReason::Malformed => Self::Malformed,
            FailureReason::TooLarge => Self::TooLarge,
            FailureReason::UnknownServer => Self::UnknownServer,
            FailureReason::NoMetricsApi => Self::NoMetricsApi,
            FailureReason::Forbidden => Self::Forbidden,
        }
    }
}

impl From<QueryError> for FailureReason {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::BadQuery => Self::BadQuery,
            QueryError::Timeout => Self::Timeout,
            QueryError::Unreachable => Self::Unreachable,
            QueryError::Status => Self::Status,
            QueryError::Malformed => Self::Malformed,
            QueryError::TooLarge => Self::TooLarge,
            QueryError::UnknownServer => Self::UnknownServer,
            QueryError::NoMetricsApi => Self::NoMetricsApi,
            QueryError::Forbidden => Self::Forbidden,
        }
    }
}
