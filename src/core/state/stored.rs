//! The state as it is stored: by keys, without numbers and without what follows from the rest. Two states are equal where
//! this is.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Config, Invalid, Sample, State};
use crate::core::guard;
use crate::core::healing;
use crate::core::names::{ObjectRef, PolicyKey, QueryKey};
use crate::core::nodes;
use crate::core::plan::Refusal;
use crate::core::policy::Limits;
use crate::core::report::Report;
use crate::core::scaling;
use crate::core::time::Time;
use crate::core::world::World;

type Map<'a, K, V> = BTreeMap<Cow<'a, K>, Cow<'a, V>>;

#[derive(PartialEq, Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Stored<'a> {
    epoch: Time,
    seq: u64,
    world: Cow<'a, World>,
    limits: Cow<'a, Limits>,
    samples: Map<'a, QueryKey, Sample>,
    scaling: Map<'a, PolicyKey, scaling::Memory>,
    #[serde(skip_serializing_if = "nobody_leaves")]
    leaving: Cow<'a, BTreeMap<PolicyKey, scaling::Leaving>>,
    nodes: Cow<'a, BTreeMap<PolicyKey, nodes::Memory>>,
    healing: Cow<'a, BTreeMap<PolicyKey, healing::Memory>>,
    drift: Cow<'a, BTreeMap<PolicyKey, healing::DriftMemory>>,
    guard: Cow<'a, guard::Memory>,
    invalid: Cow<'a, BTreeMap<PolicyKey, Invalid>>,
    configs: Cow<'a, BTreeMap<PolicyKey, Config>>,
    refusals: Cow<'a, BTreeMap<PolicyKey, Vec<Refusal>>>,
    reports: Cow<'a, BTreeMap<PolicyKey, Report>>,
    agenda: Agenda<'a>,
    #[serde(skip_serializing_if = "is_empty")]
    unnamed: Cow<'a, BTreeSet<ObjectRef>>,
}

#[derive(PartialEq, Serialize, Deserialize, Default)]
#[serde(default)]
struct Agenda<'a> {
    dirty: BTreeSet<Cow<'a, PolicyKey>>,
    due: BTreeMap<Cow<'a, PolicyKey>, Time>,
}

#[allow(clippy::ptr_arg, reason = "serde calls it so")]
fn is_empty(set: &Cow<'_, BTreeSet<ObjectRef>>) -> bool {
    set.is_empty()
}

#[allow(clippy::ptr_arg, reason = "serde calls it so")]
fn nobody_leaves(map: &Cow<'_, BTreeMap<PolicyKey, scaling::Leaving>>) -> bool {
    map.is_empty()
}

impl<'a> Stored<'a> {
    fn of(state: &'a State) -> Self {
        let samples = state.queries.iter();
        let samples = samples.filter_map(|(key, query)| Some((key, query.sample.as_ref()?)));
        Self {
            epoch: state.epoch,
            seq: state.seq,
            world: Cow::Borrowed(&state.world),
            limits: Cow::Borrowed(&state.limits),
            samples: borrowed(samples),
            scaling: borrowed(state.all_scaling()),
            leaving: Cow::Borrowed(&state.leaving),
            nodes: Cow::Borrowed(&state.nodes),
            healing: Cow::Borrowed(&state.healing),
            drift: Cow::Borrowed(&state.drift),
            guard: Cow::Borrowed(&state.guard),
            invalid: Cow::Borrowed(&state.invalid),
            configs: Cow::Borrowed(&state.configs),
            refusals: Cow::Borrowed(&state.refusals),
            reports: Cow::Borrowed(&state.reports),
            agenda: Agenda::of(state),
            unnamed: Cow::Borrowed(&state.unnamed),
        }
    }

    fn into_state(self) -> State {
        let mut state = State {
            epoch: self.epoch,
            seq: self.seq,
            world: self.world.into_owned(),
            limits: self.limits.into_owned(),
            leaving: self.leaving.into_owned(),
            nodes: self.nodes.into_owned(),
            healing: self.healing.into_owned(),
            drift: self.drift.into_owned(),
            guard: self.guard.into_owned(),
            invalid: self.invalid.into_owned(),
            configs: self.configs.into_owned(),
            refusals: self.refusals.into_owned(),
            reports: self.reports.into_owned(),
            unnamed: self.unnamed.into_owned(),
            ..State::default()
        };
        for (query, sample) in self.samples {
            let id = state.queries.enter(query.into_owned());
            if let Some(query) = state.queries.at_mut(id) {
                query.sample = Some(sample.into_owned());
            }
        }
        for memory in self.scaling.into_values() {
            scaling::restore(&mut state, memory.into_owned());
        }
        let State {
            policies,
            leaving,
            nodes,
            healing,
            invalid,
            configs,
            world,
            ..
        } = &mut state;
        let keys = leaving
            .keys()
            .chain(nodes.keys())
            .chain(healing.keys())
            .chain(invalid.keys());
        for key in keys.chain(configs.keys()).chain(world.declared.keys()) {
            policies.enter(key.clone());
        }
        for key in &self.agenda.dirty {
            state.touch(key);
        }
        for (key, at) in &self.agenda.due {
            state.wake(key, *at);
        }
        state
    }
}

impl<'a> Agenda<'a> {
    fn of(state: &'a State) -> Self {
        let mut stored = Self::default();
        for id in state.policies.ids() {
            let Some(key) = state.policies.key(id) else { continue };
            if state.agenda.is_touched(id) {
                stored.dirty.insert(Cow::Borrowed(key.as_ref()));
            }
            if let Some(at) = state.agenda.due(id) {
                stored.due.insert(Cow::Borrowed(key.as_ref()), at);
            }
        }
        stored
    }
}

fn borrowed<'a, K: Ord + Clone, V: Clone>(entries: impl Iterator<Item = (&'a K, &'a V)>) -> Map<'a, K, V> {
    entries
        .map(|(key, value)| (Cow::Borrowed(key), Cow::Borrowed(value)))
        .collect()
}

impl PartialEq for State {
    fn eq(&self, other: &Self) -> bool {
        Stored::of(self) == Stored::of(other)
    }
}

impl Serialize for State {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Stored::of(self).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for State {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Stored::deserialize(deserializer).map(Stored::into_state)
    }
}
