//! HealingPolicy: heals the pods and the declared objects of its namespace.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::common::{Condition, Empty, LabelSelector, Mode, Provenance};
use super::rules;
use super::scalar::{CountOrPercent, DurationText};
use crate::core::time::Time;

/// What is healed, how, and how much of it at most.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "homeostat.dev",
    version = "v1alpha1",
    kind = "HealingPolicy",
    plural = "healingpolicies",
    shortname = "hlp",
    category = "homeostat",
    namespaced,
    status = "HealingPolicyStatus",
    derive = "PartialEq",
    doc = "Heals the pods and the declared objects of its namespace, by ladders of remedies and within a budget.",
    printcolumn(name = "Rules", type_ = "string", json_path = ".spec.rules[*].name", priority = 1),
    printcolumn(name = "Mode", type_ = "string", json_path = ".spec.mode"),
    printcolumn(
        name = "Healthy",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Healthy\")].status"
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
pub struct HealingPolicySpec {
    /// Stops this policy: nothing is healed. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspend: Option<bool>,
    /// Whether remedies are carried out (`Enforce`) or only shown (`DryRun`). Default: Enforce.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// Which pods of this namespace. Default: all of them, as with an empty selector.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
    /// How much healing at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<HealingBudget>,
    /// What is healed, and how. The first rule that matches an object counts. 1 to 32, their names distinct.
    #[schemars(length(min = 1, max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub rules: Vec<HealingRule>,
}

/// How much healing at most.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct HealingBudget {
    /// Remedies under way at once, 1 to 100. Default: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub in_flight: Option<i32>,
    /// Remedies in any hour, 1 to 1000. Default: 10. The OperatorConfig limits all policies of a namespace together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub per_hour: Option<i32>,
    /// With more of the selected pods unhealthy than this, nothing is healed, since that is not one pod's fault. A count such
    /// as 3, or a percentage such as 40%, which is rounded up. Default: 40%.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = rules::rule(
        "string(self).matches('^([1-9][0-9]{0,5}|([1-9][0-9]?|100)%)$')",
        "must be a count such as 3 or a percentage from 1% to 100%, such as 40%; to heal nothing set suspend: true",
    ))]
    pub max_unhealthy: Option<CountOrPercent>,
}

/// One symptom and the ladder of remedies against it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = rules::rule(
        "!has(self.when) || !has(self.when.drift) || !has(self.remedies) || self.remedies.all(r, !has(r.do) || !has(r.do.evict))",
        "drift is healed by do: {restore: {}}; evict is for pods",
    ).field_path(".remedies"),
    validation = rules::rule(
        "!has(self.when) || !has(self.when.pod) || !has(self.remedies) || self.remedies.all(r, !has(r.do) || !has(r.do.restore))",
        "pods are healed by do: {evict: {}}; restore is for drift",
    ).field_path(".remedies")
)]
pub struct HealingRule {
    /// Name of the rule, distinct in the policy; incidents and explanations use it.
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = rules::label_name())]
    pub name: String,
    /// What is wrong, and for how long.
    pub when: HealingTrigger,
    /// The ladder. A remedy is tried as often as it may be, then the next one; after the last one healing stops and says so.
    /// 1 to 8, their names distinct.
    #[schemars(length(min = 1, max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub remedies: Vec<Remedy>,
}

/// What is wrong: exactly one of pod and drift; and for how long.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = rules::exactly_one_of(&["pod", "drift"]))]
pub struct HealingTrigger {
    /// A symptom of a pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<PodSymptom>,
    /// An object that a GitSource of this namespace declares is missing or was changed. Write `{}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<Empty>,
    /// How long it must have lasted, by the object's own timestamps, 0s to 24h. Default: 3m for CrashLoopBackOff, 5m for
    /// NotReady, 0s for drift.
    #[serde(default, rename = "for", skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = rules::duration("0s", "24h"))]
    pub lasting: Option<DurationText>,
}

/// A symptom of a pod: a container is in `CrashLoopBackOff`, or the pod runs and is `NotReady`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PodSymptom {
    /// A container waits with reason CrashLoopBackOff.
    CrashLoopBackOff,
    /// The pod runs and its condition Ready is False.
    NotReady,
}

/// One rung of the ladder.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Remedy {
    /// Name of the remedy, distinct in the rule.
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = rules::label_name())]
    pub name: String,
    /// What is done.
    #[serde(rename = "do")]
    pub action: RemedyAction,
    /// How often it is tried for one owner before the next remedy, 1 to 10. Default: 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10))]
    pub attempts: Option<i32>,
    /// How long to wait for its effect before the next attempt, 1s to 24h. Default: 5m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = rules::duration("1s", "24h"))]
    pub wait: Option<DurationText>,
}

/// What a remedy does: exactly one of its fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = rules::exactly_one_of(&["evict", "restore"]))]
pub struct RemedyAction {
    /// Evicts the pod through the eviction API, so that PodDisruptionBudgets hold; its owner makes a new one. For pods. Write
    /// `{}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evict: Option<Empty>,
    /// Applies the declared object again. For drift. Write `{}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore: Option<Empty>,
}

/// What is or was wrong, and what has been done.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct HealingPolicyStatus {
    /// The generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready, Reconciling and Stalled by kstatus; Healthy, Limited.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "super::common::conditions_schema")]
    pub conditions: Vec<Condition>,
    /// Where this policy comes from, if a GitOps tool says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Provenance>,
    /// What is or was wrong and what has been tried; ended ones go first. At most 128. The operator reads them again after a
    /// restart.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["id".into()]))]
    pub incidents: Vec<Incident>,
}

/// One thing that is or was wrong. Attempts count per owner, since an evicted pod comes back under a new name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Incident {
    /// Made of rule and owner, so that the same incident has the same id after a restart.
    #[schemars(length(min = 1, max = 1024))]
    pub id: String,
    /// The rule that saw it.
    #[schemars(length(max = 63))]
    pub rule: String,
    /// The remedy that was tried last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub remedy: Option<String>,
    /// The object that is or was unwell.
    pub object: IncidentObject,
    /// What controls the object; absent where nothing does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<IncidentObject>,
    /// Attempts so far, the one under way included.
    #[schemars(range(min = 0))]
    pub attempts: i32,
    /// How it stands.
    pub phase: IncidentPhase,
    /// Since when it is wrong.
    pub since: Time,
    /// When the last attempt began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_attempt_at: Option<Time>,
    /// The whole of it in a sentence.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 1024))]
    pub message: String,
}

/// An object of this namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct IncidentObject {
    /// Group and version, such as apps/v1 or v1.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 317))]
    pub api_version: String,
    /// Kind, such as Pod or ReplicaSet.
    #[schemars(length(max = 63))]
    pub kind: String,
    /// Name.
    #[schemars(length(max = 253))]
    pub name: String,
    /// Identity: a new object of the same name has another one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 64))]
    pub uid: String,
}

/// How an incident stands: `Intended` (a remedy is about to be carried out, or its outcome is not known yet), `Acted` (its
/// effect is awaited), `Blocked` (the API refused it for now), `GaveUp` (the ladder is used up: a person has to look),
/// `Recovered`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum IncidentPhase {
    /// A remedy is about to be carried out, or its outcome is not known yet.
    Intended,
    /// A remedy was carried out; its effect is awaited.
    Acted,
    /// The API refused the remedy for now.
    Blocked,
    /// The ladder is used up: a person has to look.
    GaveUp,
    /// It is well again.
    Recovered,
}
