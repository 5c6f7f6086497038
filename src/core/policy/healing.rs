//! A validated HealingPolicy.

use serde::{Deserialize, Serialize};

use super::Meta;
use crate::core::time::Span;
use crate::core::world::LabelSelector;

/// Heals pods and declared objects of its namespace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HealingPolicy {
    /// Name, identity, mode.
    pub meta: Meta,
    /// Which pods; empty selects all of the namespace.
    pub selector: LabelSelector,
    /// How much healing at most.
    pub budget: Budget,
    /// In order: the first rule that matches an object counts.
    pub rules: Vec<HealingRule>,
}

/// How much healing at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Budget {
    /// Remedies under way at once; at least 1.
    pub in_flight: u32,
    /// Remedies in any hour.
    pub per_hour: u32,
    /// With more of the selected pods unhealthy than this, nothing is healed: that is not a pod's fault.
    pub max_unhealthy: Share,
}

/// A count, or a percentage (rounded up, so that 1 of 3 is within 20 %).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Share {
    /// So many.
    Count(u32),
    /// So many percent, 0 to 100.
    Percent(u32),
}

impl Share {
    /// How many of `total` that is; percentages round up.
    #[must_use]
    pub fn of(self, total: u32) -> u32 {
        match self {
            Self::Count(count) => count,
            Self::Percent(percent) => {
                u32::try_from((u64::from(total) * u64::from(percent)).div_ceil(100)).unwrap_or(u32::MAX)
            }
        }
    }
}

/// One symptom and the ladder of remedies against it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HealingRule {
    /// Unique in the policy.
    pub name: String,
    /// What is healed.
    pub when: Cause,
    /// How long it must have lasted, by timestamps on the object.
    pub lasting: Span,
    /// The ladder: after the attempts of one remedy are used up comes the next; after the last it stops and says so.
    pub remedies: Vec<Remedy>,
}

/// What is healed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Cause {
    /// A symptom of a pod.
    Pod(PodSymptom),
    /// A declared object that is missing or was changed.
    Drift,
}

/// A symptom of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum PodSymptom {
    /// A container waits with reason `CrashLoopBackOff`.
    CrashLoopBackOff,
    /// The pod runs and its condition Ready is False.
    NotReady,
}

impl PodSymptom {
    /// As in manifests.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CrashLoopBackOff => "CrashLoopBackOff",
            Self::NotReady => "NotReady",
        }
    }
}

/// One rung of a ladder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Remedy {
    /// Unique in the rule.
    pub name: String,
    /// What is done.
    pub action: RemedyAction,
    /// How often it is tried per owner before the next rung; at least 1.
    pub attempts: u32,
    /// How long to wait for the outcome before the next attempt.
    pub wait: Span,
}

/// What a remedy does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RemedyAction {
    /// Evicts the pod by the eviction API, so that PodDisruptionBudgets hold.
    Evict,
    /// Applies the declared object again.
    Restore,
}
