//! Kubernetes Events: what was done and why, on the policy and on its target. Written one by one, with the numbers of
//! that moment: kube's recorder would fold repeats and keep the first note. Repeats are counted and said with the next one.

mod limit;

use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, DynamicObject, ObjectMeta, PostParams};
use kube::{Client, ResourceExt};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::status::resource_of;
use super::{FIELD_MANAGER, call};
use crate::api::GROUP;
use crate::core::names::{ActionId, ObjectRef, PolicyKind, Uid};
use crate::core::time::{Span, Time};
use crate::telemetry::metrics::{Metrics, WriteLabels};
use limit::{Limiter, Rate};

/// How many notices may wait; more are dropped and counted.
const QUEUE: usize = 1024;
/// The API server refuses longer notes.
const NOTE_MAX: usize = 1000;
/// The API server refuses longer names.
const NAME_MAX: usize = 253;
/// What still waits at the end is written within this time, or not at all.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// The same trouble with the same object.
const WARNINGS: Rate = Rate {
    burst: 3,
    refill: Span::from_mins(5),
};
/// The same kind of success with the same object.
const SUCCESSES: Rate = Rate {
    burst: 20,
    refill: Span::from_mins(1),
};
/// The same reason at one policy, whatever the object.
const PER_POLICY: Rate = Rate {
    burst: 50,
    refill: Span::from_secs(10),
};
/// The annotation that names the action's trace.
pub const TRACE_ANNOTATION: &str = "homeostat.dev/trace-id";

/// Something that is told as Events.
#[derive(Clone, Debug)]
pub struct Notice {
    /// The object that it is about: the policy.
    pub regarding: ObjectRef,
    /// Its identity, without which `kubectl describe` does not show the Event; of Homeostat's own kinds it is looked up.
    pub uid: Option<Uid>,
    /// The other object that it concerns: the target.
    pub related: Option<ObjectRef>,
    /// Its identity; where it is known, there is an Event on that object too.
    pub related_uid: Option<Uid>,
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
    /// The action that it tells of.
    pub trace: Option<ActionId>,
}

/// Where notices go. Never waits: when the API server is slow, notices are dropped rather than decisions delayed.
#[derive(Clone, Debug)]
pub struct Notices {
    sender: mpsc::Sender<Notice>,
    metrics: Metrics,
}

impl Notices {
    /// Starts the writer. After `shutdown` it writes what waits and ends.
    #[must_use]
    pub fn spawn(
        client: Client,
        instance: &str,
        metrics: Metrics,
        shutdown: CancellationToken,
    ) -> (Self, JoinHandle<()>) {
        let (sender, receiver) = mpsc::channel::<Notice>(QUEUE);
        let writer = Writer {
            client,
            instance: instance.chars().take(128).collect(),
            metrics: metrics.clone(),
            limiter: Limiter::default(),
            count: 0,
        };
        (Self { sender, metrics }, tokio::spawn(writer.run(receiver, shutdown)))
    }

    /// Hands over one notice.
    pub fn send(&self, notice: Notice) {
        if self.sender.try_send(notice).is_err() {
            count(&self.metrics, "Dropped");
            tracing::debug!("too many Events wait: one was dropped");
        }
    }
}

fn count(metrics: &Metrics, outcome: &str) {
    let labels = WriteLabels {
        outcome: outcome.into(),
    };
    metrics.notices.get_or_create(&labels).inc();
}

struct Writer {
    client: Client,
    instance: String,
    metrics: Metrics,
    limiter: Limiter,
    count: u64,
}

impl Writer {
    async fn run(mut self, mut receiver: mpsc::Receiver<Notice>, shutdown: CancellationToken) {
        loop {
            let notice = tokio::select! {
                biased;
                notice = receiver.recv() => match notice { Some(notice) => notice, None => return },
                () = shutdown.cancelled() => break,
            };
            self.tell(notice).await;
        }
        receiver.close();
        let rest = async {
            while let Some(notice) = receiver.recv().await {
                self.tell(notice).await;
            }
        };
        let _ = tokio::time::timeout(LAST_WORDS, rest).await;
    }

    async fn tell(&mut self, mut notice: Notice) {
        let Some(unsaid) = self.admit(&notice) else {
            return count(&self.metrics, "Repeated");
        };
        let more = if unsaid > 0 {
            format!(" (and {unsaid} more like it before)")
        } else {
            String::new()
        };
        notice.note = shorten(&notice.note, NOTE_MAX.saturating_sub(more.len())) + &more;
        if notice.uid.is_none() {
            notice.uid = self.look_up(&notice.regarding).await;
        }
        self.write(&notice).await;
        if let (Some(object), Some(_)) = (&notice.related, &notice.related_uid) {
            let mirrored = Notice {
                regarding: object.clone(),
                uid: notice.related_uid.clone(),
                related: Some(notice.regarding.clone()),
                related_uid: notice.uid.clone(),
                ..notice
            };
            self.write(&mirrored).await;
        }
    }

