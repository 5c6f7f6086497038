//! Controllers of workloads: they keep as many pods as are wanted.

use super::{Cluster, PodId, Timer, Workload, WorkloadId};
use crate::core::event::Event;
use crate::core::names::{ObjectRef, Uid};
use crate::core::quantity::Replicas;
use crate::core::quantity::Resources;
use crate::core::time::{Span, Time};
use crate::core::world::{LabelSelector, Target};

impl Cluster {
    /// Adds a Deployment (or, with `daemon`, a DaemonSet); its pods come by themselves.
    pub fn add_workload(&mut self, namespace: &str, name: &str, replicas: u32, cpu_milli: i64) -> WorkloadId {
        let kind = "Deployment";
        self.workloads.push(Workload {
            object: ObjectRef::new("apps/v1", kind, namespace, name),
            uid: Uid(format!("{namespace}-{name}-1")),
            exists: true,
            replicas,
            writer: None,
            other_scaler: None,
            hash: "a1".into(),
            broken: None,
            cursed: 0,
            requests: Resources {
                cpu_milli,
                memory_bytes: cpu_milli * 1_000_000,
                pods: 1,
                ..Resources::default()
            },
            labels: [("app".to_owned(), name.to_owned())].into(),
            start: (Span::from_secs(5), Span::from_secs(40)),
            min_available: 0,
            daemon: false,
            pods: std::collections::BTreeSet::new(),
            incarnation: 1,
        });
        self.workloads.len() - 1
    }

    /// Makes what is missing, and deletes what is too many: first who is not Ready, then the youngest.
    pub(super) fn reconcile(&mut self, now: Time, workload: WorkloadId) {
        let Some(w) = self.workloads.get(workload) else {
            return;
        };
        if w.daemon {
            return self.reconcile_daemon(now, workload);
        }
        let live = |id: &&PodId| self.pod(**id).is_some_and(|p| p.pod.deleting.is_none());
        let mut pods: Vec<PodId> = w.pods.iter().filter(live).copied().collect();
        let wanted = if w.exists { w.replicas as usize } else { 0 };
        if pods.len() < wanted {
            for _ in pods.len()..wanted {
                self.make_pod(now, workload, None);
            }
        } else if pods.len() > wanted {
            let ready = |id: PodId| self.pod(id).is_some_and(|p| p.pod.is_ready());
            let newest = |id: PodId| self.pod(id).map(|p| p.pod.created);
            pods.sort_by_key(|id| (ready(*id), std::cmp::Reverse(newest(*id)), *id));
            for id in pods.iter().take(pods.len() - wanted) {
                self.delete_pod(now, *id);
            }
        }
        self.show_target_of(workload);
    }

    fn reconcile_daemon(&mut self, now: Time, workload: WorkloadId) {
        let covered: Vec<&String> = self.workloads[workload]
            .pods
            .iter()
            .filter_map(|id| self.pod(*id)?.pod.node.as_ref())
            .collect();
        let bare: Vec<String> = self
            .nodes
            .iter()
            .filter(|(name, node)| node.node.is_ready() && !covered.contains(name))
            .map(|(name, _)| name.clone())
            .collect();
        for node in bare {
            self.make_pod(now, workload, Some(&node));
        }
    }

    /// Somebody sets `replicas`.
    pub fn set_replicas(&mut self, now: Time, workload: WorkloadId, replicas: u32, writer: &str) {
        if let Some(w) = self.workloads.get_mut(workload).filter(|w| w.exists) {
            w.replicas = replicas;
            w.writer = Some(writer.to_owned());
            self.show_target_of(workload);
            self.later(now + Span::from_millis(100), Timer::Reconcile(workload));
        }
    }

    /// Somebody deletes a workload, or makes it again under a new identity.
    pub fn set_exists(&mut self, now: Time, workload: WorkloadId, exists: bool) {
        if let Some(w) = self.workloads.get_mut(workload).filter(|w| w.exists != exists) {
            w.exists = exists;
            if exists {
                w.incarnation += 1;
                w.uid = Uid(format!("{}-{}-{}", w.object.namespace, w.object.name, w.incarnation));
                w.writer = None;
            }
            self.show_target_of(workload);
            self.later(now + Span::from_millis(100), Timer::Reconcile(workload));
        }
    }

    /// Another autoscaler comes or goes.
    pub fn set_other_scaler(&mut self, workload: WorkloadId, other: Option<String>) {
        if let Some(w) = self.workloads.get_mut(workload) {
            w.other_scaler = other;
            self.show_target_of(workload);
        }
    }

    /// A new template, whose pods crash, replaces a quarter of the pods; or the old one comes back.
    pub fn roll_out(&mut self, now: Time, workload: WorkloadId, broken: bool) {
        let Some(w) = self.workloads.get_mut(workload) else {
            return;
        };
        if w.daemon || broken == w.broken.is_some() {
            return;
        }
        let old = w.hash.clone();
        let victims: Vec<PodId> = if broken {
            w.hash = format!("b{}", w.incarnation);
            w.broken = Some(w.hash.clone());
            let quarter = w.pods.len().div_ceil(4);
            w.pods.iter().take(quarter).copied().collect()
        } else {
            w.hash = "a1".into();
            w.broken = None;
            w.pods.iter().copied().collect()
        };
        for id in victims {
            let of_old = self.pod(id).is_some_and(|p| p.pod.template_hash.as_ref() == Some(&old));
            if of_old {
                self.delete_pod(now, id);
            }
        }
    }

    /// A target as the API shows it now.
    #[must_use]
    pub fn target(&self, object: &ObjectRef) -> Option<Target> {
        let w = &self.workloads[self.workload(object)?];
        let live = |id: &&PodId| self.pod(**id).is_some_and(|p| p.pod.deleting.is_none());
        w.exists.then(|| Target {
            uid: w.uid.clone(),
            replicas: Replicas::new(w.replicas),
            status_replicas: Replicas::new(u32::try_from(w.pods.iter().filter(live).count()).unwrap_or(0)),
            selector: LabelSelector {
                match_labels: w.labels.clone(),
                match_expressions: Vec::new(),
            },
            writer: w.writer.clone(),
            deleting: false,
            other_scaler: w.other_scaler.clone(),
        })
    }

    pub(super) fn show_target_of(&mut self, workload: WorkloadId) {
        let Some(object) = self.workloads.get(workload).map(|w| w.object.clone()) else {
            return;
        };
        let target = self.target(&object).map(Box::new);
        // Several changes in one go show as one.
        self.events
            .retain(|event| !matches!(event, Event::Target { object: other, .. } if *other == object));
        self.events.push(Event::Target { object, target });
    }
}
