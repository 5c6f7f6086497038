//! From the truth to the engine: watches, lists, samples. What the engine is told, the checker is told too.

use super::{Happening, Operator, Sim};
use crate::core::engine::Engine;
use crate::core::event::Event;
use crate::core::names::{ObjectKey, ObjectRef, PolicyKey};
use crate::core::sample::{QueryError, Reading};
use crate::core::time::{Span, Time};
use crate::core::world::{OwnIdentity, View, ViewState};
use crate::sim::wires::Wire;

/// How long the operator waits for Prometheus.
const PROMETHEUS_TIMEOUT: Span = Span::from_secs(10);

impl Operator {
    pub(super) fn new() -> Self {
        Self {
            engine: Engine::new(Time::default()),
            term: 0,
            up: false,
            next_step: None,
            own: ObjectKey::default(),
            pods: std::collections::BTreeSet::new(),
            nodes: std::collections::BTreeSet::new(),
            policies: std::collections::BTreeMap::new(),
            targets: std::collections::BTreeSet::new(),
            asked: std::collections::BTreeMap::new(),
            polling: std::collections::BTreeSet::new(),
            republish: false,
            twin: None,
            unseen: Vec::new(),
        }
    }
}

impl Sim<'_> {
    /// A new process of the operator: it knows nothing but what it is told from now on.
    pub(super) fn begin(&mut self, term: u32) {
        if term <= self.operator.term && self.operator.up {
            return;
        }
        let engine = Engine::without(self.now, &self.options.off);
        let own: Vec<ObjectKey> = self.own_pods();
        self.operator = Operator {
            term,
            up: true,
            twin: self.options.twin.then(|| engine.clone()),
            engine,
            own: own.get(term as usize % own.len().max(1)).cloned().unwrap_or_default(),
            ..Operator::new()
        };
        self.check.begin_term(self.now);
        self.story.line(self.now, || "the operator starts".into());
        let pod = self.operator.own.clone();
        let node = self
            .cluster
            .list_pods()
            .find(|p| p.key == pod)
            .and_then(|p| p.node.clone());
        self.tell(Event::Own(OwnIdentity { pod, node }));
        self.tell(Event::Limits(self.scenario.limits.clone()));
        for wire in Wire::ALL {
            self.wires.line_mut(wire).cut();
            let after = self.millis(200, 2500);
            self.later(after, Happening::Connect(wire, term));
        }
    }

    /// The pods of the operator's own Deployment.
    fn own_pods(&self) -> Vec<ObjectKey> {
        let pods = self.cluster.workloads.first().map(|w| &w.pods);
        let ids = pods.into_iter().flatten();
        ids.filter_map(|id| self.cluster.pod(*id))
            .map(|p| p.pod.key.clone())
            .collect()
    }

    /// A list, and from then on a watch.
    pub(super) fn connect(&mut self, wire: Wire, term: u32) {
        let line = self.wires.line_mut(wire);
        if line.faults > 0 || line.connected || !(self.operator.up && self.operator.term == term) {
            return;
        }
        line.connected = true;
        match wire {
            Wire::Pods => self.list_pods(),
            Wire::Nodes => self.list_nodes(),
            Wire::Policies => {
                let mut keys: Vec<PolicyKey> = self.policies.all.keys().cloned().collect();
                let known = self.operator.policies.keys();
                keys.extend(known.filter(|key| !self.policies.all.contains_key(key)).cloned());
                for key in keys {
                    let event = self.policies.event(&key);
                    self.arrive(event);
                }
                self.tell_view(View::Policies, ViewState::Current);
            }
            Wire::Targets => {
                for object in self.operator.targets.clone() {
                    let target = self.cluster.target(&object).map(Box::new);
                    self.tell(Event::Target { object, target });
                }
            }
            Wire::Declared => {
                for source in 0..self.sources.len() {
                    self.tell(self.sources[source].event());
                    let objects: Vec<ObjectRef> = self.sources[source].set.objects.keys().cloned().collect();
                    for object in objects {
                        if let Some(event) = self.sources[source].object_event(&object) {
                            self.tell(event);
                        }
                    }
                }
            }
        }
    }

    fn list_pods(&mut self) {
        let events: Vec<Event> = self
            .cluster
            .list_pods()
            .map(|pod| Event::Pod(Box::new(pod.clone())))
            .collect();
        let mut gone = std::mem::take(&mut self.operator.pods);
        for event in events {
            if let Event::Pod(pod) = &event {
                gone.remove(&pod.key);
            }
            self.arrive(event);
        }
        for key in gone {
            self.arrive(Event::PodGone(key));
        }
        self.tell_view(View::Pods, ViewState::Current);
    }

    fn list_nodes(&mut self) {
        let nodes = self.cluster.nodes.values();
        let events: Vec<Event> = nodes.map(|n| Event::Node(Box::new(n.node.clone()))).collect();
        let mut gone = std::mem::take(&mut self.operator.nodes);
        for event in events {
            if let Event::Node(node) = &event {
                gone.remove(&node.name);
            }
            self.arrive(event);
        }
        for name in gone {
            self.arrive(Event::NodeGone(name));
        }
        self.tell_view(View::Nodes, ViewState::Current);
    }

    /// A watch breaks; the operator notices.
    pub(super) fn cut(&mut self, wire: Wire) {
        let connected = self.wires.line(wire).connected;
        self.wires.line_mut(wire).cut();
        if connected && self.operator.up {
            match wire {
                Wire::Pods => self.tell_view(View::Pods, ViewState::Stale),
                Wire::Nodes => self.tell_view(View::Nodes, ViewState::Stale),
                Wire::Policies => self.tell_view(View::Policies, ViewState::Stale),
                Wire::Targets | Wire::Declared => {}
            }
        }
    }

    fn tell_view(&mut self, view: View, state: ViewState) {
        self.tell(Event::View { view, state });
    }

    /// A change in the cluster goes onto its watch.
    pub(super) fn watch(&mut self, event: Event) {
        let wire = match &event {
            Event::Pod(_) | Event::PodGone(_) => Wire::Pods,
            Event::Node(_) | Event::NodeGone(_) => Wire::Nodes,
            Event::Target { object, .. } => {
                if !self.operator.targets.contains(object) {
                    return;
                }
                Wire::Targets
            }
            Event::Declared { .. } | Event::DeclaredObject { .. } => Wire::Declared,
            // The provider speaks for itself.
            Event::NodeFailed { .. } => return self.tell(event),
            _ => Wire::Policies,
        };
        if !self.operator.up || !self.wires.line(wire).connected {
            return;
        }
        let delay = self.millis(1, 40);
        let now = self.now;
        let line = self.wires.line_mut(wire);
        let (at, connection) = (line.arrival(now, delay), line.connection);
        let event = Box::new(event);
        self.queue.push(
            at,
            Happening::Arrive {
                wire,
                connection,
                event,
            },
        );
    }

    /// An event comes out of a watch. What the operator knows already goes no further.
    pub(super) fn arrive(&mut self, event: Event) {
        let (key, now) = match &event {
            Event::Pod(pod) => {
                self.operator.pods.insert(pod.key.clone());
                return self.tell(event);
            }
            Event::PodGone(key) => {
                self.operator.pods.remove(key);
                return self.tell(event);
            }
            Event::Node(node) => {
                self.operator.nodes.insert(node.name.clone());
                return self.tell(event);
            }
            Event::NodeGone(name) => {
                self.operator.nodes.remove(name);
                return self.tell(event);
            }
            Event::ScalingPolicy { policy, .. } => {
                let meta = &policy.meta;
                (meta.key.clone(), (meta.uid.clone(), meta.generation, false))
            }
            Event::HealingPolicy { policy, .. } => {
                let meta = &policy.meta;
                (meta.key.clone(), (meta.uid.clone(), meta.generation, false))
            }
            Event::NodePoolPolicy(policy) => {
                let meta = &policy.meta;
                (meta.key.clone(), (meta.uid.clone(), meta.generation, false))
            }
            Event::PolicyInvalid { key, generation, .. } => {
                let uid = self.operator.policies.get(key).map(|known| known.0.clone());
                (key.clone(), (uid.unwrap_or_default(), *generation, true))
            }
            Event::PolicyGone(key) => {
                if self.operator.policies.remove(key).is_none() {
                    return;
                }
                self.operator.republish = true;
                return self.tell(event);
            }
            _ => return self.tell(event),
        };
        let known = self.operator.policies.insert(key.clone(), now.clone());
        if known.as_ref() == Some(&now) {
            return;
        }
        if known.is_some_and(|known| known.0 != now.0) {
            self.tell(Event::PolicyGone(key));
        }
        self.operator.republish = true;
        self.tell(event);
    }

    /// The engine takes it in, and so does the checker.
    pub(super) fn tell(&mut self, event: Event) {
        if !self.operator.up {
            return;
        }
        self.stats.events += 1;
        self.check.told(self.now, &event);
        if self.operator.twin.is_some() {
            self.operator.unseen.push((self.now, event.clone()));
        }
        self.operator.engine.observe(self.now, event);
    }

    /// The engine's policies changed: what it asks and watches follows.
    pub(super) fn republish(&mut self) {
        let wanted = self.operator.engine.targets();
        for object in wanted.difference(&self.operator.targets).cloned().collect::<Vec<_>>() {
            if self.wires.line(Wire::Targets).connected {
                let target = self.cluster.target(&object).map(Box::new);
                self.operator.targets.insert(object.clone());
                self.watch(Event::Target { object, target });
            }
        }
        self.operator.targets = wanted;
        let queries = self.operator.engine.queries();
        let index = |key| self.metrics.questions.iter().position(|q| q.key == key);
        self.operator.asked = queries
            .into_iter()
            .filter_map(|(key, interval)| Some((index(key)?, interval)))
            .collect();
        for question in self.operator.asked.keys().copied().collect::<Vec<_>>() {
            if self.operator.polling.insert(question) {
                let after = self.millis(10, 1000);
                self.later(after, Happening::Poll(question, self.operator.term));
            }
        }
    }

    /// Asks Prometheus, and again after the interval.
    pub(super) fn poll(&mut self, question: usize, term: u32) {
        if !self.is_current(term) {
            return;
        }
        let Some(interval) = self.operator.asked.get(&question).copied() else {
            self.operator.polling.remove(&question);
            return;
        };
        let ready = self.cluster.ready(self.metrics.questions[question].workload);
        let (reading, after) = if let Some(reading) = self.metrics.ask(question, self.now, ready) {
            (reading, self.millis(10, 150))
        } else {
            let message = format!("no answer within {PROMETHEUS_TIMEOUT}");
            let error = QueryError::Timeout;
            (Reading::Failed { error, message }, PROMETHEUS_TIMEOUT)
        };
        self.later(after, Happening::Sample(question, term, reading));
        self.later(interval.max(after), Happening::Poll(question, term));
    }
}
