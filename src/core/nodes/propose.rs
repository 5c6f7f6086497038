//! What is wanted: pods that wait go first on nodes that are there, then on nodes on their way, then on marked nodes, and
//! only then on new ones. Before that, every pool gets its minimum.

use std::collections::{BTreeMap, BTreeSet};

use super::fit::{Class, Spot};
use super::gather::{Census, Pool, Standing};
use super::limit::{ADD_AT_ONCE, MOST_REFUSALS, can_help, quota, room};
use super::memory::Memory;
use super::pack::{NewNode, Shape, pack, place};
use crate::core::guard::Safeguard;
use crate::core::names::ObjectRef;
use crate::core::plan::Deed;
use crate::core::reason::Reason;
use crate::core::state::State;
use crate::core::time::Time;

/// Pools that are named when no pool fits.
const MOST_MISFITS: usize = 4;

/// How the pools should grow.
#[derive(Debug, Default)]
pub(super) struct Growth {
    /// Marked nodes that are wanted back, by name, and why.
    pub unmark: BTreeMap<String, (Reason, String)>,
    /// New nodes.
    pub add: Vec<NewNodeOf>,
    /// What is wanted and cannot be.
    pub refused: Vec<(ObjectRef, Reason, String)>,
    /// Nodes that pods which wait were placed on.
    pub needed: BTreeSet<String>,
    /// Pods that no pool can help, and by pool those that need more of its nodes.
    pub waiting: u32,
    /// By index of the pool.
    pub waiting_by_pool: BTreeMap<usize, u32>,
    /// When something that stands in the way ends.
    pub wake: Option<Time>,
}

/// A new node.
#[derive(Debug)]
pub(super) struct NewNodeOf {
    /// Index of the pool.
    pub index: usize,
    /// What is to be done.
    pub deed: Deed,
    pub reason: Reason,
    pub message: String,
}

/// One evaluation under way.
struct Turn<'a> {
    state: &'a State,
    memory: &'a Memory,
    census: &'a Census<'a>,
    now: Time,
    growth: Growth,
    /// How many more nodes may be asked for.
    quota: usize,
    /// Names that were given in this evaluation.
    given: BTreeSet<String>,
    /// By index of the pool: lower numbers are not free.
    next_number: BTreeMap<usize, u32>,
}

/// Decides how the pools should grow.
pub(super) fn grow(state: &State, memory: &Memory, census: &Census, now: Time) -> Growth {
    let adds = |deed: &Deed| matches!(deed, Deed::AddNode { .. });
    let mut turn = Turn {
        state,
        memory,
        census,
        now,
        growth: Growth::default(),
        quota: quota(state, &memory.policy.meta.key, ADD_AT_ONCE, adds),
        given: BTreeSet::new(),
        next_number: BTreeMap::new(),
    };
    turn.ask_again();
    turn.keep_minimum();
    if !census.classes.is_empty() {
        turn.house();
    }
    turn.growth
}

