//! Asks every distinct query once an interval, however many policies share it.
//!
//! Queries of one interval are spread over it by their own hash. A query never overlaps with itself, and a slow server
//! delays only its own queries: what is due while it is slow or away is answered at once with why there is no data, so that
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
use crate::core::names::QueryKey;
use crate::core::sample::{QueryError, Reading};
use crate::core::time::Span;
use crate::edge::kube::feed::Feed;
use crate::edge::retry::Backoff;
use crate::telemetry::metrics::{Metrics, QueryLabels};

/// Queries to one server at once.
const AT_ONCE: usize = 8;

/// The queries that are wanted, and how often each.
pub type Wanted = Vec<(QueryKey, Span)>;
/// The servers that can be asked.
#[derive(Clone, PartialEq)]
pub struct Servers {
    /// By name; or why one cannot be asked, and what to do.
    pub by_name: BTreeMap<String, Result<PrometheusClient, String>>,
    /// What is said to whoever names another one.
    pub unknown: String,
}

/// Asks until shutdown. Nothing is asked or answered before the servers are known.
pub async fn run(
    mut wanted: watch::Receiver<Wanted>,
    mut servers: watch::Receiver<Option<Servers>>,
    feed: Feed,
    metrics: Metrics,
    shutdown: CancellationToken,
) {
    let mut poller = Poller {
        queries: BTreeMap::new(),
        lanes: BTreeMap::new(),
        unknown: None,
        running: JoinSet::new(),
        metrics,
    };
    wanted.mark_changed();
    servers.mark_changed();
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

/// One server: its client (or why there is none), how many queries it takes at once, and how it fares.
struct Lane {
    client: Result<PrometheusClient, String>,
    permits: Arc<Semaphore>,
    backoff: Backoff,
    away: Option<(Instant, QueryError, String)>,
    answered: Option<Instant>,
}

impl Lane {
    fn new(client: Result<PrometheusClient, String>) -> Self {
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
        let is_away = match error {
            QueryError::Unreachable => true,
            QueryError::Timeout => self.answered.is_none_or(|at| at < began),
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
    lanes: BTreeMap<String, Lane>,
    /// What is said of servers that are not known; `None` until any are.
    unknown: Option<String>,
    running: JoinSet<Asked>,
    metrics: Metrics,
}

impl Poller {
    fn next_due(&self) -> Instant {
        let idle = Instant::now() + Duration::from_mins(1);
        if self.unknown.is_none() {
            return idle;
        }
        self.queries
            .values()
            .filter(|q| !q.running)
            .map(|q| q.next)
            .min()
            .unwrap_or(idle)
    }

    fn set_wanted(&mut self, wanted: Wanted) {
        let keys: BTreeSet<QueryKey> = wanted.iter().map(|(key, _)| key.clone()).collect();
        self.queries.retain(|key, _| keys.contains(key));
        let now = Instant::now();
        for (key, interval) in wanted {
            let QueryKey::Prometheus { .. } = &key else { continue };
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
        self.lanes = servers
            .by_name
            .into_iter()
            .map(|(name, client)| (name, Lane::new(client)))
            .collect();
        // Whoever was told that the server is unknown or away is answered anew.
        let now = Instant::now();
        for query in self.queries.values_mut() {
            query.next = now;
        }
    }

    /// Starts every query that is due; those that cannot be asked are answered here.
    fn start_due(&mut self) -> Vec<(QueryKey, Reading)> {
        let now = Instant::now();
        let mut answered = Vec::new();
        for (key, query) in &mut self.queries {
            if query.running || query.next > now {
                continue;
            }
            query.next = next_tick(key, query.interval, now);
            let lane = self.lanes.get(key.server());
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
            let (key, client, permits) = (key.clone(), client.clone(), Arc::clone(&lane.permits));
            self.running.spawn(async move {
                let _permit = permits.acquire_owned().await;
                let began = Instant::now();
                let reading = match &key {
                    QueryKey::Prometheus { expr, .. } => client.query(expr).await,
                    _ => failed(QueryError::UnknownServer, "not asked here"),
                };
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
        if let Some(lane) = self.lanes.get_mut(key.server()) {
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
