//! Leadership by a Lease: every replica observes, only the leader acts. The claim is checked by its expiry, at every use,
//! on a clock that counts suspended time: a replica that was paused and wakes late does not lead any more.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, ObjectMeta, PostParams};
use kube::{Client, ResourceExt};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::core::lease::{LeaseConfig, Observed, Record, Step};
use crate::core::time::Span;
use crate::edge::clock::{self, Boottime};

/// Whether this process leads. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Leadership {
    claim: Arc<Mutex<Option<Boottime>>>,
    deadline: Duration,
    changes: watch::Receiver<bool>,
}

impl Leadership {
    /// Whether this process leads at this very moment.
    #[must_use]
    pub fn is_leader_now(&self) -> bool {
        let claim = *self.claim.lock().unwrap_or_else(PoisonError::into_inner);
        claim.is_some_and(|renewed| renewed.elapsed() < self.deadline)
    }

    /// Says when leadership is won or lost; it may lag behind [`Self::is_leader_now`].
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<bool> {
        self.changes.clone()
    }
}

/// Contends for a Lease.
pub struct Elector {
    api: Api<Lease>,
    name: String,
    identity: String,
    config: LeaseConfig,
    claim: Arc<Mutex<Option<Boottime>>>,
    changes: watch::Sender<bool>,
    seen: Observed,
}

/// Starts contending for the Lease; on shutdown it is released, so that the next replica takes over at once. The second
/// value ends when it has been.
#[must_use]
pub fn contend(
    client: Client,
    namespace: &str,
    name: &str,
    identity: &str,
    config: LeaseConfig,
    shutdown: CancellationToken,
) -> (Leadership, tokio::task::JoinHandle<()>) {
    let claim = Arc::new(Mutex::new(None));
    let (sender, changes) = watch::channel(false);
    let leadership = Leadership {
        claim: Arc::clone(&claim),
        deadline: duration(config.renew_deadline),
        changes,
    };
    let elector = Elector {
        api: Api::namespaced(client, namespace),
        name: name.to_owned(),
        identity: identity.to_owned(),
        config,
        claim,
        changes: sender,
        seen: Observed::default(),
    };
    (leadership, tokio::spawn(elector.run(shutdown)))
}

fn duration(span: Span) -> Duration {
    Duration::from_millis(span.as_millis().max(0).unsigned_abs())
}

impl Elector {
    async fn run(mut self, shutdown: CancellationToken) {
        let period = duration(self.config.retry);
        let limit = duration(self.config.renew_deadline) / 2;
        loop {
            let began = Boottime::now();
            // A try may take long where the API server is busy, but not so long that there is no time for another before the claim
            // runs out.
            match tokio::time::timeout(limit, self.attempt()).await {
                Ok(Ok(true)) => self.set_claim(Some(began)),
                Ok(Ok(false)) => self.set_claim(None),
                Ok(Err(error)) => tracing::warn!(%error, lease = self.name, "the Lease could not be read or renewed"),
                Err(_) => tracing::warn!(
                    lease = self.name,
                    "the API server did not answer about the Lease in time"
                ),
            }
            self.announce();
            tokio::select! {
                () = shutdown.cancelled() => break,
                () = tokio::time::sleep(period.saturating_sub(began.elapsed())) => {}
            }
        }
        self.release().await;
    }

    fn set_claim(&self, renewed: Option<Boottime>) {
        *self.claim.lock().unwrap_or_else(PoisonError::into_inner) = renewed;
    }

    fn announce(&self) {
        let claim = *self.claim.lock().unwrap_or_else(PoisonError::into_inner);
        let leads = claim.is_some_and(|c| c.elapsed() < duration(self.config.renew_deadline));
        self.changes
            .send_if_modified(|old| std::mem::replace(old, leads) != leads);
    }

    /// One look at the Lease, and a write where it is ours to write. True: it is ours now.
    async fn attempt(&mut self) -> Result<bool, kube::Error> {
        let Some(lease) = self.api.get_opt(&self.name).await? else {
            let fresh = Lease {
                metadata: ObjectMeta {
                    name: Some(self.name.clone()),
                    ..ObjectMeta::default()
                },
                spec: Some(self.spec(None)),
            };
            return accepted(self.api.create(&PostParams::default(), &fresh).await);
        };
        let holder = lease
            .spec
            .as_ref()
            .and_then(|s| s.holder_identity.clone())
            .unwrap_or_default();
        let record = Record {
            holder,
            version: lease.resource_version().unwrap_or_default(),
        };
        let now = Boottime::now().as_millis();
        if self.seen.look(record, &self.identity, now, &self.config) == Step::Wait {
            return Ok(false);
        }
        let spec = self.spec(lease.spec.as_ref());
        // The resourceVersion that was read goes along: a write that somebody else overtook is refused.
        let renewed = Lease {
            spec: Some(spec),
            ..lease
        };
        accepted(self.api.replace(&self.name, &PostParams::default(), &renewed).await)
    }

    fn spec(&self, old: Option<&LeaseSpec>) -> LeaseSpec {
        let now = MicroTime(Timestamp::from_millisecond(clock::now().as_millis()).unwrap_or_default());
        let mine = old.and_then(|s| s.holder_identity.as_deref()) == Some(self.identity.as_str());
        let transitions = old.and_then(|s| s.lease_transitions).unwrap_or(0);
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: i32::try_from(self.config.duration.as_millis() / 1000).ok(),
            acquire_time: if mine {
                old.and_then(|s| s.acquire_time.clone())
            } else {
                Some(now.clone())
            },
            renew_time: Some(now),
            lease_transitions: Some(if mine || old.is_none() {
                transitions
            } else {
                transitions + 1
            }),
            ..LeaseSpec::default()
        }
    }

    /// Gives the Lease back, so that the next replica need not wait for its end.
    async fn release(&mut self) {
        let led = self
            .claim
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
            .is_some();
        self.announce();
        if !led {
            return;
        }
        let give_back = async {
            let mut lease = self.api.get(&self.name).await?;
            let spec = lease.spec.get_or_insert_default();
            if spec.holder_identity.as_deref() == Some(self.identity.as_str()) {
                spec.holder_identity = Some(String::new());
                self.api.replace(&self.name, &PostParams::default(), &lease).await?;
            }
            Ok::<_, kube::Error>(())
        };
        match tokio::time::timeout(duration(self.config.retry), give_back).await {
            Ok(Ok(())) => tracing::info!(lease = self.name, "released"),
            Ok(Err(error)) => tracing::warn!(%error, "the Lease was not released: it runs out by itself"),
            Err(_) => tracing::warn!("the Lease was not released in time: it runs out by itself"),
        }
    }
}

/// A write that somebody else overtook is no error: they lead.
fn accepted(result: Result<Lease, kube::Error>) -> Result<bool, kube::Error> {
    match result {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
        Err(error) => Err(error),
    }
}
