//! Writes statuses, and only when their meaning changed. Of several reports on one policy only the latest is written.

mod known;
mod queue;

use kube::Client;
use kube::CustomResourceExt;
use kube::api::{Api, ApiResource, DynamicObject, PostParams};
use kube::core::PartialObjectMeta;
use kube::{Resource, ResourceExt};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::{CallError, FIELD_MANAGER, call};
use crate::api::convert::status_of;
use crate::api::{GitSource, HealingPolicy, NodePoolPolicy, OperatorConfig, ScalingPolicy};
use crate::core::names::{PolicyKey, PolicyKind};
use crate::core::report::{Detail, Report};
use crate::edge::clock;
use crate::edge::kube::lease::Leadership;
use crate::telemetry::metrics::{Metrics, WriteLabels};
use known::Known;
use queue::Queue;

pub use known::KnownStatuses;

/// How many reports may wait to be sorted in; the engine waits when there are more.
const QUEUE: usize = 4096;

/// What makes the API server answer with an object's metadata only.
const METADATA_ONLY: http::HeaderValue =
    http::HeaderValue::from_static("application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1");

/// A report on its way, and whom to tell when it is stored.
type Job = (Report, Option<oneshot::Sender<bool>>);

/// Where reports go.
#[derive(Clone, Debug)]
pub struct StatusWriter {
    sender: mpsc::Sender<Job>,
}

impl StatusWriter {
    /// Starts the writer. `known` is what the watches see of statuses, so that they need not be read before they are written.
    #[must_use]
    pub fn spawn(
        client: Client,
        leadership: Leadership,
        metrics: Metrics,
        known: KnownStatuses,
        shutdown: CancellationToken,
    ) -> Self {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let writer = Writer {
            client,
            leadership,
            metrics,
            known,
        };
        tokio::spawn(Queue::default().run(writer, receiver, shutdown));
        Self { sender }
    }

    /// Hands over a report.
    pub async fn send(&self, report: Report) {
        let _ = self.sender.send((report, None)).await;
    }

    /// Hands over a report and waits until it is stored; false when it is not. For intents, which must be on record before
    /// the act.
    pub async fn store(&self, report: Report) -> bool {
        let (done, stored) = oneshot::channel();
        self.sender.send((report, Some(done))).await.is_ok() && stored.await.unwrap_or(false)
    }
}

#[derive(Clone)]
struct Writer {
    client: Client,
    leadership: Leadership,
    metrics: Metrics,
    known: KnownStatuses,
}

/// How a write ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Stored,
    /// Nobody needs it any more: the policy is gone, or another replica leads.
    Pointless,
    Failed,
    /// As it is, the object takes no status.
    Refused,
}

impl Writer {
    async fn store(&self, report: &Report) -> End {
        // What is written over is what was known before leadership was checked: a leader that is paused in between finds that
        // its successor wrote.
        let known = self.known.get(&report.policy);
        if !self.leadership.is_leader_now() {
            return End::Pointless;
        }
        let mut end = self.write(report, known).await;
        // Somebody changed the object: it is read again, and leadership checked again.
        if matches!(&end, Err(error) if error.code() == Some(409)) {
            self.count("Conflict");
            if !self.leadership.is_leader_now() {
                return End::Pointless;
            }
            end = self.write(report, None).await;
        }
        match end {
            Ok(()) => {
                self.count("Written");
                End::Stored
            }
            Err(error) if error.code() == Some(404) => {
                self.count("Gone");
                self.known.forget(&report.policy);
                End::Pointless
            }
            Err(error) => {
                let refused = error.code() == Some(422);
                self.count(if refused { "Refused" } else { "Failed" });
                tracing::warn!(policy = %report.policy, %error, refused, "a status was not written, and will be tried again");
                if refused { End::Refused } else { End::Failed }
            }
        }
    }

    fn count(&self, outcome: &str) {
        self.metrics
            .status_writes
            .get_or_create(&WriteLabels {
                outcome: outcome.into(),
            })
            .inc();
    }

    async fn write(&self, report: &Report, known: Option<Known>) -> Result<(), CallError> {
        let key = &report.policy;
        let resource = resource_of(key.kind);
        let api: Api<DynamicObject> = if key.namespace.is_empty() {
            Api::all_with(self.client.clone(), &resource)
        } else {
            Api::namespaced_with(self.client.clone(), &key.namespace, &resource)
        };
        // What an unusable policy remembered (its scale events, its incidents) is kept for the day on which it can be used again.
        let keeps_rest = report.detail == Detail::None && known.as_ref().is_none_or(|known| known.has_status);
        let stored = match known {
            Some(_) if !keeps_rest => None,
            _ => Some(call(format!("read {key}"), api.get(&key.name)).await?),
        };
        let Some(old) = known.or_else(|| stored.as_ref().map(Known::of)) else {
            return Ok(());
        };
        let Ok(mut status) = status_of(report, &old.conditions(), clock::now()) else {
            return Ok(());
        };
        if keeps_rest && let Some(stored) = stored {
            add_rest(&mut status.0, stored.data);
        }
        let Some(request) = whole(key, &resource, &old.version, &status.0) else {
            return Ok(());
        };
        let written = self.client.request::<PartialObjectMeta<DynamicObject>>(request);
        let written = call(format!("write the status of {key}"), written).await?;
        self.known
            .wrote(key, &written.resource_version().unwrap_or_default(), &status.0);
        Ok(())
    }
}

/// Adds the fields of a stored status that the new one does not have.
fn add_rest(status: &mut Value, mut stored: Value) {
    if let (Some(fields), Some(Value::Object(rest))) =
        (status.as_object_mut(), stored.get_mut("status").map(Value::take))
    {
        for (name, value) in rest {
            fields.entry(name).or_insert(value);
        }
    }
}

/// The whole status over one version of the object. Of the object nothing else is sent, since nothing else counts here, and only
/// its metadata is wanted back: the API server spends its time on what it reads and writes.
fn whole(key: &PolicyKey, resource: &ApiResource, version: &str, status: &Value) -> Option<http::Request<Vec<u8>>> {
    let mut metadata = json!({"name": key.name, "resourceVersion": version});
    if !key.namespace.is_empty() {
        metadata["namespace"] = key.namespace.as_str().into();
    }
    let body = json!({
        "apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata, "status": status,
    });
    let namespace = (!key.namespace.is_empty()).then_some(key.namespace.as_str());
    let params = PostParams {
        field_manager: Some(FIELD_MANAGER.into()),
        ..PostParams::default()
    };
    let request = kube::core::Request::new(DynamicObject::url_path(resource, namespace));
    let body = serde_json::to_vec(&body).ok()?;
    let mut request = request.replace_subresource("status", &key.name, &params, body).ok()?;
    request.headers_mut().insert(http::header::ACCEPT, METADATA_ONLY);
    Some(request)
}

/// The API of one of Homeostat's own kinds.
#[must_use]
pub fn resource_of(kind: PolicyKind) -> ApiResource {
    match kind {
        PolicyKind::ScalingPolicy => ScalingPolicy::api_resource(),
        PolicyKind::NodePoolPolicy => NodePoolPolicy::api_resource(),
        PolicyKind::HealingPolicy => HealingPolicy::api_resource(),
        PolicyKind::GitSource => GitSource::api_resource(),
        PolicyKind::OperatorConfig => OperatorConfig::api_resource(),
    }
}
