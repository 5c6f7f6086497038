//! What the engine remembers between steps. Serialisable, so that a journal segment can begin with it and a replay can go
//! on from it. Where there may be very many of a kind they go by number ([`Table`]); what is stored goes by key
//! ([`stored`]).

mod agenda;
mod stored;

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
use super::table::{Id, Table};
use super::time::Time;
use super::world::World;

pub use agenda::Agenda;

/// The number of a policy of whatever kind.
pub type PolicyId = Id<PolicyKey>;
/// Policies of whatever kind; of a ScalingPolicy that can be used what is remembered of it.
pub type Policies = Table<PolicyKey, Option<Box<scaling::Tracked>>>;
/// The number of a query.
pub type QueryId = Id<QueryKey>;

/// Everything.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// When this engine was started; makes action ids unique over restarts.
    pub epoch: Time,
    /// Counts steps.
    pub seq: u64,
    /// What is seen.
    pub world: World,
    /// What no policy can raise.
    pub limits: Limits,
    /// Every policy, GitSource and configuration. What is remembered of a ScalingPolicy is away while it is evaluated.
    pub policies: Policies,
    /// Every query that some policy asks, or that was answered.
    pub queries: Table<QueryKey, Query>,
    /// What deleted ScalingPolicies still have to do.
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
    /// Targets that no policy named any more at some time since the last step.
    pub unnamed: BTreeSet<ObjectRef>,
}

impl State {
    /// What is remembered of a ScalingPolicy.
    #[must_use]
    pub fn scaling(&self, policy: &PolicyKey) -> Option<&scaling::Memory> {
        self.scaling_at(self.policies.id(policy)?)
    }

    /// What is remembered of the ScalingPolicy of this number.
    #[must_use]
    pub fn scaling_at(&self, id: PolicyId) -> Option<&scaling::Memory> {
        Some(&self.policies.at(id)?.as_ref()?.memory)
    }

    /// What is remembered of the ScalingPolicy of this number, to be changed.
    pub fn scaling_at_mut(&mut self, id: PolicyId) -> Option<&mut scaling::Memory> {
        Some(&mut self.policies.at_mut(id)?.as_mut()?.memory)
    }

    /// What is remembered of every ScalingPolicy, in the order of their keys.
    pub fn all_scaling(&self) -> impl Iterator<Item = (&PolicyKey, &scaling::Memory)> {
        let all = self.policies.iter();
        all.filter_map(|(key, tracked)| Some((key, &tracked.as_ref()?.memory)))
    }

    /// The last reading of a query, and when it came.
    #[must_use]
    pub fn sample(&self, query: &QueryKey) -> Option<&Sample> {
        self.queries.get(query)?.sample.as_ref()
    }

    /// The policies that ask a query, in no order that means anything.
    pub fn asking(&self, query: &QueryKey) -> impl Iterator<Item = &PolicyKey> {
        let policies = self.queries.get(query).into_iter().flat_map(|query| &query.asked_by);
        policies.filter_map(|id| self.policies.key(*id).map(AsRef::as_ref))
    }

    /// Something changed for this policy. Nothing happens where it is not known.
    pub fn touch(&mut self, policy: &PolicyKey) {
        self.agenda.touch_known(&self.policies, [policy]);
    }

    /// Look at this policy again at the given time at the latest. Nothing happens where it is not known.
    pub fn wake(&mut self, policy: &PolicyKey, at: Time) {
        if let Some(id) = self.policies.id(policy) {
            self.agenda.wake(id, at);
        }
    }

    /// When this policy comes due.
    #[must_use]
    pub fn due(&self, policy: &PolicyKey) -> Option<Time> {
        self.agenda.due(self.policies.id(policy)?)
    }

    /// The policy is gone for good, and so is its number.
    pub fn drop_policy(&mut self, policy: &PolicyKey) {
        if let Some(id) = self.policies.id(policy) {
            self.agenda.forget(id);
            self.policies.remove(id);
        }
    }

    /// The identity of a policy's object.
    #[must_use]
    pub fn uid_of(&self, policy: &PolicyKey) -> Option<&Uid> {
        let scaling = || self.scaling(policy).map(|m| &m.policy.meta.uid);
        let leaving = || self.leaving.get(policy).map(|l| &l.uid);
        let nodes = || self.nodes.get(policy).map(|m| &m.policy.meta.uid);
        let healing = || self.healing.get(policy).map(|m| &m.policy.meta.uid);
        let config = || self.configs.get(policy).map(|c| &c.uid);
        let invalid = self.invalid.get(policy).map(|i| &i.uid);
        let of_scaling = invalid.or_else(scaling).or_else(leaving);
        of_scaling.or_else(nodes).or_else(healing).or_else(config)
    }
}

/// What is known of a query.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// Its last reading.
    pub sample: Option<Sample>,
    /// The scaling policies that ask it.
    pub asked_by: BTreeSet<PolicyId>,
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
