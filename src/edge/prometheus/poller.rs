//! Asks every distinct query once an interval, however many policies share it: Prometheus servers, and the metrics APIs of
//! the cluster.
//!
//! Queries of one interval are spread over it by their own hash. A query never overlaps with itself, and a slow server (or
//! API) delays only its own queries: what is due while it is slow or away is answered at once with why there is no data, so that
//! the engine always learns that data are missing.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::answer::failed;
use super::client::PrometheusClient;
use crate::core::event::Event;
use crate::core::names::{ObjectRef, QueryKey};
use crate::core::sample::{QueryError, Reading};
use crate::core::time::Span;
use crate::core::world::LabelSelector;
use crate::edge::kube::feed::Feed;
use crate::edge::metrics::client::MetricsApis;
use crate::edge::retry::Backoff;
use crate::telemetry::metrics::{Metrics, QueryLabels};

/// Queries to one server at once.
const AT_ONCE: usize = 8;

/// The queries that are wanted, and how often each.
pub type Wanted = Vec<(QueryKey, Span)>;
/// Which pods are those of the targets that queries are about.
pub type Selectors = BTreeMap<ObjectRef, LabelSelector>;
/// The servers that can be asked.
#[derive(Clone, PartialEq)]
pub struct Servers {
    /// By name; or why one cannot be asked, and what to do.
    pub by_name: BTreeMap<String, Result<PrometheusClient, String>>,
    /// What is said to whoever names another one.
    pub unknown: String,
}

/// Asks until shutdown. No server is asked before all are known, and no API for the pods of a target before it is known which
/// they are.
pub async fn run(
    mut wanted: watch::Receiver<Wanted>,
    mut servers: watch::Receiver<Option<Servers>>,
    mut selectors: watch::Receiver<Selectors>,
    apis: MetricsApis,
    feed: Feed,
    metrics: Metrics,
    shutdown: CancellationToken,
) {
    let mut poller = Poller {
        queries: BTreeMap::new(),
        lanes: api_lanes(&apis),
        selectors: Selectors::new(),
        unknown: None,
        running: JoinSet::new(),
        metrics,
    };
    wanted.mark_changed();
    servers.mark_changed();
    selectors.mark_changed();
    loop {
        let next = poller.next_due();
        tokio::select! {
            () = shutdown.cancelled() => return,
            changed = wanted.changed() => {
                if changed.is_err() { return; }
                let now = wanted.borrow_and_update().clone();
                poller.set_wanted(now);
            }
            changed = servers.changed() => {
                if changed.is_err() { return; }
                poller.set_servers(servers.borrow_and_update().clone());
            }
            changed = selectors.changed() => {
                if changed.is_err() { return; }
                let now = selectors.borrow_and_update().clone();
                poller.set_selectors(now);
            }
            () = tokio::time::sleep_until(next) => {
                for (key, reading) in poller.start_due() {
                    feed.send(Event::Sample { query: key, reading }).await;
                }
            }
            Some(done) = poller.running.join_next() => {
                if let Ok((key, reading, took)) = done {
                    poller.finish(&key, &reading, took);
                    feed.send(Event::Sample { query: key, reading }).await;
                }
            }
        }
    }
}

struct Query {
    interval: Duration,
    next: Instant,
    running: bool,
}

/// Who can be asked.
#[derive(Clone)]
enum Client {
    Prometheus(PrometheusClient),
    /// One of the metrics APIs of the cluster.
    Api(MetricsApis),
}

impl Client {
    async fn ask(&self, key: &QueryKey, selector: &LabelSelector) -> Reading {
        match (self, key) {
            (Self::Prometheus(client), QueryKey::Prometheus { expr, .. }) => client.query(expr).await,
            (Self::Prometheus(_), _) => failed(QueryError::BadQuery, "it is no question for Prometheus"),
            (Self::Api(apis), _) => apis.ask(key, selector).await,
        }
    }
}

/// Which lane a query takes. A server may have the name of an API.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum LaneName {
    Server(String),
    Api(&'static str),
}

/// The metrics APIs, as [`QueryKey::server`] calls them.
const APIS: [&str; 3] = ["metrics.k8s.io", "custom.metrics.k8s.io", "external.metrics.k8s.io"];

fn lane_of(key: &QueryKey) -> LaneName {
    let [resources, custom, external] = APIS;
    match key {
        QueryKey::Prometheus { server, .. } => LaneName::Server(server.clone()),
        QueryKey::Resources { .. } => LaneName::Api(resources),
        QueryKey::Pods { .. } | QueryKey::Object { .. } => LaneName::Api(custom),
        QueryKey::External { .. } => LaneName::Api(external),
    }
}

