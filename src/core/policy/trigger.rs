//! One source of demand of a ScalingPolicy: what is asked, what it is measured against, and what is done without an answer.

use serde::{Deserialize, Serialize};

use crate::core::names::QueryKey;
use crate::core::quantity::{Milli, Replicas};
use crate::core::time::Span;

/// One source of demand.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Trigger {
    /// Unique in the policy.
    pub name: String,
    /// What is asked, and whom.
    pub query: QueryKey,
    /// Of [`QueryKey::Resources`], which resource of which container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<ResourceName>,
    /// How several elements of an answer become one number.
    #[serde(default, skip_serializing_if = "Combine::is_error")]
    pub combine: Combine,
    /// What the answer is measured against.
    pub target: MetricTarget,
    /// A sample older than this is stale.
    pub max_age: Span,
    /// A value above this is something to do, so that the policy leaves its idle size.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub activation: Milli,
    /// What is done without a value that can be used.
    #[serde(default, skip_serializing_if = "OnMissing::is_hold")]
    pub on_missing: OnMissing,
}

impl Trigger {
    /// A trigger with every default.
    #[must_use]
    pub fn new(name: &str, query: QueryKey, target: MetricTarget, max_age: Span) -> Self {
        Self {
            name: name.into(),
            query,
            resource: None,
            combine: Combine::default(),
            target,
            max_age,
            activation: Milli::default(),
            on_missing: OnMissing::default(),
        }
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(value: &Milli) -> bool {
    *value == Milli::default()
}

/// A resource of pods.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResourceName {
    /// `cpu`, `memory`, …
    pub name: String,
    /// Of one container; `None`: of all containers of the pod together.
    pub container: Option<String>,
}

/// How several elements of an answer become one number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Combine {
    /// Not at all: several elements are a mistake, and count as missing.
    #[default]
    Error,
    /// Their sum.
    Sum,
    /// The highest.
    Max,
    /// Their mean.
    Avg,
}

impl Combine {
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
    fn is_error(&self) -> bool {
        *self == Self::Error
    }
}

/// What a value is measured against, as in `autoscaling/v2`. Always above zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum MetricTarget {
    /// The value itself should be this: replicas grow by the ratio of the two.
    Value(Milli),
    /// The value divided by the replicas should be this; of a value per pod, their mean.
    AverageValue(Milli),
    /// Of a resource: usage in percent of what the pods request. Of any other value: a share of one, in percent.
    Utilization(u32),
}

/// What is done without a value that can be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum OnMissing {
    /// The other triggers may scale up, and nothing scales down.
    #[default]
    Hold,
    /// After so many failed tries the trigger asks for a fixed size; until then as [`OnMissing::Hold`].
    Fallback {
        /// The size.
        replicas: Replicas,
        /// What the size means beside the current one.
        against: Fallback,
        /// Failed tries in a row; at least 1.
        after: u32,
    },
    /// After so many failed tries the policy decides by its other triggers alone; until then as [`OnMissing::Hold`].
    Ignore {
        /// Failed tries in a row; at least 1.
        after: u32,
    },
    /// After so many failed tries the value counts as zero; until then as [`OnMissing::Hold`].
    Zero {
        /// Failed tries in a row; at least 1.
        after: u32,
    },
}

impl OnMissing {
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
    fn is_hold(&self) -> bool {
        *self == Self::Hold
    }

    /// After how many failed tries something is done.
    #[must_use]
    pub const fn after(self) -> Option<u32> {
        match self {
            Self::Hold => None,
            Self::Fallback { after, .. } | Self::Ignore { after } | Self::Zero { after } => Some(after),
        }
    }
}

/// What a fallback size means beside the current one; KEDA's `fallback.behavior`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fallback {
    /// So many.
    #[default]
    Static,
    /// As many as there are.
    CurrentReplicas,
    /// As many as there are, if those are more.
    CurrentReplicasIfHigher,
    /// As many as there are, if those are fewer.
    CurrentReplicasIfLower,
}
