//! An adapter of custom and external metrics for tests: serves what a test sets, by the real API server, to whoever asks,
//! the real HPA too. It must be there before the first HPA that needs it: the controller manager keeps for ten minutes that
//! there is none.

mod answers;
mod tls;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, Uri, header};
use kube::Client;
use tokio::task::JoinHandle;

use crate::{Error, Result, aggregation};

/// What a value belongs to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Subject {
    /// A pod, or another object: its namespace (empty for cluster-scoped), its resource as in the URL (`pods`,
    /// `deployments.apps`), its name.
    Object(String, String, String),
    /// Nothing in the cluster; the namespace of whoever may ask.
    External(String),
}

/// One value of a metric.
#[derive(Clone, Debug)]
struct Series {
    subject: Subject,
    metric: String,
    labels: BTreeMap<String, String>,
    value: String,
}

#[derive(Default)]
struct Values {
    series: Vec<Series>,
    failure: Option<u16>,
}

#[derive(Clone)]
struct Served {
    values: Arc<Mutex<Values>>,
    client: Client,
    custom: Vec<String>,
}

/// A running adapter; stops when dropped.
pub struct Adapter {
    served: Served,
    task: JoinHandle<()>,
}

impl Adapter {
    /// Starts an adapter and registers it: external.metrics.k8s.io/v1beta1, and custom.metrics.k8s.io in these versions
    /// (`v1beta2`, `v1beta1`).
    ///
    /// # Errors
    /// The API server does not reach it.
    pub async fn start(client: &Client, custom: &[&str]) -> Result<Self> {
        let (listener, port) = tls::listen().await?;
        let served = Served {
            values: Arc::default(),
            client: client.clone(),
            custom: custom.iter().map(|&v| v.to_owned()).collect(),
        };
        let router = Router::new().fallback(answer).with_state(served.clone());
        let task = tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        let adapter = Self { served, task };
        for version in custom {
            aggregation::register(client, "custom.metrics.k8s.io", version, port).await?;
        }
        aggregation::register(client, "external.metrics.k8s.io", "v1beta1", port).await?;
        Ok(adapter)
    }

    fn values(&self) -> MutexGuard<'_, Values> {
        self.served.values.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, subject: Subject, metric: &str, labels: &[(&str, &str)], value: Option<&str>) {
        let labels: BTreeMap<String, String> = labels.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
        let mut values = self.values();
        values
            .series
            .retain(|s| s.subject != subject || s.metric != metric || s.labels != labels);
        values.series.extend(value.map(|value| Series {
            subject,
            metric: metric.into(),
            labels,
            value: value.into(),
        }));
    }

    /// Sets a pod's metric to a quantity; `None` takes it away.
    pub fn set_pod(&self, namespace: &str, pod: &str, metric: &str, value: Option<&str>) {
        self.set_object(namespace, "pods", pod, metric, value);
    }

    /// Sets the metric of an object to a quantity; `None` takes it away. The namespace is empty for cluster-scoped objects; the
    /// resource is as in the URL (`services`, `deployments.apps`).
    pub fn set_object(&self, namespace: &str, resource: &str, name: &str, metric: &str, value: Option<&str>) {
        let subject = Subject::Object(namespace.into(), resource.into(), name.into());
        self.set(subject, metric, &[], value);
    }

    /// Sets one series of an external metric to a quantity; `None` takes it away.
    pub fn set_external(&self, namespace: &str, metric: &str, labels: &[(&str, &str)], value: Option<&str>) {
        self.set(Subject::External(namespace.into()), metric, labels, value);
    }

    /// From now on every question about values is answered with this HTTP status; `None` ends that.
    pub fn fail(&self, status: Option<u16>) {
        self.values().failure = status;
    }
}

impl Drop for Adapter {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(State(served): State<Served>, uri: Uri) -> Response {
    let (status, body) = match answers::answer(&served, &uri).await {
        Ok(body) => (StatusCode::OK, body),
        Err((code, message)) => {
            let status = serde_json::json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                "message": message, "code": code, "reason": if code == 404 { "NotFound" } else { "InternalError" }});
            (
                StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
                status,
            )
        }
    };
    (status, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

impl From<Error> for (u16, String) {
    fn from(error: Error) -> Self {
        (500, error.0)
    }
}