    /// Whether this is told, and how much like it was not since the last time.
    fn admit(&mut self, notice: &Notice) -> Option<u32> {
        let (policy, reason) = (&notice.regarding, &notice.reason);
        let object = notice.related.as_ref().unwrap_or(policy);
        let rate = if notice.warning { WARNINGS } else { SUCCESSES };
        let same = format!("{policy} {reason} {} {object} {}", notice.action, notice.warning);
        let one = self.limiter.admit(same, rate, notice.at)?;
        let all = self
            .limiter
            .admit(format!("{policy} {reason}"), PER_POLICY, notice.at)?;
        Some(one.unsaid.max(all.unsaid))
    }

    /// The identity of one of Homeostat's own objects.
    async fn look_up(&self, object: &ObjectRef) -> Option<Uid> {
        let kind = PolicyKind::ALL
            .into_iter()
            .find(|kind| object.group() == GROUP && kind.as_str() == object.kind)?;
        let resource = resource_of(kind);
        let api: Api<DynamicObject> = if object.namespace.is_empty() {
            Api::all_with(self.client.clone(), &resource)
        } else {
            Api::namespaced_with(self.client.clone(), &object.namespace, &resource)
        };
        let found = call(format!("read {object}"), api.get(&object.name)).await.ok()?;
        found.uid().map(Uid)
    }

    async fn write(&mut self, notice: &Notice) {
        self.count += 1;
        let event = event(notice, &self.instance, self.count);
        let namespace = event.metadata.namespace.clone().unwrap_or_default();
        let api: Api<Event> = Api::namespaced(self.client.clone(), &namespace);
        match call("write an Event", api.create(&PostParams::default(), &event)).await {
            Ok(_) => count(&self.metrics, "Written"),
            Err(error) => {
                count(&self.metrics, "Failed");
                tracing::warn!(%error, regarding = %notice.regarding, reason = notice.reason, "an Event was not written");
            }
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
    let at = Timestamp::from_millisecond(notice.at.as_millis()).unwrap_or_default();
    let trace = notice
        .trace
        .as_ref()
        .map(|id| (TRACE_ANNOTATION.to_owned(), id.0.clone()));
    Event {
        metadata: ObjectMeta {
            name: Some(name(&about.name, notice.at, count)),
            namespace: Some(namespace.to_owned()),
            annotations: trace.map(|pair| [pair].into()),
            ..ObjectMeta::default()
        },
        event_time: Some(MicroTime(at)),
        action: Some(notice.action.clone()),
        reason: Some(notice.reason.clone()),
        note: Some(notice.note.clone()),
        type_: Some(if notice.warning { "Warning" } else { "Normal" }.to_owned()),
        regarding: Some(reference(about, notice.uid.as_ref())),
        related: notice
            .related
            .as_ref()
            .map(|r| reference(r, notice.related_uid.as_ref())),
        reporting_controller: Some(format!("homeostat.dev/{FIELD_MANAGER}")),
        reporting_instance: Some(instance.to_owned()),
        ..Event::default()
    }
}

/// A name that the API server accepts, whatever the object is called: some kinds allow more in a name than Events do.
fn name(about: &str, at: Time, count: u64) -> String {
    let end = format!(".{:x}{count:04x}", at.as_millis());
    let allowed = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' };
    let start: String = about.to_ascii_lowercase().chars().map(allowed).collect();
    let start = &start[..start.len().min(NAME_MAX.saturating_sub(end.len()))];
    // Parts between dots begin and end with a letter or a digit.
    let parts: Vec<&str> = start
        .split('.')
        .map(|part| part.trim_matches('-'))
        .filter(|part| !part.is_empty())
        .collect();
    format!(
        "{}{end}",
        if parts.is_empty() {
            "homeostat".into()
        } else {
            parts.join(".")
        }
    )
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

fn shorten(note: &str, most: usize) -> String {
    if note.len() <= most {
        return note.to_owned();
    }
    let end = note
        .char_indices()
        .map(|(i, _)| i)
        .take_while(|i| *i < most.saturating_sub(4))
        .last()
        .unwrap_or(0);
    format!("{}…", &note[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_accepted_whatever_the_object_is_called() {
        let at = Time::from_millis(0x19a);
        assert_eq!(name("web-1.x", at, 1), "web-1.x.19a0001");
        assert_eq!(name("system:Node-Reader", at, 1), "system-node-reader.19a0001");
        assert_eq!(name("-.-", at, 1), "homeostat.19a0001");
        let long = name(&"a-".repeat(200), at, 1);
        assert!(long.len() <= NAME_MAX && !long.contains("-."), "{long}");
    }
}
