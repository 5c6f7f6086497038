//! What a NodePoolPolicy says of itself: conditions, and how its pools stand.

use super::gather::Census;
use super::memory::Memory;
use super::propose::Growth;
use super::validate::Gate;
use crate::core::plan::Deed;
use crate::core::policy::Mode;
use crate::core::quantity::Replicas;
use crate::core::reason::Reason;
use crate::core::report::{ConditionReport, Detail, NodesReport, PoolReport, Report};
use crate::core::state::State;
use crate::core::time::Time;
use crate::core::world::Status;

/// How an evaluation ended.
#[derive(Debug)]
pub(super) enum Account {
    /// Nothing was decided.
    Gated(Gate),
    /// Decided.
    Decided {
        /// How the pools stand.
        counts: Vec<PoolCount>,
        /// Pods that no pool can help.
        waiting: u32,
        /// The first thing that is wanted and cannot be.
        limited: Option<(Reason, String)>,
    },
}

/// How a pool stands.
#[derive(Debug)]
pub(super) struct PoolCount {
    name: String,
    label: String,
    nodes: u32,
    coming: u32,
    target: i64,
    waiting: u32,
    reason: Reason,
}

/// Counts the own pools, before anything is done.
pub(super) fn count(memory: &Memory, census: &Census, growth: &Growth, now: Time) -> Vec<PoolCount> {
    let pools = census.own_pools();
    pools
        .map(|(index, pool)| {
            let waiting = growth.waiting_by_pool.get(&index).copied().unwrap_or(0);
            PoolCount {
                name: pool.spec.name.clone(),
                label: pool.label.clone(),
                nodes: pool.objects,
                coming: pool.coming + pool.asked,
                target: i64::from(pool.staying + pool.asked),
                waiting,
                reason: if memory.backing_off(&pool.spec.name, now).is_some() {
                    Reason::PoolBackingOff
                } else if waiting > 0 {
                    Reason::PoolAtMaximum
                } else if pool.coming + pool.asked > 0 {
                    Reason::Provisioning
                } else if pool.marked > 0 {
                    Reason::NodeEmpty
                } else {
                    Reason::PoolsAsWanted
                },
            }
        })
        .collect()
}

/// Takes a wanted action into account.
pub(super) fn expect(counts: &mut [PoolCount], memory: &Memory, deed: &Deed) {
    let (label, change) = match deed {
        Deed::AddNode { node, .. } if memory.requests.get(node).is_some_and(|r| !r.lost) => return,
        Deed::AddNode { pool, .. } => (pool, 1),
        _ => return,
    };
    if let Some(count) = counts.iter_mut().find(|c| c.label == *label) {
        count.target += change;
        if memory.policy.meta.mode == Mode::Enforce {
            count.coming += 1;
            count.reason = Reason::Provisioning;
        }
    }
}

/// The report of one evaluation.
pub(super) fn report(state: &State, memory: &Memory, account: Account) -> Report {
    let meta = &memory.policy.meta;
    let (conditions, detail) = match account {
        Account::Gated((reason, message)) => (gated(reason, &message), last(state, memory)),
        Account::Decided {
            counts,
            waiting,
            limited,
        } => (
            decided(memory, &counts, waiting, limited.as_ref()),
            NodesReport {
                pools: counts.iter().map(pool).collect(),
                waiting_pods: waiting,
            },
        ),
    };
    Report {
        policy: meta.key.clone(),
        generation: meta.generation,
        conditions,
        detail: Detail::Nodes(detail),
    }
}

/// What was said last: while nothing is decided nothing better is known.
fn last(state: &State, memory: &Memory) -> NodesReport {
    match state.reports.get(&memory.policy.meta.key).map(|r| &r.detail) {
        Some(Detail::Nodes(detail)) => detail.clone(),
        _ => NodesReport::default(),
    }
}

fn pool(count: &PoolCount) -> PoolReport {
    PoolReport {
        name: count.name.clone(),
        nodes: Replicas::new(count.nodes),
        incoming: Replicas::new(count.coming),
        target: Replicas::from_i64(count.target),
        waiting_pods: count.waiting,
        reason: count.reason,
    }
}

fn condition(kind: &str, status: Status, reason: Reason, message: impl Into<String>) -> ConditionReport {
    ConditionReport {
        kind: kind.into(),
        status,
        reason,
        message: message.into(),
    }
}

fn gated(reason: Reason, message: &str) -> Vec<ConditionReport> {
    if reason == Reason::Suspended {
        return vec![condition("Ready", Status::True, reason, message)];
    }
    vec![
        condition("Ready", Status::False, reason, message),
        condition("Reconciling", Status::True, reason, message),
    ]
}

/// The policy is Ready while it is at work, also where it cannot help a pod: that is `Limited`.
fn decided(
    memory: &Memory,
    counts: &[PoolCount],
    waiting: u32,
    limited: Option<&(Reason, String)>,
) -> Vec<ConditionReport> {
    let coming: u32 = counts.iter().map(|c| c.coming).sum();
    let (reason, message) = if memory.policy.meta.mode == Mode::DryRun {
        (
            Reason::DryRun,
            "nodes are planned and shown, neither added nor removed".to_owned(),
        )
    } else if waiting > 0 {
        (
            Reason::PodsWaiting,
            format!("unschedulable pods that no pool can help: {waiting}"),
        )
    } else if coming > 0 {
        (Reason::Provisioning, format!("nodes on their way: {coming}"))
    } else {
        (
            Reason::PoolsAsWanted,
            "every pod has a place, and no node is missing".to_owned(),
        )
    };
    let limit = match limited {
        Some((reason, message)) => condition("Limited", Status::True, *reason, message.as_str()),
        None => condition(
            "Limited",
            Status::False,
            Reason::PoolsAsWanted,
            "nothing that is wanted is held back",
        ),
    };
    vec![condition("Ready", Status::True, reason, message), limit]
}

/// Whether an old report already says what the new one says. Messages do not count: their numbers wiggle.
#[must_use]
pub fn means_the_same(old: &Report, new: &Report) -> bool {
    let conditions = |r: &Report| {
        let parts = r.conditions.iter().map(|c| (c.kind.clone(), c.status, c.reason));
        parts.collect::<Vec<_>>()
    };
    old.generation == new.generation && old.detail == new.detail && conditions(old) == conditions(new)
}
