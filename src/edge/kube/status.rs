//! Writes statuses, and only when their meaning changed. Of several reports on one policy only the latest is written.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::{StreamExt, stream};
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams};
use kube::{CustomResourceExt, ResourceExt};
use serde_json::json;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::{CallError, FIELD_MANAGER, call};
use crate::api::common::Condition;
use crate::api::convert::status_of;
use crate::api::{GitSource, HealingPolicy, NodePoolPolicy, OperatorConfig, ScalingPolicy};
use crate::core::names::{PolicyKey, PolicyKind};
use crate::core::report::Report;
use crate::edge::retry::Backoff;
use crate::operator::clock;
use crate::operator::lease::Leadership;
use crate::telemetry::metrics::{Metrics, WriteLabels};

/// How many statuses are written at once.
const AT_ONCE: usize = 8;
/// How many reports may wait; the engine waits when there are more.
const QUEUE: usize = 4096;
/// How often a write is tried.
const TRIES: u32 = 5;

/// A report on its way, and whom to tell when it is stored.
type Job = (Report, Option<oneshot::Sender<bool>>);

/// Where reports go.
#[derive(Clone, Debug)]
pub struct StatusWriter {
    sender: mpsc::Sender<Job>,
}

impl StatusWriter {
    /// Starts the writer.
    #[must_use]
    pub fn spawn(client: Client, leadership: Leadership, metrics: Metrics, shutdown: CancellationToken) -> Self {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let writer = Writer {
            client,
            leadership,
            metrics,
            conditions: Arc::default(),
        };
        tokio::spawn(writer.run(receiver, shutdown));
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
    conditions: Arc<Mutex<BTreeMap<PolicyKey, Vec<Condition>>>>,
}

impl Writer {
    async fn run(self, mut receiver: mpsc::Receiver<Job>, shutdown: CancellationToken) {
        let mut jobs: Vec<Job> = Vec::new();
        loop {
            let count = tokio::select! {
                () = shutdown.cancelled() => return,
                count = receiver.recv_many(&mut jobs, QUEUE) => count,
            };
            if count == 0 {
                return;
            }
            let mut latest: BTreeMap<PolicyKey, (Report, Vec<oneshot::Sender<bool>>)> = BTreeMap::new();
            for (report, done) in jobs.drain(..) {
                let entry = latest
                    .entry(report.policy.clone())
                    .or_insert_with(|| (report.clone(), Vec::new()));
                entry.0 = report;
                entry.1.extend(done);
            }
            stream::iter(latest.into_values())
                .for_each_concurrent(AT_ONCE, |(report, waiting)| {
                    let writer = self.clone();
                    async move {
                        let stored = writer.store(&report).await;
                        for done in waiting {
                            let _ = done.send(stored);
                        }
                    }
                })
                .await;
        }
    }

    async fn store(&self, report: &Report) -> bool {
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));
        for _ in 0..TRIES {
            if !self.leadership.is_leader_now() {
                return false;
            }
            match self.write(report).await {
                Ok(()) => {
                    self.count("Written");
                    self.metrics.stored(report);
                    return true;
                }
                Err(error) if error.code() == Some(404) => {
                    self.count("Gone");
                    return false;
                }
                Err(error) => {
                    self.count("Failed");
                    tracing::warn!(policy = %report.policy, %error, "a status was not written");
                    tokio::time::sleep(backoff.next_delay()).await;
                }
            }
        }
        false
    }

    fn count(&self, outcome: &str) {
        self.metrics
            .status_writes
            .get_or_create(&WriteLabels {
                outcome: outcome.into(),
            })
            .inc();
    }

    async fn write(&self, report: &Report) -> Result<(), CallError> {
        let key = &report.policy;
        let resource = resource_of(key.kind);
        let api: Api<DynamicObject> = if key.namespace.is_empty() {
            Api::all_with(self.client.clone(), &resource)
        } else {
            Api::namespaced_with(self.client.clone(), &key.namespace, &resource)
        };
        let known = self
            .conditions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(key)
            .cloned();
        let old = match known {
            Some(known) => known,
            None => stored_conditions(&call(format!("read {key}"), api.get(&key.name)).await?),
        };
        let Ok(body) = status_of(report, &old, clock::now()) else {
            return Ok(());
        };
        let patch = Patch::Apply(json!({
            "apiVersion": resource.api_version, "kind": resource.kind,
            "metadata": {"name": key.name},
            "status": body.0,
        }));
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let written = call(
            format!("write the status of {key}"),
            api.patch_status(&key.name, &params, &patch),
        );
        let conditions = stored_conditions(&written.await?);
        self.conditions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(key.clone(), conditions);
        Ok(())
    }
}

fn stored_conditions(object: &DynamicObject) -> Vec<Condition> {
    let stored = object.data.pointer("/status/conditions").cloned().unwrap_or_default();
    tracing::trace!(object = object.name_any(), "conditions read");
    serde_json::from_value(stored).unwrap_or_default()
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
