//! Targets of scaling: watched by kind, reported only where some policy names them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures::{StreamExt, stream};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{FieldsV1, LabelSelector, ManagedFieldsEntry};
use kube::api::{ApiResource, DynamicObject};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, ResourceExt};
use serde::Deserialize;
use tokio::sync::{Notify, mpsc, watch as channel};
use tokio::time::Instant;

use super::rivals::{self, OtherScalers};
use super::watch::{WatchBackoff, Watching, drive, key_of_dynamic};
use super::{CallError, call, convert, scale};
use crate::core::event::Event;
use crate::core::names::{ObjectKey, ObjectRef, Uid};
use crate::core::quantity::Replicas;
use crate::core::world::Target;

/// How many targets are read at once.
const AT_ONCE: usize = 8;
/// What the API server gave no clear answer on is read again after this time.
const SOON: Duration = Duration::from_secs(1);
/// What cannot be used is looked at again after this time: somebody may have helped.
const LATER: Duration = Duration::from_secs(10);

/// Keeps the engine informed on every target that some policy names. `again` names targets whose truth must be read anew,
/// since a write had no clear answer. No target is told of before all other autoscalers are known.
pub async fn run(
    client: Client,
    mut wanted: channel::Receiver<BTreeSet<ObjectRef>>,
    mut again: mpsc::Receiver<ObjectRef>,
    around: Watching,
) {
    let (rivals, mut rivals_seen) = channel::channel(None);
    tokio::spawn(rivals::run(client.clone(), rivals, around.clone()));
    tokio::select! {
        () = around.shutdown.cancelled() => return,
        seen = rivals_seen.wait_for(Option::is_some) => if seen.is_err() { return; },
    }
    let others = rivals_seen.borrow_and_update().clone().unwrap_or_default();
    let (failed, mut unread) = mpsc::channel(256);
    let mut board = Board {
        client,
        wanted: wanted.clone(),
        rivals: rivals_seen.clone(),
        failed,
        around: around.clone(),
        others,
        known: BTreeSet::new(),
        watched: BTreeSet::new(),
        reads: BTreeMap::new(),
    };
    wanted.mark_changed();
    loop {
        let next = board.reads.values().min().copied();
        tokio::select! {
            () = around.shutdown.cancelled() => return,
            target = again.recv() => match target {
                Some(target) => { board.reads.insert(target, Instant::now()); }
                None => return,
            },
            Some(target) = unread.recv() => { board.reads.insert(target, Instant::now() + SOON); }
            changed = wanted.changed() => {
                if changed.is_err() { return; }
                let now = wanted.borrow_and_update().clone();
                board.set_wanted(now);
            }
            changed = rivals_seen.changed() => {
                if changed.is_err() { return; }
                let now = rivals_seen.borrow_and_update().clone().unwrap_or_default();
                board.set_others(now);
            }
            () = tokio::time::sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => board.read_due().await,
        }
    }
}

/// Which targets are wanted, which kinds are watched, and what has to be read.
struct Board {
    client: Client,
    wanted: channel::Receiver<BTreeSet<ObjectRef>>,
    rivals: channel::Receiver<Option<OtherScalers>>,
    failed: mpsc::Sender<ObjectRef>,
    around: Watching,
    others: OtherScalers,
    known: BTreeSet<ObjectRef>,
    watched: BTreeSet<(String, String)>,
    reads: BTreeMap<ObjectRef, Instant>,
}

impl Board {
    fn set_wanted(&mut self, now: BTreeSet<ObjectRef>) {
        for target in &now {
            if !self.known.contains(target) {
                self.reads.insert(target.clone(), Instant::now());
            }
            if self.watched.insert((target.api_version.clone(), target.kind.clone())) {
                let relay = Relay {
                    client: self.client.clone(),
                    example: target.clone(),
                    wanted: self.wanted.clone(),
                    rivals: self.rivals.clone(),
                    failed: self.failed.clone(),
                    around: self.around.clone(),
                    changed: Mutex::default(),
                    news: Notify::new(),
                };
                tokio::spawn(relay.watch());
            }
        }
        self.reads.retain(|target, _| now.contains(target));
        self.known = now;
    }

    /// Reads again what another autoscaler has begun or ceased to name.
    fn set_others(&mut self, now: OtherScalers) {
        let changed = |target: &&ObjectRef| self.others.get(*target) != now.get(*target);
        let targets = self.known.iter().filter(changed);
        self.reads
            .extend(targets.map(|target| (target.clone(), Instant::now())));
        self.others = now;
    }

