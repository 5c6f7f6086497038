//! What is seen of the cluster, reduced to what decisions need. Every duration comes from a timestamp on the object.

mod pods;
mod targets;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::names::{ObjectKey, ObjectRef, PolicyKey, Uid};
use super::quantity::{Milli, Replicas, Resources};
use super::time::Time;

pub use pods::Pods;
pub use targets::{Known, Sight, TargetId, Targets};

/// All that is seen.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct World {
    /// All pods.
    pub pods: Pods,
    /// By name.
    pub nodes: BTreeMap<String, Node>,
    /// Targets of scaling policies.
    pub targets: Targets,
    /// Targets that cannot be read or scaled, and why.
    pub unusable_targets: BTreeMap<ObjectRef, String>,
    /// Per GitSource what its current revision declares.
    pub declared: BTreeMap<PolicyKey, DeclaredSet>,
    /// Which parts of the picture are complete and current.
    pub views: BTreeMap<View, ViewState>,
    /// The operator's own pod and node, which it never acts upon.
    pub own: Option<OwnIdentity>,
}

impl World {
    /// The pods of a namespace.
    pub fn pods_in(&self, namespace: &str) -> impl Iterator<Item = &Pod> {
        self.pods.in_namespace(namespace)
    }

    /// Every pod.
    pub fn all_pods(&self) -> impl Iterator<Item = &Pod> {
        self.pods.all()
    }

    /// A pod by its key.
    #[must_use]
    pub fn pod(&self, key: &ObjectKey) -> Option<&Pod> {
        self.pods.get(key)
    }

    /// Whether a part of the picture is complete and current.
    #[must_use]
    pub fn sees(&self, view: View) -> bool {
        self.views.get(&view).is_some_and(|state| *state == ViewState::Current)
    }
}

/// A part of the picture that is watched as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum View {
    /// All pods.
    Pods,
    /// All nodes.
    Nodes,
    /// All policies: ScalingPolicy, NodePoolPolicy, HealingPolicy.
    Policies,
}

impl std::fmt::Display for View {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Pods => "pods",
            Self::Nodes => "nodes",
            Self::Policies => "policies",
        })
    }
}

/// Whether a view can be relied upon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ViewState {
    /// The first list is complete and the watch is connected.
    Current,
    /// The watch is broken: what is seen may be old.
    Stale,
}

/// Who the operator is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnIdentity {
    /// Its pod.
    pub pod: ObjectKey,
    /// The node that it runs on.
    pub node: Option<String>,
}

/// A pod.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Pod {
    /// Namespace and name.
    pub key: ObjectKey,
    /// Identity.
    pub uid: Uid,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// The controlling owner.
    pub owner: Option<Owner>,
    /// `pod-template-hash` or `controller-revision-hash`: pods with the same owner and hash are alike.
    pub template_hash: Option<String>,
    /// `status.phase`.
    pub phase: PodPhase,
    /// `metadata.creationTimestamp`.
    pub created: Time,
    /// `metadata.deletionTimestamp`: it is going away.
    pub deleting: Option<Time>,
    /// `status.startTime`.
    pub started: Option<Time>,
    /// The node that it is bound to.
    pub node: Option<String>,
    /// The condition Ready.
    pub ready: Option<Condition>,
    /// Since when the scheduler has called it unschedulable (condition PodScheduled False with reason Unschedulable).
    pub unschedulable_since: Option<Time>,
    /// It waits for scheduling gates, which is no failure.
    pub gated: bool,
    /// Containers, init containers included.
    pub containers: Vec<Container>,
    /// What it asks for by Kubernetes' rules (containers, init containers, sidecars, overhead).
    pub requests: Resources,
    /// What each of its containers and init containers asks for, in the order of the spec.
    pub asks: Vec<Ask>,
    /// What the pod as a whole asks for (`spec.resources.requests`), where it says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod_asks: Option<BTreeMap<String, Milli>>,
    /// What the pod takes besides its containers (`spec.overhead`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overhead: Option<BTreeMap<String, Milli>>,
    /// `spec.nodeSelector`.
    pub node_selector: BTreeMap<String, String>,
    /// `spec.tolerations`.
    pub tolerations: Vec<Toleration>,
    /// Scheduling constraints that the packer does not understand yet, by the name of the field; a pod that has any is never
    /// the reason for a node, and says so.
    pub unsupported: BTreeSet<String>,
}

