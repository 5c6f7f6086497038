//! Policies: watched as they are stored, so that one that no longer parses is a condition and not the end of the watch.

use futures::StreamExt;
use kube::Client;
use kube::api::{Api, DynamicObject, ListParams};
use kube::runtime::{WatchStreamExt, watcher};

use super::status::resource_of;
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

/// Starts the watches of all policies.
pub fn spawn(client: &Client, around: &Watching) {
    for (kind, part) in POLICIES
        .into_iter()
        .zip(ViewPart::split(View::Policies, POLICIES.len()))
    {
        let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource_of(kind));
        let stream = watcher(api, watcher::Config::default()).backoff(WatchBackoff::default());
        let around = around.clone();
        tokio::spawn(drive(
            stream.boxed(),
            Some(part),
            around,
            move |object: DynamicObject| {
                let key = key_of_dynamic(&object);
                let event = if object.metadata.deletion_timestamp.is_some() {
                    Event::PolicyGone(PolicyKey::new(kind, &key.namespace, &key.name))
                } else {
                    convert::event(kind, object)
                };
                (key, Some(event))
            },
            move |key| Some(Event::PolicyGone(PolicyKey::new(kind, key.namespace, key.name))),
        ));
    }
}

/// Every policy as it is stored now.
///
/// # Errors
/// The API server does not answer, or refuses.
pub async fn list(client: &Client) -> Result<Vec<Event>, CallError> {
    let mut events = Vec::new();
    for kind in POLICIES {
        let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource_of(kind));
        let list = call(format!("list every {kind}"), api.list(&ListParams::default())).await?;
        let there = list.into_iter().filter(|o| o.metadata.deletion_timestamp.is_none());
        events.extend(there.map(|object| convert::event(kind, object)));
    }
    Ok(events)
}
