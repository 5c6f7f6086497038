//! A test bench: one engine and a toy cluster with a provider and a scheduler.

use std::collections::{BTreeMap, BTreeSet};

use homeostat::core::engine::Engine;
use homeostat::core::event::{Event, Outcome};
use homeostat::core::guard::Safeguard;
use homeostat::core::names::{ObjectKey, Uid};
use homeostat::core::plan::{Action, Deed, Plan};
use homeostat::core::policy::{Mode, NodePoolPolicy};
use homeostat::core::report::{Detail, NodesReport, Report};
use homeostat::core::time::Time;
use homeostat::core::world::{Node, POOL_LABEL, Pod, View, ViewState};

use super::forms::{START, bare_node, bind, condition, key, node, set_mark, taint};

/// How the toy cluster answers the next action.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// With this outcome.
    With(Outcome),
    /// Unknown, though it was done.
    UnknownButDone,
    /// It is done, and the watch lags.
    DoneUnseen,
    /// Not at all.
    Never,
}

pub struct Bench {
    pub engine: Engine,
    pub now: Time,
    pub nodes: BTreeMap<String, Node>,
    pub pods: BTreeMap<ObjectKey, Pod>,
    pub policies: Vec<NodePoolPolicy>,
    /// Nodes that the provider was asked for and has not made.
    pub ordered: BTreeMap<String, Node>,
    /// How often the provider was asked, by name.
    pub asked: BTreeMap<String, u32>,
    pub next: Option<Answer>,
    pub plans: Vec<Plan>,
    /// Pods that were on a node when it was removed.
    pub harmed: BTreeSet<ObjectKey>,
    off: Vec<Safeguard>,
    made: u32,
}

impl Bench {
    pub fn new() -> Self {
        Self::without(&[])
    }

    pub fn without(off: &[Safeguard]) -> Self {
        let mut bench = Self {
            engine: Engine::without(START, off),
            now: START,
            nodes: BTreeMap::new(),
            pods: BTreeMap::new(),
            policies: Vec::new(),
            ordered: BTreeMap::new(),
            asked: BTreeMap::new(),
            next: None,
            plans: Vec::new(),
            harmed: BTreeSet::new(),
            off: off.to_vec(),
            made: 0,
        };
        bench.views(ViewState::Current);
        bench
    }

    /// A new engine that sees the same world.
    pub fn restart(&mut self) {
        self.engine = Engine::without(self.now, &self.off);
        for policy in self.policies.clone() {
            self.observe(Event::NodePoolPolicy(Box::new(policy)));
        }
        for node in self.nodes.clone().into_values() {
            self.observe(Event::Node(Box::new(node)));
        }
        for pod in self.pods.clone().into_values() {
            self.observe(Event::Pod(Box::new(pod)));
        }
        self.views(ViewState::Current);
    }

    pub fn views(&mut self, state: ViewState) {
        for view in [View::Pods, View::Nodes, View::Policies] {
            self.observe(Event::View { view, state });
        }
    }

    pub fn observe(&mut self, event: Event) {
        self.engine.observe(self.now, event);
    }

    pub fn add(&mut self, policy: NodePoolPolicy) {
        self.policies.retain(|p| p.meta.key != policy.meta.key);
        self.policies.push(policy.clone());
        self.observe(Event::NodePoolPolicy(Box::new(policy)));
    }

    pub fn put_pod(&mut self, pod: Pod) {
        self.pods.insert(pod.key.clone(), pod.clone());
        self.observe(Event::Pod(Box::new(pod)));
    }

    pub fn drop_pod(&mut self, name: &str) {
        let key = ObjectKey::new("shop", name);
        self.pods.remove(&key);
        self.observe(Event::PodGone(key));
    }

    pub fn bind(&mut self, name: &str, node: &str) {
        let mut pod = self.pods[&ObjectKey::new("shop", name)].clone();
        bind(&mut pod, node);
        self.put_pod(pod);
    }

    pub fn put_node(&mut self, text: &str) {
        let mut node = node(text, self.now);
        node.uid = self.uid();
        self.show(node);
    }

    fn uid(&mut self) -> Uid {
        self.made += 1;
        Uid(format!("node-{}", self.made))
    }

    pub fn show(&mut self, node: Node) {
        self.nodes.insert(node.name.clone(), node.clone());
        self.observe(Event::Node(Box::new(node)));
    }

    pub fn change_node(&mut self, name: &str, change: impl Fn(&mut Node)) {
        let mut node = self.nodes.get(name).unwrap_or_else(|| panic!("no node {name}")).clone();
        change(&mut node);
        self.show(node);
    }

    pub fn drop_node(&mut self, name: &str) {
        self.nodes.remove(name);
        self.observe(Event::NodeGone(name.into()));
    }

    /// Nodes that were asked for come.
    pub fn come(&mut self, ready: bool) {
        for (_, mut node) in std::mem::take(&mut self.ordered) {
            if self.nodes.contains_key(&node.name) {
                continue;
            }
            node.created = self.now;
            node.ready = condition(ready, self.now);
            if !ready {
                node.taints.push(taint("node.kubernetes.io/not-ready:NoSchedule"));
            }
            self.show(node);
        }
    }

