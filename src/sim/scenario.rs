//! A story before it is told: a cluster, its policies, its load, and the list of troubles that will come. Everything is
//! drawn from one seed; what is left out when a story is made shorter changes nothing of the rest.

mod extras;
mod setup;
mod troubles;

use std::fmt;

use super::cluster::WorkloadId;
use super::load::Load;
use super::metrics::{MetricFault, Question};
use super::policies::Spec;
use super::random::Random;
use super::wires::Wire;
use crate::core::names::{ObjectRef, PolicyKey};
use crate::core::policy::Limits;
use crate::core::time::{Span, Time};

pub use setup::{NODE_CPU_MILLI, NODE_PODS, UNITS};

/// When every story begins.
pub const START: Time = Time::from_secs(1_800_000_000);
/// The operator comes after the first pods.
pub const OPERATOR_STARTS: Span = Span::from_mins(5);
/// No trouble comes in the last part of a story, so that it shows whether all is well again.
pub const QUIET: Span = Span::from_mins(45);

/// A story before it is told.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// What all of it was drawn from.
    pub seed: u64,
    /// How long it is.
    pub length: Span,
    /// The cluster's own nodes.
    pub nodes: u32,
    /// Its workloads. The first is the operator's own.
    pub workloads: Vec<Workload>,
    /// What Prometheus can be asked.
    pub questions: Vec<Question>,
    /// Policies at the start.
    pub policies: Vec<Spec>,
    /// Sources of declared objects: name, whether they enforce, what they declare.
    pub sources: Vec<(PolicyKey, bool, Vec<ObjectRef>)>,
    /// What no policy can raise.
    pub limits: Limits,
    /// What goes wrong, and when.
    pub troubles: Vec<Trouble>,
}

/// A workload at the start.
#[derive(Clone, Debug, PartialEq)]
pub struct Workload {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Replicas.
    pub replicas: u32,
    /// What a pod asks for, in thousandths of a processor.
    pub cpu_milli: i64,
    /// A PodDisruptionBudget's `minAvailable`.
    pub min_available: u32,
    /// One pod a node.
    pub daemon: bool,
}

/// Something that goes wrong.
#[derive(Clone, Debug, PartialEq)]
pub struct Trouble {
    /// When, since the start.
    pub at: Span,
    /// How long, where it has a length.
    pub lasts: Span,
    /// What.
    pub what: What,
}

/// What can go wrong.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// Pods of a workload crash again and again; so many of their successors do too.
    Crash {
        /// Whose pods.
        workload: WorkloadId,
        /// How many.
        pods: u32,
        /// How many of their successors.
        inherited: u32,
    },
    /// The readiness probe of some pods fails.
    Unready {
        /// Whose pods.
        workload: WorkloadId,
        /// How many.
        pods: u32,
    },
    /// A share of all pods fails at once.
    Storm {
        /// How many of a hundred.
        percent: u32,
    },
    /// A template whose pods crash is rolled out, and later taken back.
    BadRollout(WorkloadId),
    /// A node does not answer.
    NodeDown(u32),
    /// Prometheus fails, for one question or for all.
    Metrics(Option<usize>, MetricFault),
    /// The load is so many percent of what it would be.
    Surge(usize, u32),
    /// The API server cannot be reached.
    ApiDown,
    /// A watch breaks, and is noticed.
    WatchBroken(Wire),
    /// A watch lags behind.
    WatchLag(Wire, Span),
    /// Writes take long.
    SlowWrites(Span),
    /// The next writes get no clear answer: whether each is done, and whether any answer comes.
    OddAnswers(Vec<(bool, bool)>),
    /// The operator crashes, and is down for a while.
    Restart,
    /// Another replica takes over while writes of the old one are under way.
    LeaderChange,
    /// The readiness probe of the operator's own pod fails.
    OwnUnready,
    /// Somebody sets replicas by hand.
    SetReplicas(WorkloadId, u32),
    /// Somebody sets replicas back again and again, so often.
    Fight(WorkloadId, Span),
    /// The target is deleted, and made again.
    TargetDeleted(WorkloadId),
    /// An HPA names the same target for a while.
    OtherScaler(WorkloadId),
    /// A policy is suspended for a while.
    Suspend(PolicyKey),
    /// A GitSource is suspended for a while.
    SuspendSource(usize),
    /// Somebody changes a policy's bounds, to and fro.
    Bounds(PolicyKey, u32, u32),
    /// A policy only shows what it would do for a while.
    DryRun(PolicyKey),
    /// A policy is deleted, and made again.
    PolicyDeleted(PolicyKey),
    /// Another policy for the same target, older or newer.
    Duplicate(PolicyKey, bool),
    /// A policy cannot be used for a while.
    Invalid(PolicyKey),
    /// A declared object is changed by hand or deleted.
    Drift(usize, ObjectRef, bool),
    /// Somebody changes a declared object again and again.
    DriftFight(usize, ObjectRef),
    /// A new revision leaves an object out, and a later one takes it in again.
    NewRevision(usize, ObjectRef),
    /// The provider of nodes is out of order.
    ProviderFails,
    /// A pod comes to a node that is about to be removed, past its taint.
    IntruderOnMarked,
}

