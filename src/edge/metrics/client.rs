//! One question to a metrics API, through the API server.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::{Request, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use kube::Client;
use kube::client::Body;

use super::kinds::Kinds;
use super::refusal::{self, failed, words};
use super::{BODY_MAX, TIMEOUT, answer, path};
use crate::core::names::{MetricName, ObjectRef, QueryKey};
use crate::core::sample::{QueryError, Reading};
use crate::core::world::LabelSelector;

/// The versions of the custom metrics API, the better one first.
const CUSTOM: [&str; 2] = ["v1beta2", "v1beta1"];

/// A client of all metrics APIs. Cheap to clone; clones share what they learn.
#[derive(Clone)]
pub struct MetricsApis {
    client: Client,
    kinds: Kinds,
    /// Only the older version of the custom metrics API was served last.
    older: Arc<AtomicBool>,
}

impl MetricsApis {
    /// A client by the operator's rights.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self {
            client,
            kinds: Kinds::default(),
            older: Arc::default(),
        }
    }

    /// Asks. The selector is the target's, for questions about its pods.
    pub async fn ask(&self, key: &QueryKey, selector: &LabelSelector) -> Reading {
        let asked = async {
            match key {
                QueryKey::Prometheus { .. } => failed(QueryError::BadQuery, "it is not a question to the cluster"),
                QueryKey::Resources { target } | QueryKey::Pods { target, .. } if selector.is_empty() => {
                    without_selector(target)
                }
                QueryKey::Resources { target } => {
                    self.get(key, &path::resources(&target.namespace, selector))
                        .await
                        .reading
                }
                QueryKey::Pods { target, metric } => {
                    let path = |version: &str| path::pods(version, &target.namespace, selector, metric);
                    self.custom(key, path).await
                }
                QueryKey::Object { object, metric } => self.object(key, object, metric).await,
                QueryKey::External { namespace, metric } => {
                    self.get(key, &path::external(namespace, metric)).await.reading
                }
            }
        };
        tokio::time::timeout(TIMEOUT, asked).await.unwrap_or_else(|_| {
            let message = format!(
                "no answer of {} within {}s: is what serves it overloaded?",
                key.server(),
                TIMEOUT.as_secs()
            );
            failed(QueryError::Timeout, &message)
        })
    }

    async fn object(&self, key: &QueryKey, object: &ObjectRef, metric: &MetricName) -> Reading {
        let resource = match self.kinds.resource(&self.client, object).await {
            Ok(Some(resource)) => resource,
            Ok(None) => {
                let message = format!(
                    "the cluster has no kind {} in {}: correct the trigger's describedObject",
                    object.kind, object.api_version
                );
                return failed(QueryError::BadQuery, &message);
            }
            // The kind's own API may be away; that of the metrics is not for that.
            Err(error) => return failed(QueryError::Status, &error.to_string()),
        };
        let namespace = if resource.namespaced {
            object.namespace.as_str()
        } else {
            ""
        };
        let path = |version: &str| path::object(version, namespace, &resource.name, &object.name, metric);
        self.custom(key, path).await
    }

    /// Asks the version that was served last, and the other one where it is served no longer.
    async fn custom(&self, key: &QueryKey, path: impl Fn(&str) -> String) -> Reading {
        let older = self.older.load(Ordering::Relaxed);
        let [first, second] = if older { [CUSTOM[1], CUSTOM[0]] } else { CUSTOM };
        let answer = self.get(key, &path(first)).await;
        if !answer.unserved {
            return answer.reading;
        }
        let other = self.get(key, &path(second)).await;
        if !other.unserved {
            self.older.store(!older, Ordering::Relaxed);
        }
        other.reading
    }

    async fn get(&self, key: &QueryKey, path: &str) -> Answer {
        let broken = |error: &dyn std::fmt::Display| {
            let message = format!("the API server cannot be asked for {}: {error}", key.server());
            Answer::from(failed(QueryError::Unreachable, &message))
        };
        let request = Request::get(path)
            .header(header::ACCEPT, "application/json")
            .body(Body::empty());
        let request = match request {
            Ok(request) => request,
            Err(error) => return failed(QueryError::BadQuery, &format!("`{path}` is not a path: {error}")).into(),
        };
        let response = match self.client.send(request).await {
            Ok(response) => response,
            Err(error) => return broken(&error),
        };
        let status = response.status();
        let body = match Limited::new(response.into_body(), BODY_MAX).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => {
                let message = format!(
                    "the answer of {} is larger than {BODY_MAX} bytes: narrow the selector",
                    key.server()
                );
                return failed(QueryError::TooLarge, &message).into();
            }
            Err(error) => return broken(&error),
        };
        if status.is_success() {
            return answer::read(key, &body).into();
        }
        tracing::debug!(path, %status, said = words(&body), "a metrics API refuses");
        Answer {
            unserved: refusal::is_unserved(status.as_u16(), &body),
            reading: refusal::read(key, status.as_u16(), &body),
        }
    }
}

struct Answer {
    reading: Reading,
    /// Nothing is registered at the path.
    unserved: bool,
}

impl From<Reading> for Answer {
    fn from(reading: Reading) -> Self {
        Self {
            reading,
            unserved: false,
        }
    }
}

fn without_selector(target: &ObjectRef) -> Reading {
    let message = format!(
        "the scale of {target} does not tell which pods are its own: set labelSelectorPath in its kind's \
         CustomResourceDefinition, and status.selector where that points"
    );
    failed(QueryError::BadQuery, &message)
}
