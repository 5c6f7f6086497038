//! One pass over nodes and pods: what is there, what is on its way, which pods wait. Grows with nodes and pods, not with
//! their product.

use std::collections::{BTreeMap, BTreeSet};

use super::fit::{self, Class, Labels, Spot, classes};
use super::memory::Memory;
use super::pack::{largest_first, raise};
use crate::core::names::Uid;
use crate::core::policy::NodePool;
use crate::core::quantity::Resources;
use crate::core::state::State;
use crate::core::time::Time;
use crate::core::world::{Node, Pod};

/// What is seen, as the planner needs it.
pub(super) struct Census<'a> {
    /// All policies, the oldest first, then by key.
    pub policies: Vec<&'a Memory>,
    /// Which of them is being evaluated.
    pub own: usize,
    /// All pools of all policies.
    pub pools: Vec<Pool<'a>>,
    /// By name.
    pub nodes: Vec<Seen<'a>>,
    /// Pods that wait, the largest first.
    pub classes: Vec<Class<'a>>,
    /// Nodes that pods are bound to and that are not there.
    pub orphaned: BTreeSet<&'a str>,
}

/// A pool, and what there is of it.
pub(super) struct Pool<'a> {
    /// Index of its policy.
    pub policy: usize,
    pub spec: &'a NodePool,
    /// The value of the label on its nodes.
    pub label: String,
    /// Node objects, however they are.
    pub objects: u32,
    /// Objects that are neither marked nor leaving.
    pub staying: u32,
    /// Of those the ones that pods can use now.
    pub usable: u32,
    /// Marked and Ready: can be had back at once.
    pub marked: u32,
    /// Objects that are not Ready yet.
    pub coming: u32,
    /// Nodes that were asked for and are not there; lost ones aside.
    pub asked: u32,
    /// What DaemonSets and static pods take of every node, as far as pods that are there tell.
    pub overhead: Resources,
}

/// A node, and what is on it.
pub(super) struct Seen<'a> {
    pub node: &'a Node,
    /// Index of its pool.
    pub pool: Option<usize>,
    pub standing: Standing,
    /// Pods of its own: neither of DaemonSets nor mirror pods, and not ended.
    pub own_pods: u32,
    /// One of them.
    pub a_pod: Option<&'a Pod>,
    /// What all pods on it take.
    load: Resources,
    /// What DaemonSets' and static pods take.
    daemons: Resources,
    /// What static pods alone take.
    mirrors: Resources,
}

impl Seen<'_> {
    /// Without our mark pods could use it at once.
    pub fn can_be_had_back(&self) -> bool {
        self.standing == Standing::Marked && self.node.is_ready() && !self.node.unschedulable
    }
}

/// How a node stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Ready, takes pods.
    Usable,
    /// A pool's node that is not Ready yet, within its time.
    Coming,
    /// It bears our mark.
    Marked,
    /// Somebody else keeps pods away.
    Cordoned,
    /// Not Ready.
    Down,
    /// It is going away.
    Leaving,
}

impl<'a> Census<'a> {
    /// Looks at everything. `own` is the policy that is being evaluated, which is not in the state meanwhile.
    pub fn take(state: &'a State, own: &'a Memory, now: Time) -> Self {
        let mut policies: Vec<&Memory> = state.nodes.values().chain([own]).collect();
        policies.sort_by_key(|m| (m.policy.meta.created, &m.policy.meta.key));
        let is_own = |m: &&Memory| m.policy.meta.key == own.policy.meta.key;
        let mut census = Self {
            own: policies.iter().position(is_own).unwrap_or(0),
            pools: pools(state, &policies),
            policies,
            nodes: Vec::with_capacity(state.world.nodes.len()),
            classes: Vec::new(),
            orphaned: BTreeSet::new(),
        };
        census.count_nodes(state, now);
        census.count_pods(state);
        census
    }

    /// The pools of the policy that is being evaluated, in its order.
    pub fn own_pools(&self) -> impl Iterator<Item = (usize, &Pool<'a>)> {
        self.pools.iter().enumerate().filter(|(_, p)| p.policy == self.own)
    }

