//! Turns events, plans and outcomes into metrics. What is shown of a policy goes when the policy goes, and all of it when
//! the term ends: only what is true now is exposed.

mod policies;
mod survey;
pub(super) mod visible;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::metrics::{
    ActionLabels, EventLabels, HealLabels, Metrics, PoolLabels, RefusalLabels, SourceLabels, SyncLabels, ViewLabels,
};
use crate::core::engine::Engine;
use crate::core::event::{Event, Outcome};
use crate::core::names::{PolicyKey, PolicyKind, QueryKey};
use crate::core::plan::{Action, Deed, Plan, Refusal};
use crate::core::time::Time;
use crate::core::world::{Node, View};
use policies::Series;
use visible::Picture;

/// Outcomes of a sync after which the cluster is as the repository says.
pub(super) const SYNCED: [&str; 2] = ["Applied", "Unchanged"];
/// The outcome where a GitSource is suspended: neither a success nor a failure.
pub(super) const SYNC_SUSPENDED: &str = "Suspended";
/// A node that was asked for and has not come after this time is no longer timed.
const FORGET_NODE: Duration = Duration::from_hours(2);

/// What is shown now and must go at some time.
#[derive(Debug, Default)]
pub(super) struct Shown {
    policies: BTreeMap<PolicyKey, Series>,
    counted: BTreeMap<PolicyKey, Counted>,
    /// Queries with a new answer since the last plan.
    sampled: BTreeSet<QueryKey>,
    /// Nodes that were asked for, and when.
    asked: BTreeMap<String, (PoolLabels, Instant)>,
    /// Namespaces whose budget is shown.
    namespaces: BTreeSet<String>,
    surveyed: Option<Time>,
}

/// Counters of one policy: they stay when the term ends, and go with the policy.
#[derive(Debug, Default)]
struct Counted {
    refusals: HashSet<RefusalLabels>,
    synced: HashSet<SyncLabels>,
}

impl Shown {
    /// What is shown of every policy, apart.
    pub(super) fn picture(&self) -> Picture {
        let shown = self.policies.iter();
        shown
            .map(|(key, series)| (key.clone(), Arc::clone(&series.visible)))
            .collect()
    }
}

impl Metrics {
    /// A term begins: what an earlier one showed of policies is no longer known to be true.
    pub fn begin_term(&self) {
        let mut shown = self.shown();
        for (key, series) in &mut shown.policies {
            self.hide(key, series);
            *series = Series::counters_of(series);
        }
        self.forget_survey(&mut shown);
        shown.sampled.clear();
        shown.asked.clear();
    }

    /// Counts an event.
    pub fn observed(&self, event: &Event) {
        let kind = match event {
            Event::Pod(_) | Event::PodGone(_) => "Pod",
            Event::Node(_) | Event::NodeGone(_) | Event::NodeFailed { .. } => "Node",
            Event::Sample { .. } => "Sample",
            Event::Target { .. } | Event::TargetUnusable { .. } => "Target",
            Event::Outcome { .. } => "Outcome",
            Event::Declared { .. } | Event::DeclaredObject { .. } => "Declared",
            Event::View { .. } => "View",
            Event::ScalingPolicy { .. }
            | Event::NodePoolPolicy(_)
            | Event::HealingPolicy { .. }
            | Event::PolicyInvalid { .. }
            | Event::PolicyGone(_)
            | Event::ActedElsewhere(_) => "Policy",
            Event::Own(_) | Event::Limits(_) | Event::ConfigAccepted { .. } => "Config",
        };
        self.events_observed
            .get_or_create(&EventLabels { event: kind.into() })
            .inc();
        match event {
            Event::PolicyGone(key) | Event::Declared { source: key, set: None } => self.forget(key),
            Event::Sample { query, .. } => {
                self.shown().sampled.insert(query.clone());
            }
            Event::Node(node) => self.node_seen(node),
            Event::NodeGone(node) | Event::NodeFailed { node, .. } => {
                self.shown().asked.remove(node);
            }
            _ => {}
        }
    }

    /// A node that was asked for is timed until it is Ready.
    fn node_seen(&self, node: &Node) {
        if node.is_ready()
            && let Some((pool, asked)) = self.shown().asked.remove(&node.name)
        {
            let seconds = asked.elapsed().as_secs_f64();
            self.node_pool_time_to_ready_seconds
                .get_or_create(&pool)
                .observe(seconds);
        }
    }

    /// The policy is gone, and its series with it.
    fn forget(&self, key: &PolicyKey) {
        let mut shown = self.shown();
        if let Some(series) = shown.policies.remove(key) {
            self.hide(key, &series);
            for pool in &series.pools {
                self.node_pool_time_to_ready_seconds.remove(pool);
            }
        }
        let counted = shown.counted.remove(key).unwrap_or_default();
        for labels in &counted.refusals {
            self.refusals.remove(labels);
        }
        for labels in &counted.synced {
            self.git_syncs.remove(labels);
        }
        if key.kind == PolicyKind::GitSource {
            self.git_objects.remove(&source_labels(key));
            self.git_ready.remove(&source_labels(key));
        }
    }