impl Pod {
    /// Bound to be there and serving: Running, Ready, not going away.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.phase == PodPhase::Running
            && self.deleting.is_none()
            && self.ready.as_ref().is_some_and(|c| c.status == Status::True)
    }

    /// Made by a DaemonSet, or a mirror of a static pod: goes with its node.
    #[must_use]
    pub fn belongs_to_node(&self) -> bool {
        self.owner
            .as_ref()
            .is_some_and(|o| o.kind == "DaemonSet" || o.kind == "Node")
    }

    /// It has ended and takes no room.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        matches!(self.phase, PodPhase::Succeeded | PodPhase::Failed)
    }
}

/// What a container asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Ask {
    /// The container's name.
    pub container: String,
    /// An init container.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub init: bool,
    /// An init container that goes on running (`restartPolicy: Always`).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub sidecar: bool,
    /// Resource → amount. Resources that it does not ask for are absent.
    pub requests: BTreeMap<String, Milli>,
}

/// The controlling owner of an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Owner {
    /// Its group and version.
    pub api_version: String,
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its identity.
    pub uid: Uid,
}

/// `status.phase` of a pod.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum PodPhase {
    /// Not all containers have started.
    #[default]
    Pending,
    /// Bound and started.
    Running,
    /// Ended well.
    Succeeded,
    /// Ended badly.
    Failed,
    /// The node cannot be asked.
    Unknown,
}

/// A condition of an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// True, False or Unknown.
    pub status: Status,
    /// `lastTransitionTime`.
    pub since: Time,
    /// The object's own reason.
    pub reason: String,
}

/// Status of a condition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Status {
    /// It holds.
    True,
    /// It does not hold.
    False,
    /// Nobody knows.
    #[default]
    Unknown,
}

/// A container's state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Container {
    /// Its name.
    pub name: String,
    /// An init container.
    pub init: bool,
    /// `restartCount`.
    pub restarts: u32,
    /// `state.waiting.reason`.
    pub waiting: Option<String>,
    /// `lastState.terminated`.
    pub last_exit: Option<Exit>,
}

/// How a container ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Exit {
    /// `OOMKilled`, `Error`, …
    pub reason: String,
    /// Exit code.
    pub code: i32,
    /// When.
    pub finished: Option<Time>,
}

/// A node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Identity.
    pub uid: Uid,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Taints.
    pub taints: Vec<Taint>,
    /// Cordoned, by whomever.
    pub unschedulable: bool,
    /// The condition Ready.
    pub ready: Option<Condition>,
    /// What pods can use.
    pub allocatable: Resources,
    /// `metadata.creationTimestamp`.
    pub created: Time,
    /// `metadata.deletionTimestamp`.
    pub deleting: Option<Time>,
    /// `cluster-autoscaler.kubernetes.io/scale-down-disabled` or `karpenter.sh/do-not-disrupt` is `"true"`.
    pub do_not_remove: bool,
}

impl Node {
    /// The pool that it belongs to: the value of the label [`POOL_LABEL`].
    #[must_use]
    pub fn pool(&self) -> Option<&str> {
        self.labels.get(POOL_LABEL).map(String::as_str)
    }

    /// Its condition Ready is True.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.ready.as_ref().is_some_and(|c| c.status == Status::True)
    }

    /// It bears the mark that Homeostat sets before it removes a node.
    #[must_use]
    pub fn is_marked(&self) -> bool {
        self.taints.iter().any(|t| t.key == REMOVAL_TAINT)
    }

    /// It is part of the control plane.
    #[must_use]
    pub fn is_control_plane(&self) -> bool {
        self.labels.contains_key("node-role.kubernetes.io/control-plane")
            || self.labels.contains_key("node-role.kubernetes.io/master")
    }
}