    async fn read_due(&mut self) {
        let now = Instant::now();
        let due: Vec<ObjectRef> = self.reads.extract_if(.., |_, at| *at <= now).map(|(t, _)| t).collect();
        let (client, others, around) = (&self.client, &self.others, &self.around);
        let looks = stream::iter(due).map(|target| async move {
            let found = look(client, &target, others).await;
            let again = match &found {
                Found::Seen(_) => None,
                Found::Unusable(_) => Some(Instant::now() + LATER),
                Found::Unclear(_) => Some(Instant::now() + SOON),
            };
            tell(around, target.clone(), found).await;
            again.map(|at| (target, at))
        });
        let again: Vec<_> = looks.buffer_unordered(AT_ONCE).collect().await;
        self.reads.extend(again.into_iter().flatten());
    }
}

/// What a look at a target gave.
enum Found {
    /// As it is; `None`: it does not exist.
    Seen(Option<Target>),
    /// It cannot be used until a person changes something.
    Unusable(String),
    /// The API server gave no usable answer.
    Unclear(CallError),
}

async fn tell(around: &Watching, object: ObjectRef, found: Found) {
    let event = match found {
        Found::Seen(seen) => Event::Target {
            object,
            target: seen.map(Box::new),
        },
        Found::Unusable(message) => Event::TargetUnusable { object, message },
        Found::Unclear(error) => return tracing::warn!(target = %object, %error, "the target cannot be read for now"),
    };
    around.feed.send(event).await;
}

/// Reads one target.
async fn look(client: &Client, target: &ObjectRef, others: &OtherScalers) -> Found {
    let resource = match scale::resource(client, target).await {
        Ok(Some(resource)) => resource,
        Ok(None) => {
            return Found::Unusable(format!(
                "the cluster has no kind {} in {}: install its CustomResourceDefinition, or correct spec.scaleTargetRef",
                target.kind, target.api_version
            ));
        }
        Err(error) => return Found::Unclear(error),
    };
    let api = scale::api(client.clone(), &resource, target);
    match call(format!("read {target}"), api.get_opt(&target.name)).await {
        Ok(Some(object)) => picture(&api, &resource, target, &object, others).await,
        Ok(None) => Found::Seen(None),
        Err(error) => refused(&resource, error),
    }
}

/// A read that failed: for want of a right, or for now.
fn refused(resource: &ApiResource, error: CallError) -> Found {
    if error.code() != Some(403) {
        return Found::Unclear(error);
    }
    let (plural, group) = (&resource.plural, &resource.group);
    Found::Unusable(format!(
        "the operator may not scale {plural}: give its ServiceAccount get, list and watch on {plural} and get and patch on \
         {plural}/scale, in API group \"{group}\" ({error})"
    ))
}

/// Watches all objects of a kind and turns them into events: at once where the object itself tells its scale, otherwise
/// after a read of its `/scale`, of which only the latest per object waits.
struct Relay {
    client: Client,
    example: ObjectRef,
    wanted: channel::Receiver<BTreeSet<ObjectRef>>,
    rivals: channel::Receiver<Option<OtherScalers>>,
    failed: mpsc::Sender<ObjectRef>,
    around: Watching,
    changed: Mutex<BTreeMap<ObjectRef, DynamicObject>>,
    news: Notify,
}

impl Relay {
    async fn watch(self) {
        let Some(resource) = self.resource().await else { return };
        let api: Api<DynamicObject> = Api::all_with(self.client.clone(), &resource);
        let stream = watcher(api, watcher::Config::default().any_semantic()).backoff(WatchBackoff::default());
        let watching = drive(
            stream.boxed(),
            None,
            self.around.clone(),
            |object: DynamicObject| {
                let key = key_of_dynamic(&object);
                let event = self.seen(self.name(&key), object);
                (key, event)
            },
            |key| {
                let object = self.name(&key);
                let wanted = self.wanted.borrow().contains(&object);
                wanted.then_some(Event::Target { object, target: None })
            },
        );
        tokio::select! {
            () = watching => {}
            () = self.read_scales(&resource) => {}
        }
    }

    /// Waits until the cluster knows the kind.
    async fn resource(&self) -> Option<ApiResource> {
        let mut backoff = WatchBackoff::default();
        loop {
            match scale::resource(&self.client, &self.example).await {
                Ok(Some(resource)) => return Some(resource),
                Ok(None) => {}
                Err(error) => tracing::warn!(kind = self.example.kind, %error, "the kind cannot be watched for now"),
            }
            tokio::select! {
                () = self.around.shutdown.cancelled() => return None,
                () = tokio::time::sleep(backoff.next().unwrap_or_default()) => {}
            }
        }
    }

