//! Targets of scaling: watched by kind, reported only where some policy names them.

mod relay;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::{StreamExt, stream};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{FieldsV1, LabelSelector, ManagedFieldsEntry};
use kube::api::{ApiResource, DynamicObject};
use kube::{Api, Client, ResourceExt};
use serde::Deserialize;
use tokio::sync::{Notify, mpsc, watch as channel};
use tokio::time::Instant;

use super::rivals::{self, OtherScalers};
use super::watch::Watching;
use super::{CallError, call, convert, scale};
use crate::core::event::Event;
use crate::core::names::{ObjectRef, Uid};
use crate::core::quantity::Replicas;
use crate::core::world::Target;
use relay::Relay;

/// How many targets are read at once.
const AT_ONCE: usize = 8;
/// Objects of one answer to a list: they are large.
const PAGE: u32 = 100;
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
    let unread = Arc::new(Unread::default());
    let mut board = Board {
        client,
        wanted: wanted.clone(),
        rivals: rivals_seen.clone(),
        unread: Arc::clone(&unread),
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
            () = unread.news.notified() => board.reads.append(&mut unread.lock()),
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
    unread: Arc<Unread>,
    around: Watching,
    others: OtherScalers,
    known: BTreeSet<ObjectRef>,
    watched: BTreeSet<(String, String)>,
    reads: BTreeMap<ObjectRef, Instant>,
}

/// What the watches leave to be read one by one, and when; never more than there are targets.
#[derive(Default)]
struct Unread {
    targets: Mutex<BTreeMap<ObjectRef, Instant>>,
    news: Notify,
}

impl Unread {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<ObjectRef, Instant>> {
        self.targets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, targets: impl IntoIterator<Item = ObjectRef>, at: Instant) {
        self.lock().extend(targets.into_iter().map(|target| (target, at)));
        self.news.notify_one();
    }
}

impl Board {
    fn set_wanted(&mut self, now: BTreeSet<ObjectRef>) {
        let mut new_kinds = BTreeSet::new();
        for target in &now {
            let kind = (target.api_version.clone(), target.kind.clone());
            if !self.watched.contains(&kind) {
                let relay = Relay {
                    client: self.client.clone(),
                    example: target.clone(),
                    wanted: self.wanted.clone(),
                    rivals: self.rivals.clone(),
                    unread: Arc::clone(&self.unread),
                    around: self.around.clone(),
                    listing: Mutex::new(scale::known_resource(target).is_some().then(BTreeSet::new)),
                    changed: Mutex::default(),
                    news: Notify::new(),
                };
                tokio::spawn(relay.watch());
                self.watched.insert(kind.clone());
                new_kinds.insert(kind.clone());
            }
            // The first list of a kind tells of all that it has; to read each of them as well would take very long.
            let listed_now = scale::known_resource(target).is_some() && new_kinds.contains(&kind);
            if !listed_now && !self.known.contains(target) {
                self.reads.insert(target.clone(), Instant::now());
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
        Ok(Some(object)) => picture(&api, &resource, target, picture_of_known(target, &object, others)).await,
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

/// The core's picture of a target: from the object where its kind is known, otherwise from its `/scale`.
async fn picture(api: &Api<DynamicObject>, resource: &ApiResource, target: &ObjectRef, mut seen: Target) -> Found {
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
