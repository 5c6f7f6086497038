//! What is remembered of a NodePoolPolicy: nodes that were asked for, timers of its nodes, and pools that back off.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::core::names::{ObjectKey, Uid};
use crate::core::policy::NodePoolPolicy;
use crate::core::state::State;
use crate::core::time::{Span, Time};
use crate::core::world::World;

/// How long a pool backs off after the first failure; it doubles.
const POOL_FIRST: Span = Span::from_mins(1);
/// The longest back-off of a pool.
const POOL_LONGEST: Span = Span::from_mins(30);
/// Failures are forgotten when the pool has been free to ask for so long.
const POOL_FORGETS: Span = Span::from_mins(180);
/// After an ambiguous answer the same node is asked for again after this time, if it has not come; it doubles.
pub(super) const ASK_AGAIN: Span = Span::from_secs(30);
/// The longest pause before the same node is asked for again.
pub(super) const ASK_AGAIN_LONGEST: Span = Span::from_mins(5);
/// A node that did not come in time keeps its place in the pool for so long, since it may come late.
const LOST_KEPT: Span = Span::from_mins(60);
/// The object of a node that was given back may be there for so long before removing it is tried again.
const LEAVING_KEPT: Span = Span::from_mins(5);

/// What is remembered of a NodePoolPolicy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Memory {
    /// The policy.
    pub policy: NodePoolPolicy,
    /// Nodes that were asked for and have not been seen Ready, by name.
    #[serde(default)]
    pub requests: BTreeMap<String, Request>,
    /// Timers of the pools' nodes, by name.
    #[serde(default)]
    pub nodes: BTreeMap<String, NodeMemory>,
    /// Nodes that were given back and may still be seen, by name.
    #[serde(default)]
    pub leaving: BTreeMap<String, (Uid, Time)>,
    /// Pools whose nodes did not come, by name.
    #[serde(default)]
    pub troubles: BTreeMap<String, Backoff>,
    /// Pods that fit on a node that is there and go on waiting, and since when that is seen.
    #[serde(default)]
    pub roomy: BTreeMap<ObjectKey, Time>,
    /// What dry-run mode has shown already: verb and node.
    #[serde(default)]
    pub shown: BTreeSet<String>,
}

/// A node that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// The pool's name.
    pub pool: String,
    /// When it was asked for.
    pub since: Time,
    /// Its object has been seen.
    pub seen: bool,
    /// It did not come in time: no room is expected of it. It keeps its name and its place in the pool, since it may come
    /// late; whoever asks for a node again asks for this one first.
    pub lost: bool,
    /// After an ambiguous answer: how often, and when to ask for the same node again.
    pub unsure: Option<Backoff>,
}

/// Timers of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeMemory {
    /// Which object.
    pub uid: Uid,
    /// Since when it has been seen without pods of its own, and unneeded.
    pub empty_since: Option<Time>,
    /// Since when it has been seen marked.
    pub marked_since: Option<Time>,
    /// Actions that failed in a row, and when to try again.
    pub trouble: Option<Backoff>,
}

/// Failures in a row, and when to try again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Backoff {
    /// So many.
    pub failures: u32,
    /// When the last one was.
    pub at: Time,
    /// Not before this time.
    pub retry_at: Time,
    /// What happened last.
    pub message: String,
}

impl Backoff {
    /// One failure more: the pause doubles from `first` up to `longest`.
    #[must_use]
    pub fn after(old: Option<&Self>, at: Time, (first, longest): (Span, Span), message: &str) -> Self {
        let failures = old.map_or(0, |b| b.failures).saturating_add(1);
        let wait = first.times(1_i64 << (failures - 1).min(16)).min(longest);
        Self {
            failures,
            at,
            retry_at: at + wait,
            message: message.to_owned(),
        }
    }
}

impl Memory {
    /// Of a policy that was not known before.
    #[must_use]
    pub fn new(policy: NodePoolPolicy) -> Self {
        Self {
            policy,
            requests: BTreeMap::new(),
            nodes: BTreeMap::new(),
            leaving: BTreeMap::new(),
            troubles: BTreeMap::new(),
            roomy: BTreeMap::new(),
            shown: BTreeSet::new(),
        }
    }

