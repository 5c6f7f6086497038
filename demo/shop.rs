//! A model of the shop in a closed loop: the more pods are Ready, the less each has to serve and the fewer requests wait.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// Requests that a pod can serve in a second.
pub const CAPACITY: f64 = 100.0;
/// Whose request was not served after so many seconds gives up.
const PATIENCE: f64 = 10.0;
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
    /// A shop without pods, to which so many requests come in a second.
    #[must_use]
    pub fn with_load(load: Option<f64>) -> Self {
        Self {
            load,
            ..Self::default()
        }
    }

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
