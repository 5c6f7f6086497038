//! Asks every distinct query once an interval, however many policies share it: Prometheus servers, and the metrics APIs of
//! the cluster.
//!
//! Queries to a Prometheus server that are due together go in one request. A query never overlaps with itself, and a slow
//! server (or API) delays only its own queries: what is due while it is away is answered at once with why there is no data,
//! so that the engine always learns that data are missing.

mod lane;
mod query;
mod slots;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::lane::{Client, Lane, LaneName, api_lanes, lane_of};
use self::query::Query;
use self::slots::{ROOM, Slots};
use crate::core::event::Event;
use crate::core::names::{ObjectRef, QueryKey};
use crate::core::sample::{QueryError, Reading};
use crate::core::time::Span;
use crate::core::world::LabelSelector;
use crate::edge::clock::Boottime;
use crate::edge::kube::feed::Feed;
use crate::edge::metrics::client::MetricsApis;
use crate::edge::prometheus::answer::failed;
use crate::edge::prometheus::batch::{self, Company};
use crate::edge::prometheus::client::PrometheusClient;
use crate::edge::prometheus::fuse::Part;
use crate::edge::prometheus::question::Question;
use crate::telemetry::metrics::{Metrics, QueryLabels};

pub use self::lane::target_of;

/// Queries of one request are together at most so long, in bytes.
const BATCH_BYTES: usize = 64 << 10;

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
        queue: BTreeSet::new(),
        slots: Slots::default(),
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
                    feed.send(sample(&key, reading)).await;
                }
            }
            Some(done) = poller.running.join_next() => {
                let Ok(asked) = done else { continue };
                poller.metrics.query_seconds.observe(asked.took.as_secs_f64());
                for (key, part, company) in asked.answers {
                    poller.finish(&key, &part, company, asked.took);
                    feed.send(sample(&key, part.reading)).await;
                }
            }
        }
    }
}

fn sample(key: &QueryKey, reading: Reading) -> Event {
    Event::Sample {
        query: key.clone(),
        reading,
    }
}

/// What was asked at once: what each query was answered, and how long it took.
struct Asked {
    answers: Vec<(Arc<QueryKey>, Part, Company)>,
    took: Duration,
}

struct Poller {
    queries: BTreeMap<Arc<QueryKey>, Query>,
    /// Everything that will be due, by when.
    queue: BTreeSet<(Instant, Arc<QueryKey>)>,
    slots: Slots,
    lanes: BTreeMap<LaneName, Lane>,
    selectors: Selectors,
    /// What is said of servers that are not known; `None` until any are.
    unknown: Option<String>,
    running: JoinSet<Asked>,
    metrics: Metrics,
}

impl Poller {
    fn next_due(&self) -> Instant {
        let next = self.queue.first().map(|(at, _)| *at);
        next.unwrap_or_else(|| Instant::now() + Duration::from_mins(1))
    }

    /// Whether all is known that the question needs.
    fn can_ask(&self, key: &QueryKey) -> bool {
        match key {
            QueryKey::Prometheus { .. } => self.unknown.is_some(),
            _ => target_of(key).is_none_or(|target| self.selectors.contains_key(target)),
        }
    }

    /// Asks these queries at the given time; those that are being asked are asked again only after that.
    fn schedule(&mut self, keys: Vec<Arc<QueryKey>>, at: Instant) {
        for key in keys {
            let can_ask = self.can_ask(&key);
            let Some(query) = self.queries.get_mut(&key) else {
                continue;
            };
            if let Some(old) = query.due.take() {
                self.queue.remove(&(old, Arc::clone(&key)));
            }
            if can_ask && !query.running {
                query.due = Some(at);
                self.queue.insert((at, key));
            }
        }
    }

    /// Questions about pods whose selector is new are due at once.
    fn set_selectors(&mut self, now: Selectors) {
        let before = std::mem::replace(&mut self.selectors, now);
        let is_new = |key: &&Arc<QueryKey>| {
            target_of(key).is_some_and(|target| self.selectors.get(target) != before.get(target))
        };
        let keys = self.queries.keys().filter(is_new).cloned().collect();
        self.schedule(keys, Instant::now());
    }