    /// Whether a view is current.
    pub fn sees(&self, view: View, current: bool) {
        let name = match view {
            View::Pods => "Pods",
            View::Nodes => "Nodes",
            View::Policies => "Policies",
        };
        self.view_current
            .get_or_create(&ViewLabels { view: name.into() })
            .set(i64::from(current));
    }

    /// Takes over what a plan says.
    pub fn decided(&self, plan: &Plan, engine: &Engine) {
        let state = engine.state();
        let mut shown = self.shown();
        for refusal in &plan.refusals {
            self.refused(&mut shown, refusal);
        }
        for report in &plan.reports {
            self.show(&mut shown, report, state, plan.at);
        }
        self.signals(&mut shown, state);
        self.survey(&mut shown, plan, state);
    }

    fn refused(&self, shown: &mut Shown, refusal: &Refusal) {
        let policy = &refusal.policy;
        let labels = RefusalLabels {
            kind: policy.kind.as_str().into(),
            namespace: policy.namespace.clone(),
            name: policy.name.clone(),
            action: refusal.verb.clone(),
            reason: refusal.reason.as_str().into(),
        };
        self.refusals.get_or_create(&labels).inc();
        shown.counted.entry(policy.clone()).or_default().refusals.insert(labels);
    }

    /// Counts one sync of a GitSource: how it ended, and after a good one how many objects are declared.
    pub fn synced(&self, source: &PolicyKey, outcome: &str, objects: Option<usize>) {
        let mut shown = self.shown();
        let counted = shown.counted.entry(source.clone()).or_default();
        // A counter begins at zero before its first event, or else no rate would see that one.
        for word in SYNCED.into_iter().chain([outcome]) {
            let labels = SyncLabels {
                namespace: source.namespace.clone(),
                name: source.name.clone(),
                outcome: word.into(),
            };
            self.git_syncs.get_or_create(&labels).inc_by(0);
            counted.synced.insert(labels);
        }
        let labels = SyncLabels {
            namespace: source.namespace.clone(),
            name: source.name.clone(),
            outcome: outcome.into(),
        };
        self.git_syncs.get_or_create(&labels).inc();
        let labels = source_labels(source);
        self.git_ready.get_or_create(&labels).set(i64::from(objects.is_some()));
        if let Some(objects) = objects {
            let objects = i64::try_from(objects).unwrap_or(i64::MAX);
            self.git_objects.get_or_create(&labels).set(objects);
        }
        self.show_source(&mut shown, source, outcome);
    }

    /// A GitSource is gone.
    pub fn forget_source(&self, source: &PolicyKey) {
        self.forget(source);
    }

    /// Counts an action that was carried out, or was not.
    pub fn acted(&self, action: &Action, outcome: &Outcome, seconds: f64) {
        let result = match outcome {
            Outcome::Done => "Done",
            Outcome::Conflict { .. } => "Conflict",
            Outcome::Blocked { .. } => "Blocked",
            Outcome::Failed { .. } => "Failed",
            Outcome::Unknown { .. } => "Unknown",
            Outcome::Skipped { .. } => "Skipped",
        };
        let verb = action.what.verb();
        self.action_seconds.observe(seconds);
        let labels = ActionLabels {
            action: verb.into(),
            reason: action.reason.as_str().into(),
            outcome: result.into(),
        };
        self.actions.get_or_create(&labels).inc();
        match &action.what {
            Deed::Scale { from, to, .. } if *outcome == Outcome::Done => {
                let direction = if to > from { "Up" } else { "Down" };
                let mut shown = self.shown();
                let series = shown.policies.entry(action.policy.clone()).or_default();
                Arc::make_mut(&mut series.visible).count_scaled(direction, action.reason, 1);
            }
            Deed::Evict { .. } | Deed::Restore { .. } => {
                let namespace = action.what.subject().namespace;
                self.heal_actions
                    .get_or_create(&heal_labels(&namespace, verb, result))
                    .inc();
            }
            Deed::AddNode { node, pool, .. } if *outcome == Outcome::Done => {
                self.node_asked(&action.policy.name, node, pool);
            }
            _ => {}
        }
    }

    fn node_asked(&self, policy: &str, node: &str, pool: &str) {
        let own = pool.strip_prefix(policy).and_then(|rest| rest.strip_prefix('.'));
        let labels = PoolLabels {
            policy: policy.into(),
            pool: own.unwrap_or(pool).into(),
        };
        let mut shown = self.shown();
        shown.asked.retain(|_, (_, asked)| asked.elapsed() < FORGET_NODE);
        shown.asked.insert(node.into(), (labels, Instant::now()));
    }
}

fn source_labels(source: &PolicyKey) -> SourceLabels {
    SourceLabels {
        namespace: source.namespace.clone(),
        name: source.name.clone(),
    }
}

fn heal_labels(namespace: &str, action: &str, outcome: &str) -> HealLabels {
    HealLabels {
        namespace: namespace.into(),
        action: action.into(),
        outcome: outcome.into(),
    }
}
