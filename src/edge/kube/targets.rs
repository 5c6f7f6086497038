//! Targets of scaling: watched by kind, reported only where some policy names them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use futures::StreamExt;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{FieldsV1, LabelSelector, ManagedFieldsEntry};
use kube::api::{ApiResource, DynamicObject};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, ResourceExt};
use serde::Deserialize;
use tokio::sync::{Notify, mpsc, watch as channel};

use super::watch::{WatchBackoff, Watching, drive};
use super::{call, convert, scale};
use crate::core::event::Event;
use crate::core::names::{ObjectKey, ObjectRef, Uid};
use crate::core::quantity::Replicas;
use crate::core::world::Target;

/// Which objects other autoscalers name: target → the autoscaler, such as `HorizontalPodAutoscaler shop/checkout`.
pub type OtherScalers = BTreeMap<ObjectRef, String>;

/// Keeps the engine informed on every target that some policy names. `again` names targets whose truth must be read anew,
/// since a write had no clear answer.
pub async fn run(
    client: Client,
    wanted: channel::Receiver<BTreeSet<ObjectRef>>,
    mut again: mpsc::Receiver<ObjectRef>,
    around: Watching,
) {
    let (rivals, rivals_seen) = channel::channel(OtherScalers::new());
    tokio::spawn(watch_rivals(client.clone(), rivals, around.clone()));
    let mut watched: BTreeSet<(String, String)> = BTreeSet::new();
    let mut known: BTreeSet<ObjectRef> = BTreeSet::new();
    let (mut wanted_here, mut rivals_here) = (wanted.clone(), rivals_seen.clone());
    wanted_here.mark_changed();
    loop {
        let rivals_changed = tokio::select! {
            target = again.recv() => {
                let Some(target) = target else { return };
                let others = rivals_seen.borrow().clone();
                report_one(&client, &target, &others, &around).await;
                continue;
            }
            () = around.shutdown.cancelled() => return,
            changed = wanted_here.changed() => { if changed.is_err() { return; } false }
            changed = rivals_here.changed() => { if changed.is_err() { return; } true }
        };
        let now = wanted_here.borrow_and_update().clone();
        let others = rivals_here.borrow_and_update().clone();
        for target in now.iter().filter(|t| rivals_changed || !known.contains(*t)) {
            report_one(&client, target, &others, &around).await;
        }
        for target in &now {
            if watched.insert((target.api_version.clone(), target.kind.clone())) {
                let (client, example, wanted) = (client.clone(), target.clone(), wanted.clone());
                tokio::spawn(watch_kind(client, example, wanted, rivals_seen.clone(), around.clone()));
            }
        }
        known = now;
    }
}

/// Reads one target and reports it. What cannot be read for now stays unknown: the watch of its kind will tell.
async fn report_one(client: &Client, target: &ObjectRef, others: &OtherScalers, around: &Watching) {
    let resource = match scale::resource(client, target).await {
        Ok(resource) => resource,
        Err(error) => {
            tracing::warn!(%target, %error, "the target's kind cannot be found");
            if error.code() == Some(404) || error.code().is_none() && !error.is_ambiguous() {
                around
                    .feed
                    .send(Event::Target {
                        object: target.clone(),
                        target: None,
                    })
                    .await;
            }
            return;
        }
    };
    let api = scale::api(client.clone(), &resource, target);
    match call(format!("read {target}"), api.get_opt(&target.name)).await {
        Ok(object) => {
            let seen = match object {
                Some(object) => picture(&api, target, &object, others).await,
                None => None,
            };
            around
                .feed
                .send(Event::Target {
                    object: target.clone(),
                    target: seen.map(Box::new),
                })
                .await;
        }
        Err(error) => tracing::warn!(%target, %error, "the target cannot be read"),
    }
}

/// Watches all objects of a target's kind.
async fn watch_kind(
    client: Client,
    example: ObjectRef,
    wanted: channel::Receiver<BTreeSet<ObjectRef>>,
    rivals: channel::Receiver<OtherScalers>,
    around: Watching,
) {
    let mut backoff = WatchBackoff::default();
    let resource = loop {
        match scale::resource(&client, &example).await {
            Ok(resource) => break resource,
            Err(error) => {
                tracing::warn!(kind = example.kind, %error, "the kind cannot be watched");
                tokio::select! {
                    () = around.shutdown.cancelled() => return,
                    () = tokio::time::sleep(backoff.next().unwrap_or_default()) => {}
                }
            }
        }
    };
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
    let stream = watcher(api, watcher::Config::default().any_semantic()).backoff(WatchBackoff::default());
    let relay = Relay {
        client,
        resource,
        wanted,
        rivals,
        around: around.clone(),
        changed: Mutex::default(),
        news: Notify::new(),
    };
    let name = |key: &ObjectKey| ObjectRef::new(&example.api_version, &example.kind, &key.namespace, &key.name);
    let watching = drive(
        stream.boxed(),
        None,
        around.clone(),
        |object: DynamicObject| {
            let key = super::watch::key_of_dynamic(&object);
            let event = relay.seen(name(&key), object);
            (key, event)
        },
        |key| {
            let object = name(&key);
            relay
                .wanted
                .borrow()
                .contains(&object)
                .then_some(Event::Target { object, target: None })
        },
    );
    tokio::select! {
        () = watching => {}
        () = relay.run() => {}
    }
}

