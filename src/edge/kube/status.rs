//! Writes statuses, and only when their meaning changed. Of several reports on one policy only the latest is written.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::{StreamExt, stream};
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams};
use kube::{CustomResourceExt, ResourceExt};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{CallError, FIELD_MANAGER, call};
use crate::api::common::Condition;
use crate::api::convert::status_of;
use crate::api::{GitSource, HealingPolicy, NodePoolPolicy, OperatorConfig, ScalingPolicy};
use crate::core::names::{PolicyKey, PolicyKind};
use crate::core::report::{Detail, Report};
use crate::edge::clock;
use crate::edge::kube::lease::Leadership;
use crate::edge::retry::Backoff;
use crate::telemetry::metrics::{Metrics, WriteLabels};

/// How many statuses are written at once.
const AT_ONCE: usize = 8;
/// How many reports may wait; the engine waits when there are more.
const QUEUE: usize = 4096;
/// The longest wait before a write that failed is tried again.
const LAST_DELAY: Duration = Duration::from_secs(30);
/// The wait before a write that the API server refused is tried again. It refuses any status, whatever it says, of an object
/// whose spec has a value of another type than one of the definition's rules reads: then Events and metrics must do.
const REFUSED_DELAY: Duration = Duration::from_mins(5);

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
            stored: Arc::default(),
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
    stored: Arc<Mutex<BTreeMap<PolicyKey, Stored>>>,
}

/// What is stored of a policy, as far as the next status depends on it.
#[derive(Clone, Debug)]
struct Stored {
    conditions: Vec<Condition>,
    /// A status is written only over this version of the object: a leader that was paused and wakes late writes over nothing
    /// that its successor wrote.
    version: String,
}

/// The latest report on one policy, until it is stored.
struct Waiting {
    report: Report,
    done: Vec<oneshot::Sender<bool>>,
    backoff: Backoff,
    next: Instant,
}

impl Waiting {
    fn new(report: Report) -> Self {
        Self {
            report,
            done: Vec::new(),
            backoff: Backoff::new(Duration::from_millis(200), LAST_DELAY),
            next: Instant::now(),
        }
    }

    /// Tells those that wait for it.
    fn tell(&mut self, stored: bool) {
        for done in self.done.drain(..) {
            let _ = done.send(stored);
        }
    }
}

/// How a write ended.
enum End {
    Stored,
    /// Nobody needs it any more: the policy is gone, or another replica leads.
    Pointless,
    Failed,
    /// As it is, the object takes no status.
    Refused,
}

impl Writer {
    /// What cannot be written, since the API server is away, say, is written later, unless there is something newer to say.
    async fn run(self, mut receiver: mpsc::Receiver<Job>, shutdown: CancellationToken) {
        let mut jobs: Vec<Job> = Vec::new();
        let mut waiting: BTreeMap<PolicyKey, Waiting> = BTreeMap::new();
        loop {
            let next = waiting.values().map(|w| w.next).min();
            tokio::select! {
                () = shutdown.cancelled() => return,
                count = receiver.recv_many(&mut jobs, QUEUE) => if count == 0 { return; },
                () = tokio::time::sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {}
            }
            for (report, done) in jobs.drain(..) {
                let entry = waiting
                    .entry(report.policy.clone())
                    .or_insert_with(|| Waiting::new(report.clone()));
                if entry.report.generation != report.generation {
                    entry.next = Instant::now();
                }
                entry.report = report;
                entry.done.extend(done);
            }
            let now = Instant::now();
            let due: Vec<Waiting> = waiting.extract_if(.., |_, w| w.next <= now).map(|(_, w)| w).collect();
            let failed = stream::iter(due)
                .map(|mut job| {
                    let writer = self.clone();
                    async move {
                        let end = writer.store(&job.report).await;
                        job.tell(matches!(end, End::Stored));
                        let delay = match end {
                            End::Stored | End::Pointless => return None,
                            End::Failed => job.backoff.next_delay(),
                            End::Refused => REFUSED_DELAY,
                        };
                        job.next = Instant::now() + delay;
                        Some(job)
                    }
                })
                .buffer_unordered(AT_ONCE)
                .filter_map(std::future::ready);
            let failed: Vec<Waiting> = failed.collect().await;
            waiting.extend(failed.into_iter().map(|job| (job.report.policy.clone(), job)));
        }
    }

    async fn store(&self, report: &Report) -> End {
        if !self.leadership.is_leader_now() {
            return End::Pointless;
        }
        let mut end = self.write(report).await;
        // Somebody changed the object: it is read again, and leadership checked again.
        if matches!(&end, Err(error) if error.code() == Some(409)) {
            self.count("Conflict");
            self.stored().remove(&report.policy);
            if !self.leadership.is_leader_now() {
                return End::Pointless;
            }
            end = self.write(report).await;
        }
        match end {
            Ok(()) => {
                self.count("Written");
                End::Stored
            }
            Err(error) if error.code() == Some(404) => {
                self.count("Gone");
                self.stored().remove(&report.policy);
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

    async fn write(&self, report: &Report) -> Result<(), CallError> {
        let key = &report.policy;
        let resource = resource_of(key.kind);
        let api: Api<DynamicObject> = if key.namespace.is_empty() {
            Api::all_with(self.client.clone(), &resource)
        } else {
            Api::namespaced_with(self.client.clone(), &key.namespace, &resource)
        };
        let only_conditions = report.detail == Detail::None;
        let known = self.stored().get(key).cloned().filter(|_| !only_conditions);
        let (old, keep_rest) = if let Some(known) = known {
            (known, false)
        } else {
            let object = call(format!("read {key}"), api.get(&key.name)).await?;
            let has_status = object.data.get("status").is_some_and(Value::is_object);
            (stored(&object), only_conditions && has_status)
        };
        let Ok(body) = status_of(report, &old.conditions, clock::now()) else {
            return Ok(());
        };
        let Ok(patch) = serde_json::from_value(patch_of(&body.0, &old.version, keep_rest)) else {
            return Ok(());
        };
        let params = PatchParams {
            field_manager: Some(FIELD_MANAGER.into()),
            ..PatchParams::default()
        };
        let patch = Patch::Json::<()>(patch);
        let what = format!("write the status of {key}");
        let written = call(what, api.patch_status(&key.name, &params, &patch)).await?;
        self.stored().insert(key.clone(), stored(&written));
        Ok(())
    }

    fn stored(&self) -> MutexGuard<'_, BTreeMap<PolicyKey, Stored>> {
        self.stored.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn stored(object: &DynamicObject) -> Stored {
    let conditions = object.data.pointer("/status/conditions").cloned().unwrap_or_default();
    Stored {
        conditions: serde_json::from_value(conditions).unwrap_or_default(),
        version: object.resource_version().unwrap_or_default(),
    }
}

/// A JSON patch, since it needs nothing of what is stored: server-side apply refuses to touch an object of which any field,
/// in the spec or in the status, has another type than the schema says. What an unusable policy remembered (its scale
/// events, its incidents) is kept for the day on which it can be used again.
fn patch_of(status: &Value, version: &str, keep_rest: bool) -> Value {
    // Taken by the API server as the version that is written over: another one is a conflict.
    let mut steps = vec![json!({"op": "add", "path": "/metadata/resourceVersion", "value": version})];
    match status.as_object() {
        Some(fields) if keep_rest => steps.extend(
            fields
                .iter()
                .map(|(name, value)| json!({"op": "add", "path": format!("/status/{name}"), "value": value})),
        ),
        _ => steps.push(json!({"op": "add", "path": "/status", "value": status})),
    }
    Value::Array(steps)
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
