//! What is wanted: pods that wait go first on nodes that are there, then on nodes on their way, then on marked nodes, and
//! only then on new ones. Before that, every pool gets its minimum.

use std::collections::{BTreeMap, BTreeSet};

use super::fit::{Class, Spot};
use super::gather::{Census, Pool, Standing};
use super::limit::{ADD_AT_ONCE, can_help, quota, room};
use super::memory::Memory;
use super::pack::{NewNode, Shape, pack, place};
use crate::core::guard::Safeguard;
use crate::core::names::{ObjectKey, ObjectRef};
use crate::core::plan::Deed;
use crate::core::reason::Reason;
use crate::core::state::State;
use crate::core::time::Time;

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
    /// Pods that no pool can help.
    pub waiting: u32,
    /// By index of the pool those that need more of its nodes.
    pub waiting_by_pool: BTreeMap<usize, u32>,
    /// Pods that fit on a node that is there and go on waiting, and since when.
    pub roomy: BTreeMap<ObjectKey, Time>,
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
pub(super) struct Turn<'a> {
    pub(super) state: &'a State,
    pub(super) memory: &'a Memory,
    pub(super) census: &'a Census<'a>,
    pub(super) now: Time,
    pub(super) growth: Growth,
    /// How many more nodes may be asked for.
    quota: usize,
    /// Names that were given in this evaluation.
    pub(super) given: BTreeSet<String>,
    /// By index of the pool: lower numbers are not free.
    pub(super) next_number: BTreeMap<usize, u32>,
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
                if short > 0 && seen.can_be_had_back() {
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
        self.refuse(ObjectRef::new("v1", "Node", "", &name), Reason::PoolBackingOff, message);
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
        let before = left.clone();
        self.use_nodes(&mut left, |s| s == Standing::Usable);
        for (class, (before, left)) in census.classes.iter().zip(before.iter().zip(&left)) {
            if left < before {
                self.tell_room(class, before - left);
            }
        }
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
            let coming = pool.asked + self.planned_minimum(index);
            spots.extend((0..coming).map(|_| census.template(index)));
        }
        place(&census.classes, left, &mut spots);
    }

    /// New nodes of a pool that this evaluation has planned for its minimum.
    fn planned_minimum(&self, index: usize) -> u32 {
        let all = self.growth.add.iter();
        let planned = all.filter(|new| new.index == index && new.reason == Reason::PoolBelowMinimum);
        planned.count() as u32
    }

    /// Own marked nodes, before new ones are asked for. Those that are wanted back already come first.
    fn use_marked(&mut self, left: &mut [u32]) {
        let census = self.census;
        let mut nodes: Vec<_> = census
            .nodes
            .iter()
            .filter(|n| n.can_be_had_back() && n.pool.is_some_and(|pool| census.pools[pool].policy == census.own))
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
            let open = self.memory.backing_off(&pool.spec.name, self.now).is_none();
            let left = room(self.state, pool).saturating_sub(self.planned_minimum(index));
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

    /// The policy that takes pods: the oldest that can help now, or else whose pools fit, or else the oldest. Only policies
    /// that act count, and this one.
    pub(super) fn taker(&self, class: &Class) -> usize {
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

    pub(super) fn wake_at(&mut self, at: Time) {
        self.growth.wake = Some(self.growth.wake.map_or(at, |old| old.min(at)));
    }
}