    fn name(&self, key: &ObjectKey) -> ObjectRef {
        ObjectRef::new(&self.example.api_version, &self.example.kind, &key.namespace, &key.name)
    }

    fn seen(&self, target: ObjectRef, object: DynamicObject) -> Option<Event> {
        if !self.wanted.borrow().contains(&target) {
            return None;
        }
        if scale::known_resource(&target).is_some() {
            let seen = picture_of_known(&target, &object, self.rivals.borrow().as_ref()?);
            return Some(Event::Target {
                object: target,
                target: Some(Box::new(seen)),
            });
        }
        self.changed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(target, object);
        self.news.notify_one();
        None
    }

    async fn read_scales(&self, resource: &ApiResource) {
        loop {
            let next = self.changed.lock().unwrap_or_else(PoisonError::into_inner).pop_first();
            let Some((target, object)) = next else {
                self.news.notified().await;
                continue;
            };
            let api = scale::api(self.client.clone(), resource, &target);
            let others = self.rivals.borrow().clone().unwrap_or_default();
            match picture(&api, resource, &target, &object, &others).await {
                found @ Found::Seen(_) => tell(&self.around, target, found).await,
                Found::Unusable(_) | Found::Unclear(_) => {
                    let _ = self.failed.send(target).await;
                }
            }
        }
    }
}

/// The core's picture of a target: from the object where its kind is known, otherwise from its `/scale`.
async fn picture(
    api: &Api<DynamicObject>,
    resource: &ApiResource,
    target: &ObjectRef,
    object: &DynamicObject,
    others: &OtherScalers,
) -> Found {
    let mut seen = picture_of_known(target, object, others);
    if scale::known_resource(target).is_some() {
        return Found::Seen(Some(seen));
    }
    let error = match call(format!("read the scale of {target}"), api.get_scale(&target.name)).await {
        Ok(found) => {
            let status = found.status.as_ref();
            let text = status.and_then(|s| s.selector.clone()).unwrap_or_default();
            seen.replicas = scale::replicas_of(&found);
            seen.status_replicas = Replicas::from_i64(status.map_or(0, |s| s.replicas).into());
            seen.selector = convert::selector_from_text(&text).unwrap_or_default();
            return Found::Seen(Some(seen));
        }
        Err(error) if error.code() == Some(404) => error,
        Err(error) => return refused(resource, error),
    };
    match call(format!("read {target}"), api.get_opt(&target.name)).await {
        Ok(Some(_)) => Found::Unusable(format!(
            "kind {} cannot be scaled: its definition has no subresource /scale ({error})",
            target.kind
        )),
        Ok(None) => Found::Seen(None),
        Err(error) => refused(resource, error),
    }
}

/// The picture of a target whose object has the fields of a Deployment.
pub(crate) fn picture_of_known(target: &ObjectRef, object: &DynamicObject, others: &OtherScalers) -> Target {
    let count = |pointer: &str, absent: i64| {
        Replicas::from_i64(
            object
                .data
                .pointer(pointer)
                .and_then(serde_json::Value::as_i64)
                .unwrap_or(absent),
        )
    };
    let selector = object
        .data
        .pointer("/spec/selector")
        .and_then(|s| LabelSelector::deserialize(s).ok());
    Target {
        uid: Uid(object.uid().unwrap_or_default()),
        replicas: count("/spec/replicas", 1),
        status_replicas: count("/status/replicas", 0),
        selector: convert::selector(&selector.unwrap_or_default()),
        writer: writer_of(object.managed_fields(), "/f:spec/f:replicas"),
        deleting: object.metadata.deletion_timestamp.is_some(),
        other_scaler: others.get(target).cloned(),
    }
}

/// Who wrote a field last, by managedFields; the path is that of `fieldsV1`, as a JSON pointer.
#[must_use]
pub fn writer_of(entries: &[ManagedFieldsEntry], path: &str) -> Option<String> {
    let owns = |fields: &FieldsV1| fields.0.pointer(path).is_some();
    let owners = entries.iter().filter(|e| e.fields_v1.as_ref().is_some_and(owns));
    owners
        .max_by_key(|e| convert::time(e.time.as_ref()))
        .and_then(|e| e.manager.clone())
}
