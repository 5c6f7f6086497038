//! The simulated cluster: the truth that the operator sees only through watches. Workloads keep their pods at the wanted
//! number, a scheduler binds them, they start, become Ready, crash; nodes come, die and go.
//!
//! Whatever changes is put out as the event that a watch would carry, with what will happen later as [`Timer`]s. Knows
//! nothing of policies and of the operator.

mod api;
mod nodes;
mod pods;
mod workloads;

use std::collections::{BTreeMap, BTreeSet};

use super::random::Random;
use crate::core::event::Event;
use crate::core::names::{ObjectRef, Uid};
use crate::core::quantity::Resources;
use crate::core::time::{Span, Time};
use crate::core::world::{Node, Pod};

pub use nodes::size;
pub use pods::Illness;

/// Index of a pod; never used again.
pub type PodId = usize;
/// Index of a workload.
pub type WorkloadId = usize;

/// Something that the cluster does by itself later.
#[derive(Clone, Debug, PartialEq)]
pub enum Timer {
    /// A workload's controller looks at its pods.
    Reconcile(WorkloadId),
    /// The next stage of a pod's life, if it is still in this one.
    Pod(PodId, u32),
    /// The grace period of a deleted pod is over.
    PodGone(PodId),
    /// A node that was asked for appears.
    NodeJoins(Box<Node>),
    /// A node becomes Ready.
    NodeReady(String),
    /// The pods of a node that has been away for long are given up.
    NodeEvicts(String, u32),
}

/// A workload: a Deployment with one ReplicaSet a template.
#[derive(Clone, Debug)]
pub struct Workload {
    /// The object.
    pub object: ObjectRef,
    /// Its identity.
    pub uid: Uid,
    /// Whether it is there.
    pub exists: bool,
    /// `spec.replicas`.
    pub replicas: u32,
    /// Who wrote `replicas` last.
    pub writer: Option<String>,
    /// Another autoscaler that names it.
    pub other_scaler: Option<String>,
    /// Its current template.
    pub hash: String,
    /// Pods of this template crash.
    pub broken: Option<String>,
    /// So many of the next pods crash too.
    pub cursed: u32,
    /// What a pod asks for.
    pub requests: Resources,
    /// Labels of its pods, and its selector.
    pub labels: BTreeMap<String, String>,
    /// How long a pod takes from bound to Ready, at least and at most.
    pub start: (Span, Span),
    /// A PodDisruptionBudget's `minAvailable`; 0: none.
    pub min_available: u32,
    /// One pod on every node, instead of `replicas`.
    pub daemon: bool,
    /// Its pods, those that are going away included.
    pub pods: BTreeSet<PodId>,
    /// How many objects of this name there were.
    incarnation: u32,
}

/// A pod and what only the cluster knows of it.
#[derive(Clone, Debug)]
pub struct SimPod {
    /// As the API shows it.
    pub pod: Pod,
    /// Whose it is.
    pub workload: WorkloadId,
    /// What is wrong with it.
    pub illness: Illness,
    /// Counts the stages of its life: a timer of an earlier stage means nothing any more.
    stage: u32,
}

/// A node and what only the cluster knows of it.
#[derive(Clone, Debug)]
pub struct SimNode {
    /// As the API shows it.
    pub node: Node,
    /// What pods can still use.
    pub free: Resources,
    /// Its pods.
    pub pods: BTreeSet<PodId>,
    /// Counts its outages.
    outages: u32,
}

/// The truth.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// Nodes that are there, by name.
    pub nodes: BTreeMap<String, SimNode>,
    /// Pods; `None` where one is gone.
    pub pods: Vec<Option<SimPod>>,
    /// Workloads.
    pub workloads: Vec<Workload>,
    /// What a watch would carry, in order.
    pub events: Vec<Event>,
    /// What happens later.
    pub timers: Vec<(Time, Timer)>,
    /// Nodes that were asked for and do not come: the provider is out of order.
    pub provider_fails: bool,
    /// Nodes on their way.
    pub joining: BTreeSet<String>,
    /// Pods without a node.
    pending: BTreeSet<PodId>,
    random: Random,
    made: u64,
}

impl Cluster {
    /// An empty cluster.
    #[must_use]
    pub fn new(random: Random) -> Self {
        Self {
            nodes: BTreeMap::new(),
            pods: Vec::new(),
            workloads: Vec::new(),
            events: Vec::new(),
            timers: Vec::new(),
            provider_fails: false,
            joining: BTreeSet::new(),
            pending: BTreeSet::new(),
            random,
            made: 0,
        }
    }

    /// A timer has run out.
    pub fn fire(&mut self, now: Time, timer: Timer) {
        match timer {
            Timer::Reconcile(workload) => self.reconcile(now, workload),
            Timer::Pod(id, stage) => self.next_stage(now, id, stage),
            Timer::PodGone(id) => self.remove_pod(now, id),
            Timer::NodeJoins(node) => self.node_joins(now, *node),
            Timer::NodeReady(name) => self.node_ready(now, &name),
            Timer::NodeEvicts(name, outage) => self.node_evicts(now, &name, outage),
        }
    }

    /// The workload behind an object reference.
    #[must_use]
    pub fn workload(&self, object: &ObjectRef) -> Option<WorkloadId> {
        self.workloads.iter().position(|w| w.object == *object)
    }

    /// A pod that is there.
    #[must_use]
    pub fn pod(&self, id: PodId) -> Option<&SimPod> {
        self.pods.get(id)?.as_ref()
    }

    /// Pods that are there and not finished.
    #[must_use]
    pub fn pod_count(&self) -> usize {
        self.nodes.values().map(|n| n.pods.len()).sum::<usize>() + self.pending.len()
    }

    /// Ready pods of a workload.
    #[must_use]
    pub fn ready(&self, workload: WorkloadId) -> u32 {
        let pods = self.workloads.get(workload).map(|w| &w.pods);
        let ready = pods
            .into_iter()
            .flatten()
            .filter(|id| self.pod(**id).is_some_and(|p| p.pod.is_ready()));
        u32::try_from(ready.count()).unwrap_or(u32::MAX)
    }

    /// Everything that a list of all pods would show.
    pub fn list_pods(&self) -> impl Iterator<Item = &Pod> {
        self.pods.iter().flatten().map(|p| &p.pod)
    }

    fn uid(&mut self, prefix: &str) -> Uid {
        self.made += 1;
        Uid(format!("{prefix}-{}", self.made))
    }

    fn later(&mut self, at: Time, timer: Timer) {
        self.timers.push((at, timer));
    }

    /// Some time between the two.
    fn within(&mut self, (low, high): (Span, Span)) -> Span {
        Span::from_millis(self.random.between(low.as_millis(), high.as_millis()))
    }
}
