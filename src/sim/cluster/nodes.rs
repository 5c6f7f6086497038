//! Nodes: they come, die, come back, and are taken away.

use std::collections::BTreeSet;

use super::pods::set_ready;
use super::{Cluster, SimNode, Timer};
use crate::core::event::Event;
use crate::core::names::Uid;
use crate::core::plan::Deed;
use crate::core::policy::ProviderKind;
use crate::core::quantity::Resources;
use crate::core::time::{Span, Time};
use crate::core::world::{Condition, Node, POOL_LABEL, REMOVAL_TAINT, Status, Taint};

/// How long pods stay on a node that is away (`tolerationSeconds` of the default tolerations).
const TOLERATION: Span = Span::from_secs(300);

/// What a node of the cluster's own has.
#[must_use]
pub fn size(cpu_milli: i64, pods: i64) -> Resources {
    Resources {
        cpu_milli,
        memory_bytes: cpu_milli * 4_000_000,
        pods,
        ..Resources::default()
    }
}

impl Cluster {
    /// Adds a node that is Ready.
    pub fn add_node(&mut self, now: Time, name: &str, allocatable: Resources) {
        let node = Node {
            name: name.to_owned(),
            uid: self.uid("node"),
            created: now,
            allocatable,
            ..Node::default()
        };
        self.node_joins(now, node);
        self.node_ready(now, name);
    }

    pub(super) fn node_joins(&mut self, now: Time, node: Node) {
        let name = node.name.clone();
        if !self.joining.remove(&name) && node.pool().is_some() {
            return;
        }
        let sim = SimNode {
            free: node.allocatable.clone(),
            node,
            pods: BTreeSet::new(),
            outages: 0,
        };
        self.nodes.insert(name.clone(), sim);
        self.show_node(&name);
        let after = self.within((Span::from_secs(5), Span::from_secs(30)));
        self.later(now + after, Timer::NodeReady(name));
    }

    /// A node is Ready, for the first time or again.
    pub fn node_ready(&mut self, now: Time, name: &str) {
        let Some(sim) = self.nodes.get_mut(name).filter(|n| !n.node.is_ready()) else {
            return;
        };
        sim.outages += 1;
        set_condition(&mut sim.node, Status::True, now);
        let pods = sim.pods.clone();
        self.show_node(name);
        for id in pods {
            self.revive(now, id);
        }
        for daemon in 0..self.workloads.len() {
            if self.workloads[daemon].daemon {
                self.later(now + Span::from_millis(100), Timer::Reconcile(daemon));
            }
        }
        self.schedule(now);
    }

    /// A node no longer answers: it and its pods are not Ready, and after five minutes its pods are given up.
    pub fn node_down(&mut self, now: Time, name: &str) {
        let Some(sim) = self.nodes.get_mut(name).filter(|n| n.node.is_ready()) else {
            return;
        };
        sim.outages += 1;
        let (outage, pods) = (sim.outages, sim.pods.clone());
        set_condition(&mut sim.node, Status::Unknown, now);
        self.show_node(name);
        for id in pods {
            self.edit_pod(id, |pod| {
                if pod.ready.is_some() {
                    set_ready(pod, Status::False, now, "NodeStatusUnknown");
                }
            });
        }
        self.later(now + TOLERATION, Timer::NodeEvicts(name.to_owned(), outage));
    }

    pub(super) fn node_evicts(&mut self, now: Time, name: &str, outage: u32) {
        let away = self
            .nodes
            .get(name)
            .filter(|n| n.outages == outage && !n.node.is_ready());
        for id in away.map(|n| n.pods.clone()).into_iter().flatten() {
            let daemon = self.pod(id).is_some_and(|p| self.workloads[p.workload].daemon);
            if !daemon {
                self.delete_pod(now, id);
            }
        }
    }

    /// A node and its pods are gone.
    pub fn remove_node(&mut self, now: Time, name: &str) {
        let Some(sim) = self.nodes.get(name) else { return };
        for id in sim.pods.clone() {
            self.remove_pod(now, id);
        }
        self.nodes.remove(name);
        self.events.push(Event::NodeGone(name.to_owned()));
    }

    /// The provider is asked for a node.
    pub(super) fn order_node(&mut self, now: Time, deed: &Deed) {
        let Deed::AddNode {
            node,
            pool,
            template,
            provider: ProviderKind::Kwok { registration_delay },
        } = deed
        else {
            return;
        };
        if self.provider_fails {
            let message = "the machine type is sold out".into();
            self.events.push(Event::NodeFailed {
                node: node.clone(),
                message,
            });
            return;
        }
        let mut labels = template.labels.clone();
        labels.insert(POOL_LABEL.to_owned(), pool.clone());
        let node = Node {
            name: node.clone(),
            uid: self.uid("node"),
            labels,
            taints: template.taints.clone(),
            created: now + *registration_delay,
            allocatable: template.allocatable.clone(),
            ..Node::default()
        };
        self.joining.insert(node.name.clone());
        self.later(now + *registration_delay, Timer::NodeJoins(Box::new(node)));
    }

    /// Sets or lifts the removal taint.
    pub(super) fn mark(&mut self, now: Time, name: &str, marked: bool) {
        if let Some(sim) = self.nodes.get_mut(name) {
            sim.node.taints.retain(|t| t.key != REMOVAL_TAINT);
            if marked {
                sim.node.taints.push(Taint {
                    key: REMOVAL_TAINT.into(),
                    value: String::new(),
                    effect: "NoSchedule".into(),
                });
            }
            self.show_node(name);
            self.schedule(now);
        }
    }

    /// Whether a node carries anything that does not go with it.
    pub(super) fn carries_own_pods(&self, name: &str) -> bool {
        let pods = self.nodes.get(name).map(|n| &n.pods);
        pods.into_iter()
            .flatten()
            .any(|id| self.pod(*id).is_some_and(|p| !p.pod.belongs_to_node()))
    }

    /// A pod comes to a node that is about to be removed, past its taint, as static scheduling can do.
    pub fn intrude(&mut self, now: Time) {
        let marked = self.nodes.values().find(|n| n.node.is_marked());
        let workload = self.workloads.iter().position(|w| !w.daemon && w.exists);
        if let (Some(node), Some(workload)) = (marked.map(|n| n.node.name.clone()), workload) {
            self.make_pod(now, workload, Some(&node));
        }
    }

    /// A node's identity, if it is there.
    pub(super) fn node_uid(&self, name: &str) -> Option<&Uid> {
        self.nodes.get(name).map(|n| &n.node.uid)
    }

    fn show_node(&mut self, name: &str) {
        if let Some(sim) = self.nodes.get(name) {
            let event = Event::Node(Box::new(sim.node.clone()));
            self.events.push(event);
        }
    }
}

fn set_condition(node: &mut Node, status: Status, now: Time) {
    node.ready = Some(Condition {
        status,
        since: now,
        reason: if status == Status::True {
            "KubeletReady"
        } else {
            "NodeStatusUnknown"
        }
        .into(),
    });
}
