//! What several kinds have: mode, selectors, references, conditions, provenance.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::rules;

pub use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

/// Condition types: kstatus' three, and the kinds' own.
pub mod condition {
    /// The spec is accepted and the policy is at work. Never Unknown for long.
    pub const READY: &str = "Ready";
    /// Present only while True: a change is being carried out.
    pub const RECONCILING: &str = "Reconciling";
    /// Present only while True: only a person can help.
    pub const STALLED: &str = "Stalled";
    /// ScalingPolicy: it computes replicas and may write them.
    pub const SCALING_ACTIVE: &str = "ScalingActive";
    /// ScalingPolicy, NodePoolPolicy: a bound or a rate limit holds the size back.
    pub const LIMITED: &str = "Limited";
    /// ScalingPolicy: every trigger has a current value.
    pub const METRICS_AVAILABLE: &str = "MetricsAvailable";
    /// ScalingPolicy: the target exists and can be scaled.
    pub const TARGET_FOUND: &str = "TargetFound";
    /// Somebody else keeps writing a field that this policy writes.
    pub const FIELD_CONFLICT: &str = "FieldConflict";
    /// HealingPolicy: nothing is wrong that it looks at.
    pub const HEALTHY: &str = "Healthy";
}

/// Whether actions are carried out: `Enforce` (the default) carries them out; `DryRun` decides, records and explains them,
/// and carries out none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Mode {
    /// They are carried out.
    #[default]
    Enforce,
    /// They are decided, recorded and explained only.
    DryRun,
}

/// A variant without settings: write `{}`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Empty {}

/// A Secret in a known namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
pub struct SecretRef {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = rules::object_name())]
    pub name: String,
}

/// One key of a Secret in a known namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
pub struct SecretKeyRef {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = rules::object_name())]
    pub name: String,
    /// Key in the Secret's data.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

/// Which objects, by their labels: all requirements must be met. Shape and meaning are those of Kubernetes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct LabelSelector {
    /// Labels that must have exactly these values. At most 32.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "labels_schema")]
    #[x_kube(validation = rules::label_keys())]
    pub match_labels: BTreeMap<String, String>,
    /// Requirements on labels. At most 32.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub match_expressions: Vec<LabelSelectorRequirement>,
}

/// A requirement on one label.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(
    validation = rules::rule(
        "self.operator in ['In', 'NotIn'] ? has(self.values) && self.values.size() > 0 : !has(self.values) || self.values.size() == 0",
        "operators In and NotIn need values; Exists and DoesNotExist must have none",
    )
)]
pub struct LabelSelectorRequirement {
    /// The label's key.
    #[schemars(length(min = 1, max = 317))]
    #[x_kube(validation = rules::label_key())]
    pub key: String,
    /// How the label relates to the values.
    pub operator: LabelOperator,
    /// For `In` and `NotIn`: the values, at most 64. Not with the others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 63)))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub values: Vec<String>,
}

/// How the label relates to the values: `In` or `NotIn` them, or the label `Exists` or `DoesNotExist`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum LabelOperator {
    /// The value is one of them.
    In,
    /// The value is none of them, or the label is missing.
    NotIn,
    /// The label is there.
    Exists,
    /// The label is missing.
    DoesNotExist,
}

/// Where an object comes from: how a decision is traced to a commit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
pub struct Provenance {
    /// URL of the repository, without credentials.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 2048))]
    pub repository: String,
    /// Revision that was applied, such as `main@sha1:4f2c9e1…`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 512))]
    pub revision: String,
    /// File or directory in the repository, where it is known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 1024))]
    pub path: String,
    /// What applied it: `homeostat` (a GitSource), `flux`, `argocd`, `configsync`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 63))]
    pub tool: String,
}

/// Schema of a map of labels: at most 32, values as Kubernetes allows them.
#[must_use]
pub fn labels_schema(_: &mut SchemaGenerator) -> Schema {
    let value = json_schema!({
        "type": "string",
        "maxLength": 63,
        "x-kubernetes-validations": [rules::label_value()],
    });
    json_schema!({"type": "object", "maxProperties": 32, "additionalProperties": value})
}

/// Schema of `metav1.Condition` with the limits of its Go type, as a map by type.
#[must_use]
pub fn conditions_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 16,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
        "items": {
            "description": "One aspect of the current state.",
            "type": "object",
            "required": ["lastTransitionTime", "message", "reason", "status", "type"],
            "properties": {
                "lastTransitionTime": {
                    "description": "When the status last changed.",
                    "type": "string", "format": "date-time", "maxLength": 40,
                },
                "message": {
                    "description": "In a sentence: what is so, and what to do where something is wrong.",
                    "type": "string", "maxLength": 32768,
                },
                "observedGeneration": {
                    "description": "The generation of the object that this was said of.",
                    "type": "integer", "format": "int64", "minimum": 0,
                },
                "reason": {
                    "description": "Stable code of the reason.",
                    "type": "string", "minLength": 1, "maxLength": 1024,
                    "pattern": "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
                },
                "status": {
                    "description": "True, False or Unknown.",
                    "type": "string", "enum": ["True", "False", "Unknown"],
                },
                "type": {
                    "description": "Type of the condition, such as Ready.",
                    "type": "string", "maxLength": 316,
                },
            },
        },
    })
}
