//! ScalingPolicy: what people write. Its triggers are in [`super::scaling_trigger`], its behavior in
//! [`super::scaling_behavior`], its status in [`super::scaling_status`].

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::common::Mode;
use super::rules;
use super::scalar::{DurationText, TimeText};
use super::scaling_behavior::Behavior;
use super::scaling_schedule::Schedule;
use super::scaling_status::ScalingPolicyStatus;
use super::scaling_trigger::Trigger;

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
    ).field_path(".maxReplicas"),
    validation = rules::rule(
        "has(self.triggers) && self.triggers.size() > 0 || has(self.schedules) && self.schedules.size() > 0",
        "at least one trigger or schedule is needed",
    ).field_path(".triggers"),
    validation = rules::rule(
        "!has(self.idle) || self.idle.replicas < (has(self.minReplicas) && self.minReplicas > 1 ? self.minReplicas : 1)",
        "idle.replicas must be below minReplicas (below 1 where that is 0 or omitted)",
    ).field_path(".idle"),
    validation = rules::rule(
        "!has(self.hold) || !has(self.hold.replicas) || self.hold.replicas <= self.maxReplicas",
        "hold.replicas must be at most maxReplicas; raise maxReplicas as well",
    ).field_path(".hold"),
    validation = rules::rule(
        "!has(self.replicaStep) || (self.maxReplicas / self.replicaStep) * self.replicaStep >= (has(self.minReplicas) ? self.minReplicas : 1)",
        "a multiple of replicaStep must lie between minReplicas and maxReplicas",
    ).field_path(".replicaStep"),
    validation = rules::rule(
        "has(self.compat) || !(has(self.idle) || has(self.minReplicas) && self.minReplicas == 0) || has(self.schedules) && self.schedules.size() > 0 || has(self.triggers) && self.triggers.exists(t, has(t.prometheus) || has(t.object) || has(t.external))",
        "at 0 replicas, or an idle size, only prometheus, object and external triggers and schedules can tell that something is to be done; resource, containerResource and pods measure the target's own pods: add such a trigger, or set minReplicas to at least 1 and remove idle",
    ).field_path(".triggers"),
    validation = rules::rule(
        "!has(self.compat) || !(has(self.idle) || has(self.replicaStep) || has(self.formula))",
        "with compat: HPAv2 there is neither idle nor replicaStep nor formula, as the HorizontalPodAutoscaler has none: remove them, or compat",
    ).field_path(".compat"),
    validation = rules::rule(
        "!has(self.compat) || !has(self.triggers) || self.triggers.all(t, !has(t.onMissing) && !has(t.activation))",
        "with compat: HPAv2 triggers have neither onMissing nor activation, as the metrics of the HorizontalPodAutoscaler have none: remove them, or compat",
    ).field_path(".compat"),
    validation = rules::rule(
        "!has(self.compat) || !has(self.behavior) || !has(self.behavior.insideTolerance) && !has(self.behavior.minReadyPercent)",
        "with compat: HPAv2 behavior has neither insideTolerance nor minReadyPercent, as that of autoscaling/v2 has none: remove them, or compat",
    ).field_path(".compat")
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
    /// Lower bound of the replicas, 0 to 2147483647. Default: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 2_147_483_647))]
    pub min_replicas: Option<i32>,
    /// Upper bound of the replicas, 1 to 2147483647, and at least `minReplicas`.
    #[schemars(range(min = 1, max = 2_147_483_647))]
    pub max_replicas: i32,
    /// How few replicas there are while no trigger is active. Default: where minReplicas is 0, none, after the stabilization
    /// window for scaling down; otherwise minReplicas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle: Option<Idle>,
    /// The replicas are always a multiple of this, 1 to 1000; a step is never split, so that a rate limit below it lets one
    /// step pass. Default: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub replica_step: Option<i32>,
    /// Keeps the replicas as they are, or sets them, whatever the triggers say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<Hold>,
    /// Whose answers this policy gives. `HPAv2`: exactly those of the HorizontalPodAutoscaler (autoscaling/v2), its flaws
    /// included; direction, hold and schedules, which change its bounds and targets, may be set besides. Default: Homeostat's own, which differ only where the HorizontalPodAutoscaler is known to err.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compat: Option<Compat>,
    /// What becomes of the target's size when this policy is deleted. Default: Keep.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_delete: Option<OnDelete>,
    /// When a pod that has just started counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub readiness: Option<Readiness>,
    /// How often the triggers are asked and the decision is made, 1s to 1h. Default: 15s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = rules::duration("1s", "1h"))]
    pub interval: Option<DurationText>,
    /// What the replicas follow. Each trigger proposes a number of replicas, and the highest proposal counts. At most 32,
    /// their names distinct. Default: none, which needs schedules; then there are as many replicas as minReplicas says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub triggers: Vec<Trigger>,
    /// What the triggers ask for together: one CEL expression over their proposals by name (a hyphen is an underscore), such
    /// as `max(rps, cpu) + 1`; `values.rps` is what a trigger measured, `current`, `ready`, `min` and `max` are replicas, and
    /// `rps.orValue(3)` says what counts where a trigger has no data. At most 1024 characters. Default: the highest proposal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub formula: Option<String>,
    /// Other bounds and targets at certain times. Where several are in force, the last one that says something counts. At
    /// most 32.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub schedules: Vec<Schedule>,
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

/// What becomes of the target's size when the policy is deleted. `Keep` (the default): it stays. `RestoreReplicas`: the target
/// gets back the size that it had when this policy began to scale it, at once and within minReplicas and maxReplicas, unless
/// somebody else has changed it since, the policy is suspended or held, or the operator does not run just then: a deletion
/// never waits for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OnDelete {
    /// It stays.
    #[default]
    Keep,
    /// The target gets back the size that it had.
    RestoreReplicas,
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

/// Whose answers a policy gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Compat {
    /// Those of the HorizontalPodAutoscaler, autoscaling/v2.
    #[serde(rename = "HPAv2")]
    HpaV2,
}

/// How few replicas there are while no trigger is active.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Idle {
    /// So many; below minReplicas, or 0.
    #[schemars(range(min = 0, max = 2_147_483_647))]
    pub replicas: i32,
    /// How long no trigger must have been active, 0s to 24h. Default: 5m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = rules::duration("0s", "24h"))]
    pub cooldown: Option<DurationText>,
}

/// Keeps the replicas as they are, or sets them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
pub struct Hold {
    /// So many, at most maxReplicas; neither minReplicas nor any rate limit counts. Default: as many as there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 2_147_483_647))]
    pub replicas: Option<i32>,
    /// Why; status and explanations say it. At most 256 characters.
    #[schemars(length(min = 1, max = 256))]
    pub reason: String,
    /// When it ends. Default: when it is removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<TimeText>,
}

/// When a pod that has just started counts: what the HorizontalPodAutoscaler has as flags of the controller.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Readiness {
    /// For so long after its start the processor time of a pod counts only once it is Ready and was measured since, 0s to 1h.
    /// Default: 5m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = rules::duration("0s", "1h"))]
    pub cpu_initialization_period: Option<DurationText>,
    /// A pod that became unready within so long after its start was never Ready, 0s to 1h. Default: 30s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = rules::duration("0s", "1h"))]
    pub initial_readiness_delay: Option<DurationText>,
}