fn api_lanes(apis: &MetricsApis) -> BTreeMap<LaneName, Lane> {
    APIS.into_iter()
        .map(|api| (LaneName::Api(api), Lane::new(Ok(Client::Api(apis.clone())))))
        .collect()
}

/// The target whose pods a query is about.
#[must_use]
pub fn target_of(key: &QueryKey) -> Option<&ObjectRef> {
    match key {
        QueryKey::Resources { target } | QueryKey::Pods { target, .. } => Some(target),
        QueryKey::Prometheus { .. } | QueryKey::Object { .. } | QueryKey::External { .. } => None,
    }
}

/// One server or API: its client (or why there is none), how many queries it takes at once, and how it fares.
struct Lane {
    client: Result<Client, String>,
    permits: Arc<Semaphore>,
    backoff: Backoff,
    away: Option<(Instant, QueryError, String)>,
    answered: Option<Instant>,
}

impl Lane {
    fn new(client: Result<Client, String>) -> Self {
        Self {
            client,
            permits: Arc::new(Semaphore::new(AT_ONCE)),
            backoff: Backoff::new(Duration::from_millis(500), Duration::from_secs(30)),
            away: None,
            answered: None,
        }
    }

    /// Why it cannot be asked now.
    fn obstacle(&self, now: Instant) -> Option<Reading> {
        if let Err(problem) = &self.client {
            return Some(failed(QueryError::UnknownServer, problem));
        }
        let (_, error, message) = self.away.as_ref().filter(|(until, ..)| now < *until)?;
        Some(failed(*error, message))
    }

    /// Learns from an answer to what was asked at `began`. A server that answers others meanwhile is not away: then it is
    /// the query that is too heavy.
    fn learn(&mut self, reading: &Reading, began: Instant) {
        let now = Instant::now();
        let (error, message) = if let Reading::Failed { error, message } = reading {
            (*error, message)
        } else {
            (self.away, self.answered) = (None, Some(now));
            return self.backoff.reset();
        };
        let nobody_is_answered = self.answered.is_none_or(|at| at < began);
        let is_away = match (error, &self.client) {
            // The API server answers for an API that is away; an adapter may say the same of one metric only.
            (QueryError::Unreachable | QueryError::NoMetricsApi, Ok(Client::Api(_))) | (QueryError::Timeout, _) => {
                nobody_is_answered
            }
            (QueryError::Unreachable, _) => true,
            _ => {
                (self.away, self.answered) = (None, Some(now));
                return self.backoff.reset();
            }
        };
        if is_away && self.away.as_ref().is_none_or(|(until, ..)| *until <= now) {
            self.away = Some((now + self.backoff.next_delay(), error, message.clone()));
        }
    }
}

/// A query that was asked: what it said, and how long it took.
type Asked = (QueryKey, Reading, Duration);

struct Poller {
    queries: BTreeMap<QueryKey, Query>,
    lanes: BTreeMap<LaneName, Lane>,
    selectors: Selectors,
    /// What is said of servers that are not known; `None` until any are.
    unknown: Option<String>,
    running: JoinSet<Asked>,
    metrics: Metrics,
}

impl Poller {
    fn next_due(&self) -> Instant {
        let asked = self.queries.iter().filter(|(key, q)| !q.running && self.can_ask(key));
        let next = asked.map(|(_, q)| q.next).min();
        next.unwrap_or_else(|| Instant::now() + Duration::from_mins(1))
    }

    /// Whether all is known that the question needs.
    fn can_ask(&self, key: &QueryKey) -> bool {
        match key {
            QueryKey::Prometheus { .. } => self.unknown.is_some(),
            _ => target_of(key).is_none_or(|target| self.selectors.contains_key(target)),
        }
    }

    /// Questions about pods whose selector is new are due at once.
    fn set_selectors(&mut self, now: Selectors) {
        let before = std::mem::replace(&mut self.selectors, now);
        for (key, query) in &mut self.queries {
            let Some(target) = target_of(key) else { continue };
            if self.selectors.get(target) != before.get(target) {
                query.next = Instant::now();
            }
        }
    }