    fn set_wanted(&mut self, wanted: Wanted) {
        let now = Instant::now();
        let mut old = std::mem::take(&mut self.queries);
        let mut new = Vec::new();
        for (key, interval) in wanted {
            let interval = Duration::from_millis(interval.as_millis().max(1000).unsigned_abs());
            let known = old.remove_entry(&key).map(|(key, query)| {
                if query.interval != interval {
                    self.slots.free(&query.slot);
                }
                (key, query)
            });
            let (key, query) = match known {
                Some((key, query)) if query.interval == interval => (key, query),
                Some((key, mut query)) => {
                    (query.interval, query.slot) = (interval, self.slots.take(lane_of(&key), interval, &*key));
                    new.push(Arc::clone(&key));
                    (key, query)
                }
                None => {
                    let slot = self.slots.take(lane_of(&key), interval, &key);
                    let query = Query::new(&key, interval, slot);
                    let key = Arc::new(key);
                    new.push(Arc::clone(&key));
                    (key, query)
                }
            };
            self.queries.insert(key, query);
        }
        for (key, query) in old {
            self.slots.free(&query.slot);
            if let Some(due) = query.due {
                self.queue.remove(&(due, key));
            }
        }
        self.schedule(new, now);
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
        let of_servers = |key: &&Arc<QueryKey>| matches!(***key, QueryKey::Prometheus { .. });
        let keys = self.queries.keys().filter(of_servers).cloned().collect();
        self.schedule(keys, Instant::now());
    }

    /// Starts every query that is due; those that cannot be asked are answered here.
    fn start_due(&mut self) -> Vec<(Arc<QueryKey>, Reading)> {
        let now = Instant::now();
        let mut due: BTreeMap<LaneName, Vec<Arc<QueryKey>>> = BTreeMap::new();
        while self.queue.first().is_some_and(|(at, _)| *at <= now) {
            let Some((_, key)) = self.queue.pop_first() else { break };
            if let Some(query) = self.queries.get_mut(&key) {
                query.due = None;
                due.entry(lane_of(&key)).or_default().push(key);
            }
        }
        let mut answered = Vec::new();
        for (name, keys) in due {
            let obstacle = self.lanes.get(&name).map_or_else(
                || {
                    Some(failed(
                        QueryError::UnknownServer,
                        self.unknown.as_deref().unwrap_or_default(),
                    ))
                },
                |lane| lane.obstacle(now),
            );
            if let Some(reading) = obstacle {
                for key in keys {
                    self.count(&key, &reading);
                    self.again(&key, now, Duration::ZERO);
                    answered.push((key, reading.clone()));
                }
            } else {
                self.start(&name, keys);
            }
        }
        answered
    }

    /// Asks queries of one lane, in as few requests as possible.
    fn start(&mut self, name: &LaneName, keys: Vec<Arc<QueryKey>>) {
        let Some(lane) = self.lanes.get(name) else { return };
        let Ok(client) = lane.client.clone() else { return };
        let permits = Arc::clone(&lane.permits);
        for keys in self.batches(keys) {
            let mut questions = Vec::with_capacity(keys.len());
            for key in &keys {
                if let Some(query) = self.queries.get_mut(key) {
                    query.running = true;
                    let together = query.question.as_ref().filter(|_| query.company().is_some());
                    questions.extend(together.cloned());
                }
            }
            let selector = keys
                .first()
                .and_then(|key| self.selectors.get(target_of(key)?))
                .cloned();
            let (client, permits) = (client.clone(), Arc::clone(&permits));
            self.running.spawn(async move {
                let _permit = permits.acquire_owned().await;
                let began = Instant::now();
                let answers = ask(&client, keys, &questions, &selector.unwrap_or_default()).await;
                Asked {
                    answers,
                    took: began.elapsed(),
                }
            });
        }
    }

