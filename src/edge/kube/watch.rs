//! Watches: every object of a kind as events, with reconnect and back-off, and a word on whether the view can be trusted.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use kube::api::DynamicObject;
use kube::runtime::watcher::{self, Event as Change};
use kube::runtime::{WatchStreamExt, watcher as watch_stream};
use kube::{Api, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::feed::Feed;
use crate::core::event::Event;
use crate::core::names::ObjectKey;
use crate::core::world::{View, ViewState};
use crate::edge::retry::Backoff;

/// A watch without an error for this long, while the API server answers, is connected again: longer than the longest
/// back-off between two tries.
const CALM: Duration = Duration::from_secs(8);

/// The delays between two tries of a watch.
#[derive(Debug)]
pub struct WatchBackoff(Backoff);

impl Default for WatchBackoff {
    fn default() -> Self {
        Self(Backoff::new(Duration::from_millis(300), Duration::from_secs(5)))
    }
}

impl Iterator for WatchBackoff {
    type Item = Duration;
    fn next(&mut self) -> Option<Duration> {
        Some(self.0.next_delay())
    }
}

impl kube::runtime::utils::Backoff for WatchBackoff {
    fn reset(&mut self) {
        self.0.reset();
    }
}

/// What a watch needs from its surroundings.
#[derive(Clone, Debug)]
pub struct Watching {
    /// Where events go.
    pub feed: Feed,
    /// Whether the API server answers.
    pub api_healthy: watch::Receiver<bool>,
    /// Ends the watch.
    pub shutdown: CancellationToken,
}

/// One of several watches that together make up a view: the view is current when all of them are.
#[derive(Clone, Debug)]
pub struct ViewPart {
    view: View,
    index: usize,
    current: Arc<Mutex<Vec<bool>>>,
}

impl ViewPart {
    /// All parts of a view that `count` watches make up.
    #[must_use]
    pub fn split(view: View, count: usize) -> Vec<Self> {
        let current = Arc::new(Mutex::new(vec![false; count]));
        (0..count)
            .map(|index| Self {
                view,
                index,
                current: Arc::clone(&current),
            })
            .collect()
    }

    /// Notes how this part is now, and how that leaves the whole view.
    fn set(&self, now: bool) -> ViewState {
        let mut parts = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        parts[self.index] = now;
        if parts.iter().all(|p| *p) {
            ViewState::Current
        } else {
            ViewState::Stale
        }
    }
}

/// Watches every object of the API until shutdown. `seen` and `gone` make the events; both may say that there is nothing
/// to tell.
pub async fn run<K>(
    api: Api<K>,
    config: watcher::Config,
    part: Option<ViewPart>,
    around: Watching,
    mut seen: impl FnMut(K) -> Option<Event> + Send,
    gone: impl Fn(ObjectKey) -> Option<Event> + Send,
) where
    K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
    K::DynamicType: Default + Eq + std::hash::Hash + Clone,
{
    let stream = watch_stream(api, config).backoff(WatchBackoff::default());
    drive(stream.boxed(), part, around, |o: K| (key_of(&o), seen(o)), gone).await;
}

/// The key of any object.
pub fn key_of<K: Resource>(object: &K) -> ObjectKey {
    ObjectKey::new(object.namespace().unwrap_or_default(), object.name_any())
}

/// The key of an object whose kind is only known at run time.
#[must_use]
pub fn key_of_dynamic(object: &DynamicObject) -> ObjectKey {
    ObjectKey::new(object.namespace().unwrap_or_default(), object.name_any())
}

/// Drives a watch stream; see [`run`].
pub async fn drive<K: Send + 'static>(
    mut stream: futures::stream::BoxStream<'static, Result<Change<K>, watcher::Error>>,
    part: Option<ViewPart>,
    mut around: Watching,
    mut seen: impl FnMut(K) -> (ObjectKey, Option<Event>) + Send,
    gone: impl Fn(ObjectKey) -> Option<Event> + Send,
) {
    let mut known: BTreeSet<ObjectKey> = BTreeSet::new();
    let mut relisted: BTreeSet<ObjectKey> = BTreeSet::new();
    let mut listed = false;
    let mut last_error: Option<Instant> = None;
    let mut told: Option<ViewState> = None;
    let mut ticker = tokio::time::interval(Duration::from_secs(1));
    loop {
        let mut events = Vec::new();
        tokio::select! {
            () = around.shutdown.cancelled() => return,
            _ = ticker.tick() => {}
            change = stream.try_next() => match change {
                Ok(Some(Change::Init)) => relisted.clear(),
                Ok(Some(Change::InitApply(object))) => {
                    let (key, event) = seen(object);
                    relisted.insert(key);
                    events.extend(event);
                }
                Ok(Some(Change::InitDone)) => {
                    events.extend(known.difference(&relisted).cloned().filter_map(&gone));
                    known = std::mem::take(&mut relisted);
                    (listed, last_error) = (true, None);
                }
                Ok(Some(Change::Apply(object))) => {
                    let (key, event) = seen(object);
                    known.insert(key);
                    events.extend(event);
                    last_error = None;
                }
                Ok(Some(Change::Delete(object))) => {
                    let (key, _) = seen(object);
                    known.remove(&key);
                    events.extend(gone(key));
                    last_error = None;
                }
                Ok(None) => return,
                Err(error) => {
                    last_error = Some(Instant::now());
                    tracing::warn!(%error, kind = std::any::type_name::<K>(), "watch failed, will be tried again");
                }
            },
        }
        for event in events {
            around.feed.send(event).await;
        }
        let quiet = last_error.is_none_or(|at| at.elapsed() > CALM);
        let current = listed && quiet && *around.api_healthy.borrow_and_update();
        if let Some(part) = &part {
            let state = part.set(current);
            if told.replace(state) != Some(state) && (listed || state == ViewState::Current) {
                around.feed.send(Event::View { view: part.view, state }).await;
            }
        }
    }
}