    fn set_wanted(&mut self, wanted: Wanted) {
        let keys: BTreeSet<QueryKey> = wanted.iter().map(|(key, _)| key.clone()).collect();
        self.queries.retain(|key, _| keys.contains(key));
        let now = Instant::now();
        for (key, interval) in wanted {
            let interval = Duration::from_millis(interval.as_millis().max(1000).unsigned_abs());
            let query = self.queries.entry(key).or_insert(Query {
                interval,
                next: now,
                running: false,
            });
            if query.interval != interval {
                query.interval = interval;
                query.next = query.next.min(now + interval);
            }
        }
    }

    fn set_servers(&mut self, servers: Option<Servers>) {
        let Some(servers) = servers else { return };
        self.unknown = Some(servers.unknown);
        self.lanes.retain(|name, _| matches!(name, LaneName::Api(_)));
        let lanes = servers.by_name.into_iter().map(|(name, client)| {
            let lane = Lane::new(client.map(Client::Prometheus));
            (LaneName::Server(name), lane)
        });
        self.lanes.extend(lanes);
        // Whoever was told that the server is unknown or away is answered anew.
        let now = Instant::now();
        for (key, query) in &mut self.queries {
            if let QueryKey::Prometheus { .. } = key {
                query.next = now;
            }
        }
    }

    /// Starts every query that is due; those that cannot be asked are answered here.
    fn start_due(&mut self) -> Vec<(QueryKey, Reading)> {
        let now = Instant::now();
        let mut answered = Vec::new();
        let due = |(key, query): &(&QueryKey, &Query)| !query.running && query.next <= now && self.can_ask(key);
        let due: Vec<QueryKey> = self.queries.iter().filter(due).map(|(key, _)| key.clone()).collect();
        for key in &due {
            let Some(query) = self.queries.get_mut(key) else {
                continue;
            };
            query.next = next_tick(key, query.interval, now);
            let lane = self.lanes.get(&lane_of(key));
            let unknown = || {
                let message = self.unknown.as_deref().unwrap_or_default();
                failed(QueryError::UnknownServer, message)
            };
            let (lane, client) = match lane.map(|lane| (lane, lane.obstacle(now), &lane.client)) {
                Some((lane, None, Ok(client))) => (lane, client),
                Some((_, Some(reading), _)) => {
                    answered.push((key.clone(), reading));
                    continue;
                }
                _ => {
                    answered.push((key.clone(), unknown()));
                    continue;
                }
            };
            query.running = true;
            let selector = target_of(key).and_then(|target| self.selectors.get(target)).cloned();
            let selector = selector.unwrap_or_default();
            let (key, client, permits) = (key.clone(), client.clone(), Arc::clone(&lane.permits));
            self.running.spawn(async move {
                let _permit = permits.acquire_owned().await;
                let began = Instant::now();
                let reading = client.ask(&key, &selector).await;
                (key, reading, began.elapsed())
            });
        }
        for (key, reading) in &answered {
            self.count(key, reading);
        }
        answered
    }

    fn finish(&mut self, key: &QueryKey, reading: &Reading, took: Duration) {
        self.count(key, reading);
        self.metrics.query_seconds.observe(took.as_secs_f64());
        if let Some(query) = self.queries.get_mut(key) {
            query.running = false;
        }
        if let Some(lane) = self.lanes.get_mut(&lane_of(key)) {
            let began = Instant::now().checked_sub(took).unwrap_or_else(Instant::now);
            lane.learn(reading, began);
        }
    }

    fn count(&self, key: &QueryKey, reading: &Reading) {
        let outcome = match reading {
            Reading::Value { .. } => "Value",
            Reading::Empty => "Empty",
            Reading::Many { .. } => "Many",
            Reading::NotFinite { .. } => "NotFinite",
            Reading::Partial { .. } => "Partial",
            Reading::PodUsage { .. } | Reading::PodValues { .. } => "Value",
            Reading::Failed { error, .. } => error.as_str(),
        };
        let labels = QueryLabels {
            server: key.server().to_owned(),
            outcome: outcome.into(),
        };
        self.metrics.queries.get_or_create(&labels).inc();
    }
}

/// The next tick of a query: whole intervals of the process's clock, shifted by a phase of the query's own.
fn next_tick(key: &QueryKey, interval: Duration, now: Instant) -> Instant {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    let length = u64::try_from(interval.as_millis()).unwrap_or(u64::MAX).max(1);
    let phase = hasher.finish() % length;
    let since = u64::try_from(crate::edge::clock::Boottime::now().as_millis()).unwrap_or(0);
    let into = (since + length - phase) % length;
    now + Duration::from_millis(length - into)
}
