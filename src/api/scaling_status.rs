//! Status of a ScalingPolicy: what is wanted now, since when, and why. It does not tick: it is written when its meaning
//! changes.

use std::collections::BTreeMap;

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::common::{Condition, Provenance};
use crate::core::time::Time;

/// What is wanted now, since when, and why.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScalingPolicyStatus {
    /// The generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready, Reconciling and Stalled by kstatus; ScalingActive, Limited, MetricsAvailable, TargetFound, FieldConflict.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "super::common::conditions_schema")]
    pub conditions: Vec<Condition>,
    /// Where this policy comes from, if a GitOps tool says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Provenance>,
    /// The last decision and its inputs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<Decision>,
    /// Changes of replicas that this policy made and that rate limits still count, oldest first. At most 64. The operator
    /// reads them again after a restart.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub scale_events: Vec<ScaleEvent>,
    /// Recommendations, before stabilization, that its windows still count, oldest first; the most careful ones. At most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub recommendations: Vec<Recommendation>,
    /// When something was last to do. Absent while there is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_active_at: Option<Time>,
    /// Trigger → since when it has had no value that can be used. At most 32.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "missing_schema")]
    pub missing_since: BTreeMap<String, Time>,
    /// What the target gets back when the policy is deleted. Absent where it keeps its size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original: Option<Original>,
    /// What the triggers' answers were made from when they were last complete, as of when this status was written. At most 32.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["trigger".into()]))]
    pub contributors: Vec<Contributors>,
}

/// The size of the target before this policy changed it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Original {
    /// How many replicas.
    #[schemars(range(min = 0))]
    pub replicas: i32,
    /// Identity of the target: what is made anew under the same name had another size.
    #[schemars(length(max = 64))]
    pub target_uid: String,
}

/// What a trigger's answers were made from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
pub struct Contributors {
    /// Name of the trigger.
    #[schemars(length(max = 63))]
    pub trigger: String,
    /// Series that had a sample.
    #[schemars(range(min = 0))]
    pub series: i64,
    /// Scrape targets that they came from.
    #[schemars(range(min = 0))]
    pub targets: i64,
    /// Ready pods of the policy's target at that time.
    #[schemars(range(min = 0))]
    pub ready: i64,
    /// Since when some are missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
}

/// A recommendation of the past, before stabilization.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
pub struct Recommendation {
    /// When.
    pub at: Time,
    /// How many replicas.
    #[schemars(range(min = 0))]
    pub replicas: i32,
}

/// Schema of a map of times: at most 32.
fn missing_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    let value = schemars::json_schema!({"type": "string", "format": "date-time", "maxLength": 40});
    schemars::json_schema!({"type": "object", "maxProperties": 32, "additionalProperties": value})
}

/// The decision behind the replicas.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Decision {
    /// When it was made.
    pub at: Time,
    /// Replicas of the target at that time.
    #[schemars(range(min = 0))]
    pub from: i32,
    /// What the triggers ask for together, before stabilization and limits. Absent where no trigger had a value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub proposed: Option<i32>,
    /// After stabilization, before limits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub stabilized: Option<i32>,
    /// Replicas that are wanted: after stabilization and limits.
    #[schemars(range(min = 0))]
    pub desired: i32,
    /// Code of the limit that bit, such as ScaleUpLimit or TooManyReplicas. Absent where none did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub limited_by: Option<String>,
    /// When more becomes possible, where a limit bit that lets go with time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_at: Option<Time>,
    /// The whole of it in a sentence, with the numbers.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 2048))]
    pub message: String,
    /// What each trigger said. At most 32.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub triggers: Vec<TriggerStatus>,
}

/// What one trigger said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct TriggerStatus {
    /// Name of the trigger.
    #[schemars(length(max = 63))]
    pub name: String,
    /// Its value, such as 1180, or 61% where the target is a utilization. Absent where it had none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub value: Option<String>,
    /// The sample's own time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sampled_at: Option<Time>,
    /// Replicas that it asks for. Absent where it asks for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub proposal: Option<i32>,
    /// Code of how it fared: ScaleUp, ScaleDown, WithinTolerance, or why it has no proposal, such as NoData or StaleData.
    #[schemars(length(max = 64))]
    pub state: String,
    /// The same in a sentence, where there is more to say.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 1024))]
    pub message: String,
}

/// A change of replicas that the policy made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScaleEvent {
    /// When.
    pub at: Time,
    /// From how many.
    #[schemars(range(min = 0))]
    pub from: i32,
    /// To how many.
    #[schemars(range(min = 0))]
    pub to: i32,
}
