//! The life of a pod: made → bound → started → Ready → going away → gone; and its illnesses.

use super::{Cluster, PodId, SimPod, Timer, WorkloadId};
use crate::core::event::Event;
use crate::core::names::{ObjectKey, Uid};
use crate::core::time::{Span, Time};
use crate::core::world::{Condition, Container, Exit, Owner, Pod, PodPhase, Status};

/// The kubelet's first back-off after a crash; it doubles.
const FIRST_BACK_OFF: Span = Span::from_secs(10);
/// The kubelet's longest back-off.
const LAST_BACK_OFF: Span = Span::from_secs(300);
/// How long a pod takes to go away.
const GRACE: (Span, Span) = (Span::from_secs(1), Span::from_secs(6));

/// What is wrong with a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Illness {
    /// Nothing.
    None,
    /// Its container crashes again and again.
    Crashes,
    /// Its readiness probe fails.
    Unready,
}

impl Cluster {
    /// Makes a pod of a workload.
    pub(super) fn make_pod(&mut self, now: Time, workload: WorkloadId, node: Option<&str>) {
        let id = self.pods.len();
        let uid = self.uid("pod");
        let Some(w) = self.workloads.get_mut(workload) else {
            return;
        };
        let ill = w.broken.as_ref() == Some(&w.hash) || w.cursed > 0;
        w.cursed = w.cursed.saturating_sub(1);
        w.pods.insert(id);
        let set = format!("{}-{}", w.object.name, w.hash);
        let pod = Pod {
            key: ObjectKey::new(&w.object.namespace, format!("{set}-{id}")),
            uid,
            labels: w.labels.clone(),
            owner: Some(Owner {
                api_version: "apps/v1".into(),
                kind: if w.daemon { "DaemonSet" } else { "ReplicaSet" }.into(),
                uid: Uid(format!("{}-{set}", w.uid)),
                name: set,
            }),
            template_hash: Some(w.hash.clone()),
            created: now,
            containers: vec![Container {
                name: "app".into(),
                ..Container::default()
            }],
            requests: w.requests.clone(),
            ..Pod::default()
        };
        self.pods.push(Some(SimPod {
            pod,
            workload,
            illness: if ill { Illness::Crashes } else { Illness::None },
            stage: 0,
        }));
        if let Some(node) = node {
            self.bind(now, id, node);
        } else {
            self.pending.insert(id);
            self.show_pod(id);
            self.schedule(now);
        }
    }

    /// Binds every waiting pod that finds room; the others are called unschedulable.
    pub(super) fn schedule(&mut self, now: Time) {
        for id in self.pending.clone() {
            let Some(requests) = self.pod(id).map(|p| p.pod.requests.clone()) else {
                self.pending.remove(&id);
                continue;
            };
            let fits = self
                .nodes
                .values()
                .filter(|n| n.node.is_ready() && n.node.taints.is_empty() && n.free.covers(&requests));
            // The emptiest first, as the scheduler's default spreads.
            let best = fits.max_by_key(|n| (n.free.cpu_milli, std::cmp::Reverse(&n.node.name)));
            match best.map(|n| n.node.name.clone()) {
                Some(node) => {
                    self.pending.remove(&id);
                    self.bind(now, id, &node);
                }
                None => {
                    if let Some(sim) = self.pods.get_mut(id).and_then(Option::as_mut)
                        && sim.pod.unschedulable_since.is_none()
                    {
                        sim.pod.unschedulable_since = Some(now);
                        self.show_pod(id);
                    }
                }
            }
        }
    }

    fn bind(&mut self, now: Time, id: PodId, name: &str) {
        let start = self.pods[id].as_ref().map(|p| self.workloads[p.workload].start);
        let (Some(sim), Some(node)) = (self.pods.get_mut(id).and_then(Option::as_mut), self.nodes.get_mut(name)) else {
            return;
        };
        node.free.subtract(&sim.pod.requests);
        node.pods.insert(id);
        sim.pod.node = Some(name.to_owned());
        sim.pod.unschedulable_since = None;
        self.show_pod(id);
        if let Some((low, high)) = start {
            let half = |span: Span| Span::from_millis(span.as_millis() / 2);
            self.stage_after(now, id, (half(low), half(high)));
        }
    }

    /// The next stage of this pod's life comes after some time; what was to come is off.
    fn stage_after(&mut self, now: Time, id: PodId, range: (Span, Span)) {
        let after = self.within(range);
        if let Some(sim) = self.pods.get_mut(id).and_then(Option::as_mut) {
            sim.stage += 1;
            let timer = Timer::Pod(id, sim.stage);
            self.later(now + after, timer);
        }
    }

