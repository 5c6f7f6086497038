//! Which nodes are given back. A node that has had no pods of its own for long enough, and that nothing waits for, is marked;
//! seen marked and still empty it is given back; otherwise the mark is lifted.
//!
//! Only Ready nodes of the policy's own pools, never one that somebody else cordoned, never below a pool's minimum.

use std::collections::BTreeMap;

use super::gather::{Census, Pool, Seen, Standing};
use super::limit::{MARK_SETTLES, MOST_REFUSALS, REMOVE_AT_ONCE, YOUNG, quota};
use super::memory::{Memory, NodeMemory};
use super::propose::Growth;
use crate::core::guard::Safeguard;
use crate::core::names::ObjectRef;
use crate::core::plan::Deed;
use crate::core::policy::Consolidation;
use crate::core::reason::Reason;
use crate::core::state::State;
use crate::core::time::Time;
use crate::core::world::POOL_LABEL;

/// What becomes of nodes that are there.
#[derive(Debug, Default)]
pub(super) struct Shrinkage {
    /// Marks that are lifted, nodes that are marked, nodes that are given back.
    pub deeds: Vec<(Deed, Reason, String)>,
    /// What is wanted and cannot be.
    pub refused: Vec<(ObjectRef, Reason, String)>,
    /// The timers of every node of the pools.
    pub timers: BTreeMap<String, NodeMemory>,
    /// When something comes due.
    pub wake: Option<Time>,
}

/// An empty node.
struct Empty<'a> {
    seen: &'a Seen<'a>,
    pool: usize,
    since: Time,
    marked_since: Option<Time>,
}

/// One evaluation under way.
struct Turn<'a> {
    state: &'a State,
    memory: &'a Memory,
    census: &'a Census<'a>,
    growth: &'a Growth,
    now: Time,
    /// How many more may be marked or removed.
    quota: usize,
    /// By pool: nodes that pods can use and that are not marked.
    usable: BTreeMap<usize, u32>,
    result: Shrinkage,
}

/// Decides which nodes are given back.
pub(super) fn shrink(state: &State, memory: &Memory, census: &Census, growth: &Growth, now: Time) -> Shrinkage {
    let goes = |deed: &Deed| matches!(deed, Deed::MarkNode { .. } | Deed::RemoveNode { .. });
    let mut turn = Turn {
        state,
        memory,
        census,
        growth,
        now,
        quota: quota(state, &memory.policy.meta.key, REMOVE_AT_ONCE, goes),
        usable: census.own_pools().map(|(index, pool)| (index, pool.usable)).collect(),
        result: Shrinkage::default(),
    };
    let mut empty = Vec::new();
    for seen in &census.nodes {
        match seen.pool.filter(|pool| census.pools[*pool].policy == census.own) {
            Some(pool) => empty.extend(turn.look(seen, pool)),
            None => turn.abandoned(seen),
        }
    }
    // Who has been empty for longest goes first.
    empty.sort_by(|a, b| (a.since, &a.seen.node.name).cmp(&(b.since, &b.seen.node.name)));
    for node in empty {
        turn.give_back(&node);
    }
    turn.result
}

impl<'a> Turn<'a> {
    fn on(&self, safeguard: Safeguard) -> bool {
        self.state.guard.on(safeguard)
    }

    fn wake_at(&mut self, at: Time) {
        self.result.wake = Some(self.result.wake.map_or(at, |old| old.min(at)));
    }

    /// A node of a pool that the policy no longer has: nothing but the own mark is undone.
    fn abandoned(&mut self, seen: &Seen) {
        let prefix = format!("{}.", self.memory.policy.meta.key.name);
        let label = seen.node.pool().unwrap_or_default();
        let ours = label.strip_prefix(&prefix).is_some_and(|pool| !pool.contains('.'));
        if ours && seen.pool.is_none() && seen.standing == Standing::Marked {
            let timers = self.timers(seen);
            let message = format!("the policy has no pool for {POOL_LABEL}={label} any more");
            self.unmark(seen, &timers, Reason::NodeNeeded, &message);
            self.result.timers.insert(seen.node.name.clone(), timers);
        }
    }

