//! The only way into the engine: what was seen, with the time at which it was seen.

use serde::{Deserialize, Serialize};

use super::names::{ActionId, ObjectKey, ObjectRef, PolicyKey, QueryKey, Uid};
use super::policy::{HealingPolicy, Limits, NodePoolPolicy, ScalingPolicy};
use super::quantity::Replicas;
use super::report::{Incident, ScalingHistory};
use super::sample::Reading;
use super::world::{DeclaredSet, DeclaredState, Node, OwnIdentity, Pod, Target, View, ViewState};

/// One observation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Event {
    /// Who the operator is.
    Own(OwnIdentity),
    /// Limits that no policy can raise.
    Limits(Limits),
    /// A part of the picture became complete, or its watch broke.
    View {
        /// Which part.
        view: View,
        /// How it is now.
        state: ViewState,
    },
    /// A ScalingPolicy was made or changed. The history is what its status remembers; it counts only when the engine knows
    /// nothing of this policy yet.
    ScalingPolicy {
        /// The policy.
        policy: Box<ScalingPolicy>,
        /// What it did and wanted before the operator started.
        history: ScalingHistory,
    },
    /// A NodePoolPolicy was made or changed.
    NodePoolPolicy(Box<NodePoolPolicy>),
    /// A HealingPolicy was made or changed. The incidents are what its status remembers; they count only when the engine
    /// knows nothing of this policy yet.
    HealingPolicy {
        /// The policy.
        policy: Box<HealingPolicy>,
        /// What it has tried before the operator started.
        incidents: Vec<Incident>,
    },
    /// A policy is there and cannot be used. It stops acting, and nothing it did is undone.
    PolicyInvalid {
        /// Which.
        key: PolicyKey,
        /// The object's generation.
        generation: i64,
        /// What is wrong, where, and what to write instead.
        message: String,
        /// The object's identity.
        uid: Uid,
        /// What a ScalingPolicy scales, as far as it can still be read: its replicas stay out of everybody else's hands.
        target: Option<ObjectRef>,
    },
    /// The OperatorConfig can be used, as it is in this generation.
    ConfigAccepted {
        /// Which.
        key: PolicyKey,
        /// The object's identity.
        uid: Uid,
        /// The object's generation.
        generation: i64,
    },
    /// A policy was deleted.
    PolicyGone(PolicyKey),
    /// Another replica acts for this policy: what is remembered of its past is out of date, and the policy's next event says
    /// anew what has been done.
    ActedElsewhere(PolicyKey),
    /// A target as it is now; `None` where it does not exist.
    Target {
        /// Which.
        object: ObjectRef,
        /// How it is.
        target: Option<Box<Target>>,
    },
    /// A target cannot be read or scaled, and only a person can change that.
    TargetUnusable {
        /// Which.
        object: ObjectRef,
        /// Why, and what to do.
        message: String,
    },
    /// A pod as it is now.
    Pod(Box<Pod>),
    /// A pod is gone.
    PodGone(ObjectKey),
    /// A node as it is now.
    Node(Box<Node>),
    /// A node is gone.
    NodeGone(String),
    /// What a query said.
    Sample {
        /// Which query.
        query: QueryKey,
        /// Its outcome.
        reading: Reading,
    },
    /// What a GitSource declares now; `None` when the GitSource is gone.
    Declared {
        /// Which GitSource.
        source: PolicyKey,
        /// All of it; states of objects known before are kept.
        set: Option<Box<DeclaredSet>>,
    },
    /// How a declared object was seen.
    DeclaredObject {
        /// Which GitSource.
        source: PolicyKey,
        /// Which object.
        object: ObjectRef,
        /// How it was seen.
        state: DeclaredState,
    },
    /// What became of an action.
    Outcome {
        /// Which.
        action: ActionId,
        /// How it went.
        outcome: Outcome,
    },
    /// The provider's word on a node that was asked for: it will not come.
    NodeFailed {
        /// Its name.
        node: String,
        /// Why.
        message: String,
    },
}

/// What became of an action.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Outcome {
    /// Done, as the API server confirmed.
    Done,
    /// A precondition no longer held; nothing was done.
    Conflict {
        /// What was found instead.
        message: String,
        /// For a scale action: the replicas that were found.
        found: Option<Replicas>,
    },
    /// The API refused it for now, such as an eviction that a PodDisruptionBudget does not allow; nothing was done.
    Blocked {
        /// The API's words.
        message: String,
    },
    /// It failed and nothing was done.
    Failed {
        /// What happened and what to do.
        message: String,
    },
    /// No clear answer: it may have been done. The truth must be seen before anything more.
    Unknown {
        /// What happened.
        message: String,
    },
    /// Not tried: not the leader, or shutting down, or the intent could not be recorded.
    Skipped {
        /// Why.
        message: String,
    },
}
