//! The watch of one kind of targets.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use futures::StreamExt;
use kube::api::{ApiResource, DynamicObject};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client};
use tokio::sync::{Notify, watch as channel};
use tokio::time::Instant;

use super::{AT_ONCE, Found, PAGE, SOON, Unread, picture, picture_of_known, tell};
use crate::core::event::Event;
use crate::core::names::{ObjectKey, ObjectRef};
use crate::core::world::Target;
use crate::edge::kube::rivals::OtherScalers;
use crate::edge::kube::scale;
use crate::edge::kube::watch::{WatchBackoff, Watching, drive, key_of_dynamic};

/// Watches all objects of a kind and turns them into events: at once where the object itself tells its scale, otherwise
/// after a read of its `/scale`, of which only the latest per object waits.
pub(super) struct Relay {
    pub(super) client: Client,
    pub(super) example: ObjectRef,
    pub(super) wanted: channel::Receiver<BTreeSet<ObjectRef>>,
    pub(super) rivals: channel::Receiver<Option<OtherScalers>>,
    pub(super) unread: Arc<Unread>,
    pub(super) around: Watching,
    /// While the first list of a kind whose objects tell their scale is under way: what it has had so far.
    pub(super) listing: Mutex<Option<BTreeSet<ObjectRef>>>,
    /// What is known of objects whose `/scale` has to be read.
    pub(super) changed: Mutex<BTreeMap<ObjectRef, Target>>,
    pub(super) news: Notify,
}

impl Relay {
    pub(super) async fn watch(self) {
        let Some(resource) = self.resource().await else { return };
        let api: Api<DynamicObject> = Api::all_with(self.client.clone(), &resource);
        let this = Arc::new(self);
        let (relay, listing) = (Arc::clone(&this), Arc::clone(&this));
        let config = watcher::Config::default().any_semantic().page_size(PAGE);
        let stream = watcher(api, config)
            .backoff(WatchBackoff::default())
            .inspect(move |change| {
                if matches!(change, Ok(watcher::Event::InitDone) | Err(_)) {
                    listing.first_list_ended();
                }
            });
        let (seen, gone) = (&relay, &relay);
        let watching = drive(
            stream.boxed(),
            None,
            this.around.clone(),
            |object: DynamicObject| {
                let key = key_of_dynamic(&object);
                let event = seen.seen(seen.name(&key), &object);
                (key, event)
            },
            |key| {
                let object = gone.name(&key);
                let wanted = gone.wanted.borrow().contains(&object);
                wanted.then_some(Event::Target { object, target: None })
            },
        );
        tokio::select! {
            () = watching => {}
            () = this.read_scales(&resource) => {}
        }
    }

    /// What is wanted and was not in the first list, since it does not exist or since there was no list, is looked at one by one.
    fn first_list_ended(&self) {
        let listed = self.listing.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(listed) = listed else { return };
        let of_this_kind = |t: &&ObjectRef| t.api_version == self.example.api_version && t.kind == self.example.kind;
        let wanted = self.wanted.borrow();
        let missing = wanted
            .iter()
            .filter(of_this_kind)
            .filter(|target| !listed.contains(*target));
        self.unread.add(missing.cloned(), Instant::now());
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

    fn seen(&self, target: ObjectRef, object: &DynamicObject) -> Option<Event> {
        if !self.wanted.borrow().contains(&target) {
            return None;
        }
        let rivals = self.rivals.borrow();
        let seen = picture_of_known(&target, object, rivals.as_ref()?);
        if scale::known_resource(&target).is_some() {
            if let Some(listed) = &mut *self.listing.lock().unwrap_or_else(PoisonError::into_inner) {
                listed.insert(target.clone());
            }
            return Some(Event::Target {
                object: target,
                target: Some(Box::new(seen)),
            });
        }
        self.changed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(target, seen);
        self.news.notify_one();
        None
    }

    async fn read_scales(&self, resource: &ApiResource) {
        loop {
            let some = {
                let mut changed = self.changed.lock().unwrap_or_else(PoisonError::into_inner);
                let some: Vec<_> = std::iter::from_fn(|| changed.pop_first()).take(AT_ONCE).collect();
                some
            };
            if some.is_empty() {
                self.news.notified().await;
            }
            let reads = some
                .into_iter()
                .map(|(target, seen)| self.read_scale(resource, target, seen));
            futures::future::join_all(reads).await;
        }
    }

    async fn read_scale(&self, resource: &ApiResource, target: ObjectRef, mut seen: Target) {
        let api = scale::api(self.client.clone(), resource, &target);
        seen.other_scaler = self
            .rivals
            .borrow()
            .as_ref()
            .and_then(|others| others.get(&target).cloned());
        match picture(&api, resource, &target, seen).await {
            found @ Found::Seen(_) => tell(&self.around, target, found).await,
            Found::Unusable(_) | Found::Unclear(_) => self.unread.add([target], Instant::now() + SOON),
        }
    }
}
