//! A server or API: who answers for it, how many requests it takes at once, and how it fares.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::core::names::{ObjectRef, QueryKey};
use crate::core::sample::{QueryError, Reading};
use crate::edge::metrics::client::MetricsApis;
use crate::edge::prometheus::answer::failed;
use crate::edge::prometheus::client::PrometheusClient;
use crate::edge::retry::Backoff;

/// Requests to one server at once.
const AT_ONCE: usize = 8;

/// Who can be asked.
#[derive(Clone)]
pub(super) enum Client {
    /// A Prometheus server.
    Prometheus(PrometheusClient),
    /// One of the metrics APIs of the cluster.
    Api(MetricsApis),
}

/// Which lane a query takes. A server may have the name of an API.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum LaneName {
    Server(String),
    Api(&'static str),
}

/// The metrics APIs, as [`QueryKey::server`] calls them.
const APIS: [&str; 3] = ["metrics.k8s.io", "custom.metrics.k8s.io", "external.metrics.k8s.io"];

/// The lane of a query.
pub(super) fn lane_of(key: &QueryKey) -> LaneName {
    let [resources, custom, external] = APIS;
    match key {
        QueryKey::Prometheus { server, .. } => LaneName::Server(server.clone()),
        QueryKey::Resources { .. } => LaneName::Api(resources),
        QueryKey::Pods { .. } | QueryKey::Object { .. } => LaneName::Api(custom),
        QueryKey::External { .. } => LaneName::Api(external),
    }
}

/// The lanes of the metrics APIs, which are always there.
pub(super) fn api_lanes(apis: &MetricsApis) -> BTreeMap<LaneName, Lane> {
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

/// One server or API.
pub(super) struct Lane {
    /// Its client, or why there is none.
    pub client: Result<Client, String>,
    /// One for each request that may be under way.
    pub permits: Arc<Semaphore>,
    backoff: Backoff,
    away: Option<(Instant, QueryError, String)>,
    answered: Option<Instant>,
}

impl Lane {
    pub(super) fn new(client: Result<Client, String>) -> Self {
        Self {
            client,
            permits: Arc::new(Semaphore::new(AT_ONCE)),
            backoff: Backoff::new(Duration::from_millis(500), Duration::from_secs(30)),
            away: None,
            answered: None,
        }
    }

    /// Why it cannot be asked now.
    pub(super) fn obstacle(&self, now: Instant) -> Option<Reading> {
        if let Err(problem) = &self.client {
            return Some(failed(QueryError::UnknownServer, problem));
        }
        let (_, error, message) = self.away.as_ref().filter(|(until, ..)| now < *until)?;
        Some(failed(*error, message))
    }

    /// Learns from an answer to what was asked at `began`. A server that answers others meanwhile is not away: then it is
    /// the query that is too heavy.
    pub(super) fn learn(&mut self, reading: &Reading, began: Instant) {
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
