//! The snapshot format: all that decisions are made from, at one point in time. Types only; each doc comment is the manual of
//! its field, in `docs/snapshot.schema.json`.
//!
//! Nothing is guessed: a field that the format does not know is refused, and what was not asked is not there.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::answers::Metrics;
use crate::core::time::Time;

/// All that decisions are made from, at one point in time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Snapshot {
    /// homeostat.dev/v1alpha1.
    pub api_version: ApiVersion,
    /// Snapshot.
    pub kind: Kind,
    /// What it is called; the answer bears the same name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<SnapshotMeta>,
    /// The clock: when the decisions are made. `--at` overrides it; without either there is no answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Time>,
    /// Kubernetes objects as the API gives them: policies, targets, Pods, Nodes, HorizontalPodAutoscalers; Lists of them too.
    /// Objects of other kinds are not looked at. A namespaced object without a namespace is in `default`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub objects: Vec<Value>,
    /// Scales of targets. Where there is one for a target, it counts and not what the target's object says; kinds other than
    /// Deployment, StatefulSet and ReplicaSet need one. A target that has neither does not exist.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scales: Vec<Scale>,
    /// What was asked, and what was answered. What is absent was never asked.
    #[serde(default, skip_serializing_if = "Metrics::is_empty")]
    pub metrics: Metrics,
    /// What ScalingPolicies did and wanted before. Of a policy that is absent here, what its status says counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<History>,
}

/// Version of the format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ApiVersion {
    /// The only one.
    #[default]
    #[serde(rename = "homeostat.dev/v1alpha1")]
    V1Alpha1,
}

/// Kind of the document.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Kind {
    /// The only one.
    #[default]
    Snapshot,
}

/// What a snapshot is called.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SnapshotMeta {
    /// Any text.
    pub name: String,
}

/// An object.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Reference {
    /// Group and version, such as apps/v1.
    pub api_version: String,
    /// Kind, such as Deployment.
    pub kind: String,
    /// Namespace. Default: default.
    #[serde(default = "default_namespace")]
    pub namespace: String,
    /// Name.
    pub name: String,
}

pub(super) fn default_namespace() -> String {
    "default".into()
}

/// The scale of a target.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Scale {
    /// Of which object.
    pub target: Reference,
    /// Identity of the object. Default: what the object says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// `spec.replicas` of the scale. Must be there unless there is an error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 2_147_483_647))]
    pub replicas: Option<u32>,
    /// `status.replicas` of the scale. Default: the same as `replicas`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 2_147_483_647))]
    pub status_replicas: Option<u32>,
    /// `status.selector` of the scale, such as `app=checkout,tier in (a,b)`. Default: what the object says; an empty one
    /// selects nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,
    /// The scale could not be read, and why: instead of `replicas`, `statusReplicas` and `selector`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What a ScalingPolicy did and wanted before; all of it replaces what the policy's status says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct History {
    /// Namespace of the policy. Default: default.
    #[serde(default = "default_namespace")]
    pub namespace: String,
    /// Name of the policy.
    pub name: String,
    /// What it recommended, before stabilization; complete, and perhaps empty. Where the list is absent, nothing is known, and
    /// the windows begin with the current size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recommendations: Option<Vec<PastRecommendation>>,
    /// How it changed the replicas, in both directions. A last change to 0 says that it was the policy that set the target to
    /// zero, and nobody else.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scale_events: Vec<PastChange>,
    /// When a trigger was last active. Default: nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_active: Option<Time>,
    /// Trigger → since when it has had no value that can be used. For such a trigger it counts more than `failedTries`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub missing_since: BTreeMap<String, Time>,
}

/// A recommendation, before stabilization.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PastRecommendation {
    /// When; not after the clock.
    pub at: Time,
    /// How many.
    #[schemars(range(min = 0, max = 2_147_483_647))]
    pub replicas: u32,
}

/// A change of replicas.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PastChange {
    /// When; not after the clock.
    pub at: Time,
    /// From how many.
    #[schemars(range(min = 0, max = 2_147_483_647))]
    pub from: u32,
    /// To how many.
    #[schemars(range(min = 0, max = 2_147_483_647))]
    pub to: u32,
}
