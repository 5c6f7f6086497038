//! Turns events, plans and outcomes into metrics.

use super::metrics::{
    ActionLabels, EventLabels, HealLabels, LimitLabels, Metrics, PoolLabels, ReadyLabels, RefusalLabels, ScaleLabels,
    ScalingLabels, SourceLabels, SyncLabels, TriggerLabels, ViewLabels,
};
use crate::core::engine::Engine;
use crate::core::event::{Event, Outcome};
use crate::core::names::PolicyKey;
use crate::core::plan::{Action, Deed, Plan};
use crate::core::reason::Reason;
use crate::core::report::{Decision, Detail, HealingReport, IncidentPhase, NodesReport, Report};
use crate::core::world::{Status, View};

impl Metrics {
    /// Counts an event.
    pub fn observed(&self, event: &Event) {
        let kind = match event {
            Event::Pod(_) | Event::PodGone(_) => "Pod",
            Event::Node(_) | Event::NodeGone(_) | Event::NodeFailed { .. } => "Node",
            Event::Sample { .. } => "Sample",
            Event::Target { .. } => "Target",
            Event::Outcome { .. } => "Outcome",
            Event::Declared { .. } | Event::DeclaredObject { .. } => "Declared",
            Event::View { .. } => "View",
            Event::ScalingPolicy { .. }
            | Event::NodePoolPolicy(_)
            | Event::HealingPolicy { .. }
            | Event::PolicyInvalid { .. }
            | Event::PolicyGone(_) => "Policy",
            Event::Own(_) | Event::Limits(_) => "Config",
        };
        self.events_observed
            .get_or_create(&EventLabels { event: kind.into() })
            .inc();
        if let Event::PolicyGone(key) = event {
            self.policy_ready.clear();
            tracing::debug!(policy = %key, "gone");
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
        for refusal in &plan.refusals {
            let labels = RefusalLabels {
                action: refusal.verb.clone(),
                reason: refusal.reason.as_str().into(),
            };
            self.refusals.get_or_create(&labels).inc();
        }
        if plan.reports.is_empty() {
            return;
        }
        for report in &plan.reports {
            self.reported(report);
        }
        self.policy_ready.clear();
        for report in engine.state().reports.values() {
            self.ready(report);
        }
    }

    fn ready(&self, report: &Report) {
        let Some(ready) = report.condition("Ready") else { return };
        let status = match ready.status {
            Status::True => "True",
            Status::False => "False",
            Status::Unknown => "Unknown",
        };
        let labels = ReadyLabels {
            kind: report.policy.kind.as_str().into(),
            namespace: report.policy.namespace.clone(),
            name: report.policy.name.clone(),
            status: status.into(),
            reason: ready.reason.as_str().into(),
        };
        self.policy_ready.get_or_create(&labels).set(1);
    }

    fn reported(&self, report: &Report) {
        let (namespace, name) = (&report.policy.namespace, &report.policy.name);
        match &report.detail {
            Detail::None => {}
            Detail::Scaling(detail) => {
                if let Some(decision) = &detail.decision {
                    self.scaling(namespace, name, decision);
                }
            }
            Detail::Nodes(detail) => self.nodes(name, detail),
            Detail::Healing(detail) => self.healing(namespace, name, detail),
        }
    }

    fn scaling(&self, namespace: &str, name: &str, decision: &Decision) {
        let labels = ScalingLabels {
            namespace: namespace.into(),
            name: name.into(),
        };
        self.current_replicas
            .get_or_create(&labels)
            .set(decision.from.get().into());
        self.desired_replicas
            .get_or_create(&labels)
            .set(decision.desired.get().into());
        if let Some(proposed) = decision.proposed {
            self.recommendation_replicas
                .get_or_create(&labels)
                .set(proposed.get().into());
        }
        for reason in [
            Reason::ScaleUpLimit,
            Reason::ScaleDownLimit,
            Reason::ScaleUpStabilized,
            Reason::ScaleDownStabilized,
            Reason::TooManyReplicas,
            Reason::TooFewReplicas,
        ] {
            let labels = LimitLabels {
                namespace: namespace.into(),
                name: name.into(),
                reason: reason.as_str().into(),
            };
            self.limited
                .get_or_create(&labels)
                .set(i64::from(decision.limited_by == Some(reason)));
        }
        for trigger in &decision.triggers {
            let labels = TriggerLabels {
                namespace: namespace.into(),
                name: name.into(),
                trigger: trigger.name.clone(),
            };
            self.signal_missing
                .get_or_create(&labels)
                .set(i64::from(trigger.proposal.is_none()));
            if let Some(value) = trigger.value {
                self.signal_value.get_or_create(&labels).set(value.as_f64());
            }
            if let Some(at) = trigger.sampled_at {
                self.signal_timestamp_seconds
                    .get_or_create(&labels)
                    .set(at.as_millis() as f64 / 1000.0);
            }
        }
    }

    fn nodes(&self, policy: &str, report: &NodesReport) {
        for pool in &report.pools {
            let labels = PoolLabels {
                policy: policy.into(),
                pool: pool.name.clone(),
            };
            self.node_pool_nodes.get_or_create(&labels).set(pool.nodes.get().into());
            self.node_pool_target_nodes
                .get_or_create(&labels)
                .set(pool.target.get().into());
            self.node_pool_incoming_nodes
                .get_or_create(&labels)
                .set(pool.incoming.get().into());
            self.node_pool_waiting_pods
                .get_or_create(&labels)
                .set(pool.waiting_pods.into());
        }
    }

    fn healing(&self, namespace: &str, name: &str, report: &HealingReport) {
        let labels = ScalingLabels {
            namespace: namespace.into(),
            name: name.into(),
        };
        let open = report
            .incidents
            .iter()
            .filter(|i| i.phase != IncidentPhase::Recovered)
            .count();
        self.open_incidents
            .get_or_create(&labels)
            .set(i64::try_from(open).unwrap_or(i64::MAX));
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
                let labels = ScaleLabels {
                    namespace: action.policy.namespace.clone(),
                    name: action.policy.name.clone(),
                    direction: if to > from { "Up" } else { "Down" }.into(),
                    reason: action.reason.as_str().into(),
                };
                self.scale_events.get_or_create(&labels).inc();
            }
            Deed::Evict { .. } | Deed::Restore { .. } => {
                let namespace = action.what.subject().namespace;
                let labels = HealLabels {
                    namespace,
                    action: verb.into(),
                    outcome: result.into(),
                };
                self.heal_actions.get_or_create(&labels).inc();
            }
            _ => {}
        }
    }

    /// Counts one sync of a GitSource: how it ended, and after a good one how many objects are declared.
    pub fn synced(&self, source: &PolicyKey, outcome: &str, objects: Option<usize>) {
        let (namespace, name) = (source.namespace.clone(), source.name.clone());
        let labels = SyncLabels {
            namespace: namespace.clone(),
            name: name.clone(),
            outcome: outcome.into(),
        };
        self.git_syncs.get_or_create(&labels).inc();
        let labels = SourceLabels { namespace, name };
        self.git_ready.get_or_create(&labels).set(i64::from(objects.is_some()));
        if let Some(objects) = objects {
            let objects = i64::try_from(objects).unwrap_or(i64::MAX);
            self.git_objects.get_or_create(&labels).set(objects);
        }
    }

    /// A GitSource is gone.
    pub fn forget_source(&self, source: &PolicyKey) {
        let labels = SourceLabels {
            namespace: source.namespace.clone(),
            name: source.name.clone(),
        };
        self.git_ready.remove(&labels);
        self.git_objects.remove(&labels);
    }
}
