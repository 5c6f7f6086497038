//! What is shown of each policy. A new report replaces all that the old one showed; never half of it, since the lock on what
//! is shown is held meanwhile.

use std::collections::BTreeSet;

use super::{SYNC_SUSPENDED, SYNCED, Shown, heal_labels, scale_labels};
use crate::core::names::{PolicyKey, PolicyKind, QueryKey};
use crate::core::policy::{Meta, MetricTarget, Mode, Trigger};
use crate::core::quantity::Milli;
use crate::core::reason::Reason;
use crate::core::report::{Decision, Detail, HealingReport, IncidentPhase, NodesReport, Report};
use crate::core::sample::Reading;
use crate::core::state::State;
use crate::core::time::Time;
use crate::core::world::Status;
use crate::telemetry::metrics::{
    InfoLabels, LimitLabels, Metrics, PolicyLabels, PoolLabels, PoolsLabels, ReadyLabels, ScalingLabels, TriggerLabels,
};

/// What can keep a policy from what its triggers ask for.
const LIMITS: [Reason; 8] = [
    Reason::ScaleUpLimit,
    Reason::ScaleDownLimit,
    Reason::ScaleUpStabilized,
    Reason::ScaleDownStabilized,
    Reason::TooManyReplicas,
    Reason::TooFewReplicas,
    Reason::DirectionForbidden,
    Reason::DataMissing,
];

/// Every direction of a scale event with its reason.
const SCALES: [(&str, Reason); 4] = [
    ("Up", Reason::ScaleUp),
    ("Up", Reason::BelowMinimum),
    ("Down", Reason::ScaleDown),
    ("Down", Reason::AboveMaximum),
];

/// The series that stand for one policy, as far as its key does not tell.
#[derive(Debug, Default)]
pub(super) struct Series {
    ready: Option<ReadyLabels>,
    info: Option<InfoLabels>,
    triggers: Vec<TriggerLabels>,
    pub(super) pools: Vec<PoolLabels>,
    /// Incidents that are open.
    open: BTreeSet<String>,
}

impl Metrics {
    /// Shows what a report says in place of what the last one said.
    pub(super) fn show(&self, shown: &mut Shown, report: &Report, state: &State, at: Time) {
        let key = &report.policy;
        let old = shown.policies.remove(key).unwrap_or_default();
        self.hide(key, &old);
        let mut series = Series {
            ready: self.conditions(report),
            info: meta(state, key).map(|meta| self.meta(meta)),
            ..Series::default()
        };
        match &report.detail {
            Detail::None => {}
            Detail::Scaling(detail) => {
                self.bounds(key, state);
                if let Some(decision) = &detail.decision {
                    series.triggers = self.decision(key, decision, state);
                }
                self.expect_scaling(shown, key);
            }
            Detail::Nodes(detail) => series.pools = self.pools(key, detail, state),
            Detail::Healing(detail) => series.open = self.incidents(key, detail, &old.open, at),
        }
        shown.policies.insert(key.clone(), series);
    }

    /// Of GitSources the engine makes no report: what their last sync said is shown.
    pub(super) fn show_source(&self, shown: &mut Shown, source: &PolicyKey, outcome: &str) {
        let old = shown.policies.remove(source).unwrap_or_default();
        self.hide(source, &old);
        let suspended = outcome == SYNC_SUSPENDED;
        self.policy_suspended
            .get_or_create(&policy_labels(source))
            .set(i64::from(suspended));
        let applied = SYNCED.contains(&outcome);
        let labels = ReadyLabels {
            kind: source.kind.as_str().into(),
            namespace: source.namespace.clone(),
            name: source.name.clone(),
            status: if applied || suspended { "True" } else { "False" }.into(),
            reason: if applied { SYNCED[0] } else { outcome }.into(),
        };
        self.policy_ready.get_or_create(&labels).set(1);
        let series = Series {
            ready: Some(labels),
            ..Series::default()
        };
        shown.policies.insert(source.clone(), series);
    }

    /// Takes away what is shown of a policy.
    pub(super) fn hide(&self, key: &PolicyKey, series: &Series) {
        if let Some(labels) = &series.ready {
            self.policy_ready.remove(labels);
        }
        if let Some(labels) = &series.info {
            self.policy_info.remove(labels);
        }
        self.policy_stalled.remove(&policy_labels(key));
        self.policy_suspended.remove(&policy_labels(key));
        match key.kind {
            PolicyKind::ScalingPolicy => self.hide_scaling(key, &series.triggers),
            PolicyKind::NodePoolPolicy => {
                for pool in &series.pools {
                    for gauge in [
                        &self.node_pool_nodes,
                        &self.node_pool_target_nodes,
                        &self.node_pool_incoming_nodes,
                        &self.node_pool_waiting_pods,
                        &self.node_pool_min_nodes,
                        &self.node_pool_max_nodes,
                    ] {
                        gauge.remove(pool);
                    }
                }
                self.waiting_pods.remove(&pools_labels(key));
            }
            PolicyKind::HealingPolicy => {
                self.open_incidents.remove(&own_labels(key));
                self.exhausted_incidents.remove(&own_labels(key));
            }
            PolicyKind::GitSource | PolicyKind::OperatorConfig => {}
        }
    }