    fn count_nodes(&mut self, state: &'a State, now: Time) {
        let by_label: BTreeMap<String, usize> = self.pools.iter().map(|p| p.label.clone()).zip(0..).collect();
        for node in state.world.nodes.values() {
            let pool = node.pool().and_then(|label| by_label.get(label)).copied();
            let memory = pool.map(|index| self.policies[self.pools[index].policy]);
            let standing = standing(node, memory, now);
            if let Some(pool) = pool.map(|index| &mut self.pools[index]) {
                pool.objects += 1;
                pool.staying += u32::from(!matches!(standing, Standing::Marked | Standing::Leaving));
                pool.usable += u32::from(standing == Standing::Usable);
                pool.coming += u32::from(standing == Standing::Coming);
            }
            let seen = Seen {
                node,
                pool,
                standing,
                own_pods: 0,
                a_pod: None,
                load: Resources::default(),
                daemons: Resources::default(),
                mirrors: Resources::default(),
            };
            if let Some(pool) = pool {
                self.pools[pool].marked += u32::from(seen.can_be_had_back());
            }
            self.nodes.push(seen);
        }
    }

    fn count_pods(&mut self, state: &'a State) {
        let index: BTreeMap<&str, usize> = self.nodes.iter().map(|n| n.node.name.as_str()).zip(0..).collect();
        let mut waiting = Vec::new();
        let mut daemons = Daemons::default();
        for pod in state.world.all_pods().filter(|pod| !pod.is_finished()) {
            let Some(name) = pod.node.as_deref() else {
                if waits(pod) {
                    waiting.push(pod);
                }
                continue;
            };
            let Some(seen) = index.get(name).map(|at| &mut self.nodes[*at]) else {
                self.orphaned.insert(name);
                continue;
            };
            seen.load.add(&pod.requests);
            if pod.belongs_to_node() {
                seen.daemons.add(&pod.requests);
                daemons.note(pod, seen);
            } else {
                seen.own_pods += 1;
                seen.a_pod = seen.a_pod.or(Some(pod));
            }
        }
        daemons.overheads(self);
        let mut largest = Resources::default();
        for pool in &self.pools {
            raise(&mut largest, &pool.spec.template.allocatable);
        }
        self.classes = classes(&waiting);
        largest_first(&mut self.classes, &largest);
    }

    /// When a node on its way counts as failed.
    pub fn ready_by(&self, seen: &Seen) -> Option<Time> {
        let pool = seen.pool.filter(|_| seen.standing == Standing::Coming)?;
        let policy = &self.policies[self.pools[pool].policy].policy;
        Some(seen.node.created + policy.provision_timeout)
    }

    /// An empty new node of a pool.
    pub fn template(&self, pool: usize) -> Spot<'_> {
        let pool = &self.pools[pool];
        let template = &pool.spec.template;
        let mut free = template.allocatable.clone();
        free.subtract(&pool.overhead);
        Spot {
            labels: Labels::Template {
                labels: &template.labels,
                pool: &pool.label,
            },
            taints: &template.taints,
            ignored: fit::none,
            free,
            taken: 0,
        }
    }

    /// A node as a place for pods: with the room that it has, or will have, or would have without the mark.
    pub fn spot(&self, seen: &Seen<'a>) -> Spot<'a> {
        let mut free = seen.node.allocatable.clone();
        let mut load = seen.load.clone();
        if let (Standing::Coming, Some(pool)) = (seen.standing, seen.pool) {
            let pool = &self.pools[pool];
            if free == Resources::default() {
                free.clone_from(&pool.spec.template.allocatable);
            }
            // Its DaemonSets' pods may not have come yet.
            load.subtract(&seen.daemons);
            load.add(&pool.overhead);
        }
        free.subtract(&load);
        Spot {
            labels: Labels::Node(&seen.node.labels),
            taints: &seen.node.taints,
            ignored: match seen.standing {
                Standing::Coming => fit::start_up,
                Standing::Marked => fit::mark,
                _ => fit::none,
            },
            free,
            taken: 0,
        }
    }
}

