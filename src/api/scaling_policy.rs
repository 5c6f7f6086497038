//! ScalingPolicy: what people write. Its status is in [`super::scaling_status`].

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::common::Mode;
use super::rules;
use super::scalar::{DurationText, QuantityText};
use super::scaling_status::ScalingPolicyStatus;

/// What is scaled, between which bounds, and by what.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "homeostat.dev",
    version = "v1alpha1",
    kind = "ScalingPolicy",
    plural = "scalingpolicies",
    shortname = "scp",
    category = "homeostat",
    namespaced,
    status = "ScalingPolicyStatus",
    derive = "PartialEq",
    doc = "Scales one target between bounds by triggers, such as Prometheus queries.",
    printcolumn(name = "Target", type_ = "string", json_path = ".spec.scaleTargetRef.name"),
    printcolumn(
        name = "Kind",
        type_ = "string",
        json_path = ".spec.scaleTargetRef.kind",
        priority = 1
    ),
    printcolumn(name = "Min", type_ = "integer", json_path = ".spec.minReplicas"),
    printcolumn(name = "Max", type_ = "integer", json_path = ".spec.maxReplicas"),
    printcolumn(name = "Current", type_ = "integer", json_path = ".status.decision.from"),
    printcolumn(name = "Desired", type_ = "integer", json_path = ".status.decision.desired"),
    printcolumn(name = "Mode", type_ = "string", json_path = ".spec.mode", priority = 1),
    printcolumn(
        name = "Limited-By",
        type_ = "string",
        json_path = ".status.decision.limitedBy",
        priority = 1
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = rules::rule(
        "!has(self.maxReplicas) || self.maxReplicas >= (has(self.minReplicas) ? self.minReplicas : 1)",
        "maxReplicas must be at least minReplicas (1 where it is omitted); raise maxReplicas or lower minReplicas",
    ).field_path(".maxReplicas")
)]
pub struct ScalingPolicySpec {
    /// Stops this policy: nothing is asked, decided or changed, and the target keeps its replicas. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspend: Option<bool>,
    /// Whether the target is really scaled (`Enforce`) or decisions are only shown (`DryRun`). Default: Enforce.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// Which way it may scale. Default: Both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direction: Option<Direction>,
    /// What is scaled: an object of this namespace that has a scale subresource. Where two policies name the same target,
    /// the older one goes on and the newer one is Stalled.
    pub scale_target_ref: ScaleTargetRef,
    /// Lower bound of the replicas, 0 to 1000000. Default: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub min_replicas: Option<i32>,
    /// Upper bound of the replicas, 1 to 1000000, and at least `minReplicas`.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_replicas: i32,
    /// How often the triggers are asked and the decision is made, 1s to 1h. Default: 15s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = rules::duration("1s", "1h"))]
    pub interval: Option<DurationText>,
    /// What the replicas follow. Each trigger proposes a number of replicas, and the highest proposal counts. 1 to 32,
    /// their names distinct.
    #[schemars(length(min = 1, max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub triggers: Vec<Trigger>,
    /// How fast and how steadily it scales, as in the HorizontalPodAutoscaler (autoscaling/v2), with the same defaults.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub behavior: Option<Behavior>,
}

/// Which way a policy may scale: `Both` ways (the default), `UpOnly` or `DownOnly`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Direction {
    /// Up and down.
    #[default]
    Both,
    /// Never down.
    UpOnly,
    /// Never up.
    DownOnly,
}

/// What is scaled.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = rules::rule(
        "has(self.apiVersion) || !has(self.kind) || self.kind in ['Deployment', 'ReplicaSet', 'StatefulSet']",
        "apiVersion must be set for kinds other than Deployment, ReplicaSet and StatefulSet, such as argoproj.io/v1alpha1",
    ).field_path(".kind")
)]
pub struct ScaleTargetRef {
    /// Group and version of the target. Default: apps/v1, for Deployment, ReplicaSet and StatefulSet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 317))]
    #[x_kube(validation = rules::rule(
        "self.matches('^([a-z0-9][-a-z0-9.]*/)?v[a-z0-9]+$')",
        "must be group and version, such as apps/v1",
    ))]
    pub api_version: Option<String>,
    /// Kind of the target, such as Deployment, StatefulSet or Rollout.
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = rules::rule(
        "self.matches('^[A-Z][A-Za-z0-9]*$')",
        "must be a kind as in manifests, such as Deployment",
    ))]
    pub kind: String,
    /// Name of the target.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = rules::object_name())]
    pub name: String,
}

