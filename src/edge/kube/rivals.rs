//! Other autoscalers: which `HorizontalPodAutoscaler` names which target. Never writes.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use kube::runtime::watcher::Event as Change;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client};
use tokio::sync::watch as channel;

use super::watch::{WatchBackoff, Watching, drive, key_of};
use crate::core::names::{ObjectKey, ObjectRef};

/// Which objects other autoscalers name: target → the autoscaler, such as `HorizontalPodAutoscaler shop/checkout`.
pub type OtherScalers = BTreeMap<ObjectRef, String>;

/// Watches `HorizontalPodAutoscalers`, so that a target which one of them names is left alone. `None` is published until all
/// of them have been seen: before that no target may be scaled.
pub async fn run(client: Client, rivals: channel::Sender<Option<OtherScalers>>, around: Watching) {
    let api: Api<HorizontalPodAutoscaler> = Api::all(client);
    let by_key = Mutex::new(BTreeMap::<ObjectKey, ObjectRef>::new());
    let (listed_sender, listed) = channel::channel(false);
    let publish = |map: &BTreeMap<ObjectKey, ObjectRef>, all_seen: bool| {
        if !all_seen {
            return;
        }
        let now: OtherScalers = map
            .iter()
            .map(|(key, target)| (target.clone(), format!("HorizontalPodAutoscaler {key}")))
            .collect();
        rivals.send_if_modified(|old| {
            let changed = old.as_ref() != Some(&now);
            *old = Some(now);
            changed
        });
    };
    let stream = watcher(api, watcher::Config::default())
        .backoff(WatchBackoff::default())
        .inspect_ok(move |change| {
            if matches!(change, Change::InitDone) {
                listed_sender.send_replace(true);
            }
        });
    let lock = || by_key.lock().unwrap_or_else(PoisonError::into_inner);
    let watching = drive(
        stream.boxed(),
        None,
        around,
        |hpa: HorizontalPodAutoscaler| {
            let key = key_of(&hpa);
            let target = &hpa.spec.scale_target_ref;
            let version = target.api_version.as_deref().unwrap_or_default();
            let named = ObjectRef::new(version, &target.kind, &key.namespace, &target.name);
            let mut map = lock();
            map.insert(key.clone(), named);
            publish(&map, *listed.borrow());
            (key, None)
        },
        |key| {
            let mut map = lock();
            map.remove(&key);
            publish(&map, *listed.borrow());
            None
        },
    );
    let first = async {
        let mut listed = listed.clone();
        let _ = listed.wait_for(|listed| *listed).await;
        publish(&lock(), true);
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = watching => {}
        () = first => {}
    }
}
