//! A test bench: one engine, a toy cluster with a provider and a scheduler, and short forms for policies, nodes and pods.

use std::collections::{BTreeMap, BTreeSet};

use homeostat::core::engine::Engine;
use homeostat::core::event::{Event, Outcome};
use homeostat::core::guard::Safeguard;
use homeostat::core::names::{ObjectKey, PolicyKey, PolicyKind, Uid};
use homeostat::core::plan::{Action, Deed, Plan};
use homeostat::core::policy::{Consolidation, Meta, Mode, NodePool, NodePoolPolicy, NodeTemplate, ProviderKind};
use homeostat::core::quantity::{Milli, Replicas, Resources};
use homeostat::core::report::{Detail, NodesReport, Report};
use homeostat::core::time::{Span, Time};
use homeostat::core::world::{
    Condition, Node, Owner, POOL_LABEL, Pod, PodPhase, REMOVAL_TAINT, Status, Taint, Toleration, View, ViewState,
};

pub const START: Time = Time::from_secs(1_800_000_000);

pub fn span(text: &str) -> Span {
    text.parse().unwrap_or_else(|e| panic!("{text}: {e}"))
}

pub fn key(name: &str) -> PolicyKey {
    PolicyKey::new(PolicyKind::NodePoolPolicy, "", name)
}

/// A policy with one pool `a` of 0 to 10 nodes of 4 processors and 16Gi; nodes go after 10m, and have 15m to come.
pub fn policy(name: &str) -> NodePoolPolicy {
    NodePoolPolicy {
        meta: Meta {
            key: key(name),
            uid: Uid(format!("uid-{name}")),
            generation: 1,
            created: START,
            suspend: false,
            mode: Mode::Enforce,
        },
        provider: ProviderKind::Kwok {
            registration_delay: Span::ZERO,
        },
        pools: vec![pool("a:0-10:4:16Gi")],
        provision_timeout: Span::from_mins(15),
        consolidation: Consolidation::Empty,
        unneeded_for: Span::from_mins(10),
    }
}

/// `a:0-10:4:16Gi`, with a weight as fifth part.
fn pool(text: &str) -> NodePool {
    let parts: Vec<&str> = text.split(':').collect();
    let (min, max) = parts[1].split_once('-').unwrap();
    let shape = resources(parts[2], parts[3], 110);
    NodePool {
        name: parts[0].into(),
        min: Replicas::new(min.parse().unwrap()),
        max: Replicas::new(max.parse().unwrap()),
        weight: parts.get(4).map_or(0, |w| w.parse().unwrap()),
        template: NodeTemplate {
            capacity: shape.clone(),
            allocatable: shape,
            ..NodeTemplate::default()
        },
    }
}

fn resources(cpu: &str, memory: &str, pods: i64) -> Resources {
    Resources {
        cpu_milli: cpu.parse::<Milli>().unwrap().thousandths(),
        memory_bytes: memory.parse::<Milli>().unwrap().ceil_units(),
        pods,
        other: BTreeMap::new(),
    }
}

/// `k=v:NoSchedule`, `k:NoSchedule`.
fn taint(text: &str) -> Taint {
    let (key, effect) = text.rsplit_once(':').unwrap();
    let (key, value) = key.split_once('=').unwrap_or((key, ""));
    Taint {
        key: key.into(),
        value: value.into(),
        effect: effect.into(),
    }
}

/// Changes a policy by short forms such as `pools=a:0-10:4:16Gi,b:1-2:8:32Gi:50`, `taint=b/gpu:NoSchedule`, `unneeded=5m`.
pub fn change(policy: &mut NodePoolPolicy, word: &str) {
    let (name, value) = word.split_once('=').unwrap_or((word, "true"));
    let of_pool = |policy: &mut NodePoolPolicy, change: &dyn Fn(&mut NodePool, &str)| {
        let (name, rest) = value.split_once('/').unwrap();
        let pool = policy.pools.iter_mut().find(|p| p.name == name).unwrap();
        change(pool, rest);
    };
    match name {
        "pools" => policy.pools = value.split(',').map(pool).collect(),
        "taint" => of_pool(policy, &|pool, text| pool.template.taints.push(taint(text))),
        "label" => of_pool(policy, &|pool, text| {
            let (key, value) = text.split_once('=').unwrap();
            pool.template.labels.insert(key.into(), value.into());
        }),
        "other" => of_pool(policy, &|pool, text| {
            let (key, value) = text.split_once('=').unwrap();
            let amount = value.parse().unwrap();
            pool.template.allocatable.other.insert(key.into(), amount);
        }),
        "unneeded" => policy.unneeded_for = span(value),
        "timeout" => policy.provision_timeout = span(value),
        "created" => policy.meta.created = START + span(value),
        "suspend" => policy.meta.suspend = value == "true",
        "mode" => policy.meta.mode = if value == "DryRun" { Mode::DryRun } else { Mode::Enforce },
        "consolidation" => {
            policy.consolidation = if value == "None" {
                Consolidation::None
            } else {
                Consolidation::Empty
            }
        }
        other => panic!("unknown policy setting {other}"),
    }
}

