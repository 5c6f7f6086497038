//! What is shown of each policy. A new report replaces all that the old one showed; never half of it, since the lock on what
//! is shown is held meanwhile.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::visible::{Decided, Signal, Visible};
use super::{SYNC_SUSPENDED, SYNCED, Shown, heal_labels};
use crate::core::names::{PolicyKey, PolicyKind, QueryKey};
use crate::core::policy::{Meta, MetricTarget, Mode, Trigger};
use crate::core::quantity::{Milli, Replicas};
use crate::core::reason::Reason;
use crate::core::report::{Decision, Detail, HealingReport, IncidentPhase, NodesReport, Report};
use crate::core::sample::Reading;
use crate::core::state::State;
use crate::core::time::Time;
use crate::core::world::Status;
use crate::telemetry::metrics::{Metrics, PoolLabels, PoolsLabels, ScalingLabels};

/// What can keep a policy from what its triggers ask for.
pub(super) const LIMITS: [Reason; 8] = [
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

/// What is shown of one policy.
#[derive(Debug, Default)]
pub(super) struct Series {
    pub(super) visible: Arc<Visible>,
    pub(super) pools: Vec<PoolLabels>,
    /// Incidents that are open.
    open: BTreeSet<String>,
}

impl Series {
    /// Nothing but what was counted.
    pub(super) fn counters_of(old: &Self) -> Self {
        Self {
            visible: Arc::new(Visible {
                scaled: old.visible.scaled.clone(),
                ..Visible::default()
            }),
            ..Self::default()
        }
    }
}

impl Metrics {
    /// Shows what a report says in place of what the last one said.
    pub(super) fn show(&self, shown: &mut Shown, report: &Report, state: &State, at: Time) {
        let key = &report.policy;
        let old = shown.policies.remove(key).unwrap_or_default();
        self.hide(key, &old);
        let mut series = Series::counters_of(&old);
        let mut visible = Visible {
            scaled: old.visible.scaled.clone(),
            stalled: Some(report.condition("Stalled").is_some_and(|c| c.status == Status::True)),
            ready: report.condition("Ready").map(|ready| {
                let status = match ready.status {
                    Status::True => "True",
                    Status::False => "False",
                    Status::Unknown => "Unknown",
                };
                (status, ready.reason.as_str().into())
            }),
            ..Visible::default()
        };
        if let Some(meta) = meta(state, key) {
            visible.suspended = Some(meta.suspend);
            visible.mode = Some(match meta.mode {
                Mode::Enforce => "Enforce",
                Mode::DryRun => "DryRun",
            });
        }
        match &report.detail {
            Detail::None => {}
            Detail::Scaling(detail) => {
                let policy = state.scaling(key).map(|memory| &memory.policy);
                visible.bounds = policy.map(|policy| (policy.min.get(), policy.max.get()));
                if let Some(decision) = &detail.decision {
                    let triggers = policy.map(|policy| policy.triggers.as_slice());
                    decide(&mut visible, decision, triggers.unwrap_or_default());
                }
                // A counter begins at zero before its first event, or else no rate would see that one.
                for (direction, reason) in SCALES {
                    visible.count_scaled(direction, reason, 0);
                }
            }
            Detail::Nodes(detail) => series.pools = self.pools(key, detail, state),
            Detail::Healing(detail) => series.open = self.incidents(key, detail, &old.open, at),
        }
        series.visible = Arc::new(visible);
        shown.policies.insert(key.clone(), series);
    }

    /// Of GitSources the engine makes no report: what their last sync said is shown.
    #[allow(clippy::unused_self, reason = "as its sisters")]
    pub(super) fn show_source(&self, shown: &mut Shown, source: &PolicyKey, outcome: &str) {
        let suspended = outcome == SYNC_SUSPENDED;
        let applied = SYNCED.contains(&outcome);
        let status = if applied || suspended { "True" } else { "False" };
        let reason = if applied {
            SYNCED[0].into()
        } else {
            outcome.to_owned().into()
        };
        let visible = Visible {
            suspended: Some(suspended),
            ready: Some((status, reason)),
            ..Visible::default()
        };
        let series = Series {
            visible: Arc::new(visible),
            ..Series::default()
        };
        shown.policies.insert(source.clone(), series);
    }

    /// Takes away what is shown of a policy and is no part of its [`Visible`].
    pub(super) fn hide(&self, key: &PolicyKey, series: &Series) {
        match key.kind {
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
            PolicyKind::ScalingPolicy | PolicyKind::GitSource | PolicyKind::OperatorConfig => {}
        }
    }

    /// Values and their times change without a new report: a report is made only when its meaning changes.
    #[allow(clippy::unused_self, reason = "as its sisters")]
    pub(super) fn signals(&self, shown: &mut Shown, state: &State) {
        for query in std::mem::take(&mut shown.sampled) {
            let reading = state.sample(&query).map(|sample| &sample.reading);
            let Some(Reading::Value { value, sampled_at, .. } | Reading::Partial { value, sampled_at, .. }) = reading
            else {
                continue;
            };
            for key in state.asking(&query) {
                let Some(series) = shown.policies.get_mut(key) else {
                    continue;
                };
                for name in asking(state, key, &query) {
                    let visible = Arc::make_mut(&mut series.visible);
                    if let Some(signal) = visible.signals.iter_mut().find(|signal| *signal.name == *name) {
                        signal.value = Some(sampled(*value, *sampled_at));
                    }
                }
            }
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

/// What a decision and its triggers show.
fn decide(visible: &mut Visible, decision: &Decision, declared: &[Trigger]) {
    let current = decision.from.get();
    visible.decided = Some(Decided {
        current,
        desired: decision.desired.get(),
        proposed: decision.proposed.map(Replicas::get),
        limited: decision.limited_by,
    });
    let signals = decision.triggers.iter().map(|said| Signal {
        name: said.name.as_str().into(),
        missing: said.proposal.is_none(),
        value: said.value.zip(said.sampled_at).map(|(value, at)| sampled(value, at)),
        aim: declared
            .iter()
            .find(|t| t.name == said.name)
            .map(|trigger| aim(trigger, current)),
    });
    visible.signals = signals.collect();
}

/// A value and the Unix time of its sample.
fn sampled(value: Milli, at: Time) -> (f64, f64) {
    (value.as_f64(), at.as_millis() as f64 / 1000.0)
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
