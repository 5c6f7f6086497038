//! Checks of what is done to nodes.

use std::collections::{BTreeMap, BTreeSet};

use super::{Broken, Checker, Invariant};
use crate::core::event::{Event, Outcome};
use crate::core::plan::{Action, Deed};
use crate::core::time::Time;

/// What is remembered of nodes, in one term.
#[derive(Clone, Debug, Default)]
pub(super) struct Log {
    /// Nodes that were asked for and have not been seen yet: their pool.
    asked: BTreeMap<String, String>,
    /// Nodes whose removal was wanted and that are still seen.
    going: BTreeSet<String>,
}

impl Log {
    pub fn told(&mut self, _now: Time, event: &Event) {
        match event {
            Event::Node(node) => {
                self.asked.remove(&node.name);
            }
            Event::NodeGone(name) => {
                self.going.remove(name);
            }
            Event::NodeFailed { node, .. } => {
                self.asked.remove(node);
            }
            _ => {}
        }
    }

    pub fn decided(&mut self, _now: Time, action: &Action) {
        match &action.what {
            Deed::AddNode { node, pool, .. } => {
                self.asked.insert(node.clone(), pool.clone());
            }
            Deed::RemoveNode { node, .. } => {
                self.going.insert(node.clone());
            }
            _ => {}
        }
    }

    pub fn answered(&mut self, action: &Action, outcome: &Outcome) {
        if matches!(outcome, Outcome::Done | Outcome::Unknown { .. }) {
            return;
        }
        match &action.what {
            Deed::AddNode { node, .. } => {
                self.asked.remove(node);
            }
            Deed::RemoveNode { node, .. } => {
                self.going.remove(node);
            }
            _ => {}
        }
    }
}

impl Checker {
    pub(super) fn check_node(&self, _now: Time, action: &Action) -> Result<(), Broken> {
        let seen = match &action.what {
            Deed::AddNode { node, .. }
            | Deed::MarkNode { node, .. }
            | Deed::UnmarkNode { node, .. }
            | Deed::RemoveNode { node, .. } => self.seen.nodes.get(node),
            _ => return Ok(()),
        };
        let bounds = |pool: &str| {
            let (_, name) = pool.split_once('.')?;
            let policy = self.seen.pools.get(&action.policy)?;
            let pool = policy.pools.iter().find(|p| p.name == name)?;
            Some((pool.min.get() as usize, pool.max.get() as usize))
        };
        let there = |pool: &str| {
            let in_pool = self.seen.nodes.values().filter(|n| n.pool() == Some(pool));
            in_pool
                .filter(|n| n.deleting.is_none() && !self.nodes.going.contains(&n.name))
                .count()
        };
        match &action.what {
            Deed::AddNode { pool, node, .. } => {
                let asked = self
                    .nodes
                    .asked
                    .iter()
                    .filter(|(n, p)| *p == pool && *n != node)
                    .count();
                let (_, max) = bounds(pool).ok_or((Invariant::PoolWithinBounds, format!("no pool {pool}")))?;
                let count = there(pool) + asked + 1;
                if count > max {
                    let message = format!("{pool} would have {count} nodes of {max}");
                    return Err((Invariant::PoolWithinBounds, message));
                }
                Ok(())
            }
            Deed::UnmarkNode { uid, .. } => match seen.filter(|n| n.uid == *uid && n.is_marked()) {
                Some(_) => Ok(()),
                None => Err((Invariant::OnlyOwnMarks, "it bears no mark of ours".into())),
            },
            Deed::MarkNode { uid, .. } => match seen.filter(|n| n.uid == *uid) {
                Some(node) => self.is_empty(&node.name),
                None => Err((Invariant::Preconditions, "it was not seen like that".into())),
            },
            Deed::RemoveNode { uid, pool, .. } => {
                let Some(node) = seen.filter(|n| n.uid == *uid) else {
                    return Err((Invariant::Preconditions, "it was not seen like that".into()));
                };
                if !node.is_marked() {
                    return Err((Invariant::OnlyEmptyNodesGo, "it is not marked".into()));
                }
                self.is_empty(&node.name)?;
                let (min, _) = bounds(pool).ok_or((Invariant::PoolWithinBounds, format!("no pool {pool}")))?;
                let count = there(pool).saturating_sub(1);
                if count < min {
                    let message = format!("{pool} would have {count} nodes and needs {min}");
                    return Err((Invariant::PoolWithinBounds, message));
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn is_empty(&self, node: &str) -> Result<(), Broken> {
        let mut pods = self.seen.all_pods();
        let own = pods.find(|p| p.node.as_deref() == Some(node) && !p.belongs_to_node() && !p.is_finished());
        match own {
            Some(pod) => Err((Invariant::OnlyEmptyNodesGo, format!("pod {} is on it", pod.key))),
            None => Ok(()),
        }
    }
}
