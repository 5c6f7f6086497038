//! Every metric of the operator: name, help, labels. Dashboards, rules and the reference are generated from the same
//! registry, so that a name exists in one place only.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry};

use super::record::Shown;
use super::record::visible::{self, AtOneMoment, PerPolicy, Picture};

/// The names of a set of labels.
pub(super) trait LabelNames {
    /// In the order in which they are exposed.
    const NAMES: &'static [&'static str];
}

/// A metric, as far as its labels go.
trait Labelled {
    const LABELS: &'static [&'static str] = &[];
}

impl<N, A> Labelled for Gauge<N, A> {}
impl<N, A> Labelled for Counter<N, A> {}
impl Labelled for Histogram {}
impl<L: LabelNames, M, C> Labelled for Family<L, M, C> {
    const LABELS: &'static [&'static str] = L::NAMES;
}
impl<L: LabelNames> Labelled for PerPolicy<L> {
    const LABELS: &'static [&'static str] = L::NAMES;
}

/// A metric that is exposed as it is at one moment.
trait Exposed {
    fn expose(&self, registry: &mut Registry, name: &str, help: &str, kind: MetricKind, picture: &Arc<Picture>);
}

impl<M: Metric + Clone> Exposed for M {
    fn expose(&self, registry: &mut Registry, name: &str, help: &str, _: MetricKind, _: &Arc<Picture>) {
        registry.register(name, help, self.clone());
    }
}

impl<L: LabelNames + 'static> Exposed for PerPolicy<L> {
    fn expose(&self, registry: &mut Registry, name: &str, help: &str, kind: MetricKind, picture: &Arc<Picture>) {
        let kind = if kind == MetricKind::Counter {
            MetricType::Counter
        } else {
            MetricType::Gauge
        };
        let now = AtOneMoment::new(self.clone(), kind, Arc::clone(picture));
        registry.register(name, help, now);
    }
}

