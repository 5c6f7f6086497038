//! Triggers of a ScalingPolicy: what is asked, what it is measured against, what is done without an answer.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::common::LabelSelector;
use super::rules;
use super::scalar::{DurationText, QuantityText};

/// One source of demand, and what it is measured against.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = rules::exactly_one_of(&["prometheus", "resource", "containerResource", "pods", "object", "external"]),
    validation = rules::rule(
        "!has(self.pods) || has(self.target.averageValue)",
        "a trigger with pods needs target.averageValue: the mean over the pods",
    ).field_path(".target"),
    validation = rules::rule(
        "!has(self.target.averageUtilization) || has(self.resource) || has(self.containerResource) || has(self.prometheus)",
        "target.averageUtilization is for resource, containerResource and prometheus; write value or averageValue",
    ).field_path(".target"),
    validation = rules::rule(
        "!has(self.target.drain) || has(self.prometheus) || has(self.object) || has(self.external)",
        "target.drain is for prometheus, object and external: something that is worked off",
    ).field_path(".target")
)]
pub struct Trigger {
    /// Name of the trigger, distinct in the policy; status, explanations and the formula use it.
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = rules::label_name())]
    pub name: String,
    /// Asks Prometheus.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prometheus: Option<PrometheusTrigger>,
    /// What the target's pods use of a resource, by metrics-server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<ResourceTrigger>,
    /// What one container of each of the target's pods uses of a resource, by metrics-server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container_resource: Option<ContainerResourceTrigger>,
    /// A metric of each of the target's pods, by the custom metrics API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pods: Option<PodsTrigger>,
    /// A metric of one object of the namespace, by the custom metrics API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<ObjectTrigger>,
    /// A metric from outside the cluster, summed over its series, by the external metrics API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external: Option<ExternalTrigger>,
    /// What the trigger's value is measured against.
    pub target: MetricTarget,
    /// A value above this is something to do: the trigger is active, and the policy leaves its idle size. A quantity of at
    /// least 0. Default: 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = rules::quantity_from_zero())]
    pub activation: Option<QuantityText>,
    /// A sample older than this is stale and counts as missing, 1s to 1h. Default: three times the interval, and at least
    /// 3m; for resources, pods, objects and external metrics at least 5m. Not with `prometheus.maxAge`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = rules::duration("1s", "1h"))]
    pub max_age: Option<DurationText>,
    /// What is done without a value that can be used. Default: Hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_missing: Option<OnMissing>,
}

/// Asks Prometheus.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct PrometheusTrigger {
    /// The PromQL expression. Its result must be one number: a scalar or one series, unless `combine` says how several
    /// become one. No result, NaN and errors never scale down. At most 4096 characters.
    #[schemars(length(min = 1, max = 4096))]
    pub query: String,
    /// Which server is asked, by its name in the OperatorConfig. Default: default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = rules::label_name())]
    pub server: Option<String>,
    /// How several series become one number. Default: Error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub combine: Option<Combine>,
    /// The same as the trigger's own `maxAge`, of which only one may be set. Default: that one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = rules::duration("1s", "1h"))]
    pub max_age: Option<DurationText>,
}

/// How several series become one number: their `Sum`, the highest (`Max`), their mean (`Avg`), or not at all (`Error`, the
/// default).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Combine {
    /// Not at all.
    #[default]
    Error,
    /// Their sum.
    Sum,
    /// The highest.
    Max,
    /// Their mean.
    Avg,
}

/// What the target's pods use of a resource.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
pub struct ResourceTrigger {
    /// Name of the resource, such as cpu or memory.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// What one container of each of the target's pods uses of a resource.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
pub struct ContainerResourceTrigger {
    /// Name of the resource, such as cpu or memory.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Name of the container.
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = rules::label_name())]
    pub container: String,
}

/// A metric of each of the target's pods.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
pub struct PodsTrigger {
    /// Which metric.
    pub metric: MetricIdentifier,
}

/// A metric of one object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ObjectTrigger {
    /// The object, in the policy's namespace.
    pub described_object: DescribedObject,
    /// Which metric.
    pub metric: MetricIdentifier,
}