/// Names the pool of a node, as `<policy>.<pool>`.
pub const POOL_LABEL: &str = "homeostat.dev/pool";

/// The taint (effect NoSchedule) on a node that is about to be removed. Only Homeostat sets it and only Homeostat lifts it.
pub const REMOVAL_TAINT: &str = "homeostat.dev/removing";

/// A taint.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Taint {
    /// Key.
    pub key: String,
    /// Value; empty where there is none.
    pub value: String,
    /// `NoSchedule`, `PreferNoSchedule` or `NoExecute`.
    pub effect: String,
}

/// A toleration; empty texts stand for absent ones.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Toleration {
    /// Empty with operator Exists tolerates everything.
    pub key: String,
    /// `Exists` or `Equal` (default).
    pub operator: String,
    /// For `Equal`.
    pub value: String,
    /// Empty: every effect.
    pub effect: String,
}

/// A target of scaling.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    /// Identity.
    pub uid: Uid,
    /// `spec.replicas` of its scale.
    pub replicas: Replicas,
    /// `status.replicas` of its scale.
    pub status_replicas: Replicas,
    /// Which pods are its own.
    pub selector: LabelSelector,
    /// Who wrote `replicas` last, by managedFields; `None` where they do not tell.
    pub writer: Option<String>,
    /// Its name ends with a deletion: it is going away.
    pub deleting: bool,
    /// Another autoscaler that names the same target, such as `HorizontalPodAutoscaler shop/checkout`.
    pub other_scaler: Option<String>,
}

/// A label selector; all parts must match. Empty selects everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LabelSelector {
    /// Labels with exactly these values.
    pub match_labels: BTreeMap<String, String>,
    /// Further requirements.
    pub match_expressions: Vec<Requirement>,
}

/// One requirement of a label selector.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Requirement {
    /// The label.
    pub key: String,
    /// How it is compared.
    pub operator: Operator,
    /// With what.
    pub values: Vec<String>,
}

/// How a label is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Operator {
    /// The label has one of the values.
    In,
    /// The label is absent or has none of the values.
    NotIn,
    /// The label is there.
    Exists,
    /// The label is absent.
    DoesNotExist,
}

impl LabelSelector {
    /// Whether it selects nothing in particular.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.match_labels.is_empty() && self.match_expressions.is_empty()
    }

    /// Whether an object with these labels is selected.
    #[must_use]
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.match_labels
            .iter()
            .all(|(key, value)| labels.get(key) == Some(value))
            && self.match_expressions.iter().all(|r| {
                let label = labels.get(&r.key);
                match r.operator {
                    Operator::In => label.is_some_and(|v| r.values.contains(v)),
                    Operator::NotIn => label.is_none_or(|v| !r.values.contains(v)),
                    Operator::Exists => label.is_some(),
                    Operator::DoesNotExist => label.is_none(),
                }
            })
    }
}

/// What the current revision of a GitSource declares.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DeclaredSet {
    /// The revision, as in `main@sha1:…`.
    pub revision: String,
    /// The GitSource is suspended: nothing of it is brought back.
    pub suspend: bool,
    /// Brought back by the GitSource itself (`drift: Enforce`); otherwise only where a HealingPolicy says so.
    pub enforce: bool,
    /// Every declared object, and how it was last seen.
    pub objects: BTreeMap<ObjectRef, DeclaredState>,
}

/// How a declared object was last seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum DeclaredState {
    /// As declared, or not looked at yet.
    InSync,
    /// It is there, with other content.
    Drifted {
        /// Since when it has been seen so.
        since: Time,
        /// Identity of what is there.
        uid: Uid,
        /// The first differing fields, as JSON pointers; at most eight.
        fields: Vec<String>,
        /// Who wrote them, by managedFields.
        writer: Option<String>,
    },
    /// It is not there.
    Missing {
        /// Since when it has been seen so.
        since: Time,
    },
}
