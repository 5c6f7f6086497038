//! One GitSource: asks the repository on time, and between that answers to what the watches see and the engine orders. What
//! is done with a commit is in `revise`, what is done about drift in `enforce`. Never writes unless this replica leads.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use kube::api::DynamicObject;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Surroundings;
use super::cluster::Account;
use super::fetch::{Ask, Commit, Ended, Fetching};
use super::kinds::Kinds;
use super::settings::Settings;
use super::status::StatusKeeper;
use super::steps::Objects;
use super::trouble::Trouble;
use super::watches::{Marked, Watches};
use crate::core::event::Event;
use crate::core::names::{ObjectKey, ObjectRef, PolicyKey, PolicyKind};
use crate::core::world::{DeclaredSet, DeclaredState};
use crate::edge::git::Fetcher;
use crate::edge::kube::execute::RestoreOrder;
use crate::edge::retry::Backoff;

/// The first delay after something that may pass by itself.
const FIRST_RETRY: Duration = Duration::from_secs(1);
/// The longest one, where the interval is longer still.
const LONGEST_RETRY: Duration = Duration::from_mins(2);
/// There is nothing to wait for but a change of the source.
const LONG: Duration = Duration::from_hours(24);

/// The revision that is enforced.
pub(super) struct Applied {
    /// The commit's id.
    pub id: String,
    /// As in `main@sha1:<id>`.
    pub text: String,
    pub objects: Objects,
}

/// Syncs one source.
pub(super) struct Worker {
    pub around: Surroundings,
    pub source: PolicyKey,
    pub key: ObjectKey,
    object: watch::Receiver<DynamicObject>,
    orders: mpsc::Receiver<RestoreOrder>,
    stop: CancellationToken,
    pub keeper: StatusKeeper,
    /// What is asked for and as whom; `None` while that cannot be known.
    pub settings: Option<(Settings, Account)>,
    pub kinds: Kinds,
    fetcher: Option<Fetcher>,
    fetching: Option<Fetching>,
    /// A commit that was fetched and is not applied: it could not be, or not wholly.
    pub latest: Option<Commit>,
    pub applied: Option<Applied>,
    /// Whether the applied revision is still to be fetched by its id, because the branch is at one that cannot be applied.
    recall: Option<String>,
    /// The source was made or changed since the repository was read.
    unread: bool,
    /// What the engine was told of each object.
    pub told: BTreeMap<ObjectRef, DeclaredState>,
    /// Objects of which the engine is told in any case until then: it learns of a restore and of what was seen of the object
    /// in no certain order.
    pub doubts: BTreeMap<ObjectRef, Instant>,
    pub watches: Watches,
    pub marked: Marked,
    next: Instant,
    backoff: Backoff,
}

impl Worker {
    pub fn new(
        around: Surroundings,
        key: ObjectKey,
        object: watch::Receiver<DynamicObject>,
        orders: mpsc::Receiver<RestoreOrder>,
        stop: CancellationToken,
    ) -> Self {
        let source = PolicyKey::new(PolicyKind::GitSource, &key.namespace, &key.name);
        Self {
            keeper: StatusKeeper::new(around.clone(), source.clone()),
            around,
            source,
            key,
            object,
            orders,
            stop,
            settings: None,
            kinds: Kinds::default(),
            fetcher: None,
            fetching: None,
            latest: None,
            applied: None,
            recall: None,
            unread: true,
            told: BTreeMap::new(),
            doubts: BTreeMap::new(),
            watches: Watches::default(),
            marked: Marked::default(),
            next: Instant::now(),
            backoff: Backoff::new(FIRST_RETRY, LONGEST_RETRY),
        }
    }

