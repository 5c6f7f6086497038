//! What is read of KEDA's kinds (`keda.sh/v1alpha1`). What is not here is reported as unknown.

use std::collections::BTreeMap;

use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscalerBehavior;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Notes;
use crate::offline::convert::plain;

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Spec {
    pub scale_target_ref: ScaleTarget,
    pub polling_interval: Option<i32>,
    pub initial_cooldown_period: Option<i32>,
    pub cooldown_period: Option<i32>,
    pub idle_replica_count: Option<i32>,
    pub min_replica_count: Option<i32>,
    pub max_replica_count: Option<i32>,
    pub advanced: Option<Advanced>,
    #[serde(default)]
    pub triggers: Vec<ScaleTrigger>,
    pub fallback: Option<Fallback>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ScaleTarget {
    pub name: String,
    pub api_version: Option<String>,
    pub kind: Option<String>,
    pub env_source_container_name: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Advanced {
    pub horizontal_pod_autoscaler_config: Option<HpaConfig>,
    pub restore_to_original_replica_count: Option<bool>,
    pub scaling_modifiers: Option<ScalingModifiers>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct HpaConfig {
    pub behavior: Option<HorizontalPodAutoscalerBehavior>,
    pub name: Option<String>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ScalingModifiers {
    pub formula: Option<String>,
    pub target: Option<String>,
    pub activation_target: Option<String>,
    pub metric_type: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Fallback {
    pub failure_threshold: i32,
    pub replicas: i32,
    pub behavior: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ScaleTrigger {
    #[serde(rename = "type")]
    pub kind: String,
    pub name: Option<String>,
    #[serde(default)]
    pub metadata: BTreeMap<String, Value>,
    pub authentication_ref: Option<AuthenticationRef>,
    pub metric_type: Option<String>,
    pub use_cached_metrics: Option<bool>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct AuthenticationRef {
    pub name: String,
    pub kind: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AuthSpec {
    #[serde(default)]
    pub secret_target_ref: Vec<SecretTarget>,
    #[serde(flatten)]
    pub rest: BTreeMap<String, Value>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct SecretTarget {
    pub parameter: String,
    pub name: String,
    pub key: String,
}

impl ScaleTrigger {
    pub fn metadata(&self) -> Metadata {
        Metadata(self.metadata.iter().map(|(k, v)| (k.clone(), plain(v))).collect())
    }
}

/// A scaler's settings; each is taken out as it is read.
pub(super) struct Metadata(BTreeMap<String, String>);

impl Metadata {
    /// The setting, unless it is missing or empty.
    pub fn take(&mut self, name: &str) -> Option<String> {
        self.0.remove(name).filter(|text| !text.is_empty())
    }

    /// A boolean as Go reads it.
    pub fn flag(&mut self, name: &str, default: bool) -> bool {
        self.take(name).map_or(default, |text| {
            matches!(text.as_str(), "1" | "t" | "T" | "true" | "TRUE" | "True")
        })
    }

    /// Says what nobody read.
    pub fn unread(self, field: &str, notes: &mut Notes) {
        for name in self.0.into_keys() {
            let text = "is not known here and not carried over: look whether it matters";
            notes.by_hand(&format!("{field}.metadata.{name}"), text);
        }
    }
}