    fn hide_scaling(&self, key: &PolicyKey, triggers: &[TriggerLabels]) {
        let labels = own_labels(key);
        for gauge in [
            &self.current_replicas,
            &self.desired_replicas,
            &self.recommendation_replicas,
            &self.min_replicas,
            &self.max_replicas,
        ] {
            gauge.remove(&labels);
        }
        for reason in LIMITS {
            self.limited.remove(&limit_labels(key, reason));
        }
        for trigger in triggers {
            self.signal_missing.remove(trigger);
            self.signal_value.remove(trigger);
            self.signal_target.remove(trigger);
            self.signal_timestamp_seconds.remove(trigger);
        }
    }

    fn conditions(&self, report: &Report) -> Option<ReadyLabels> {
        let key = &report.policy;
        let stalled = report.condition("Stalled").is_some_and(|c| c.status == Status::True);
        self.policy_stalled
            .get_or_create(&policy_labels(key))
            .set(i64::from(stalled));
        let ready = report.condition("Ready")?;
        let status = match ready.status {
            Status::True => "True",
            Status::False => "False",
            Status::Unknown => "Unknown",
        };
        let labels = ReadyLabels {
            kind: key.kind.as_str().into(),
            namespace: key.namespace.clone(),
            name: key.name.clone(),
            status: status.into(),
            reason: ready.reason.as_str().into(),
        };
        self.policy_ready.get_or_create(&labels).set(1);
        Some(labels)
    }

    fn meta(&self, meta: &Meta) -> InfoLabels {
        let key = &meta.key;
        self.policy_suspended
            .get_or_create(&policy_labels(key))
            .set(i64::from(meta.suspend));
        let mode = match meta.mode {
            Mode::Enforce => "Enforce",
            Mode::DryRun => "DryRun",
        };
        let labels = InfoLabels {
            kind: key.kind.as_str().into(),
            namespace: key.namespace.clone(),
            name: key.name.clone(),
            mode: mode.into(),
        };
        self.policy_info.get_or_create(&labels).set(1);
        labels
    }

    fn bounds(&self, key: &PolicyKey, state: &State) {
        if let Some(memory) = state.scaling(key) {
            let labels = own_labels(key);
            let (min, max) = (memory.policy.min.get(), memory.policy.max.get());
            self.min_replicas.get_or_create(&labels).set(min.into());
            self.max_replicas.get_or_create(&labels).set(max.into());
        }
    }

    fn decision(&self, key: &PolicyKey, decision: &Decision, state: &State) -> Vec<TriggerLabels> {
        let labels = own_labels(key);
        let current = decision.from.get();
        self.current_replicas.get_or_create(&labels).set(current.into());
        self.desired_replicas
            .get_or_create(&labels)
            .set(decision.desired.get().into());
        if let Some(proposed) = decision.proposed {
            self.recommendation_replicas
                .get_or_create(&labels)
                .set(proposed.get().into());
        }
        for reason in LIMITS {
            self.limited
                .get_or_create(&limit_labels(key, reason))
                .set(i64::from(decision.limited_by == Some(reason)));
        }
        let declared = state.scaling(key).map(|m| m.policy.triggers.as_slice());
        let mut triggers = Vec::with_capacity(decision.triggers.len());
        for said in &decision.triggers {
            let labels = trigger_labels(key, &said.name);
            self.signal_missing
                .get_or_create(&labels)
                .set(i64::from(said.proposal.is_none()));
            if let (Some(value), Some(at)) = (said.value, said.sampled_at) {
                self.signal(&labels, value, at);
            }
            if let Some(trigger) = declared.into_iter().flatten().find(|t| t.name == said.name) {
                self.signal_target.get_or_create(&labels).set(aim(trigger, current));
            }
            triggers.push(labels);
        }
        triggers
    }

    fn signal(&self, labels: &TriggerLabels, value: Milli, at: Time) {
        self.signal_value.get_or_create(labels).set(value.as_f64());
        self.signal_timestamp_seconds
            .get_or_create(labels)
            .set(at.as_millis() as f64 / 1000.0);
    }

    /// Values and their times change without a new report: a report is made only when its meaning changes.
    pub(super) fn signals(&self, shown: &mut Shown, state: &State) {
        for query in std::mem::take(&mut shown.sampled) {
            let reading = state.sample(&query).map(|sample| &sample.reading);
            let Some(Reading::Value { value, sampled_at, .. } | Reading::Partial { value, sampled_at, .. }) = reading
            else {
                continue;
            };
            for key in state.asking(&query) {
                for name in asking(state, key, &query) {
                    let labels = trigger_labels(key, name);
                    if shown.policies.get(key).is_some_and(|s| s.triggers.contains(&labels)) {
                        self.signal(&labels, *value, *sampled_at);
                    }
                }
            }
        }
    }