    pub fn ready(&mut self, name: &str) {
        let now = self.now;
        self.change_node(name, |node| {
            node.ready = condition(true, now);
            node.taints.retain(|t| t.key != "node.kubernetes.io/not-ready");
        });
    }

    /// What a scheduler does: places pods on Ready nodes that want them, in any order.
    pub fn schedule(&mut self) {
        let waiting: Vec<Pod> = self
            .pods
            .values()
            .filter(|p| p.unschedulable_since.is_some())
            .cloned()
            .collect();
        for pod in waiting.into_iter().filter(|p| !p.gated && p.unsupported.is_empty()) {
            let fits = |node: &&Node| {
                let mut free = node.allocatable.clone();
                let there = self
                    .pods
                    .values()
                    .filter(|p| p.node.as_ref() == Some(&node.name) && !p.is_finished());
                there.for_each(|p| free.subtract(&p.requests));
                node.is_ready() && !node.unschedulable && node.taints.is_empty() && free.covers(&pod.requests)
            };
            if let Some(node) = self.nodes.values().rev().find(fits).map(|n| n.name.clone()) {
                self.bind(&pod.key.name, &node);
            }
        }
    }

    /// Steps once; the toy cluster carries out what is wanted, and the engine sees it. Gives the actions.
    pub fn step(&mut self) -> Vec<Action> {
        let plan = self.engine.step(self.now);
        let actions = plan.actions.clone();
        self.plans.push(plan);
        for action in actions.iter().filter(|a| a.mode == Mode::Enforce) {
            self.carry_out(action);
        }
        actions
    }

    /// Steps until there is nothing more to do at this moment.
    pub fn settle(&mut self) -> Vec<Action> {
        let mut all = Vec::new();
        for _ in 0..50 {
            let actions = self.step();
            all.extend(actions);
            if !self.engine.is_dirty() {
                return all;
            }
        }
        panic!("the engine does not come to rest: {:?}", self.plans.last());
    }

    fn carry_out(&mut self, action: &Action) {
        let answer = self.next.take().unwrap_or(Answer::With(Outcome::Done));
        let seen = answer != Answer::DoneUnseen;
        let outcome = match answer {
            Answer::Never => return,
            Answer::UnknownButDone => {
                self.do_it(&action.what, true);
                Outcome::Unknown {
                    message: "connection reset".into(),
                }
            }
            Answer::DoneUnseen => self.do_it(&action.what, false),
            Answer::With(Outcome::Done) => self.do_it(&action.what, seen),
            Answer::With(outcome) => {
                if let Deed::AddNode { node, .. } = &action.what {
                    *self.asked.entry(node.clone()).or_default() += 1;
                }
                outcome
            }
        };
        self.observe(Event::Outcome {
            action: action.id.clone(),
            outcome,
        });
    }

    fn do_it(&mut self, deed: &Deed, seen: bool) -> Outcome {
        let conflict = |message: &str| Outcome::Conflict {
            message: message.into(),
            found: None,
        };
        match deed {
            Deed::AddNode {
                node, pool, template, ..
            } => {
                *self.asked.entry(node.clone()).or_default() += 1;
                if !self.nodes.contains_key(node) && !self.ordered.contains_key(node) {
                    let mut new = bare_node(node, template.allocatable.clone(), self.now);
                    new.uid = self.uid();
                    new.labels.extend(template.labels.clone());
                    new.labels.insert(POOL_LABEL.into(), pool.clone());
                    new.taints.clone_from(&template.taints);
                    self.ordered.insert(node.clone(), new);
                }
            }
            Deed::MarkNode { node, uid } | Deed::UnmarkNode { node, uid } => {
                let Some(live) = self.nodes.get_mut(node).filter(|n| n.uid == *uid) else {
                    return conflict("another node");
                };
                set_mark(live, matches!(deed, Deed::MarkNode { .. }));
                let live = live.clone();
                if seen {
                    self.show(live);
                }
            }
            Deed::RemoveNode { node, uid, .. } => {
                if self.nodes.get(node).is_none_or(|n| n.uid != *uid) {
                    return conflict("another node");
                }
                let own = |p: &&Pod| p.node.as_ref() == Some(node) && !p.belongs_to_node() && !p.is_finished();
                self.harmed
                    .extend(self.pods.values().filter(own).map(|p| p.key.clone()));
                if seen {
                    self.drop_node(node);
                } else {
                    self.nodes.remove(node);
                }
            }
            other => panic!("unexpected {other:?}"),
        }
        Outcome::Done
    }

    pub fn report(&self, name: &str) -> Option<&Report> {
        self.engine.state().reports.get(&key(name))
    }

    pub fn pools(&self, name: &str) -> Option<&NodesReport> {
        match &self.report(name)?.detail {
            Detail::Nodes(detail) => Some(detail),
            _ => None,
        }
    }
}

/// `add:general.a-0`, `mark:…`, `unmark:…`, `remove:…`.
pub fn short(action: &Action) -> String {
    let verb = match &action.what {
        Deed::AddNode { .. } => "add",
        Deed::MarkNode { .. } => "mark",
        Deed::UnmarkNode { .. } => "unmark",
        Deed::RemoveNode { .. } => "remove",
        other => panic!("unexpected {other:?}"),
    };
    format!("{verb}:{}", action.what.subject().name)
}
