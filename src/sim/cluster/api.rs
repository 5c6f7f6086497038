//! The API server's part in an action: it checks the preconditions against the truth, and does it or does not.

use super::{Cluster, Timer};
use crate::core::event::Outcome;
use crate::core::names::{ObjectKey, ObjectRef, Uid};
use crate::core::plan::Deed;
use crate::core::quantity::Replicas;
use crate::core::time::{Span, Time};

/// The operator's name as a writer of fields.
const MANAGER: &str = "homeostat";

impl Cluster {
    /// Does what is asked, if its preconditions hold. Declared objects are not here: see `Deed::Restore` elsewhere.
    pub fn execute(&mut self, now: Time, deed: &Deed) -> Outcome {
        match deed {
            Deed::Scale { target, uid, from, to } => self.scale(now, target, uid, *from, *to),
            Deed::Evict { pod, uid, .. } => self.evict(now, pod, uid),
            Deed::AddNode { node, .. } => {
                if !self.nodes.contains_key(node) && !self.joining.contains(node) {
                    self.order_node(now, deed);
                }
                Outcome::Done
            }
            Deed::MarkNode { node, uid } | Deed::UnmarkNode { node, uid } => {
                if self.node_uid(node) != Some(uid) {
                    return conflict(format!("node {node} is gone or another object now"));
                }
                self.mark(now, node, matches!(deed, Deed::MarkNode { .. }));
                Outcome::Done
            }
            Deed::RemoveNode { node, uid, .. } => {
                let marked = self.nodes.get(node).is_some_and(|n| n.node.is_marked());
                if self.node_uid(node) != Some(uid) || !marked {
                    return conflict(format!("node {node} is gone, another object, or no longer marked"));
                }
                if self.carries_own_pods(node) {
                    return conflict(format!("a pod has come to node {node}"));
                }
                self.remove_node(now, node);
                Outcome::Done
            }
            Deed::Restore { object, .. } => Outcome::Failed {
                message: format!("{object} is not an object of this cluster"),
            },
        }
    }

    fn scale(&mut self, now: Time, target: &ObjectRef, uid: &Uid, from: Replicas, to: Replicas) -> Outcome {
        let found = self.workload(target).filter(|w| self.workloads[*w].exists);
        let Some(id) = found else {
            return conflict(format!("{target} is gone"));
        };
        let w = &self.workloads[id];
        if w.uid != *uid {
            return conflict(format!("{target} is another object now"));
        }
        if w.replicas != from.get() {
            return Outcome::Conflict {
                message: format!("{target} has {} replicas", w.replicas),
                found: Some(Replicas::new(w.replicas)),
            };
        }
        self.set_replicas(now, id, to.get(), MANAGER);
        Outcome::Done
    }

    /// The eviction API: an unhealthy pod may go while the budget's healthy pods are enough, a healthy one only if they are
    /// enough without it.
    fn evict(&mut self, now: Time, key: &ObjectKey, uid: &Uid) -> Outcome {
        let found = self
            .pods
            .iter()
            .position(|p| p.as_ref().is_some_and(|p| p.pod.key == *key));
        let Some((id, sim)) = found.and_then(|id| Some((id, self.pods[id].as_ref()?))) else {
            return conflict(format!("pod {key} is gone"));
        };
        if sim.pod.uid != *uid {
            return conflict(format!("pod {key} is another object now"));
        }
        let left = self.ready(sim.workload) - u32::from(sim.pod.is_ready());
        if left < self.workloads[sim.workload].min_available {
            return Outcome::Blocked {
                message: format!("the disruption budget of {key} needs more healthy pods"),
            };
        }
        self.delete_pod(now, id);
        Outcome::Done
    }

    /// Every controller looks at its pods now: the start of a story.
    pub fn start(&mut self, now: Time) {
        for workload in 0..self.workloads.len() {
            self.timers
                .push((now + Span::from_millis(1), Timer::Reconcile(workload)));
        }
    }
}

fn conflict(message: String) -> Outcome {
    Outcome::Conflict { message, found: None }
}
