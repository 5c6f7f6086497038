//! Watches what was applied, so that drift is seen at once. Says only which objects to look at; the look decides.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use futures::{StreamExt, TryStreamExt};
use kube::ResourceExt;
use kube::api::{Api, DynamicObject, PartialObjectMeta};
use kube::runtime::watcher::{Config, Event as Change};
use kube::runtime::{WatchStreamExt, watcher};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::cluster::Account;
use super::steps::Objects;
use crate::core::names::ObjectRef;
use crate::edge::kube::watch::WatchBackoff;

/// Objects to look at. Each waits once, however often it changes, so that nothing is lost and nothing piles up.
#[derive(Clone, Debug, Default)]
pub(super) struct Marked {
    objects: Arc<Mutex<BTreeSet<ObjectRef>>>,
    news: Arc<Notify>,
}

impl Marked {
    /// Asks for a look.
    pub fn mark(&self, objects: impl IntoIterator<Item = ObjectRef>) {
        let mut marked = self.objects.lock().unwrap_or_else(PoisonError::into_inner);
        marked.extend(objects);
        if !marked.is_empty() {
            self.news.notify_one();
        }
    }

    /// Asks for a look after a while.
    pub fn mark_later(&self, object: ObjectRef, after: std::time::Duration) {
        let marked = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(after).await;
            marked.mark([object]);
        });
    }

    /// Waits until there are some, and takes them all.
    pub async fn take(&self) -> BTreeSet<ObjectRef> {
        loop {
            self.news.notified().await;
            let mut marked = self.objects.lock().unwrap_or_else(PoisonError::into_inner);
            if !marked.is_empty() {
                return std::mem::take(&mut marked);
            }
        }
    }
}

/// A kind in a namespace, with the names that are declared there.
type Group = ((String, String, String), BTreeSet<String>);

/// The watches of one source; they end with it.
#[derive(Debug, Default)]
pub(super) struct Watches {
    account: String,
    groups: Vec<Group>,
    stop: Option<CancellationToken>,
}

impl Drop for Watches {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Watches {
    /// Watches exactly these objects from now on.
    pub fn set(&mut self, account: &Account, objects: &Objects, marked: &Marked) {
        let mut groups: BTreeMap<_, BTreeSet<String>> = BTreeMap::new();
        let mut sample = BTreeMap::new();
        for declared in objects.values() {
            let object = &declared.object;
            let key = (
                object.api_version.clone(),
                object.kind.clone(),
                object.namespace.clone(),
            );
            groups.entry(key.clone()).or_default().insert(object.name.clone());
            sample.entry(key).or_insert(declared);
        }
        let groups: Vec<Group> = groups.into_iter().collect();
        if groups == self.groups && account.name == self.account && self.stop.is_some() {
            return;
        }
        self.stop();
        let stop = CancellationToken::new();
        for (key, names) in &groups {
            let Some(declared) = sample.get(key) else { continue };
            let watch = Watch {
                like: declared.object.clone(),
                names: names.clone(),
                marked: marked.clone(),
                stamps: BTreeMap::new(),
                listed: BTreeSet::new(),
                failing: false,
            };
            let api = account.metadata(&declared.served, &declared.object);
            tokio::spawn(stop.clone().run_until_cancelled_owned(watch.run(api)));
        }
        account.name.clone_into(&mut self.account);
        (self.groups, self.stop) = (groups, Some(stop));
    }

    /// Ends all watches.
    pub fn stop(&mut self) {
        if let Some(stop) = self.stop.take() {
            stop.cancel();
        }
        self.groups.clear();
    }
}

/// What tells a change that matters from one of the status, where the kind counts generations.
#[derive(Clone, Debug, PartialEq)]
struct Stamp {
    uid: Option<String>,
    generation: Option<i64>,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
}

impl Stamp {
    fn of(object: &PartialObjectMeta<DynamicObject>) -> Self {
        Self {
            uid: object.uid(),
            generation: object.metadata.generation,
            labels: object.labels().clone(),
            annotations: object.annotations().clone(),
        }
    }
}

/// The watch of one kind in one namespace.
struct Watch {
    /// Any of the objects.
    like: ObjectRef,
    names: BTreeSet<String>,
    marked: Marked,
    stamps: BTreeMap<String, Stamp>,
    listed: BTreeSet<String>,
    failing: bool,
}

impl Watch {
    async fn run(mut self, api: Api<PartialObjectMeta<DynamicObject>>) {
        let mut config = Config::default();
        if let (1, Some(name)) = (self.names.len(), self.names.first()) {
            config = config.fields(&format!("metadata.name={name}"));
        }
        let mut stream = watcher(api, config).backoff(WatchBackoff::default()).boxed();
        loop {
            let names = match stream.try_next().await {
                Ok(Some(change)) => {
                    self.failing = false;
                    self.seen(change)
                }
                Ok(None) => return,
                Err(error) => {
                    if !self.failing {
                        tracing::warn!(kind = self.like.kind, namespace = self.like.namespace, %error,
                            "drift is seen only with each sync: the watch failed and is tried again");
                    }
                    self.failing = true;
                    continue;
                }
            };
            self.marked.mark(names.into_iter().map(|name| ObjectRef {
                name,
                ..self.like.clone()
            }));
        }
    }

    /// The names of the objects to look at.
    fn seen(&mut self, change: Change<PartialObjectMeta<DynamicObject>>) -> Vec<String> {
        match change {
            Change::Init => {
                self.listed.clear();
                Vec::new()
            }
            Change::InitApply(object) | Change::Apply(object) => {
                let name = object.name_any();
                if !self.names.contains(&name) {
                    return Vec::new();
                }
                self.listed.insert(name.clone());
                let now = Stamp::of(&object);
                let old = self.stamps.insert(name.clone(), now.clone());
                let news = now.generation.is_none() || old.as_ref() != Some(&now);
                news.then_some(name).into_iter().collect()
            }
            Change::Delete(object) => {
                let name = object.name_any();
                self.stamps.remove(&name);
                self.names.get(&name).cloned().into_iter().collect()
            }
            Change::InitDone => {
                let missing: Vec<String> = self.names.difference(&self.listed).cloned().collect();
                for name in &missing {
                    self.stamps.remove(name);
                }
                missing
            }
        }
    }
}