    /// Runs until it is stopped.
    pub async fn run(mut self) {
        let stop = self.stop.clone();
        let work = async {
            self.begin().await;
            let mut owned = self.around.owned.clone();
            loop {
                self.turn(&mut owned).await;
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = work => {}
        }
        drop(self.fetching.take());
        let _ = tokio::fs::remove_dir_all(self.copy_dir()).await;
    }

    /// Waits until this replica leads and knows which replicas belong to policies, and then for what was done before.
    async fn begin(&mut self) {
        let mut changes = self.around.leadership.changes();
        while !self.around.leadership.is_leader_now() {
            let _ = tokio::time::timeout(FIRST_RETRY, changes.changed()).await;
        }
        let mut owned = self.around.owned.clone();
        if owned.wait_for(Option::is_some).await.is_err() {
            return;
        }
        while let Err(trouble) = self.keeper.load().await {
            tracing::warn!(source = %self.source, trouble.message, "the status was not read and is read again");
            tokio::time::sleep(self.backoff.next_delay()).await;
        }
        self.backoff.reset();
        self.object.mark_changed();
    }

    /// One thing after the other: whatever comes next.
    async fn turn(&mut self, owned: &mut watch::Receiver<Option<BTreeSet<ObjectRef>>>) {
        let idle = self.fetching.is_none();
        tokio::select! {
            Ok(()) = self.object.changed() => self.renew().await,
            Some(order) = self.orders.recv() => self.restore(order).await,
            objects = self.marked.take() => self.look_again(objects).await,
            Ok(()) = owned.changed() => self.owned_changed(),
            ended = ended(&mut self.fetching) => self.fetched(ended).await,
            () = tokio::time::sleep_until(self.next), if idle => self.fetch(),
        }
    }

    /// The source was made or changed.
    async fn renew(&mut self) {
        let object = self.object.borrow_and_update().clone();
        let uid = object.metadata.uid.clone().unwrap_or_default();
        self.keeper.speak_of(&uid, object.metadata.generation.unwrap_or(0));
        let read = Settings::read(&object).map_err(|invalid| Trouble::stalled("InvalidSpec", invalid.to_string()));
        let read = read.and_then(|settings| {
            let known = self.settings.as_ref();
            if let Some((_, account)) = known.filter(|(s, _)| s.service_account == settings.service_account) {
                return Ok((settings, account.clone()));
            }
            let account = Account::new(&self.around, &self.key.namespace, &settings.service_account);
            let account = account.map_err(|error| Trouble::retry("ClientFailed", error))?;
            Ok((settings, account))
        });
        let renewed = match read {
            Ok(renewed) => renewed,
            Err(trouble) => {
                self.settings = None;
                self.rest().await;
                self.conclude(Err(trouble)).await;
                self.next = Instant::now() + LONG;
                return;
            }
        };
        if let Some(fetching) = self.fetching.as_ref().filter(|f| f.used != renewed.0) {
            fetching.cancel();
        }
        let suspend = renewed.0.suspend;
        // What was read for other settings says nothing about these.
        (self.latest, self.unread) = (None, true);
        self.next = Instant::now();
        self.backoff = Backoff::new(FIRST_RETRY, LONGEST_RETRY.min(renewed.0.interval));
        let account = renewed.1.clone();
        self.settings = Some(renewed);
        if suspend {
            self.rest().await;
            let message = "spec.suspend is true: nothing is fetched, applied, restored or deleted";
            let said = self.keeper.ready("Suspended", message, |_| {}).await;
            self.settle(said, "Suspended");
            self.next = Instant::now() + LONG;
        } else if let Some(applied) = &self.applied {
            self.watches.set(&account, &applied.objects, &self.marked);
            self.tell_all().await;
        }
    }

    /// Nothing is done until the source changes.
    async fn rest(&mut self) {
        self.watches.stop();
        if let Some(fetching) = &self.fetching {
            fetching.cancel();
        }
        self.tell_all().await;
    }

    fn copy_dir(&self) -> PathBuf {
        self.around
            .work_dir
            .join(format!("{}_{}", self.key.namespace, self.key.name))
    }

    /// Begins to look at the repository.
    fn fetch(&mut self) {
        let Some((settings, _)) = self.settings.as_ref().filter(|(s, _)| !s.suspend) else {
            self.next = Instant::now() + LONG;
            return;
        };
        let fetcher = self.fetcher.take().unwrap_or_else(|| Fetcher::new(self.copy_dir()));
        let seen = self.latest.as_ref().map(|c| &c.id);
        let seen = seen.or(self.applied.as_ref().map(|a| &a.id)).filter(|_| !self.unread);
        let ask = match self.recall.take() {
            Some(id) => Ask::Commit(id),
            None => Ask::Branch { unless: seen.cloned() },
        };
        let (client, namespace) = (self.around.client.clone(), self.key.namespace.clone());
        self.fetching = Some(Fetching::start(fetcher, client, namespace, settings.clone(), ask));
    }

    /// The repository has answered.
    async fn fetched(&mut self, ended: Option<Ended>) {
        let Some(fetching) = self.fetching.take() else { return };
        let (fetcher, result) = match ended {
            Some((fetcher, result)) => (Some(fetcher), result),
            None => (None, Err(Trouble::retry("FetchFailed", "the fetch broke off"))),
        };
        self.fetcher = fetcher;
        let same = self.settings.as_ref().is_some_and(|(s, _)| *s == fetching.used);
        if !same || fetching.used.suspend {
            return;
        }
        match (&fetching.ask, result) {
            (Ask::Commit(_), result) => self.recalled(result).await,
            (Ask::Branch { .. }, result) => {
                let result = match result {
                    Ok(news) => {
                        self.unread = false;
                        self.sync(news).await
                    }
                    Err(trouble) => Err(trouble),
                };
                self.recall = self.applied_before().filter(|_| result.is_err());
                self.conclude(result).await;
            }
        }
    }

    /// The revision that was applied before this process knew of it, while it still does not.
    fn applied_before(&self) -> Option<String> {
        let text = self.keeper.get().last_applied_revision.as_ref();
        let id = text
            .and_then(|text| text.rsplit_once("@sha1:"))
            .map(|(_, id)| id.to_owned());
        id.filter(|_| self.applied.is_none())
    }

    /// What was applied before is known again, so that it can be kept; or it is not to be had, which the next sync mends.
    async fn recalled(&mut self, result: Result<Option<Commit>, Trouble>) {
        let enforced = match result {
            Ok(Some(commit)) => self.resume(&commit).await,
            Ok(None) => Ok(()),
            Err(trouble) => Err(trouble),
        };
        if let Err(trouble) = enforced {
            tracing::warn!(source = %self.source, trouble.reason, trouble.message,
                "the revision that was applied before cannot be read: its objects are kept, and not brought back");
        }
        let (settings, next) = (self.settings.as_ref(), self.next);
        self.next = settings.map_or(next, |(s, _)| Instant::now() + s.interval);
    }

    /// Says how it went, and when to look again.
    async fn conclude(&mut self, result: Result<(), Trouble>) {
        let interval = self
            .settings
            .as_ref()
            .map_or(LONG, |(s, _)| jittered(s.interval, &self.key));
        let Err(trouble) = result else {
            self.backoff.reset();
            self.next = Instant::now() + interval;
            return;
        };
        let wait = if trouble.stalled {
            interval
        } else {
            self.backoff.next_delay().min(interval)
        };
        self.next = Instant::now() + if self.recall.is_some() { Duration::ZERO } else { wait };
        self.around.metrics.synced(&self.source, &trouble.reason, None);
        if !self.around.leadership.is_leader_now() {
            return;
        }
        let attempted = self.latest.as_ref().map(|c| c.text.clone());
        let requested = self.requested();
        let said = self.keeper.trouble(&trouble, |status| {
            if attempted.is_some() {
                status.last_attempted_revision = attempted;
            }
            if requested.is_some() {
                status.last_handled_reconcile_at = requested;
            }
        });
        if let Err(unsaid) = said.await {
            tracing::warn!(source = %self.source, unsaid.message, trouble.message, "the status was not written");
        }
    }

    /// After a status write that is not part of a sync.
    fn settle(&self, said: Result<(), Trouble>, outcome: &str) {
        self.around.metrics.synced(&self.source, outcome, None);
        if let Err(trouble) = said {
            tracing::warn!(source = %self.source, trouble.message, "the status was not written");
        }
    }

    /// The value of the annotation that asks for a sync.
    pub fn requested(&self) -> Option<String> {
        self.settings.as_ref().and_then(|(s, _)| s.requested_at.clone())
    }

    /// Tells the engine everything that is declared.
    pub async fn tell_all(&mut self) {
        let Some(applied) = &self.applied else { return };
        let settings = self.settings.as_ref().map(|(settings, _)| settings);
        let state = |object: &ObjectRef| self.told.get(object).cloned().unwrap_or(DeclaredState::InSync);
        let set = DeclaredSet {
            revision: applied.text.clone(),
            suspend: settings.is_none_or(|s| s.suspend),
            enforce: settings.is_some_and(|s| s.enforce),
            objects: applied.objects.keys().map(|o| (o.clone(), state(o))).collect(),
        };
        let source = self.source.clone();
        let set = Some(Box::new(set));
        self.around.feed.send(Event::Declared { source, set }).await;
    }
}

async fn ended(fetching: &mut Option<Fetching>) -> Option<Ended> {
    match fetching {
        Some(fetching) => fetching.end().await,
        None => std::future::pending().await,
    }
}

/// The interval, up to a tenth longer: each source its own, so that they do not all ask at once.
fn jittered(interval: Duration, key: &ObjectKey) -> Duration {
    let sum: u32 = key.to_string().bytes().map(u32::from).sum();
    interval + interval / 1000 * (sum % 100)
}
