//! What the controller reads for one decision. Every amount is in thousandths (`MilliValue`): memory of 1 MiB is 1 048 576 000.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::History;
use crate::core::time::{Span, Time};

/// Everything that one decision depends on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Input {
    /// When it is decided.
    pub now: Time,
    /// The controller's flags.
    #[serde(default)]
    pub flags: Flags,
    /// `minReplicas`; absent: 1.
    #[serde(default)]
    pub min: Option<i32>,
    /// `maxReplicas`.
    pub max: i32,
    /// `metrics`, in order, each with its data.
    #[serde(default)]
    pub metrics: Vec<Metric>,
    /// `behavior`; absent: the older way of limiting and stabilizing.
    #[serde(default)]
    pub behavior: Option<Behavior>,
    /// `spec.replicas` of the scale.
    pub replicas: i32,
    /// `status.replicas` of the scale.
    pub status_replicas: i32,
    /// `status.selector` of the scale.
    #[serde(default)]
    pub selector: Selector,
    /// The pods that the selector chooses, in any order, with distinct names.
    #[serde(default)]
    pub pods: Vec<Pod>,
    /// What earlier decisions left behind; empty for an autoscaler that is new to the controller.
    #[serde(default)]
    pub history: History,
}

/// The controller's `--horizontal-pod-autoscaler-*` flags.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Flags {
    /// `tolerance`: a ratio; 0.1.
    pub tolerance: f64,
    /// `downscale-stabilization`: 5 minutes.
    pub downscale_stabilization: Span,
    /// `cpu-initialization-period`: 5 minutes.
    pub cpu_initialization: Span,
    /// `initial-readiness-delay`: 30 seconds.
    pub initial_readiness_delay: Span,
}

impl Default for Flags {
    fn default() -> Self {
        Self {
            tolerance: 0.1,
            downscale_stabilization: Span::from_mins(5),
            cpu_initialization: Span::from_mins(5),
            initial_readiness_delay: Span::from_secs(30),
        }
    }
}

/// Whether the scale's selector can be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Selector {
    /// It can.
    #[default]
    Valid,
    /// It is empty.
    Missing,
    /// It cannot be parsed.
    Invalid,
}

/// `behavior`, as written: defaults are not filled in.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Behavior {
    /// `scaleUp`.
    pub scale_up: Option<Rules>,
    /// `scaleDown`.
    pub scale_down: Option<Rules>,
}

/// `HPAScalingRules`, as written.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Rules {
    /// In seconds; absent: 0 for up, the flag for down.
    pub stabilization_window_seconds: Option<i32>,
    /// Absent: `Max`.
    pub select_policy: Option<SelectPolicy>,
    /// Absent: 4 pods or 100 % in 15 s for up, 100 % in 15 s for down.
    pub policies: Option<Vec<Policy>>,
    /// A ratio, as [`super::quantity::Quantity::approximate`] reads it; absent: the flag.
    pub tolerance: Option<f64>,
}

/// `selectPolicy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SelectPolicy {
    /// The most change.
    Max,
    /// The least change.
    Min,
    /// No change.
    Disabled,
}

/// `HPAScalingPolicy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Policy {
    /// What `value` counts.
    #[serde(rename = "type")]
    pub kind: PolicyKind,
    /// Above zero.
    pub value: i32,
    /// 1 to 1800.
    pub period_seconds: i32,
}

/// `type` of a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PolicyKind {
    /// Pods.
    Pods,
    /// Percent of the replicas at the period's start.
    Percent,
}

/// One metric: where its data comes from, the data, and its target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Metric {
    /// Where from, and what it says.
    #[serde(flatten)]
    pub source: Source,
    /// What it should be.
    pub target: Target,
}

/// Data, or what the metrics API said instead.
pub type Outcome<T> = Result<T, String>;