/// The object that a metric describes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct DescribedObject {
    /// Group and version of the object. Default: v1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 317))]
    pub api_version: Option<String>,
    /// Kind of the object, such as Ingress.
    #[schemars(length(min = 1, max = 63))]
    pub kind: String,
    /// Name of the object.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = rules::object_name())]
    pub name: String,
}

/// A metric from outside the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
pub struct ExternalTrigger {
    /// Which metric.
    pub metric: MetricIdentifier,
}

/// A metric of a metrics API.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
pub struct MetricIdentifier {
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = rules::rule("!self.contains('|') && !self.contains('/')", "must be the name of a metric, without | and /"))]
    pub name: String,
    /// Which of its series. Default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
}

/// What a value is measured against: exactly one of its fields.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = rules::exactly_one_of(&["value", "averageValue", "averageUtilization", "drain"]))]
pub struct MetricTarget {
    /// The value should be this: the replicas grow by the ratio of the value to it. A quantity above zero, such as 100 or
    /// 250m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = rules::positive_quantity())]
    pub value: Option<QuantityText>,
    /// The value divided by the replicas should be this: the value divided by it, rounded up, is the number of replicas. Of
    /// pods and resources, their mean should be this. A quantity above zero, such as 100 or 250m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = rules::positive_quantity())]
    pub average_value: Option<QuantityText>,
    /// Of a resource: the pods should use this percentage of what they request. Of a query, whose result is a share such as
    /// 0.63: it should be this percentage. At least 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 2_147_483_647))]
    pub average_utilization: Option<i32>,
    /// The value is a backlog that should be worked off in a given time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain: Option<DrainTarget>,
}

/// A backlog should be worked off in a given time: as many replicas as that takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct DrainTarget {
    /// What one replica works off in a second. A quantity above zero.
    #[x_kube(validation = rules::positive_quantity())]
    pub rate_per_replica: QuantityText,
    /// How long it may take, 1s to 24h.
    #[x_kube(validation = rules::duration("1s", "24h"))]
    pub within: DurationText,
}

/// What is done without a value that can be used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = rules::rule(
        "self.action == 'Fallback' ? has(self.replicas) || (has(self.behavior) && self.behavior == 'CurrentReplicas') : !has(self.replicas) && !has(self.behavior)",
        "replicas must be set with action: Fallback, and replicas and behavior only then",
    ),
    validation = rules::rule(
        "self.action != 'Hold' || !has(self.after)",
        "after is for the actions Fallback, Ignore and Zero: Hold is at once",
    )
)]
pub struct OnMissing {
    /// `Hold`: the other triggers may scale up, nothing scales down. `Fallback`: the trigger asks for `replicas`. `Ignore`:
    /// the other triggers decide alone. `Zero`: the value counts as zero.
    pub action: OnMissingAction,
    /// With Fallback: so many, 0 to 2147483647.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 2_147_483_647))]
    pub replicas: Option<i32>,
    /// With Fallback: what `replicas` means beside the current number. `Static`: just that. `CurrentReplicas`: the current
    /// number instead. `CurrentReplicasIfHigher`, `CurrentReplicasIfLower`: whichever is higher or lower. Default: Static.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub behavior: Option<FallbackBehavior>,
    /// After so many failed tries in a row, 1 to 1000; until then as Hold. Default: 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub after: Option<i32>,
}

/// What is done without a value that can be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OnMissingAction {
    /// The other triggers may scale up, and nothing scales down.
    #[default]
    Hold,
    /// The trigger asks for a given number.
    Fallback,
    /// The other triggers decide alone.
    Ignore,
    /// The value counts as zero.
    Zero,
}

/// What the fallback's number means beside the current one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum FallbackBehavior {
    /// Just that.
    #[default]
    Static,
    /// The current number instead.
    CurrentReplicas,
    /// The higher of the two.
    CurrentReplicasIfHigher,
    /// The lower of the two.
    CurrentReplicasIfLower,
}
