//! How fast and how steadily a ScalingPolicy scales: the shape of autoscaling/v2.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rules;
use super::scalar::QuantityText;

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
    /// What is done while a value is within tolerance of its target. Default: Hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inside_tolerance: Option<InsideTolerance>,
    /// Scaling up waits while fewer than this percentage of the wanted pods are Ready, 0 to 100: a rollout that cannot start
    /// is not scaled further. Default: 0, which is never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub min_ready_percent: Option<i32>,
}

/// What is done while a value is within tolerance of its target: nothing (`Hold`, the default), or one step at a time towards
/// it (`Converge`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum InsideTolerance {
    /// Nothing.
    #[default]
    Hold,
    /// One step at a time towards the target.
    Converge,
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