/// `web-0/1/2Gi`, then any of `sel:k=v`, `tol:k`, `tol:k=v`, `tol:*`, `other:name=n`, `unsupported:hostPort`, `gated`,
/// `deleting`, `done`, `fresh` (the scheduler has not said anything), `daemon:NAME`, `mirror`, `on:NODE`.
pub fn pod(text: &str, now: Time) -> Pod {
    let parts: Vec<&str> = text.split('/').collect();
    let mut pod = Pod {
        key: ObjectKey::new("shop", parts[0]),
        uid: Uid(format!("pod-{}", parts[0])),
        created: now,
        unschedulable_since: Some(now),
        requests: resources(parts[1], parts[2], 1),
        ..Pod::default()
    };
    for part in &parts[3..] {
        let (name, value) = part.split_once(':').unwrap_or((part, ""));
        let pair = || value.split_once('=').unwrap_or((value, ""));
        match name {
            "sel" => drop(pod.node_selector.insert(pair().0.into(), pair().1.into())),
            "tol" => pod.tolerations.push(Toleration {
                key: if value == "*" { String::new() } else { pair().0.into() },
                operator: if pair().1.is_empty() { "Exists" } else { "Equal" }.into(),
                value: pair().1.into(),
                effect: String::new(),
            }),
            "other" => drop(pod.requests.other.insert(pair().0.into(), pair().1.parse().unwrap())),
            "unsupported" => drop(pod.unsupported.insert(value.into())),
            "gated" => pod.gated = true,
            "deleting" => pod.deleting = Some(now),
            "done" => pod.phase = PodPhase::Succeeded,
            "fresh" => pod.unschedulable_since = None,
            "on" => bind(&mut pod, value),
            "daemon" | "mirror" => {
                pod.owner = Some(Owner {
                    api_version: "v1".into(),
                    kind: if name == "daemon" { "DaemonSet" } else { "Node" }.into(),
                    name: value.into(),
                    uid: Uid(format!("owner-{value}")),
                });
            }
            other => panic!("unknown pod setting {other}"),
        }
    }
    pod
}

fn bind(pod: &mut Pod, node: &str) {
    pod.node = Some(node.into());
    pod.unschedulable_since = None;
    if pod.phase == PodPhase::Pending {
        pod.phase = PodPhase::Running;
    }
}

pub fn condition(ready: bool, since: Time) -> Option<Condition> {
    Some(Condition {
        status: if ready { Status::True } else { Status::False },
        since,
        reason: String::new(),
    })
}

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

    /// `n1/4/16Gi`, then any of `pool:general.a`, `label:k=v`, `taint:k=v:NoSchedule`, `cordoned`, `marked`, `protected`,
    /// `control`, `unready`, `age:1h`.
    pub fn put_node(&mut self, text: &str) {
        let parts: Vec<&str> = text.split('/').collect();
        let mut node = self.node(parts[0], resources(parts[1], parts[2], 110));
        node.created = self.now - Span::from_mins(60);
        node.ready = condition(true, node.created);
        for part in &parts[3..] {
            let (name, value) = part.split_once(':').unwrap_or((part, ""));
            match name {
                "pool" => drop(node.labels.insert(POOL_LABEL.into(), value.into())),
                "label" => {
                    let (key, value) = value.split_once('=').unwrap();
                    node.labels.insert(key.into(), value.into());
                }
                "taint" => node.taints.push(taint(value)),
                "cordoned" => node.unschedulable = true,
                "protected" => node.do_not_remove = true,
                "marked" => set_mark(&mut node, true),
                "control" => drop(
                    node.labels
                        .insert("node-role.kubernetes.io/control-plane".into(), String::new()),
                ),
                "unready" => node.ready = condition(false, self.now),
                "age" => {
                    node.created = self.now - span(value);
                    node.ready = condition(true, node.created);
                }
                other => panic!("unknown node setting {other}"),
            }
        }
        self.show(node);
    }

    fn node(&mut self, name: &str, allocatable: Resources) -> Node {
        self.made += 1;
        Node {
            name: name.into(),
            uid: Uid(format!("node-{}", self.made)),
            labels: BTreeMap::from([("kubernetes.io/hostname".to_owned(), name.to_owned())]),
            allocatable,
            created: self.now,
            ..Node::default()
        }
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
                    let mut new = self.node(node, template.allocatable.clone());
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

pub fn set_mark(node: &mut Node, marked: bool) {
    node.taints.retain(|t| t.key != REMOVAL_TAINT);
    if marked {
        node.taints.push(taint(&format!("{REMOVAL_TAINT}:NoSchedule")));
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