    /// Started → Ready → well until ill; or crash → back-off → started → crash.
    pub(super) fn next_stage(&mut self, now: Time, id: PodId, stage: u32) {
        let Some(sim) = self.pods.get(id).and_then(Option::as_ref) else {
            return;
        };
        if sim.stage != stage || sim.pod.deleting.is_some() {
            return;
        }
        let node = sim.pod.node.as_ref().and_then(|n| self.nodes.get(n));
        if node.is_none_or(|n| !n.node.is_ready()) {
            return;
        }
        let (start, illness) = (self.workloads[sim.workload].start, sim.illness);
        let running = sim.pod.phase == PodPhase::Running;
        let waiting = sim.pod.containers.iter().any(|c| c.waiting.is_some());
        if !running || waiting {
            self.edit_pod(id, |pod| {
                pod.phase = PodPhase::Running;
                for container in &mut pod.containers {
                    container.waiting = None;
                }
                set_ready(pod, Status::False, now, "ContainersNotReady");
            });
            let half = |span: Span| Span::from_millis(span.as_millis() / 2);
            self.stage_after(now, id, (half(start.0), half(start.1)));
        } else {
            match illness {
                Illness::None => self.edit_pod(id, |pod| set_ready(pod, Status::True, now, "")),
                Illness::Unready => {}
                Illness::Crashes => self.crash(now, id),
            }
        }
    }

    /// The container ends with an error and waits for its restart.
    fn crash(&mut self, now: Time, id: PodId) {
        let mut back_off = FIRST_BACK_OFF;
        self.edit_pod(id, |pod| {
            set_ready(pod, Status::False, now, "ContainersNotReady");
            for container in &mut pod.containers {
                container.restarts += 1;
                container.waiting = Some("CrashLoopBackOff".into());
                container.last_exit = Some(Exit {
                    reason: "Error".into(),
                    code: 1,
                    finished: Some(now),
                });
                back_off = FIRST_BACK_OFF.times(1 << container.restarts.min(8)).min(LAST_BACK_OFF);
            }
        });
        self.stage_after(now, id, (back_off, back_off));
    }

    /// A pod falls ill, or is well again.
    pub fn set_illness(&mut self, now: Time, id: PodId, illness: Illness) {
        let Some(sim) = self.pods.get_mut(id).and_then(Option::as_mut) else {
            return;
        };
        if sim.pod.deleting.is_some() || sim.illness == illness {
            return;
        }
        sim.illness = illness;
        if sim.pod.phase != PodPhase::Running {
            return;
        }
        match illness {
            Illness::Crashes => self.crash(now, id),
            Illness::Unready => self.edit_pod(id, |pod| set_ready(pod, Status::False, now, "ContainersNotReady")),
            Illness::None => self.stage_after(now, id, (Span::from_secs(1), Span::from_secs(10))),
        }
    }

    /// Deletes a pod: its grace period begins.
    pub(super) fn delete_pod(&mut self, now: Time, id: PodId) {
        let Some(sim) = self.pods.get(id).and_then(Option::as_ref) else {
            return;
        };
        if sim.pod.deleting.is_some() {
            return;
        }
        let (workload, bound) = (sim.workload, sim.pod.node.clone());
        let node_answers = bound.and_then(|n| self.nodes.get(&n)).is_none_or(|n| n.node.is_ready());
        self.edit_pod(id, |pod| pod.deleting = Some(now));
        self.show_target_of(workload);
        // The pods of a node that is away stay in their last state until it is back or gone.
        if node_answers {
            let grace = self.within(GRACE);
            self.later(now + grace, Timer::PodGone(id));
        }
        self.later(now + Span::from_millis(50), Timer::Reconcile(workload));
    }

    /// A pod is gone.
    pub(super) fn remove_pod(&mut self, now: Time, id: PodId) {
        let Some(sim) = self.pods.get_mut(id).and_then(Option::take) else {
            return;
        };
        self.pending.remove(&id);
        if let Some(node) = sim.pod.node.as_ref().and_then(|n| self.nodes.get_mut(n)) {
            node.pods.remove(&id);
            node.free.add(&sim.pod.requests);
        }
        if let Some(w) = self.workloads.get_mut(sim.workload) {
            w.pods.remove(&id);
        }
        self.events.push(Event::PodGone(sim.pod.key));
        self.later(now + Span::from_millis(50), Timer::Reconcile(sim.workload));
        self.schedule(now);
    }

    pub(super) fn edit_pod(&mut self, id: PodId, edit: impl FnOnce(&mut Pod)) {
        if let Some(sim) = self.pods.get_mut(id).and_then(Option::as_mut) {
            edit(&mut sim.pod);
            self.show_pod(id);
        }
    }

    fn show_pod(&mut self, id: PodId) {
        if let Some(sim) = self.pod(id) {
            let event = Event::Pod(Box::new(sim.pod.clone()));
            self.events.push(event);
        }
    }

    /// A pod's node has come back: what it was doing begins anew.
    pub(super) fn revive(&mut self, now: Time, id: PodId) {
        let deleting = self.pod(id).is_some_and(|p| p.pod.deleting.is_some());
        if deleting {
            let grace = self.within(GRACE);
            self.later(now + grace, Timer::PodGone(id));
        } else {
            self.stage_after(now, id, (Span::from_secs(2), Span::from_secs(15)));
        }
    }
}

/// Sets the condition Ready; its time moves only when its status does.
pub(super) fn set_ready(pod: &mut Pod, status: Status, now: Time, reason: &str) {
    let same = pod.ready.as_ref().filter(|c| c.status == status);
    pod.ready = Some(Condition {
        status,
        since: same.map_or(now, |c| c.since),
        reason: reason.to_owned(),
    });
}
