//! The shop's customers, in a closed loop: the more pods are Ready, the less each has to serve and the fewer requests
//! wait. A small exporter shows it to Prometheus.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use homeostat_cluster::{Error, Result};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Requests that a pod can serve in a second.
pub const CAPACITY: f64 = 100.0;
/// Whose request was not served after so many seconds gives up.
const PATIENCE: f64 = 10.0;
/// How often the model goes on.
const TICK: Duration = Duration::from_millis(100);

/// Requests on their way to the pods.
#[derive(Clone, Debug, Default)]
pub struct Shop {
    /// Requests that come in, a second; `None` where it is not known.
    pub load: Option<f64>,
    /// Requests that wait.
    pub waiting: f64,
    /// Requests that came in so far.
    pub arrived: f64,
    /// Requests whose customers gave up.
    pub given_up: f64,
    /// What each pod serves in a second.
    pub per_pod: f64,
    /// Requests that each Ready pod has served.
    served: BTreeMap<String, f64>,
}

impl Shop {
    /// These pods are Ready, and no others.
    pub fn set_ready(&mut self, pods: &BTreeSet<String>) {
        self.served.retain(|pod, _| pods.contains(pod));
        for pod in pods {
            self.served.entry(pod.clone()).or_insert(0.0);
        }
    }

    /// So many seconds pass.
    pub fn advance(&mut self, seconds: f64) {
        if seconds <= 0.0 {
            return;
        }
        let arriving = self.load.unwrap_or(0.0) * seconds;
        let pods = self.served.len() as f64;
        let demand = self.waiting + arriving;
        let served = demand.min(pods * CAPACITY * seconds);
        if !self.served.is_empty() {
            for count in self.served.values_mut() {
                *count += served / pods;
            }
        }
        self.per_pod = if pods > 0.0 { served / pods / seconds } else { 0.0 };
        self.arrived += arriving;
        let patient = (self.load.unwrap_or(0.0) * PATIENCE).max(pods * CAPACITY);
        self.waiting = (demand - served).min(patient);
        self.given_up += demand - served - self.waiting;
    }

    /// What Prometheus scrapes.
    #[must_use]
    pub fn metrics(&self) -> String {
        let Some(load) = self.load else { return String::new() };
        let labels = r#"namespace="shop",app="checkout""#;
        let mut text = format!(
            "# TYPE http_requests_arriving gauge\nhttp_requests_arriving{{{labels}}} {load}\n\
             # TYPE http_requests_waiting gauge\nhttp_requests_waiting{{{labels}}} {}\n\
             # TYPE http_requests_given_up_total counter\nhttp_requests_given_up_total{{{labels}}} {}\n",
            self.waiting, self.given_up
        );
        text += "# TYPE http_pod_utilization gauge\n";
        for pod in self.served.keys() {
            let _ = writeln!(
                text,
                "http_pod_utilization{{{labels},pod=\"{pod}\"}} {}",
                self.per_pod / CAPACITY
            );
        }
        text += "# TYPE http_requests_total counter\n";
        for (pod, count) in &self.served {
            let _ = writeln!(text, "http_requests_total{{{labels},pod=\"{pod}\"}} {count}");
        }
        text
    }
}

/// The shop, for all who look at it.
#[derive(Clone, Default)]
pub struct Load(Arc<Mutex<Shop>>);

impl Load {
    /// Looks at the shop or changes it.
    pub fn with<T>(&self, f: impl FnOnce(&mut Shop) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Serves the metrics on a free port of loopback, and lets time pass, for as long as the tasks live.
    ///
    /// # Errors
    /// No port can be bound.
    pub async fn serve(&self, tasks: &mut JoinSet<()>) -> Result<u16> {
        let err = |e: std::io::Error| Error::new("serve the shop's metrics", e);
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(err)?;
        let port = listener.local_addr().map_err(err)?.port();
        let load = self.clone();
        let text = move || async move { load.with(|shop| shop.metrics()) };
        tasks.spawn(async move {
            let _ = axum::serve(listener, Router::new().route("/metrics", get(text))).await;
        });
        let load = self.clone();
        tasks.spawn(async move {
            let mut last = Instant::now();
            let mut tick = tokio::time::interval(TICK);
            loop {
                let now = tick.tick().await;
                load.with(|shop| shop.advance(now.duration_since(last).as_secs_f64()));
                last = now;
            }
        });
        Ok(port)
    }
}