impl Turn<'_> {
    /// After an ambiguous answer the same node is asked for once more: where the first request was heard, nothing changes.
    fn ask_again(&mut self) {
        for (name, request) in &self.memory.requests {
            let Some(unsure) = request
                .unsure
                .as_ref()
                .filter(|u| u.retry_at <= self.now && !request.lost)
            else {
                continue;
            };
            let pool = self.census.own_pools().find(|(_, p)| p.spec.name == request.pool);
            if let Some((index, pool)) = pool.filter(|_| self.quota > 0) {
                let message = format!(
                    "node {name} was asked for at {} without a clear answer ({}), and has not come: asked for again",
                    request.since, unsure.message
                );
                self.quota -= 1;
                self.add(index, pool, name.clone(), (Reason::Provisioning, message));
            }
        }
    }

    fn keep_minimum(&mut self) {
        if !self.state.guard.on(Safeguard::PoolBounds) {
            return;
        }
        for (index, pool) in self.census.own_pools() {
            let live = pool.staying + pool.asked;
            let min = pool.spec.min.get();
            let mut short = min.saturating_sub(live);
            if short == 0 {
                continue;
            }
            let why = format!(
                "pool {} has {live} nodes that stay or are on their way, and minNodes is {min}",
                pool.spec.name
            );
            for seen in self.census.nodes.iter().filter(|n| n.pool == Some(index)) {
                let back = seen.standing == Standing::Marked && seen.node.is_ready() && !seen.node.unschedulable;
                if short > 0 && back {
                    let why = (Reason::PoolBelowMinimum, why.clone());
                    self.growth.unmark.insert(seen.node.name.clone(), why);
                    short -= 1;
                }
            }
            if short > 0 && self.is_held(index, pool, &why) {
                continue;
            }
            let open = short.min(room(self.state, pool)).min(self.quota as u32);
            for _ in 0..open {
                let name = self.name(index, pool);
                self.quota -= 1;
                self.add(index, pool, name, (Reason::PoolBelowMinimum, why.clone()));
            }
        }
    }

    /// A pool that backs off is not asked for its minimum either.
    fn is_held(&mut self, index: usize, pool: &Pool, why: &str) -> bool {
        let Some(trouble) = self.memory.backing_off(&pool.spec.name, self.now) else {
            return false;
        };
        let retry_at = trouble.retry_at;
        let message = format!("{why}; {}; next try at {retry_at}", trouble.message);
        let name = self.name(index, pool);
        self.given.remove(&name);
        self.refuse(
            &ObjectRef::new("v1", "Node", "", &name),
            Reason::PoolBackingOff,
            message,
        );
        self.wake_at(retry_at);
        true
    }

    /// Finds a place for every pod that waits.
    fn house(&mut self) {
        let census = self.census;
        let mut left: Vec<u32> = census
            .classes
            .iter()
            .map(|c| if c.is_supported() { c.count() } else { 0 })
            .collect();
        self.use_nodes(&mut left, |s| s == Standing::Usable);
        self.use_coming(&mut left);
        // What another policy takes is its own business from here on.
        for (class, left) in census.classes.iter().zip(left.iter_mut()) {
            if *left > 0 && self.taker(class) != census.own {
                *left = 0;
            }
        }
        self.use_marked(&mut left);
        let planned = self.plan_new(&mut left);
        for (class, left) in census.classes.iter().zip(left) {
            self.tell(class, left, &planned);
        }
    }

    fn use_nodes(&mut self, left: &mut [u32], which: impl Fn(Standing) -> bool) {
        let census = self.census;
        let nodes: Vec<_> = census.nodes.iter().filter(|n| which(n.standing)).collect();
        let mut spots: Vec<Spot> = nodes.iter().map(|n| census.spot(n)).collect();
        place(&census.classes, left, &mut spots);
        let taken = nodes.iter().zip(&spots).filter(|(_, spot)| spot.taken > 0);
        self.growth.needed.extend(taken.map(|(n, _)| n.node.name.clone()));
    }

    /// Nodes on their way, of whichever policy: their objects are there, or they were asked for, or will be in this step.
    fn use_coming(&mut self, left: &mut [u32]) {
        let census = self.census;
        self.use_nodes(left, |s| s == Standing::Coming);
        let mut spots = Vec::new();
        for (index, pool) in census.pools.iter().enumerate() {
            let planned = self
                .growth
                .add
                .iter()
                .filter(|a| a.index == index && a.reason == Reason::PoolBelowMinimum);
            let coming = pool.asked as usize + planned.count();
            spots.extend((0..coming).map(|_| census.template(index)));
        }
        place(&census.classes, left, &mut spots);
    }

    /// Own marked nodes, before new ones are asked for. Those that are wanted back already come first.
    fn use_marked(&mut self, left: &mut [u32]) {
        let census = self.census;
        let mut nodes: Vec<_> = census
            .nodes
            .iter()
            .filter(|n| n.standing == Standing::Marked && n.node.is_ready() && !n.node.unschedulable)
            .filter(|n| n.pool.is_some_and(|pool| census.pools[pool].policy == census.own))
            .collect();
        nodes.sort_by_key(|n| !self.growth.unmark.contains_key(&n.node.name));
        let mut spots: Vec<Spot> = nodes.iter().map(|n| census.spot(n)).collect();
        place(&census.classes, left, &mut spots);
        for (seen, _) in nodes.iter().zip(&spots).filter(|(_, spot)| spot.taken > 0) {
            let why = || (Reason::NodeNeeded, "pods that find no room fit on it".to_owned());
            self.growth.unmark.entry(seen.node.name.clone()).or_insert_with(why);
        }
    }

    fn plan_new(&mut self, left: &mut [u32]) -> Vec<(usize, u32)> {
        let census = self.census;
        let mut indexes = Vec::new();
        let mut shapes = Vec::new();
        for (index, pool) in census.own_pools() {
            let planned = self
                .growth
                .add
                .iter()
                .filter(|a| a.index == index && a.reason == Reason::PoolBelowMinimum);
            let open = self.memory.backing_off(&pool.spec.name, self.now).is_none();
            let left = room(self.state, pool).saturating_sub(planned.count() as u32);
            indexes.push(index);
            shapes.push(Shape {
                spot: census.template(index),
                weight: pool.spec.weight,
                name: &pool.spec.name,
                left: if open { left } else { 0 },
            });
        }
        let nodes = pack(&census.classes, left, &mut shapes, self.quota);
        for NewNode { shape, class, pods } in nodes {
            let index = indexes[shape];
            let pool = &census.pools[index];
            let class = &census.classes[class];
            let message = format!(
                "{} {} no room: a new node of pool {} takes {pods} of the pods that wait",
                class.in_words(),
                if class.count() == 1 { "finds" } else { "find" },
                pool.spec.name
            );
            let name = self.name(index, pool);
            self.quota -= 1;
            self.add(index, pool, name, (Reason::PodsUnschedulable, message));
        }
        indexes.into_iter().zip(shapes.iter().map(|s| s.left)).collect()
    }

    /// Says why pods go on waiting.
    fn tell(&mut self, class: &Class, left: u32, planned: &[(usize, u32)]) {
        let Some(pod) = class.pods.first() else { return };
        let subject = ObjectRef::new("v1", "Pod", &pod.key.namespace, &pod.key.name);
        if !class.is_supported() {
            if self.taker(class) == self.census.own {
                let list: Vec<&str> = class.unsupported.iter().map(String::as_str).collect();
                let message = format!(
                    "{} must be placed by {}, which is not understood here: no node is added for that",
                    class.in_words(),
                    list.join(", ")
                );
                self.growth.waiting += class.count();
                self.refuse(&subject, Reason::ConstraintNotSupported, message);
            }
            return;
        }
        if left == 0 {
            return;
        }
        let mut fitting: Vec<(usize, u32)> = planned.to_vec();
        fitting.retain(|(index, _)| class.fits(&self.census.template(*index)));
        let pool_of = |index: usize| &self.census.pools[index];
        if fitting.iter().any(|(_, open)| *open > 0) {
            // More than is asked for at once: the rest follows as soon as these are answered.
            return;
        }
        self.growth.waiting += left;
        fitting.sort_by_key(|(index, _)| {
            (
                std::cmp::Reverse(pool_of(*index).spec.weight),
                &pool_of(*index).spec.name,
            )
        });
        let Some((first, _)) = fitting.first().copied() else {
            let message = self.misfits(class);
            return self.refuse(&subject, Reason::NoPoolFits, message);
        };
        *self.growth.waiting_by_pool.entry(first).or_default() += left;
        let mut reason = Reason::PoolAtMaximum;
        let mut words = Vec::new();
        for (index, _) in &fitting {
            let spec = pool_of(*index).spec;
            if let Some(trouble) = self.memory.backing_off(&spec.name, self.now) {
                reason = Reason::PoolBackingOff;
                words.push(format!(
                    "pool {}: {}; next try at {}",
                    spec.name, trouble.message, trouble.retry_at
                ));
                let retry_at = trouble.retry_at;
                self.wake_at(retry_at);
            } else {
                words.push(format!("pool {} has all of its {} nodes", spec.name, spec.max));
            }
        }
        words.truncate(MOST_MISFITS);
        let message = format!(
            "{}, {left} of them without a place: {}",
            class.in_words(),
            words.join("; ")
        );
        self.refuse(&subject, reason, message);
    }

    fn misfits(&self, class: &Class) -> String {
        let pools = self.census.own_pools();
        let why = pools.filter_map(|(index, pool)| {
            let misfit = class.misfit(&self.census.template(index))?;
            Some(format!("pool {}: {misfit}", pool.spec.name))
        });
        let words: Vec<String> = why.take(MOST_MISFITS).collect();
        format!("{}: no pool has a node for it: {}", class.in_words(), words.join("; "))
    }

    /// The policy that takes pods: the oldest that can help now, or else whose pools fit, or else the oldest. Only policies
    /// that act count, and this one.
    fn taker(&self, class: &Class) -> usize {
        let census = self.census;
        let takes_part = |policy: usize| policy == census.own || census.policies[policy].acts();
        let fits = |(index, pool): &(usize, &Pool)| takes_part(pool.policy) && class.fits(&census.template(*index));
        let able = |pool: &Pool| can_help(self.state, pool, census.policies[pool.policy], self.now);
        let fitting = || census.pools.iter().enumerate().filter(fits);
        let helping = fitting().find(|(_, pool)| able(pool)).map(|(_, pool)| pool.policy);
        helping
            .or_else(|| fitting().next().map(|(_, pool)| pool.policy))
            .or_else(|| (0..census.policies.len()).find(|policy| takes_part(*policy)))
            .unwrap_or(census.own)
    }

    fn add(&mut self, index: usize, pool: &Pool, node: String, (reason, message): (Reason, String)) {
        self.growth.add.push(NewNodeOf {
            index,
            deed: Deed::AddNode {
                node,
                pool: pool.label.clone(),
                template: Box::new(pool.spec.template.clone()),
                provider: self.memory.policy.provider.clone(),
            },
            reason,
            message,
        });
    }

    fn refuse(&mut self, subject: &ObjectRef, reason: Reason, message: String) {
        if self.growth.refused.len() < MOST_REFUSALS {
            self.growth.refused.push((subject.clone(), reason, message));
        }
    }

    fn wake_at(&mut self, at: Time) {
        self.growth.wake = Some(self.growth.wake.map_or(at, |old| old.min(at)));
    }

    /// The name of the next node: one that was asked for and did not come, or else the lowest free number. The same world
    /// gives the same names, so that a request that is made again after a crash names the same node. A name is free only
    /// when nothing of that name can be there: no object, no pod bound to it, nothing under way.
    fn name(&mut self, index: usize, pool: &Pool) -> String {
        let mut lost = self
            .memory
            .requests
            .iter()
            .filter(|(_, r)| r.lost && r.pool == pool.spec.name);
        let lost = lost.find(|(name, _)| self.is_free(name)).map(|(name, _)| name.clone());
        let name = lost.unwrap_or_else(|| {
            let stem = stem(&pool.label);
            let mut number = self.next_number.get(&index).copied().unwrap_or(0);
            while !self.is_free(&format!("{stem}-{number}")) {
                number += 1;
            }
            self.next_number.insert(index, number);
            format!("{stem}-{number}")
        });
        self.given.insert(name.clone());
        name
    }

    fn is_free(&self, name: &str) -> bool {
        let asked = self.memory.requests.get(name).is_some_and(|r| !r.lost);
        let busy = self
            .state
            .guard
            .under_way(&ObjectRef::new("v1", "Node", "", name))
            .is_some();
        !(asked
            || busy
            || self.given.contains(name)
            || self.memory.leaving.contains_key(name)
            || self.state.world.nodes.contains_key(name)
            || self.census.orphaned.contains(name))
    }
}

/// The longest beginning of a node's name: with a number it still is a label value (the hostname).
const LONGEST_STEM: usize = 56;

/// `<policy>.<pool>`; a long one is cut, and a checksum keeps it apart from others that begin alike.
fn stem(label: &str) -> String {
    if label.len() <= LONGEST_STEM {
        return label.to_owned();
    }
    let sum = label.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| {
        (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let head: String = label.chars().take(LONGEST_STEM - 17).collect();
    format!("{}-{sum:016x}", head.trim_end_matches(['.', '-']))
}
