//! What is wrong with a pod, and since when. Durations come from timestamps on the object.

use std::collections::BTreeMap;

use crate::core::names::Uid;
use crate::core::policy::PodSymptom;
use crate::core::time::{Span, Time};
use crate::core::world::{Pod, PodPhase, Status};

/// A pod younger than this that is not Ready is starting, not unhealthy.
const STARTING: Span = Span::from_mins(2);
/// After so long without a crash the kubelet forgets its back-off, and so do we.
const CALM: Span = Span::from_mins(10);

/// Whether a pod counts as unhealthy now, for shares of unhealthy pods: a container waits in `CrashLoopBackOff`, or the pod
/// runs, is no longer starting, and is not Ready.
#[must_use]
pub fn is_unhealthy(pod: &Pod, now: Time) -> bool {
    is_crash_looping(pod) || (not_ready_since(pod).is_some() && now.since(pod.created) >= STARTING)
}

fn is_crash_looping(pod: &Pod) -> bool {
    pod.containers
        .iter()
        .any(|c| c.waiting.as_deref() == Some("CrashLoopBackOff"))
}

/// Since when the pod runs without being Ready.
fn not_ready_since(pod: &Pod) -> Option<Time> {
    let ready = pod.ready.as_ref()?;
    (pod.phase == PodPhase::Running && ready.status == Status::False).then_some(ready.since)
}

/// Since when the pod shows this symptom; `None` when it does not now.
pub(super) fn since(pod: &Pod, symptom: PodSymptom, crashing: &BTreeMap<Uid, Time>, now: Time) -> Option<Time> {
    match symptom {
        PodSymptom::NotReady => not_ready_since(pod),
        PodSymptom::CrashLoopBackOff if is_crash_looping(pod) => Some(crashing.get(&pod.uid).copied().unwrap_or(now)),
        PodSymptom::CrashLoopBackOff => None,
    }
}

/// Brings up to date since when each pod crashes again and again. A pod that is between two crashes stays in the list; one
/// that has been Ready for [`CALM`], or is gone, leaves it. Says when the next one would leave.
pub(super) fn track_crashes<'a>(
    crashing: &mut BTreeMap<Uid, Time>,
    pods: impl Iterator<Item = &'a Pod>,
    now: Time,
) -> Option<Time> {
    let mut kept = BTreeMap::new();
    let mut next: Option<Time> = None;
    for pod in pods {
        let known = crashing.get(&pod.uid).copied();
        if is_crash_looping(pod) {
            let by_object = not_ready_since(pod).or(last_exit(pod)).unwrap_or(now);
            kept.insert(pod.uid.clone(), known.map_or(by_object, |at| at.min(by_object)));
        } else if let Some(at) = known {
            let ready = pod.ready.as_ref().filter(|c| c.status == Status::True);
            let calm_at = ready.map(|c| c.since + CALM);
            if calm_at.is_none_or(|calm_at| calm_at > now) {
                kept.insert(pod.uid.clone(), at);
                next = next.into_iter().chain(calm_at).min();
            }
        }
    }
    *crashing = kept;
    next
}

fn last_exit(pod: &Pod) -> Option<Time> {
    let exits = pod.containers.iter().filter_map(|c| c.last_exit.as_ref()?.finished);
    exits.max()
}

/// The symptom in words: `container app has crashed 7 times, last with exit code 1 (Error)`.
pub(super) fn in_words(pod: &Pod, symptom: PodSymptom) -> String {
    let looping = pod
        .containers
        .iter()
        .find(|c| c.waiting.as_deref() == Some("CrashLoopBackOff"));
    if let (PodSymptom::CrashLoopBackOff, Some(container)) = (symptom, looping) {
        let exit = container.last_exit.as_ref().map_or_else(String::new, |exit| {
            format!(", last with exit code {} ({})", exit.code, exit.reason)
        });
        let (name, restarts) = (&container.name, container.restarts);
        return format!("container {name} is in CrashLoopBackOff after {restarts} restarts{exit}");
    }
    let why = pod.ready.as_ref().map_or("", |c| c.reason.as_str());
    format!("it runs and is not Ready ({why})")
}