/// `type` of a metric, with its data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Source {
    /// `Resource`: what the pods use.
    Resource {
        /// `cpu`, `memory`, …
        name: String,
        /// What metrics-server lists for the selector.
        samples: Outcome<Vec<PodSample>>,
    },
    /// `ContainerResource`: what one container of the pods uses.
    ContainerResource {
        /// `cpu`, `memory`, …
        name: String,
        /// The container's name.
        container: String,
        /// What metrics-server lists for the selector.
        samples: Outcome<Vec<PodSample>>,
    },
    /// `Pods`: a metric of each pod.
    Pods {
        /// What the custom metrics API lists for the selector.
        samples: Outcome<Vec<PodValue>>,
    },
    /// `Object`: a metric of some object.
    Object {
        /// Its value, in thousandths.
        value: Outcome<i64>,
    },
    /// `External`: a metric of no object.
    External {
        /// All series that match, in the order in which they come, in thousandths.
        values: Outcome<Vec<i64>>,
    },
}

/// `MetricTarget`. The controller looks at whichever suits the metric; for `Object` alone the type counts as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    /// `type`.
    #[serde(rename = "type")]
    pub kind: TargetKind,
    /// `value`, in thousandths.
    #[serde(default)]
    pub value: Option<i64>,
    /// `averageValue`, in thousandths.
    #[serde(default)]
    pub average_value: Option<i64>,
    /// `averageUtilization`, in percent of the request.
    #[serde(default)]
    pub average_utilization: Option<i32>,
}

/// `type` of a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TargetKind {
    /// Percent of the request.
    Utilization,
    /// The value itself.
    Value,
    /// The value per pod.
    AverageValue,
}

/// What metrics-server says of one pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodSample {
    /// The pod's name.
    pub pod: String,
    /// `timestamp`.
    pub at: Time,
    /// `window`, rounded up.
    pub window: Span,
    /// By container.
    pub containers: Vec<ContainerUsage>,
}

/// What metrics-server says of one container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ContainerUsage {
    /// The container's name.
    pub name: String,
    /// Of the metric's resource, in thousandths; absent where that resource is not listed.
    pub usage: Option<i64>,
}

/// What the custom metrics API says of one pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodValue {
    /// The pod's name.
    pub pod: String,
    /// In thousandths.
    pub value: i64,
}

/// Requests by resource, in thousandths. A resource that is not requested is not listed, which differs from zero.
pub type Requests = BTreeMap<String, i64>;

/// A pod, as far as the controller looks at it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pod {
    /// Its name.
    pub name: String,
    /// `status.phase`.
    pub phase: Phase,
    /// It has a `deletionTimestamp`.
    #[serde(default)]
    pub deleting: bool,
    /// `status.startTime`.
    #[serde(default)]
    pub start_time: Option<Time>,
    /// The condition Ready.
    #[serde(default)]
    pub ready: Option<Ready>,
    /// `spec.containers`.
    #[serde(default)]
    pub containers: Vec<Container>,
    /// `spec.initContainers`, in order.
    #[serde(default)]
    pub init_containers: Vec<Container>,
    /// `spec.resources.requests`: pod-level requests.
    #[serde(default)]
    pub requests: Option<Requests>,
    /// `spec.overhead`.
    #[serde(default)]
    pub overhead: Option<Requests>,
}

/// `status.phase`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// Not all containers have started.
    Pending,
    /// At least one container runs.
    Running,
    /// All containers have ended well. Counts as a pod that runs, until it is deleted.
    Succeeded,
    /// All containers have ended, one badly.
    Failed,
    /// Nobody knows.
    Unknown,
}

/// The condition Ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ready {
    /// `status`.
    pub status: Status,
    /// `lastTransitionTime`; absent: since ever.
    #[serde(default)]
    pub since: Option<Time>,
}

/// `status` of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Status {
    /// It is so.
    True,
    /// It is not so.
    False,
    /// Nobody knows.
    Unknown,
}

/// A container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Container {
    /// Its name.
    pub name: String,
    /// An init container with `restartPolicy: Always`, which runs beside the others.
    pub restartable: bool,
    /// `resources.requests`.
    pub requests: Requests,
}