macro_rules! labels {
    ($($(#[doc = $doc:literal])+ $name:ident { $($field:ident),+ })+) => {
        $($(#[doc = $doc])+
        #[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
        #[allow(missing_docs, reason = "a label's name says what it is")]
        pub struct $name { $(pub $field: String),+ }

        impl LabelNames for $name {
            const NAMES: &'static [&'static str] = &[$(stringify!($field)),+];
        })+
    };
}

labels! {
    /// One policy.
    PolicyLabels { kind, namespace, name }
    /// One policy and its mode.
    InfoLabels { kind, namespace, name, mode }
    /// One policy and its condition Ready.
    ReadyLabels { kind, namespace, name, status, reason }
    /// One ScalingPolicy.
    ScalingLabels { namespace, name }
    /// One ScalingPolicy and a limit.
    LimitLabels { namespace, name, reason }
    /// One trigger.
    TriggerLabels { namespace, name, trigger }
    /// Something that happened to actions.
    ActionLabels { action, reason, outcome }
    /// Something that was refused.
    RefusalLabels { kind, namespace, name, action, reason }
    /// One scale event.
    ScaleLabels { namespace, name, direction, reason }
    /// Queries to one server.
    QueryLabels { server, outcome }
    /// One NodePoolPolicy.
    PoolsLabels { policy }
    /// One node pool.
    PoolLabels { policy, pool }
    /// One namespace.
    NamespaceLabels { namespace }
    /// Healing.
    HealLabels { namespace, action, outcome }
    /// A part of the picture.
    ViewLabels { view }
    /// One GitSource.
    SourceLabels { namespace, name }
    /// Syncs of one GitSource.
    SyncLabels { namespace, name, outcome }
    /// What built this process.
    BuildLabels { version }
    /// Events by kind.
    EventLabels { event }
    /// Writes by outcome.
    WriteLabels { outcome }
}

/// Makes histograms with these buckets.
#[derive(Clone, Debug)]
pub struct Seconds(&'static [f64]);

impl MetricConstructor<Histogram> for Seconds {
    fn new_metric(&self) -> Histogram {
        Histogram::new(self.0.iter().copied())
    }
}

/// Buckets for what takes milliseconds.
const FAST: &[f64] = &[0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Buckets for recoveries.
const RECOVERY: &[f64] = &[30.0, 60.0, 120.0, 180.0, 240.0, 300.0, 600.0, 1200.0, 2400.0, 3600.0];

/// A histogram family.
pub type Timings<L> = Family<L, Histogram, Seconds>;

/// What kind of metric it is, for those who generate queries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// Goes up and down.
    Gauge,
    /// Only goes up; its name ends with `_total`.
    Counter,
    /// `_bucket`, `_sum` and `_count`.
    Histogram,
}

/// One metric as it is exposed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// The full name, without the suffixes of histograms.
    pub name: String,
    /// What it is.
    pub kind: MetricKind,
    /// What it means.
    pub help: &'static str,
    /// Its own labels, without those that Prometheus adds.
    pub labels: &'static [&'static str],
}

macro_rules! metrics {
    ($($(#[doc = $doc:literal])+ $field:ident: $kind:ident $type:ty = $make:expr;)+) => {
        /// All metrics. Cheap to clone: clones share the values.
        #[derive(Clone, Debug)]
        pub struct Metrics {
            $($(#[doc = $doc])+ pub $field: $type,)+
            shown: Arc<Mutex<Shown>>,
        }

        impl Default for Metrics {
            fn default() -> Self {
                Self { $($field: $make,)+ shown: Arc::default() }
            }
        }

        /// Every metric by its field, for whoever writes queries: a metric that is renamed breaks the build there.
        #[derive(Clone, Debug)]
        pub struct Catalogue { $($(#[doc = $doc])+ pub $field: Described,)+ }

        impl Metrics {
            /// Every metric by its field.
            #[must_use]
            pub fn catalogue() -> Catalogue {
                Catalogue {
                    $($field: Described {
                        name: full_name(stringify!($field), MetricKind::$kind),
                        kind: MetricKind::$kind,
                        help: concat!($($doc),+).trim_ascii(),
                        labels: <$type as Labelled>::LABELS,
                    },)+
                }
            }

            /// Every metric: name, kind, meaning and labels.
            #[must_use]
            pub fn describe() -> Vec<Described> {
                let all = Self::catalogue();
                vec![$(all.$field,)+]
            }

            fn register(&self, picture: &Arc<Picture>) -> Registry {
                let mut registry = Registry::with_prefix("homeostat");
                $(self.$field.expose(
                    &mut registry,
                    stringify!($field),
                    concat!($($doc),+).trim_ascii(),
                    MetricKind::$kind,
                    picture,
                );)+
                registry
            }
        }
    };
}

fn full_name(field: &str, kind: MetricKind) -> String {
    let suffix = if kind == MetricKind::Counter { "_total" } else { "" };
    format!("homeostat_{field}{suffix}")
}

metrics! {
    /// Always 1; the label says which version runs
    build_info: Gauge Family<BuildLabels, Gauge> = Family::default();
    /// Whether this replica leads: 1, or 0
    leader: Gauge Gauge = Gauge::default();
    /// Whether a part of the cluster's picture is complete and current: 1, or 0
    view_current: Gauge Family<ViewLabels, Gauge> = Family::default();
    /// Policies by their condition Ready: 1 for the status and reason that it has
    policy_ready: Gauge PerPolicy<ReadyLabels> = PerPolicy::new(visible::ready);
    /// Whether a policy cannot go on until a person changes something: 1, or 0
    policy_stalled: Gauge PerPolicy<PolicyLabels> = PerPolicy::new(visible::stalled);
    /// Whether a policy is suspended: 1, or 0
    policy_suspended: Gauge PerPolicy<PolicyLabels> = PerPolicy::new(visible::suspended);
    /// Always 1 for every usable policy; the label says whether it acts or only shows
    policy_info: Gauge PerPolicy<InfoLabels> = PerPolicy::new(visible::info);
    /// Steps of the engine
    steps: Counter Counter = Counter::default();
    /// Seconds that a step of the engine took
    step_seconds: Histogram Histogram = Histogram::new(FAST.iter().copied());
    /// Events that the engine has seen, by kind
    events_observed: Counter Family<EventLabels, Counter> = Family::default();
    /// Events that wait for the engine
    events_waiting: Gauge Gauge = Gauge::default();
    /// Replicas of the target now
    current_replicas: Gauge PerPolicy<ScalingLabels> = PerPolicy::new(visible::current);
    /// Replicas that the policy wants
    desired_replicas: Gauge PerPolicy<ScalingLabels> = PerPolicy::new(visible::desired);
    /// The least replicas that the policy allows
    min_replicas: Gauge PerPolicy<ScalingLabels> = PerPolicy::new(visible::least);
    /// The most replicas that the policy allows
    max_replicas: Gauge PerPolicy<ScalingLabels> = PerPolicy::new(visible::most);
    /// Replicas that the triggers ask for, before stabilization and limits
    recommendation_replicas: Gauge PerPolicy<ScalingLabels> = PerPolicy::new(visible::recommendation);
    /// 1 while this limit keeps the policy from what its triggers ask for
    limited: Gauge PerPolicy<LimitLabels> = PerPolicy::new(visible::limited);
    /// Changes of replicas that were made
    scale_events: Counter PerPolicy<ScaleLabels> = PerPolicy::new(visible::scaled);
    /// The trigger's last value
    signal_value: Gauge PerPolicy<TriggerLabels> = PerPolicy::new(visible::signal_value);
    /// The value at which the trigger would ask for exactly the replicas that there are
    signal_target: Gauge PerPolicy<TriggerLabels> = PerPolicy::new(visible::signal_target);
    /// Unix time of the trigger's last sample
    signal_timestamp_seconds: Gauge PerPolicy<TriggerLabels> = PerPolicy::new(visible::signal_time);
    /// 1 while the trigger has no usable data
    signal_missing: Gauge PerPolicy<TriggerLabels> = PerPolicy::new(visible::signal_missing);
    /// Queries to Prometheus, by outcome
    queries: Counter Family<QueryLabels, Counter> = Family::default();
    /// Seconds that queries to Prometheus took
    query_seconds: Histogram Histogram = Histogram::new(FAST.iter().copied());
    /// Nodes of the pool that are there
    node_pool_nodes: Gauge Family<PoolLabels, Gauge> = Family::default();
    /// Nodes that the pool shall have
    node_pool_target_nodes: Gauge Family<PoolLabels, Gauge> = Family::default();
    /// The fewest nodes that the pool may have
    node_pool_min_nodes: Gauge Family<PoolLabels, Gauge> = Family::default();
    /// The most nodes that the pool may have
    node_pool_max_nodes: Gauge Family<PoolLabels, Gauge> = Family::default();
    /// Nodes that were asked for and are not Ready yet
    node_pool_incoming_nodes: Gauge Family<PoolLabels, Gauge> = Family::default();
    /// Unschedulable pods that fit on the pool's nodes and need more of them than there may be now
    node_pool_waiting_pods: Gauge Family<PoolLabels, Gauge> = Family::default();
    /// Unschedulable pods that no pool of the policy can help
    waiting_pods: Gauge Family<PoolsLabels, Gauge> = Family::default();
    /// Seconds from the request for a node until it was Ready
    node_pool_time_to_ready_seconds: Histogram Timings<PoolLabels> = Family::new_with_constructor(Seconds(RECOVERY));
    /// Incidents that are open
    open_incidents: Gauge Family<ScalingLabels, Gauge> = Family::default();
    /// Incidents whose remedies have all been tried: a person has to look
    exhausted_incidents: Gauge Family<ScalingLabels, Gauge> = Family::default();
    /// Healing actions that the namespace may still have within the present window
    heal_budget_remaining: Gauge Family<NamespaceLabels, Gauge> = Family::default();
    /// Whether healing of pods is stopped because much broke at once, or has not been calm for long enough: 1, or 0
    storm: Gauge Gauge = Gauge::default();
    /// Pods on nodes that are seen, those that have ended or are being deleted aside
    observed_pods: Gauge Gauge = Gauge::default();
    /// Of the observed pods those that are unhealthy
    unhealthy_pods: Gauge Gauge = Gauge::default();
    /// Healing actions, by outcome
    heal_actions: Counter Family<HealLabels, Counter> = Family::default();
    /// Seconds from the first sight of an incident to its recovery
    heal_time_to_recover_seconds: Histogram Histogram = Histogram::new(RECOVERY.iter().copied());
    /// Actions of plans, by outcome
    actions: Counter Family<ActionLabels, Counter> = Family::default();
    /// Seconds that actions took
    action_seconds: Histogram Histogram = Histogram::new(FAST.iter().copied());
    /// Actions that were wanted and refused; counted when the refusal begins
    refusals: Counter Family<RefusalLabels, Counter> = Family::default();
    /// Writes of policies' statuses, by outcome
    status_writes: Counter Family<WriteLabels, Counter> = Family::default();
    /// Kubernetes Events that were told, by outcome; what repeats is counted and not written
    notices: Counter Family<WriteLabels, Counter> = Family::default();
    /// Syncs of GitSources, by outcome
    git_syncs: Counter Family<SyncLabels, Counter> = Family::default();
    /// 1 while the GitSource's repository is applied and nothing is wrong, otherwise 0
    git_ready: Gauge Family<SourceLabels, Gauge> = Family::default();
    /// Objects that the GitSource's applied revision declares
    git_objects: Gauge Family<SourceLabels, Gauge> = Family::default();
    /// Bytes written to the journal
    journal_bytes: Counter Counter = Counter::default();
    /// Times that the journal left a gap because its budget was used up
    journal_gaps: Counter Counter = Counter::default();
}

impl Metrics {
    /// All values in the OpenMetrics text format.
    ///
    /// # Errors
    /// Only when formatting itself fails.
    pub fn encode(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        self.encode_to(&mut text)?;
        Ok(text)
    }

    /// Writes all values in the OpenMetrics text format, piece by piece: with thousands of policies it is a long text.
    ///
    /// # Errors
    /// Only when writing fails.
    pub fn encode_to(&self, text: &mut impl std::fmt::Write) -> Result<(), std::fmt::Error> {
        // What is shown of a policy is replaced as a whole: nobody sees half of it. Nobody waits either while it is written.
        let picture = Arc::new(self.shown().picture());
        encode(text, &self.register(&picture))
    }

    /// What is shown of policies now.
    pub(super) fn shown(&self) -> MutexGuard<'_, Shown> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_that_is_described_is_exposed_under_that_name() {
        let text = Metrics::default().encode().unwrap();
        // A family without any series is not exposed at all; tests/it/dashboards.rs looks at those after a real run.
        for metric in Metrics::describe().into_iter().filter(|m| m.labels.is_empty()) {
            let family = metric.name.strip_suffix("_total").unwrap_or(&metric.name);
            assert!(
                text.contains(&format!("# HELP {family} {}", metric.help)),
                "{}",
                metric.name
            );
        }
    }
}
