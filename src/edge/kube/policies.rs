//! Policies: watched as they are stored, so that one that no longer parses is a condition and not the end of the watch.

use futures::StreamExt;
use kube::Client;
use kube::api::{Api, DynamicObject, ListParams};
use kube::runtime::{WatchStreamExt, watcher};

use super::status::{KnownStatuses, resource_of};
use super::watch::{ViewPart, WatchBackoff, Watching, drive, key_of_dynamic};
use super::{CallError, call};
use crate::api::convert;
use crate::core::event::Event;
use crate::core::names::{PolicyKey, PolicyKind};
use crate::core::world::View;

/// The kinds whose objects the engine decides upon.
pub const POLICIES: [PolicyKind; 3] = [
    PolicyKind::ScalingPolicy,
    PolicyKind::NodePoolPolicy,
    PolicyKind::HealingPolicy,
];

/// Objects of one answer to a list.
const PAGE: u32 = 250;

/// Starts the watches of all policies; what they see of statuses goes to `known`.
pub fn spawn(client: &Client, known: &KnownStatuses, around: &Watching) {
    for (kind, part) in POLICIES
        .into_iter()
        .zip(ViewPart::split(View::Policies, POLICIES.len()))
    {
        let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource_of(kind));
        let stream = watcher(api, watcher::Config::default().page_size(PAGE)).backoff(WatchBackoff::default());
        let around = around.clone();
        let (known, forgotten) = (known.clone(), known.clone());
        tokio::spawn(drive(
            stream.boxed(),
            Some(part),
            around,
            move |object: DynamicObject| {
                let key = key_of_dynamic(&object);
                let policy = PolicyKey::new(kind, &key.namespace, &key.name);
                let event = if object.metadata.deletion_timestamp.is_some() {
                    Some(Event::PolicyGone(policy))
                } else {
                    let is_news = known.is_news(&policy, &object);
                    is_news.then(|| convert::event(kind, object))
                };
                (key, event)
            },
            move |key| {
                let policy = PolicyKey::new(kind, key.namespace, key.name);
                forgotten.forget(&policy);
                Some(Event::PolicyGone(policy))
            },
        ));
    }
}

/// Every policy as it is stored now, page by page, so that never more than one page of objects is in memory.
///
/// # Errors
/// The API server does not answer, or refuses.
pub async fn list(client: &Client, known: &KnownStatuses, mut seen: impl FnMut(Event)) -> Result<(), CallError> {
    for kind in POLICIES {
        let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource_of(kind));
        let mut params = ListParams::default().limit(PAGE);
        loop {
            let page = call(format!("list every {kind}"), api.list(&params)).await?;
            let next = page.metadata.continue_.clone().unwrap_or_default();
            for object in page {
                if object.metadata.deletion_timestamp.is_none() {
                    let key = key_of_dynamic(&object);
                    known.note(&PolicyKey::new(kind, key.namespace, key.name), &object);
                    seen(convert::event(kind, object));
                }
            }
            if next.is_empty() {
                break;
            }
            params = params.continue_token(&next);
        }
    }
    Ok(())
}