    /// Whether the policy's actions are carried out.
    #[must_use]
    pub fn acts(&self) -> bool {
        let meta = &self.policy.meta;
        meta.mode == crate::core::policy::Mode::Enforce && !meta.suspend
    }

    /// The back-off of a pool, if it is not over.
    #[must_use]
    pub fn backing_off(&self, pool: &str, now: Time) -> Option<&Backoff> {
        self.troubles.get(pool).filter(|t| now < t.retry_at)
    }

    /// A node of the pool, asked for at `asked`, did not come. Failures of nodes that were asked for before the last failure
    /// belong to the same round and do not count again.
    pub fn failed(&mut self, pool: &str, asked: Time, at: Time, message: &str) {
        let old = self.troubles.get(pool);
        if old.is_some_and(|old| asked <= old.at) {
            return;
        }
        let trouble = Backoff::after(old, at, (POOL_FIRST, POOL_LONGEST), message);
        self.troubles.insert(pool.to_owned(), trouble);
    }

    /// Compares the requests with what is there, and forgets what is over.
    pub(super) fn follow(&mut self, now: Time, world: &World) {
        let timeout = self.policy.provision_timeout;
        for (name, mut request) in std::mem::take(&mut self.requests) {
            let late = now.since(request.since) >= timeout;
            match world.nodes.get(&name) {
                Some(node) if node.is_ready() => {
                    if self.troubles.get(&request.pool).is_some_and(|t| t.at < request.since) {
                        self.troubles.remove(&request.pool);
                    }
                }
                Some(_) if late => {
                    let message = format!("node {name} is there and was not Ready within {timeout}");
                    self.failed(&request.pool, request.since, now, &message);
                }
                Some(_) => {
                    request.seen = true;
                    request.lost = false;
                    request.unsure = None;
                    self.requests.insert(name, request);
                }
                None if request.seen => {
                    let message = format!("node {name} was deleted before it was Ready");
                    self.failed(&request.pool, request.since, now, &message);
                }
                None if now - LOST_KEPT >= request.since + timeout => {}
                None => {
                    if late && !request.lost {
                        request.lost = true;
                        request.unsure = None;
                        let message = format!("node {name} did not come within {timeout}");
                        self.failed(&request.pool, request.since, now, &message);
                    }
                    self.requests.insert(name, request);
                }
            }
        }
        self.leaving.retain(|name, (uid, at)| {
            let there = world.nodes.get(name).is_some_and(|n| n.uid == *uid);
            there && now.since(*at) < LEAVING_KEPT
        });
        self.troubles.retain(|_, t| now.since(t.retry_at) < POOL_FORGETS);
        self.nodes
            .retain(|name, m| world.nodes.get(name).is_some_and(|n| n.uid == m.uid));
    }

    /// When something of this comes due.
    pub(super) fn wakes(&self) -> impl Iterator<Item = Time> {
        let timeout = self.policy.provision_timeout;
        let requests = self.requests.values().filter(|r| !r.lost).flat_map(move |r| {
            let again = r.unsure.as_ref().map(|u| u.retry_at);
            again.into_iter().chain([r.since + timeout])
        });
        let leaving = self.leaving.values().map(|(_, at)| *at + LEAVING_KEPT);
        let nodes = self
            .nodes
            .values()
            .filter_map(|n| n.trouble.as_ref().map(|t| t.retry_at));
        requests.chain(leaving).chain(nodes)
    }
}

/// A NodePoolPolicy was made or changed. What is remembered goes on, since requests and nodes are as they are whatever the
/// policy says now.
pub fn accept(state: &mut State, _at: Time, policy: NodePoolPolicy) {
    let key = policy.meta.key.clone();
    let memory = match state.nodes.remove(&key) {
        Some(old) => Memory {
            shown: if old.policy == policy {
                old.shown
            } else {
                BTreeSet::new()
            },
            policy,
            ..old
        },
        None => Memory::new(policy),
    };
    state.nodes.insert(key, memory);
    touch_all(state);
}

/// Every node pool policy has to be looked at again: what one asks for concerns the others.
pub fn touch_all(state: &mut State) {
    state.agenda.touch_known(&state.policies, state.nodes.keys());
}
