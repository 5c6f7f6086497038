//! GitSource: a repository path as the state of the cluster, for those who have neither Flux nor Argo CD.
//!
//! fetch → parse all → resolve kinds → dry-run all → inventory → apply in stages → prune → watch for drift.
//!
//! One worker a source; only the leader's workers do anything. Everything is applied as the ServiceAccount that the source
//! names, by server-side apply with the field manager [`MANAGER`], and only kinds that the source allows. A revision is
//! applied as a whole or, where anything in it is wrong, not at all. Whether drift is brought back is the engine's decision.

mod cluster;
mod enforce;
mod fetch;
mod inventory;
mod kinds;
mod payload;
mod resolve;
mod revise;
mod settings;
mod status;
mod steps;
mod trouble;
mod watches;
mod worker;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use futures::StreamExt;
use kube::api::{Api, DynamicObject};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Client, Config, ResourceExt};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::core::event::{Event, Outcome};
use crate::core::names::{ObjectKey, ObjectRef, PolicyKey, PolicyKind};
use crate::edge::kube::events::Notices;
use crate::edge::kube::execute::RestoreOrder;
use crate::edge::kube::feed::Feed;
use crate::edge::kube::lease::Leadership;
use crate::edge::kube::status::resource_of;
use crate::edge::kube::watch::{WatchBackoff, Watching, drive, key_of_dynamic};
use crate::telemetry::metrics::Metrics;
use worker::Worker;

/// The field manager of everything that is applied from Git. Documented: people name it in other tools' settings.
pub const MANAGER: &str = "homeostat-git";
/// On every applied object: `<namespace>/<name>` of the GitSource.
pub const SOURCE_ANNOTATION: &str = "homeostat.dev/source";
/// An object with this annotation `Disabled` is never deleted by a GitSource.
pub const PRUNE_ANNOTATION: &str = "homeostat.dev/prune";
/// Asks for a sync now, as Flux's tools do.
pub const REQUESTED_ANNOTATION: &str = "reconcile.fluxcd.io/requestedAt";

/// Orders that may wait for one source.
const ORDERS: usize = 256;

/// What the workers need from the process.
#[derive(Clone)]
pub struct Surroundings {
    /// For clients that act as a ServiceAccount.
    pub config: Config,
    /// The operator's own client: reads GitSources and Secrets, writes statuses.
    pub client: Client,
    /// Whether this process leads.
    pub leadership: Leadership,
    /// Where the engine is told.
    pub feed: Feed,
    /// Where people are told.
    pub notices: Notices,
    /// Counters.
    pub metrics: Metrics,
    /// Targets whose replicas belong to an active policy; `None` until that is known.
    pub owned: watch::Receiver<Option<BTreeSet<ObjectRef>>>,
    /// Where copies of repositories are kept.
    pub work_dir: PathBuf,
    /// Ends everything.
    pub shutdown: CancellationToken,
}

/// A worker as the manager sees it.
struct Running {
    object: watch::Sender<DynamicObject>,
    orders: mpsc::Sender<RestoreOrder>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// What the watch says: the latest of each source, `None` for one that is gone.
#[derive(Clone, Default)]
struct Seen {
    sources: Arc<Mutex<BTreeMap<ObjectKey, Option<DynamicObject>>>>,
    news: Arc<Notify>,
}

impl Seen {
    fn put(&self, key: ObjectKey, object: Option<DynamicObject>) {
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        sources.insert(key, object);
        self.news.notify_one();
    }

    fn take(&self) -> BTreeMap<ObjectKey, Option<DynamicObject>> {
        std::mem::take(&mut self.sources.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Syncs every GitSource until shutdown, and brings back objects when the engine orders it. Ends when all its writes have.
pub async fn run(around: Surroundings, watching: Watching, mut orders: mpsc::Receiver<RestoreOrder>) {
    let seen = Seen::default();
    let sources = tokio::spawn(watch_sources(around.client.clone(), watching, seen.clone()));
    let mut workers: BTreeMap<ObjectKey, Running> = BTreeMap::new();
    loop {
        tokio::select! {
            () = around.shutdown.cancelled() => break,
            () = seen.news.notified() => {
                for (key, object) in seen.take() {
                    match object {
                        Some(object) => changed(&around, &mut workers, object).await,
                        None => gone(&around, &mut workers, &key).await,
                    }
                }
            }
            order = orders.recv() => match order {
                Some(order) => pass_on(&workers, order),
                None => break,
            },
        }
    }
    for worker in workers.values() {
        worker.stop.cancel();
    }
    for worker in workers.into_values() {
        let _ = worker.task.await;
    }
    sources.abort();
}

async fn watch_sources(client: Client, watching: Watching, seen: Seen) {
    let api: Api<DynamicObject> = Api::all_with(client, &resource_of(PolicyKind::GitSource));
    let stream = watcher(api, watcher::Config::default()).backoff(WatchBackoff::default());
    let ended = seen.clone();
    drive(
        stream.boxed(),
        None,
        watching,
        move |object: DynamicObject| {
            let key = key_of_dynamic(&object);
            let there = object.metadata.deletion_timestamp.is_none();
            seen.put(key.clone(), there.then_some(object));
            (key, None)
        },
        move |key| {
            ended.put(key, None);
            None
        },
    )
    .await;
}

async fn changed(around: &Surroundings, workers: &mut BTreeMap<ObjectKey, Running>, object: DynamicObject) {
    let key = key_of_dynamic(&object);
    if let Some(worker) = workers.get(&key) {
        if worker.object.borrow().uid() == object.uid() {
            worker.object.send_if_modified(|old| {
                // The worker's own status writes are no change.
                let same =
                    old.metadata.generation == object.metadata.generation && old.annotations() == object.annotations();
                *old = object;
                !same
            });
            return;
        }
        gone(around, workers, &key).await;
    }
    let stop = around.shutdown.child_token();
    let (sender, receiver) = watch::channel(object);
    let (orders, waiting) = mpsc::channel(ORDERS);
    let worker = Worker::new(around.clone(), key.clone(), receiver, waiting, stop.clone());
    let running = Running {
        object: sender,
        orders,
        stop,
        task: tokio::spawn(worker.run()),
    };
    workers.insert(key, running);
}

/// The source is gone: what it applied stays; deleting all of it by a slip would be worse.
async fn gone(around: &Surroundings, workers: &mut BTreeMap<ObjectKey, Running>, key: &ObjectKey) {
    let Some(worker) = workers.remove(key) else { return };
    worker.stop.cancel();
    let _ = worker.task.await;
    let source = PolicyKey::new(PolicyKind::GitSource, &key.namespace, &key.name);
    around.metrics.forget_source(&source);
    around.feed.send(Event::Declared { source, set: None }).await;
}

fn pass_on(workers: &BTreeMap<ObjectKey, Running>, order: RestoreOrder) {
    let key = order.source.object_key();
    let rejected = match workers.get(&key) {
        Some(worker) => match worker.orders.try_send(order) {
            Ok(()) => return,
            Err(mpsc::error::TrySendError::Full(order) | mpsc::error::TrySendError::Closed(order)) => order,
        },
        None => order,
    };
    let message = format!("{} is not being synced, or is busy", rejected.source);
    let _ = rejected.done.send(Outcome::Skipped { message });
}