/// Turns watched objects into events: at once where the object itself tells its scale, otherwise after a read of its
/// `/scale`, of which only the latest per object waits.
struct Relay {
    client: Client,
    resource: ApiResource,
    wanted: channel::Receiver<BTreeSet<ObjectRef>>,
    rivals: channel::Receiver<OtherScalers>,
    around: Watching,
    changed: Mutex<BTreeMap<ObjectRef, DynamicObject>>,
    news: Notify,
}

impl Relay {
    fn seen(&self, target: ObjectRef, object: DynamicObject) -> Option<Event> {
        if !self.wanted.borrow().contains(&target) {
            return None;
        }
        if scale::known_resource(&target).is_some() {
            let seen = picture_of_known(&target, &object, &self.rivals.borrow());
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

    async fn run(&self) {
        loop {
            let next = self.changed.lock().unwrap_or_else(PoisonError::into_inner).pop_first();
            let Some((target, object)) = next else {
                self.news.notified().await;
                continue;
            };
            let api = scale::api(self.client.clone(), &self.resource, &target);
            let others = self.rivals.borrow().clone();
            if let Some(seen) = picture(&api, &target, &object, &others).await {
                self.around
                    .feed
                    .send(Event::Target {
                        object: target,
                        target: Some(Box::new(seen)),
                    })
                    .await;
            }
        }
    }
}

/// The core's picture of a target: from the object where its kind is known, otherwise from its `/scale`.
async fn picture(
    api: &Api<DynamicObject>,
    target: &ObjectRef,
    object: &DynamicObject,
    others: &OtherScalers,
) -> Option<Target> {
    let mut seen = picture_of_known(target, object, others);
    if scale::known_resource(target).is_some() {
        return Some(seen);
    }
    match call(format!("read the scale of {target}"), api.get_scale(&target.name)).await {
        Ok(found) => {
            let status = found.status.as_ref();
            let text = status.and_then(|s| s.selector.clone()).unwrap_or_default();
            seen.replicas = scale::replicas_of(&found);
            seen.status_replicas = Replicas::from_i64(status.map_or(0, |s| s.replicas).into());
            seen.selector = convert::selector_from_text(&text).unwrap_or_default();
            Some(seen)
        }
        Err(error) => {
            tracing::warn!(%target, %error, "the target has no readable /scale");
            None
        }
    }
}

/// The picture of a target whose object has the fields of a Deployment.
fn picture_of_known(target: &ObjectRef, object: &DynamicObject, others: &OtherScalers) -> Target {
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

/// Watches HorizontalPodAutoscalers, so that a target which one of them names is left alone.
async fn watch_rivals(client: Client, rivals: channel::Sender<OtherScalers>, around: Watching) {
    let api: Api<HorizontalPodAutoscaler> = Api::all(client);
    let stream = watcher(api, watcher::Config::default()).backoff(WatchBackoff::default());
    let by_key = Mutex::new(BTreeMap::<ObjectKey, ObjectRef>::new());
    let publish = |map: &BTreeMap<ObjectKey, ObjectRef>| {
        let now: OtherScalers = map
            .iter()
            .map(|(key, target)| (target.clone(), format!("HorizontalPodAutoscaler {key}")))
            .collect();
        rivals.send_if_modified(|old| std::mem::replace(old, now.clone()) != now);
    };
    drive(
        stream.boxed(),
        None,
        around,
        |hpa: HorizontalPodAutoscaler| {
            let key = super::watch::key_of(&hpa);
            let mut map = by_key.lock().unwrap_or_else(PoisonError::into_inner);
            let target = &hpa.spec.scale_target_ref;
            let version = target.api_version.clone().unwrap_or_default();
            map.insert(
                key.clone(),
                ObjectRef::new(&version, &target.kind, &key.namespace, &target.name),
            );
            publish(&map);
            (key, None)
        },
        |key| {
            let mut map = by_key.lock().unwrap_or_else(PoisonError::into_inner);
            map.remove(&key);
            publish(&map);
            None
        },
    )
    .await;
}
