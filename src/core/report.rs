//! What a policy should say of itself: the status of its custom resource, without kube.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::names::{ObjectRef, PolicyKey, Uid};
use super::quantity::{Milli, Replicas};
use super::reason::Reason;
use super::sample::QueryError;
use super::scaling::contributors::Baseline;
use super::time::Time;
use super::world::Status;

/// A policy's status. Reports carry absolute times only, and a new one is made only when the meaning changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Whose.
    pub policy: PolicyKey,
    /// The generation it speaks of.
    pub generation: i64,
    /// By kstatus: Ready, Stalled (present only while True), and the kind's own.
    pub conditions: Vec<ConditionReport>,
    /// The kind's own part.
    pub detail: Detail,
}

impl Report {
    /// Of a policy that cannot be used: kstatus Stalled, since only a person can help.
    #[must_use]
    pub fn invalid(policy: &PolicyKey, generation: i64, message: &str) -> Self {
        let condition = |kind: &str, status| ConditionReport {
            kind: kind.into(),
            status,
            reason: Reason::InvalidPolicy,
            message: message.into(),
        };
        let conditions = vec![condition("Ready", Status::False), condition("Stalled", Status::True)];
        Self {
            policy: policy.clone(),
            generation,
            conditions,
            detail: Detail::None,
        }
    }

    /// Of a configuration that is in use.
    #[must_use]
    pub fn accepted(policy: &PolicyKey, generation: i64) -> Self {
        Self {
            policy: policy.clone(),
            generation,
            conditions: vec![ConditionReport {
                kind: "Ready".into(),
                status: Status::True,
                reason: Reason::Accepted,
                message: "in use".into(),
            }],
            detail: Detail::None,
        }
    }

    /// The condition of this type.
    #[must_use]
    pub fn condition(&self, kind: &str) -> Option<&ConditionReport> {
        self.conditions.iter().find(|c| c.kind == kind)
    }
}

/// One condition. The time of its last transition is kept by whoever writes the status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConditionReport {
    /// `Ready`, `Stalled`, `ScalingActive`, `Limited`, `FieldConflict`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether it holds.
    pub status: Status,
    /// Stable code.
    pub reason: Reason,
    /// In a sentence; what to do where something is wrong.
    pub message: String,
}

/// The part of a report that differs by kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Detail {
    /// Nothing more: the policy is invalid, or only a configuration.
    None,
    /// Of a ScalingPolicy.
    Scaling(Box<ScalingReport>),
    /// Of a NodePoolPolicy.
    Nodes(NodesReport),
    /// Of a HealingPolicy.
    Healing(HealingReport),
}

/// Of a ScalingPolicy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ScalingReport {
    /// The last decision.
    pub decision: Option<Decision>,
    /// What decisions to come still need of the past.
    pub history: ScalingHistory,
}

/// What decisions of a ScalingPolicy need of its past.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ScalingHistory {
    /// Own scale events that rate limits still need, oldest first.
    pub scale_events: Vec<ScaleEvent>,
    /// Recommendations, before stabilization, that its windows still need, oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub recommendations: Vec<Recommendation>,
    /// Until when no recommendation is missing; `None`: some may be, so that windows begin anew with the current size.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub complete_until: Option<Time>,
    /// When a trigger was last active; `None`: it still is, or nobody knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_active: Option<Time>,
    /// Trigger → since when it has had no value that can be used.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub missing_since: BTreeMap<String, Time>,
    /// What the target gets back when the policy is deleted; `None`: nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub original: Option<Original>,
    /// Trigger → what its answers were made from when they were last complete.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub contributors: BTreeMap<String, Baseline>,
}

/// The size of a target before its policy changed it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Original {
    /// How many replicas.
    pub replicas: Replicas,
    /// The target's identity: another object had another size.
    pub uid: Uid,
}

/// A recommendation of the past, before stabilization.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recommendation {
    /// When.
    pub at: Time,
    /// How many.
    pub replicas: Replicas,
}

/// Why it is so many: the decision behind the replicas.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Decision {
    /// When it was made.
    pub at: Time,
    /// Replicas at that time.
    pub from: Replicas,
    /// The triggers' combined recommendation, before stabilization and limits; `None` when there was none.
    pub proposed: Option<Replicas>,
    /// After stabilization.
    pub stabilized: Replicas,
    /// After limits: what is wanted.
    pub desired: Replicas,
    /// Which limit bit, if one did.
    pub limited_by: Option<Reason>,
    /// What each trigger said, in the policy's order.
    pub triggers: Vec<TriggerReport>,
    /// The whole of it in a sentence.
    pub message: String,
}

/// What one trigger said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TriggerReport {
    /// Its name.
    pub name: String,
    /// Its value, if it had one.
    pub value: Option<Milli>,
    /// The value is a share, which people read as a percentage.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_share: bool,
    /// The sample's own time.
    pub sampled_at: Option<Time>,
    /// The replicas that it asks for.
    pub proposal: Option<Replicas>,
    /// How it fared: `ScaleUp`, `ScaleDown`, `WithinTolerance`, or why it has no proposal (`NoData`, `StaleData`, …).
    pub reason: Reason,
    /// How its query failed, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<QueryError>,
    /// In a sentence.
    pub message: String,
}

impl TriggerReport {
    /// The value as people read it, such as `1180` or `61%`.
    #[must_use]
    pub fn value_in_words(&self) -> Option<String> {
        let value = self.value?;
        if self.is_share {
            let percent = Milli::new(value.thousandths().saturating_mul(100));
            return Some(format!("{percent}%"));
        }
        Some(value.to_string())
    }
}

/// A change of replicas that this policy made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScaleEvent {
    /// When.
    pub at: Time,
    /// From how many.
    pub from: Replicas,
    /// To how many.
    pub to: Replicas,
}

/// Of a NodePoolPolicy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodesReport {
    /// In the policy's order.
    pub pools: Vec<PoolReport>,
    /// Unschedulable pods that no pool can help.
    pub waiting_pods: u32,
}

/// One pool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PoolReport {
    /// Its name.
    pub name: String,
    /// Nodes that are there.
    pub nodes: Replicas,
    /// Nodes that were asked for and are not Ready yet.
    pub incoming: Replicas,
    /// Nodes that are wanted.
    pub target: Replicas,
    /// Unschedulable pods that fit on its nodes and need more of them than there may be now.
    pub waiting_pods: u32,
    /// Why the target is what it is.
    pub reason: Reason,
}

/// Of a HealingPolicy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HealingReport {
    /// What is or was wrong and what has been tried; at most [`MAX_INCIDENTS`], the oldest ended ones go first.
    pub incidents: Vec<Incident>,
}

/// How many incidents a policy remembers.
pub const MAX_INCIDENTS: usize = 100;

/// One thing that is or was wrong. Attempts count per owner, since a pod that is evicted comes back under a new name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Incident {
    /// Deterministic: rule and owner.
    pub id: String,
    /// The rule that saw it.
    pub rule: String,
    /// The owner (or the object itself, where it has none).
    pub owner: ObjectRef,
    /// The object last acted upon.
    pub object: ObjectRef,
    /// Its identity.
    pub uid: Uid,
    /// Since when it is wrong.
    pub since: Time,
    /// Attempts so far, the one under way included.
    pub attempts: u32,
    /// When the last attempt began.
    pub last_attempt: Option<Time>,
    /// How it stands.
    pub phase: IncidentPhase,
    /// In a sentence.
    pub message: String,
}

/// How an incident stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