    /// A counter begins at zero before its first event, or else no rate would see that one.
    fn expect_scaling(&self, shown: &mut Shown, key: &PolicyKey) {
        let counted = shown.counted.entry(key.clone()).or_default();
        for (direction, reason) in SCALES {
            let labels = scale_labels(key, direction, reason.as_str());
            self.scale_events.get_or_create(&labels).inc_by(0);
            counted.scaled.insert(labels);
        }
    }

    fn pools(&self, key: &PolicyKey, report: &NodesReport, state: &State) -> Vec<PoolLabels> {
        self.waiting_pods
            .get_or_create(&pools_labels(key))
            .set(report.waiting_pods.into());
        let declared = state.nodes.get(key).map(|m| m.policy.pools.as_slice());
        let mut shown = Vec::with_capacity(report.pools.len());
        for pool in &report.pools {
            let labels = PoolLabels {
                policy: key.name.clone(),
                pool: pool.name.clone(),
            };
            let set = |gauge: &Gauges, value: u32| {
                gauge.get_or_create(&labels).set(value.into());
            };
            set(&self.node_pool_nodes, pool.nodes.get());
            set(&self.node_pool_target_nodes, pool.target.get());
            set(&self.node_pool_incoming_nodes, pool.incoming.get());
            set(&self.node_pool_waiting_pods, pool.waiting_pods);
            if let Some(bounds) = declared.into_iter().flatten().find(|p| p.name == pool.name) {
                set(&self.node_pool_min_nodes, bounds.min.get());
                set(&self.node_pool_max_nodes, bounds.max.get());
            }
            drop(self.node_pool_time_to_ready_seconds.get_or_create(&labels));
            shown.push(labels);
        }
        shown
    }

    fn incidents(
        &self,
        key: &PolicyKey,
        report: &HealingReport,
        was_open: &BTreeSet<String>,
        at: Time,
    ) -> BTreeSet<String> {
        let labels = own_labels(key);
        let mut open = BTreeSet::new();
        let mut exhausted = 0;
        for incident in &report.incidents {
            if incident.phase != IncidentPhase::Recovered {
                open.insert(incident.id.clone());
                exhausted += i64::from(incident.phase == IncidentPhase::GaveUp);
            } else if was_open.contains(&incident.id) {
                let seconds = at.since(incident.since).as_millis() as f64 / 1000.0;
                self.heal_time_to_recover_seconds.observe(seconds);
            }
        }
        let count = i64::try_from(open.len()).unwrap_or(i64::MAX);
        self.open_incidents.get_or_create(&labels).set(count);
        self.exhausted_incidents.get_or_create(&labels).set(exhausted);
        for action in ["Evict", "Restore"] {
            self.heal_actions
                .get_or_create(&heal_labels(&key.namespace, action, "Done"))
                .inc_by(0);
        }
        open
    }
}

/// A family of gauges by pool.
type Gauges = prometheus_client::metrics::family::Family<PoolLabels, prometheus_client::metrics::gauge::Gauge>;

fn meta<'a>(state: &'a State, key: &PolicyKey) -> Option<&'a Meta> {
    match key.kind {
        PolicyKind::ScalingPolicy => state.scaling(key).map(|m| &m.policy.meta),
        PolicyKind::NodePoolPolicy => state.nodes.get(key).map(|m| &m.policy.meta),
        PolicyKind::HealingPolicy => state.healing.get(key).map(|m| &m.policy.meta),
        PolicyKind::GitSource | PolicyKind::OperatorConfig => None,
    }
}

/// The triggers of a policy that ask this query.
fn asking<'a>(state: &'a State, key: &PolicyKey, query: &'a QueryKey) -> impl Iterator<Item = &'a str> {
    let triggers = state.scaling(key).map(|m| m.policy.triggers.as_slice());
    let triggers = triggers.into_iter().flatten();
    triggers.filter(|t| t.query == *query).map(|t| t.name.as_str())
}

/// The value at which the trigger asks for the replicas that there are.
fn aim(trigger: &Trigger, current: u32) -> f64 {
    match trigger.target {
        MetricTarget::Value(value) => value.as_f64(),
        MetricTarget::AverageValue(value) => value.as_f64() * f64::from(current),
        MetricTarget::Utilization(percent) => f64::from(percent) / 100.0,
    }
}

fn policy_labels(key: &PolicyKey) -> PolicyLabels {
    PolicyLabels {
        kind: key.kind.as_str().into(),
        namespace: key.namespace.clone(),
        name: key.name.clone(),
    }
}

fn own_labels(key: &PolicyKey) -> ScalingLabels {
    ScalingLabels {
        namespace: key.namespace.clone(),
        name: key.name.clone(),
    }
}

fn pools_labels(key: &PolicyKey) -> PoolsLabels {
    PoolsLabels {
        policy: key.name.clone(),
    }
}

fn limit_labels(key: &PolicyKey, reason: Reason) -> LimitLabels {
    LimitLabels {
        namespace: key.namespace.clone(),
        name: key.name.clone(),
        reason: reason.as_str().into(),
    }
}

fn trigger_labels(key: &PolicyKey, trigger: &str) -> TriggerLabels {
    TriggerLabels {
        namespace: key.namespace.clone(),
        name: key.name.clone(),
        trigger: trigger.into(),
    }
}
