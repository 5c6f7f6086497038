//! What the engine remembers between steps. Serialisable, so that a journal segment can begin with it and a replay can go
//! on from it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::guard;
use super::healing;
use super::names::{ObjectRef, PolicyKey, QueryKey, Uid};
use super::nodes;
use super::plan::Refusal;
use super::policy::Limits;
use super::report::Report;
use super::sample::Reading;
use super::scaling;
use super::time::Time;
use super::world::World;

/// Everything.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct State {
    /// When this engine was started; makes action ids unique over restarts.
    pub epoch: Time,
    /// Counts steps.
    pub seq: u64,
    /// What is seen.
    pub world: World,
    /// What no policy can raise.
    pub limits: Limits,
    /// The last reading of every query, and when it came.
    pub samples: BTreeMap<QueryKey, Sample>,
    /// Of every ScalingPolicy.
    pub scaling: BTreeMap<PolicyKey, scaling::Memory>,
    /// What deleted ScalingPolicies still have to do.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub leaving: BTreeMap<PolicyKey, scaling::Leaving>,
    /// Of every NodePoolPolicy.
    pub nodes: BTreeMap<PolicyKey, nodes::Memory>,
    /// Of every HealingPolicy.
    pub healing: BTreeMap<PolicyKey, healing::Memory>,
    /// Of every GitSource: what was brought back, and how often.
    pub drift: BTreeMap<PolicyKey, healing::DriftMemory>,
    /// Budgets, brakes, actions under way.
    pub guard: guard::Memory,
    /// Policies that cannot be used.
    pub invalid: BTreeMap<PolicyKey, Invalid>,
    /// The OperatorConfig that is in use.
    pub configs: BTreeMap<PolicyKey, Config>,
    /// Refusals in force, by policy, subject and verb.
    pub refusals: BTreeMap<PolicyKey, Vec<Refusal>>,
    /// The last report of every policy.
    pub reports: BTreeMap<PolicyKey, Report>,
    /// What has to be looked at again, and when.
    pub agenda: Agenda,
    /// Which scaling policies name a target.
    pub by_target: BTreeMap<ObjectRef, BTreeSet<PolicyKey>>,
    /// Targets that no policy named any more at some time since the last step.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub unnamed: BTreeSet<ObjectRef>,
    /// Which scaling policies ask a query.
    pub by_query: BTreeMap<QueryKey, BTreeSet<PolicyKey>>,
}

impl State {
    /// The identity of a policy's object.
    #[must_use]
    pub fn uid_of(&self, policy: &PolicyKey) -> Option<&Uid> {
        let scaling = || self.scaling.get(policy).map(|m| &m.policy.meta.uid);
        let leaving = || self.leaving.get(policy).map(|l| &l.uid);
        let nodes = || self.nodes.get(policy).map(|m| &m.policy.meta.uid);
        let healing = || self.healing.get(policy).map(|m| &m.policy.meta.uid);
        let config = || self.configs.get(policy).map(|c| &c.uid);
        let invalid = self.invalid.get(policy).map(|i| &i.uid);
        let of_scaling = invalid.or_else(scaling).or_else(leaving);
        of_scaling.or_else(nodes).or_else(healing).or_else(config)
    }
}

/// The last reading of a query.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// What it said.
    pub reading: Reading,
    /// When the answer came.
    pub at: Time,
}

/// A policy that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invalid {
    /// The object's identity.
    pub uid: Uid,
    /// The object's generation.
    pub generation: i64,
    /// What is wrong and what to write instead.
    pub message: String,
    /// What it scales, as far as that can still be read.
    pub target: Option<ObjectRef>,
}

/// A configuration that is in use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// The object's identity.
    pub uid: Uid,
    /// The object's generation.
    pub generation: i64,
}

/// What has to be looked at again: at once where something changed, or at a time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Agenda {
    dirty: BTreeSet<PolicyKey>,
    due: BTreeMap<PolicyKey, Time>,
    #[serde(with = "pairs")]
    by_time: BTreeSet<(Time, PolicyKey)>,
}

impl Agenda {
    /// Something changed for this policy.
    pub fn touch(&mut self, key: &PolicyKey) {
        if !self.dirty.contains(key) {
            self.dirty.insert(key.clone());
        }
    }

    /// Look at this policy again at the given time at the latest.
    pub fn wake(&mut self, key: &PolicyKey, at: Time) {
        if self.due.get(key).is_none_or(|due| at < *due) {
            self.clear(key);
            self.due.insert(key.clone(), at);
            self.by_time.insert((at, key.clone()));
        }
    }

    /// Look at this policy again only when something changes.
    pub fn clear(&mut self, key: &PolicyKey) {
        if let Some((key, old)) = self.due.remove_entry(key) {
            self.by_time.remove(&(old, key));
        }
    }

    /// The policy is gone.
    pub fn forget(&mut self, key: &PolicyKey) {
        self.clear(key);
        self.dirty.remove(key);
    }

    /// Takes everything that changed or has come due, in the order of the keys. Whoever evaluates a policy says anew when to
    /// wake for it.
    pub fn take(&mut self, now: Time) -> BTreeSet<PolicyKey> {
        let mut taken = std::mem::take(&mut self.dirty);
        for key in &taken {
            self.clear(key);
        }
        while self.by_time.first().is_some_and(|(at, _)| *at <= now) {
            if let Some((_, key)) = self.by_time.pop_first() {
                self.due.remove(&key);
                taken.insert(key);
            }
        }
        taken
    }

    /// When this policy comes due.
    #[must_use]
    pub fn due(&self, key: &PolicyKey) -> Option<Time> {
        self.due.get(key).copied()
    }

    /// When something comes due next.
    #[must_use]
    pub fn next(&self) -> Option<Time> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// Whether something changed that no step has looked at yet.
    #[must_use]
    pub fn is_dirty(&self) -> bool {
        !self.dirty.is_empty()
    }
}

/// JSON has no sets of pairs: stored as a list.
mod pairs {
    use super::{BTreeSet, Deserialize, PolicyKey, Serialize, Time};

    pub fn serialize<S: serde::Serializer>(set: &BTreeSet<(Time, PolicyKey)>, s: S) -> Result<S::Ok, S::Error> {
        set.iter().collect::<Vec<_>>().serialize(s)
    }

    pub fn deserialize<'de, D: serde::Deserializer<'de>>(d: D) -> Result<BTreeSet<(Time, PolicyKey)>, D::Error> {
        Vec::<(Time, PolicyKey)>::deserialize(d).map(|list| list.into_iter().collect())
    }
}