    /// Puts queries together, those in large company first.
    fn batches(&self, keys: Vec<Arc<QueryKey>>) -> Vec<Vec<Arc<QueryKey>>> {
        let company = |key: &Arc<QueryKey>| self.queries.get(key).and_then(Query::company);
        let size = |key: &Arc<QueryKey>| match &**key {
            QueryKey::Prometheus { expr, .. } => expr.len(),
            _ => 0,
        };
        let mut keys: Vec<_> = keys.into_iter().map(|key| (company(&key), key)).collect();
        keys.sort_by_key(|(company, _)| std::cmp::Reverse(*company));
        let mut batches: Vec<Vec<Arc<QueryKey>>> = Vec::new();
        let mut bytes = 0;
        for (company, key) in keys {
            let fits = |batch: &&mut Vec<_>| batch.len() < company.unwrap_or(1).min(ROOM) && bytes < BATCH_BYTES;
            if let Some(batch) = batches.last_mut().filter(fits) {
                bytes += size(&key);
                batch.push(key);
            } else {
                bytes = size(&key);
                batches.push(vec![key]);
            }
        }
        batches
    }

    fn finish(&mut self, key: &Arc<QueryKey>, part: &Part, company: Company, took: Duration) {
        self.count(key, &part.reading);
        let now = Instant::now();
        let mut patience = Duration::ZERO;
        if let Some(query) = self.queries.get_mut(key) {
            query.running = false;
            query.learn(company);
            patience = query.patience(&part.reading);
            // After a long wait for the answer it is not known when it was made.
            if let Some((newest, looked)) = part.seen.filter(|_| took < query.interval / 4) {
                let age = Duration::from_millis(looked.since(newest).as_millis().max(0).unsigned_abs());
                let asked = since_boot().saturating_sub(took);
                self.slots.learn(&mut query.slot, newest, age, asked);
            }
        }
        if let Some(lane) = self.lanes.get_mut(&lane_of(key)) {
            lane.learn(&part.reading, now.checked_sub(took).unwrap_or(now));
        }
        self.again(key, now, patience);
    }

    /// Asks it again in its next slot after a wait.
    fn again(&mut self, key: &Arc<QueryKey>, now: Instant, wait: Duration) {
        if let Some(query) = self.queries.get(key) {
            let at = now + wait + query.slot.wait(since_boot() + wait);
            self.schedule(vec![Arc::clone(key)], at);
        }
    }

    fn count(&self, key: &QueryKey, reading: &Reading) {
        let outcome = match reading {
            Reading::Value { .. } | Reading::Series { .. } | Reading::PodUsage { .. } | Reading::PodValues { .. } => {
                "Value"
            }
            Reading::Empty => "Empty",
            Reading::Many { .. } => "Many",
            Reading::NotFinite { .. } => "NotFinite",
            Reading::Partial { .. } => "Partial",
            Reading::Failed { error, .. } => error.as_str(),
        };
        let labels = QueryLabels {
            server: key.server().to_owned(),
            outcome: outcome.into(),
        };
        self.metrics.queries.get_or_create(&labels).inc();
    }
}

/// Asks queries of one batch: together, or the one that it is as it is.
async fn ask(
    client: &Client,
    keys: Vec<Arc<QueryKey>>,
    questions: &[Arc<Question>],
    selector: &LabelSelector,
) -> Vec<(Arc<QueryKey>, Part, Company)> {
    if let (Client::Prometheus(client), false) = (client, questions.is_empty()) {
        let answered = batch::ask(client, questions).await;
        let answers = answered.into_iter();
        return answers
            .filter_map(|answer| Some((Arc::clone(keys.get(answer.index)?), answer.part, answer.company)))
            .collect();
    }
    let mut answers = Vec::with_capacity(keys.len());
    for key in keys {
        let reading = match (client, &*key) {
            (Client::Prometheus(client), QueryKey::Prometheus { expr, .. }) => batch::alone(client, expr).await,
            (Client::Prometheus(_), _) => failed(QueryError::BadQuery, "it is no question for Prometheus"),
            (Client::Api(apis), _) => apis.ask(&key, selector).await,
        };
        answers.push((key, Part { reading, seen: None }, Company::Unknown));
    }
    answers
}

fn since_boot() -> Duration {
    Duration::from_millis(Boottime::now().as_millis().unsigned_abs())
}