impl Scenario {
    /// The story of a seed.
    #[must_use]
    pub fn random(seed: u64, length: Span) -> Self {
        let random = Random::new(seed);
        let mut scenario = setup::random(&random, seed, length);
        scenario.troubles = troubles::random(&mut random.fork("troubles"), &scenario);
        scenario
    }

    /// The same story without trouble.
    #[must_use]
    pub fn calm(seed: u64, length: Span) -> Self {
        setup::random(&Random::new(seed), seed, length)
    }

    /// Replaces the load of every question, for a comparison under one load.
    #[must_use]
    pub fn with_load(mut self, load: &Load) -> Self {
        for question in &mut self.questions {
            question.load = load.clone();
        }
        self
    }

    /// The name of a workload.
    #[must_use]
    pub fn workload(&self, id: WorkloadId) -> String {
        self.workloads
            .get(id)
            .map_or_else(String::new, |w| format!("{}/{}", w.namespace, w.name))
    }

    /// One trouble in words.
    #[must_use]
    pub fn in_words(&self, trouble: &Trouble) -> String {
        let what = Words(self, &trouble.what);
        if trouble.lasts == Span::ZERO {
            format!("{what}")
        } else {
            format!("{what}, for {}", trouble.lasts)
        }
    }
}

struct Words<'a>(&'a Scenario, &'a What);

impl fmt::Display for Words<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(story, what) = self;
        let name = |id: &WorkloadId| story.workload(*id);
        let source = |i: &usize| story.sources.get(*i).map_or_else(String::new, |s| s.0.to_string());
        match what {
            What::Crash {
                workload,
                pods,
                inherited,
            } => write!(f, "{pods} pods of {} crash, and {inherited} successors", name(workload)),
            What::Unready { workload, pods } => write!(f, "{pods} pods of {} are not Ready", name(workload)),
            What::Storm { percent } => write!(f, "{percent} % of all pods are not Ready"),
            What::BadRollout(w) => write!(f, "a template of {} whose pods crash is rolled out", name(w)),
            What::NodeDown(node) => write!(f, "node n{node} does not answer"),
            What::Metrics(None, how) => write!(f, "Prometheus fails: {how:?}"),
            What::Metrics(Some(q), how) => write!(f, "query {} fails: {how:?}", story.questions[*q].key),
            What::Surge(q, percent) => write!(f, "{} is at {percent} % of its load", story.questions[*q].key),
            What::ApiDown => f.write_str("the API server cannot be reached"),
            What::WatchBroken(wire) => write!(f, "the watch of {wire:?} is broken"),
            What::WatchLag(wire, lag) => write!(f, "the watch of {wire:?} lags by {lag}"),
            What::SlowWrites(by) => write!(f, "writes take {by}"),
            What::OddAnswers(odd) => write!(f, "the next {} writes get no clear answer", odd.len()),
            What::Restart => f.write_str("the operator crashes"),
            What::LeaderChange => f.write_str("another replica of the operator takes over"),
            What::OwnUnready => f.write_str("the operator's own pod is not Ready"),
            What::SetReplicas(w, to) => write!(f, "somebody sets {} to {to} replicas", name(w)),
            What::Fight(w, every) => write!(f, "somebody sets the replicas of {} back every {every}", name(w)),
            What::TargetDeleted(w) => write!(f, "{} is deleted and later made again", name(w)),
            What::OtherScaler(w) => write!(f, "an HPA names {}", name(w)),
            What::Suspend(key) => write!(f, "{key} is suspended"),
            What::SuspendSource(s) => write!(f, "{} is suspended", source(s)),
            What::Bounds(key, min, max) => write!(f, "{key} gets the bounds {min} to {max}"),
            What::DryRun(key) => write!(f, "{key} is in dry-run mode"),
            What::PolicyDeleted(key) => write!(f, "{key} is deleted and later made again"),
            What::Duplicate(key, older) => {
                let age = if *older { "an older" } else { "a newer" };
                write!(f, "{age} policy names the target of {key}")
            }
            What::Invalid(key) => write!(f, "{key} cannot be used"),
            What::Drift(_, object, true) => write!(f, "{object} is deleted by hand"),
            What::Drift(_, object, false) => write!(f, "{object} is changed by hand"),
            What::DriftFight(_, object) => write!(f, "somebody changes {object} again and again"),
            What::NewRevision(s, object) => write!(f, "a revision of {} leaves out {object}", source(s)),
            What::ProviderFails => f.write_str("the node provider is out of order"),
            What::IntruderOnMarked => f.write_str("a pod comes to a node that is about to be removed"),
        }
    }
}