/// The pools of all policies, and what was asked for.
fn pools<'a>(state: &State, policies: &[&'a Memory]) -> Vec<Pool<'a>> {
    let mut pools = Vec::new();
    for (policy, memory) in policies.iter().enumerate() {
        for spec in &memory.policy.pools {
            let asked = memory.requests.iter().filter(|(name, request)| {
                request.pool == spec.name && !request.lost && !state.world.nodes.contains_key(*name)
            });
            pools.push(Pool {
                policy,
                spec,
                label: label(memory, &spec.name),
                objects: 0,
                staying: 0,
                usable: 0,
                marked: 0,
                coming: 0,
                asked: u32::try_from(asked.count()).unwrap_or(u32::MAX),
                overhead: Resources::default(),
            });
        }
    }
    pools
}

/// The value of the label on a pool's nodes.
pub(super) fn label(memory: &Memory, pool: &str) -> String {
    format!("{}.{pool}", memory.policy.meta.key.name)
}

/// The scheduler found no room for it; whether it has waited for long does not matter. Pods of DaemonSets wait for one
/// certain node.
fn waits(pod: &Pod) -> bool {
    pod.unschedulable_since.is_some() && !pod.gated && pod.deleting.is_none() && !pod.belongs_to_node()
}

fn standing(node: &Node, memory: Option<&Memory>, now: Time) -> Standing {
    let given_back = |m: &Memory| m.leaving.get(&node.name).is_some_and(|(uid, _)| *uid == node.uid);
    if node.deleting.is_some() || memory.is_some_and(given_back) {
        return Standing::Leaving;
    }
    if node.is_marked() {
        return Standing::Marked;
    }
    if node.unschedulable {
        return Standing::Cordoned;
    }
    let starts = !node.is_ready() || node.taints.iter().any(|t| fit::start_up(&t.key));
    let young = |m: &Memory| now.since(node.created) < m.policy.provision_timeout;
    match (starts, node.is_ready()) {
        (true, _) if memory.is_some_and(young) => Standing::Coming,
        (_, true) => Standing::Usable,
        (_, false) => Standing::Down,
    }
}

/// What DaemonSets take of every node.
#[derive(Default)]
struct Daemons<'a> {
    /// Per pool and DaemonSet the largest of its pods.
    in_pool: BTreeMap<(usize, &'a Uid), &'a Resources>,
    /// One pod of every DaemonSet.
    anywhere: BTreeMap<&'a Uid, &'a Pod>,
}

impl<'a> Daemons<'a> {
    fn note(&mut self, pod: &'a Pod, seen: &mut Seen<'a>) {
        let Some(owner) = pod.owner.as_ref() else { return };
        if owner.kind != "DaemonSet" {
            seen.mirrors.add(&pod.requests);
            return;
        }
        self.anywhere.entry(&owner.uid).or_insert(pod);
        if let Some(pool) = seen.pool {
            let largest = self.in_pool.entry((pool, &owner.uid)).or_insert(&pod.requests);
            if pod.requests > **largest {
                *largest = &pod.requests;
            }
        }
    }

    /// A pool with nodes has what is on them. For a pool without, the DaemonSets elsewhere count whose node selector and
    /// tolerations match; a node affinity of theirs is not known, so that it may be less.
    fn overheads(&self, census: &mut Census) {
        let mut overheads = vec![Resources::default(); census.pools.len()];
        for ((pool, _), requests) in &self.in_pool {
            overheads[*pool].add(requests);
        }
        let mut mirrors = vec![Resources::default(); census.pools.len()];
        for seen in &census.nodes {
            if let Some(pool) = seen.pool {
                raise(&mut mirrors[pool], &seen.mirrors);
            }
        }
        for (index, overhead) in overheads.iter_mut().enumerate() {
            overhead.add(&mirrors[index]);
            if census.pools[index].usable + census.pools[index].marked > 0 {
                continue;
            }
            let empty = census.template(index);
            for (uid, pod) in &self.anywhere {
                let alike = classes(&[*pod]);
                if !self.in_pool.contains_key(&(index, *uid)) && alike.iter().all(|class| class.may_go(&empty)) {
                    overhead.add(&pod.requests);
                }
            }
        }
        for (pool, overhead) in census.pools.iter_mut().zip(overheads) {
            pool.overhead = overhead;
        }
    }
}