/// One source of demand, and what it is measured against.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = rules::exactly_one_of(&["prometheus"]))]
pub struct Trigger {
    /// Name of the trigger, distinct in the policy; status and explanations use it.
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = rules::label_name())]
    pub name: String,
    /// Asks Prometheus.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prometheus: Option<PrometheusTrigger>,
    /// What the trigger's value is measured against.
    pub target: MetricTarget,
}

/// Asks Prometheus.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct PrometheusTrigger {
    /// The PromQL expression. Its result must be one number: a scalar or one series. No result, several series, NaN and
    /// errors never scale down. At most 4096 characters.
    #[schemars(length(min = 1, max = 4096))]
    pub query: String,
    /// Which server is asked, by its name in the OperatorConfig. Default: default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = rules::label_name())]
    pub server: Option<String>,
    /// A sample older than this is stale and counts as missing, 1s to 1h. Default: three times the interval, and at least
    /// 1m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = rules::duration("1s", "1h"))]
    pub max_age: Option<DurationText>,
}

/// What a value is measured against: exactly one of its fields.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = rules::exactly_one_of(&["value", "averageValue"]))]
pub struct MetricTarget {
    /// The value should be this: the replicas grow by the ratio of the value to it. A quantity above zero, such as 100 or
    /// 250m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = rules::positive_quantity())]
    pub value: Option<QuantityText>,
    /// The value divided by the replicas should be this: the value divided by it, rounded up, is the number of replicas. A
    /// quantity above zero, such as 100 or 250m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = rules::positive_quantity())]
    pub average_value: Option<QuantityText>,
}

/// How fast and how steadily it scales, as in autoscaling/v2.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Behavior {
    /// For scaling up. Default: no stabilization; the higher of 4 pods and 100 percent in 15 seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale_up: Option<ScalingRules>,
    /// For scaling down. Default: stabilized over 300 seconds; up to 100 percent in 15 seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale_down: Option<ScalingRules>,
}

/// The rules of one direction, as in autoscaling/v2.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScalingRules {
    /// The most careful recommendation of so many seconds counts, 0 to 3600. Default: 0 for up, 300 for down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 3600))]
    pub stabilization_window_seconds: Option<i32>,
    /// Which of several policies counts. Default: Max.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub select_policy: Option<SelectPolicy>,
    /// Rate limits, 1 to 16. Default: for up, 4 pods and 100 percent, each in 15 seconds; for down, 100 percent in 15
    /// seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub policies: Option<Vec<RatePolicy>>,
    /// Deviation of the value from its target, as a ratio, within which nothing is done. A quantity of at least 0. Default:
    /// 0.1, which is 10 percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = rules::quantity_from_zero())]
    pub tolerance: Option<QuantityText>,
}

/// Which of several policies counts: the one that allows the most change (`Max`, the default), the least (`Min`), or none, so
/// that this direction is off (`Disabled`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SelectPolicy {
    /// The one that allows the most change.
    #[default]
    Max,
    /// The one that allows the least change.
    Min,
    /// No change in this direction.
    Disabled,
}

/// One rate limit: so much change in so long a period.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RatePolicy {
    /// What `value` counts.
    #[serde(rename = "type")]
    pub kind: RateKind,
    /// How much change is allowed in the period, above zero.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub value: i32,
    /// Length of the period in seconds, 1 to 1800.
    #[schemars(range(min = 1, max = 1800))]
    pub period_seconds: i32,
}

/// What a rate limit counts: `Pods`, or `Percent` of the replicas at the period's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RateKind {
    /// Pods.
    Pods,
    /// Percent of the replicas at the period's start.
    Percent,
}
