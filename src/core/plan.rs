//! What comes out of a step: actions with their preconditions and reasons, refusals, and what policies should report.
//! A plan is never changed; the executor re-checks preconditions and has no choices left to make.

use serde::{Deserialize, Serialize};

use super::names::{ActionId, ObjectKey, ObjectRef, PolicyKey, Uid};
use super::policy::{Mode, NodeTemplate, ProviderKind};
use super::quantity::Replicas;
use super::reason::Reason;
use super::report::Report;
use super::time::Time;

/// The outcome of one step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Plan {
    /// Counts steps; starts at 1.
    pub seq: u64,
    /// When it was made.
    pub at: Time,
    /// What is to be done, in this order where it concerns the same object.
    pub actions: Vec<Action>,
    /// What was wanted and is not done. Only those that begin with this step or whose reason changed.
    pub refusals: Vec<Refusal>,
    /// Refusals that ended with this step.
    pub lifted: Vec<Lifted>,
    /// What policies should report; only those whose meaning changed.
    pub reports: Vec<Report>,
    /// When to step again, whatever happens.
    pub wake_at: Option<Time>,
}

impl Plan {
    /// Whether there is nothing to do and nothing to say.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.actions.is_empty() && self.refusals.is_empty() && self.lifted.is_empty() && self.reports.is_empty()
    }
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Action {
    /// Unique.
    pub id: ActionId,
    /// The policy that wants it.
    pub policy: PolicyKey,
    /// In dry-run mode it is recorded and not carried out.
    pub mode: Mode,
    /// What, with its preconditions.
    pub what: Deed,
    /// Stable code.
    pub reason: Reason,
    /// Why, in a sentence with the numbers.
    pub message: String,
}

/// What is done. Each carries what it was decided from; when that no longer holds, nothing is done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Deed {
    /// Sets the replicas of a target, if it is still this object and still has `from`.
    Scale {
        /// The target.
        target: ObjectRef,
        /// Its identity.
        uid: Uid,
        /// What it was decided from.
        from: Replicas,
        /// What it shall be.
        to: Replicas,
    },
    /// Asks the provider for a node of this name, if there is none.
    AddNode {
        /// Deterministic.
        node: String,
        /// `<policy>.<pool>`.
        pool: String,
        /// Its shape.
        template: Box<NodeTemplate>,
        /// Who makes it.
        provider: ProviderKind,
    },
    /// Marks a node with the taint `homeostat.dev/removing`, if it is still this object, so that nothing new lands on it.
    MarkNode {
        /// Its name.
        node: String,
        /// Its identity.
        uid: Uid,
    },
    /// Takes that taint away again, if it is still this object.
    UnmarkNode {
        /// Its name.
        node: String,
        /// Its identity.
        uid: Uid,
    },
    /// Gives a node back, if it is still this object, still marked, and still without pods of its own.
    RemoveNode {
        /// Its name.
        node: String,
        /// Its identity.
        uid: Uid,
        /// `<policy>.<pool>`.
        pool: String,
        /// Who takes it.
        provider: ProviderKind,
    },
    /// Evicts a pod by the eviction API, if it is still this object.
    Evict {
        /// Which pod.
        pod: ObjectKey,
        /// Its identity.
        uid: Uid,
        /// The incident that the intent is recorded under before the act.
        incident: String,
    },
    /// Applies a declared object again as its GitSource would, if that still declares this revision.
    Restore {
        /// Which object.
        object: ObjectRef,
        /// The GitSource that declares it.
        source: PolicyKey,
        /// The revision that declares it.
        revision: String,
        /// Identity of what is there; `None`: it must be absent.
        uid: Option<Uid>,
    },
}

impl Deed {
    /// The object that it is done to, for Events, budgets and the one-at-a-time rule.
    #[must_use]
    pub fn subject(&self) -> ObjectRef {
        match self {
            Self::Scale { target, .. } => target.clone(),
            Self::AddNode { node, .. }
            | Self::MarkNode { node, .. }
            | Self::UnmarkNode { node, .. }
            | Self::RemoveNode { node, .. } => ObjectRef::new("v1", "Node", "", node),
            Self::Evict { pod, .. } => ObjectRef::new("v1", "Pod", &pod.namespace, &pod.name),
            Self::Restore { object, .. } => object.clone(),
        }
    }

    /// The identity of the object that it is done to, where it is there already.
    #[must_use]
    pub fn uid(&self) -> Option<&Uid> {
        match self {
            Self::Scale { uid, .. }
            | Self::MarkNode { uid, .. }
            | Self::UnmarkNode { uid, .. }
            | Self::RemoveNode { uid, .. }
            | Self::Evict { uid, .. } => Some(uid),
            Self::AddNode { .. } => None,
            Self::Restore { uid, .. } => uid.as_ref(),
        }
    }

    /// A stable verb for metrics and the journal.
    #[must_use]
    pub const fn verb(&self) -> &'static str {
        match self {
            Self::Scale { .. } => "Scale",
            Self::AddNode { .. } => "AddNode",
            Self::MarkNode { .. } => "MarkNode",
            Self::UnmarkNode { .. } => "UnmarkNode",
            Self::RemoveNode { .. } => "RemoveNode",
            Self::Evict { .. } => "Evict",
            Self::Restore { .. } => "Restore",
        }
    }
}

/// An action not taken.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Refusal {
    /// The policy that would have wanted it.
    pub policy: PolicyKey,
    /// What it would have been done to.
    pub subject: ObjectRef,
    /// What would have been done: a [`Deed::verb`].
    pub verb: String,
    /// Stable code.
    pub reason: Reason,
    /// Why not, in a sentence with the numbers.
    pub message: String,
}

/// A refusal that ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Lifted {
    /// As in the refusal.
    pub policy: PolicyKey,
    /// As in the refusal.
    pub subject: ObjectRef,
    /// As in the refusal.
    pub verb: String,
}
