//! Kubernetes Events: what was done and why, on the policy and on its target. Written one by one, with the numbers of
//! that moment: kube's recorder would fold repeats and keep the first note.

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::Client;
use kube::api::{Api, ObjectMeta, PostParams};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{FIELD_MANAGER, call};
use crate::core::names::{ObjectRef, Uid};
use crate::core::time::Time;

/// How many events may wait; more are dropped and counted.
const QUEUE: usize = 1024;
/// The API server refuses longer notes.
const NOTE_MAX: usize = 1000;
/// Of the object's name in the Event's own.
const NAME_MAX: usize = 200;

/// One event to be written.
#[derive(Clone, Debug)]
pub struct Notice {
    /// The object that it is about.
    pub regarding: ObjectRef,
    /// Its identity, so that `kubectl describe` finds the event.
    pub uid: Option<Uid>,
    /// The other object that it concerns.
    pub related: Option<ObjectRef>,
    /// Something is wrong.
    pub warning: bool,
    /// Stable code.
    pub reason: String,
    /// What was done or tried.
    pub action: String,
    /// The sentence.
    pub note: String,
    /// When.
    pub at: Time,
}

/// Where notices go. Never waits: when the API server is slow, notices are dropped rather than decisions delayed.
#[derive(Clone, Debug)]
pub struct Notices {
    sender: mpsc::Sender<Notice>,
}

impl Notices {
    /// Starts the writer.
    #[must_use]
    pub fn spawn(client: Client, instance: String, shutdown: CancellationToken) -> Self {
        let (sender, mut receiver) = mpsc::channel::<Notice>(QUEUE);
        tokio::spawn(async move {
            let mut count = 0_u64;
            loop {
                let notice = tokio::select! {
                    () = shutdown.cancelled() => return,
                    notice = receiver.recv() => match notice { Some(notice) => notice, None => return },
                };
                count += 1;
                let event = event(&notice, &instance, count);
                let namespace = event.metadata.namespace.clone().unwrap_or_default();
                let api: Api<Event> = Api::namespaced(client.clone(), &namespace);
                if let Err(error) = call("write an Event", api.create(&PostParams::default(), &event)).await {
                    tracing::warn!(%error, regarding = %notice.regarding, "an Event was not written");
                }
            }
        });
        Self { sender }
    }

    /// Hands over one notice.
    pub fn send(&self, notice: Notice) {
        if self.sender.try_send(notice).is_err() {
            tracing::warn!("too many Events wait: one was dropped");
        }
    }
}

fn event(notice: &Notice, instance: &str, count: u64) -> Event {
    let about = &notice.regarding;
    let namespace = if about.namespace.is_empty() {
        "default"
    } else {
        &about.namespace
    };
    let stem = about.name.get(..NAME_MAX).unwrap_or(&about.name);
    let at = Timestamp::from_millisecond(notice.at.as_millis()).unwrap_or_default();
    Event {
        metadata: ObjectMeta {
            name: Some(format!("{stem}.{:x}{count:04x}", notice.at.as_millis())),
            namespace: Some(namespace.to_owned()),
            ..ObjectMeta::default()
        },
        event_time: Some(MicroTime(at)),
        action: Some(notice.action.clone()),
        reason: Some(notice.reason.clone()),
        note: Some(shorten(&notice.note)),
        type_: Some(if notice.warning { "Warning" } else { "Normal" }.to_owned()),
        regarding: Some(reference(about, notice.uid.as_ref())),
        related: notice.related.as_ref().map(|r| reference(r, None)),
        reporting_controller: Some(format!("homeostat.dev/{FIELD_MANAGER}")),
        reporting_instance: Some(instance.chars().take(128).collect()),
        ..Event::default()
    }
}

fn reference(object: &ObjectRef, uid: Option<&Uid>) -> ObjectReference {
    ObjectReference {
        api_version: Some(object.api_version.clone()),
        kind: Some(object.kind.clone()),
        name: Some(object.name.clone()),
        namespace: Some(object.namespace.clone()).filter(|n| !n.is_empty()),
        uid: uid.map(|u| u.0.clone()),
        ..ObjectReference::default()
    }
}

fn shorten(note: &str) -> String {
    if note.len() <= NOTE_MAX {
        return note.to_owned();
    }
    let end = note
        .char_indices()
        .map(|(i, _)| i)
        .take_while(|i| *i < NOTE_MAX - 4)
        .last()
        .unwrap_or(0);
    format!("{}…", &note[..end])
}