    /// What is remembered of this very node.
    fn timers(&self, seen: &Seen) -> NodeMemory {
        let old = self.memory.nodes.get(&seen.node.name);
        let old = old.filter(|timers| timers.uid == seen.node.uid);
        NodeMemory {
            uid: seen.node.uid.clone(),
            ..old.cloned().unwrap_or_default()
        }
    }

    /// Follows the timers of a node. An empty one may be given back.
    fn look(&mut self, seen: &'a Seen<'a>, pool: usize) -> Option<Empty<'a>> {
        let node = seen.node;
        let marked = node.is_marked();
        let mut timers = self.timers(seen);
        let ready = node
            .ready
            .as_ref()
            .filter(|_| node.is_ready() && seen.standing != Standing::Leaving);
        let mut empty = None;
        if let Some(ready) = ready {
            if let Some((reason, message)) = self.keep(seen, pool) {
                timers.empty_since = None;
                timers.marked_since = None;
                if marked {
                    self.unmark(seen, &timers, reason, &message);
                }
            } else {
                let since = *timers.empty_since.get_or_insert(self.now);
                timers.marked_since = marked.then(|| timers.marked_since.unwrap_or(self.now));
                empty = Some(Empty {
                    seen,
                    pool,
                    since: since.max(ready.since),
                    marked_since: timers.marked_since,
                });
            }
        } else {
            timers.empty_since = None;
        }
        self.result.timers.insert(node.name.clone(), timers);
        empty
    }

    /// Why a node stays, if it does.
    fn keep(&mut self, seen: &Seen, pool: usize) -> Option<(Reason, String)> {
        let node = seen.node;
        if let Some(why) = self.growth.unmark.get(&node.name) {
            *self.usable.entry(pool).or_default() += 1;
            return Some(why.clone());
        }
        let needed = |message: String| Some((Reason::NodeNeeded, message));
        if seen.own_pods > 0 && self.on(Safeguard::EmptyNodesOnly) {
            let pod = seen.a_pod.map_or_else(String::new, |pod| pod.key.to_string());
            return needed(format!("pods of its own are on it: {}, such as {pod}", seen.own_pods));
        }
        if self.memory.policy.consolidation == Consolidation::None {
            return needed("scaleDown.consolidation is None".into());
        }
        if node.unschedulable {
            return needed("somebody else keeps pods away from it (spec.unschedulable)".into());
        }
        let protection = self.protection(seen).filter(|_| seen.standing == Standing::Marked);
        if let Some(protection) = protection {
            return Some((Reason::NodeProtected, protection));
        }
        if seen.standing != Standing::Marked && self.is_awaited(seen) {
            return needed("pods that find no room fit on it".into());
        }
        if let Some(timers) = self.memory.nodes.get(&node.name)
            && let Some(since) = timers.marked_since
            && self.keeps_away(seen, since)
        {
            return needed("a pod that came after the mark may need it".into());
        }
        let min = self.census.pools[pool].spec.min.get();
        let usable = self.usable.entry(pool).or_default();
        if seen.standing == Standing::Marked && *usable < min && self.state.guard.on(Safeguard::PoolBounds) {
            let message = format!("its pool has {usable} other Ready nodes, and minNodes is {min}");
            *usable += 1;
            return Some((Reason::PoolAtMinimum, message));
        }
        None
    }

    fn protection(&self, seen: &Seen) -> Option<String> {
        let node = seen.node;
        if node.do_not_remove {
            return Some("it bears an annotation that forbids its removal".into());
        }
        if node.is_control_plane() {
            return Some("it is part of the control plane".into());
        }
        let own = self.state.world.own.as_ref().and_then(|own| own.node.as_ref());
        (own == Some(&node.name) && self.on(Safeguard::OwnIdentity)).then(|| "this operator runs on it".into())
    }

    /// Whether pods that wait would find room on it.
    fn is_awaited(&self, seen: &Seen<'a>) -> bool {
        if self.growth.needed.contains(&seen.node.name) {
            return true;
        }
        let spot = self.census.spot(seen);
        let mut classes = self.census.classes.iter();
        classes.any(|class| class.is_supported() && class.fits(&spot))
    }

    /// Whether the mark may be what keeps a pod away whose constraints are not understood.
    fn keeps_away(&self, seen: &Seen<'a>, marked: Time) -> bool {
        let mut classes = self.census.classes.iter();
        classes.any(|class| {
            !class.is_supported() && class.newest().is_some_and(|at| at > marked) && class.fits(&self.census.spot(seen))
        })
    }

    fn give_back(&mut self, node: &Empty<'a>) {
        match node.marked_since {
            Some(since) => self.remove(node, since),
            None => self.mark(node),
        }
    }

    fn mark(&mut self, node: &Empty<'a>) {
        let seen = node.seen;
        let pool: &Pool = &self.census.pools[node.pool];
        let unneeded_for = self.memory.policy.unneeded_for;
        let ready_since = seen.node.ready.as_ref().map_or(self.now, |ready| ready.since);
        let due = (node.since + unneeded_for).max(ready_since + YOUNG);
        if self.now < due {
            return self.wake_at(due);
        }
        if let Some(protection) = self.protection(seen) {
            if seen.node.do_not_remove {
                self.refuse(seen, Reason::NodeProtected, &protection);
            }
            return;
        }
        let (usable, min) = (self.usable.get(&node.pool).copied().unwrap_or(0), pool.spec.min.get());
        if usable <= min && self.on(Safeguard::PoolBounds) {
            let text = format!(
                "pool {} has {usable} Ready nodes, and minNodes is {min}",
                pool.spec.name
            );
            let told = self
                .result
                .refused
                .iter()
                .any(|(_, reason, message)| *reason == Reason::PoolAtMinimum && *message == text);
            // One refusal tells it for all nodes of the pool.
            if min > 0 && !told {
                self.refuse(seen, Reason::PoolAtMinimum, &text);
            }
            return;
        }
        if seen.standing != Standing::Usable || self.waits_for_retry(seen) || self.quota == 0 {
            return;
        }
        self.quota -= 1;
        self.usable.insert(node.pool, usable.saturating_sub(1));
        let message = format!(
            "node {} has had no pods of its own since {}, for {unneeded_for} or more; pool {} keeps {} Ready nodes",
            seen.node.name,
            node.since,
            pool.spec.name,
            usable.saturating_sub(1)
        );
        let deed = Deed::MarkNode {
            node: seen.node.name.clone(),
            uid: seen.node.uid.clone(),
        };
        self.result.deeds.push((deed, Reason::NodeEmpty, message));
    }

    fn remove(&mut self, node: &Empty<'a>, marked_since: Time) {
        let seen = node.seen;
        let due = marked_since + MARK_SETTLES;
        if self.now < due {
            return self.wake_at(due);
        }
        if self.is_awaited(seen) || self.waits_for_retry(seen) || self.quota == 0 {
            return;
        }
        self.quota -= 1;
        let pool = &self.census.pools[node.pool];
        let message = format!("node {} is marked and still has no pods of its own", seen.node.name);
        let deed = Deed::RemoveNode {
            node: seen.node.name.clone(),
            uid: seen.node.uid.clone(),
            pool: pool.label.clone(),
            provider: self.memory.policy.provider.clone(),
        };
        self.result.deeds.push((deed, Reason::NodeEmpty, message));
    }

    fn unmark(&mut self, seen: &Seen, timers: &NodeMemory, reason: Reason, message: &str) {
        let retry_at = timers.trouble.as_ref().map(|t| t.retry_at);
        if retry_at.is_some_and(|at| self.now < at) {
            return;
        }
        let deed = Deed::UnmarkNode {
            node: seen.node.name.clone(),
            uid: seen.node.uid.clone(),
        };
        let message = format!("node {} stays: {message}", seen.node.name);
        self.result.deeds.push((deed, reason, message));
    }

    fn waits_for_retry(&self, seen: &Seen) -> bool {
        let timers = self.memory.nodes.get(&seen.node.name);
        let trouble = timers.and_then(|t| t.trouble.as_ref());
        trouble.is_some_and(|t| self.now < t.retry_at)
    }

    fn refuse(&mut self, seen: &Seen, reason: Reason, message: &str) {
        if self.result.refused.len() < MOST_REFUSALS {
            let subject = ObjectRef::new("v1", "Node", "", &seen.node.name);
            self.result.refused.push((subject, reason, message.to_owned()));
        }
    }
}
