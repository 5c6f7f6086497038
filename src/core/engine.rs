//! The engine: [`Engine::observe`] takes in what was seen, [`Engine::step`] decides. The only entry points.

mod draft;
mod observe;

use std::collections::BTreeSet;

use super::event::{Event, Outcome};
use super::guard::{self, Safeguard};
use super::names::{ObjectRef, PolicyKey, PolicyKind, QueryKey};
use super::plan::Plan;
use super::policy::Mode;
use super::report::Report;
use super::state::{PolicyId, State};
use super::time::{Span, Time};
use super::{healing, nodes, scaling};

pub use draft::Draft;

/// Decides; holds all that decisions depend on.
#[derive(Clone, Debug)]
pub struct Engine {
    state: State,
}

impl Engine {
    /// An engine that has seen nothing yet.
    #[must_use]
    pub fn new(epoch: Time) -> Self {
        Self {
            state: State {
                epoch,
                ..State::default()
            },
        }
    }

    /// An engine that goes on from a recorded state.
    #[must_use]
    pub fn resume(state: State) -> Self {
        Self { state }
    }

    /// An engine with safeguards switched off: for the simulator's proof that each of them is needed, and for nothing else.
    #[must_use]
    pub fn without(epoch: Time, off: &[Safeguard]) -> Self {
        let mut engine = Self::new(epoch);
        engine.state.guard.switched_off = off.to_vec();
        engine
    }

    /// All that the engine remembers.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Takes in what was seen at `at`. Decides nothing.
    pub fn observe(&mut self, at: Time, event: Event) {
        observe::observe(&mut self.state, at, event);
    }

    /// Whether something was seen that no step has looked at yet.
    #[must_use]
    pub fn is_dirty(&self) -> bool {
        self.state.agenda.is_dirty()
    }

    /// Decides on everything that changed or has come due. The same events give the same plan, byte for byte.
    pub fn step(&mut self, now: Time) -> Plan {
        let state = &mut self.state;
        state.seq += 1;
        expire_actions(state, now);
        scaling::drop_unnamed(state);
        let mut ids = state.agenda.take(now);
        state.policies.sort(&mut ids);
        let mut draft = Draft::new(state.seq, now, state.epoch);
        // A storm concerns every healing policy, wherever it broke out.
        if concern_healing(state, &ids) && guard::update_storm(state, now) {
            ids.extend(state.healing.keys().filter_map(|key| state.policies.id(key)));
            state.policies.sort(&mut ids);
        }
        for id in ids {
            evaluate(state, now, id, &mut draft);
        }
        draft.finish(state)
    }

    /// Every query that some active policy needs, and how often.
    #[must_use]
    pub fn queries(&self) -> Vec<(QueryKey, Span)> {
        let queries = self.state.queries.iter();
        let asked = queries.filter_map(|(query, known)| {
            let memories = known.asked_by.iter().filter_map(|id| self.state.scaling_at(*id));
            let shortest = memories.map(|memory| memory.policy.interval).min()?;
            Some((query.clone(), shortest))
        });
        asked.collect()
    }

    /// Every target that some policy names.
    #[must_use]
    pub fn targets(&self) -> BTreeSet<ObjectRef> {
        self.state.world.targets.named().cloned().collect()
    }

    /// Targets whose `replicas` belong to an active policy, or to one that cannot be used for now: whoever applies manifests
    /// leaves that field out.
    #[must_use]
    pub fn owned_targets(&self) -> BTreeSet<ObjectRef> {
        let active = self
            .state
            .all_scaling()
            .map(|(_, memory)| &memory.policy)
            .filter(|policy| !policy.meta.suspend && policy.meta.mode == Mode::Enforce)
            .map(|policy| policy.target.clone());
        let invalid = self.state.invalid.values().filter_map(|i| i.target.clone());
        active.chain(invalid).collect()
    }
}

/// Whether any of these policies, which are in the order of their keys, heals.
fn concern_healing(state: &State, ids: &[PolicyId]) -> bool {
    let kind = |id: &PolicyId| state.policies.key(*id).map(|key| key.kind);
    let first = ids.partition_point(|id| kind(id) < Some(PolicyKind::HealingPolicy));
    let kind = ids.get(first).and_then(kind);
    matches!(kind, Some(PolicyKind::HealingPolicy | PolicyKind::GitSource))
}

/// Decides on one policy.
fn evaluate(state: &mut State, now: Time, id: PolicyId, draft: &mut Draft) {
    let Some(key) = state.policies.key(id).cloned() else {
        return;
    };
    let key = key.as_ref();
    draft.begin(state, key);
    if let Some(invalid) = state.invalid.get(key) {
        let report = Report::invalid(key, invalid.generation, &invalid.message);
        draft.report(state, report, Report::eq);
        return;
    }
    match key.kind {
        PolicyKind::ScalingPolicy => scaling::evaluate(state, now, id, draft),
        PolicyKind::NodePoolPolicy => nodes::evaluate(state, now, key, draft),
        PolicyKind::HealingPolicy => healing::evaluate(state, now, key, draft),
        PolicyKind::GitSource => healing::evaluate_drift(state, now, key, draft),
        PolicyKind::OperatorConfig => {
            if let Some(config) = state.configs.get(key) {
                let report = Report::accepted(key, config.generation);
                draft.report(state, report, Report::eq);
            }
        }
    }
}

/// An action that was never answered counts as unknown, so that nothing hangs for ever.
fn expire_actions(state: &mut State, now: Time) {
    let timeout = state.limits.action_timeout;
    let late: Vec<_> = state
        .guard
        .in_flight
        .iter()
        .filter(|(_, flight)| now.since(flight.since) >= timeout)
        .map(|(id, _)| id.clone())
        .collect();
    for id in late {
        let message = format!("no answer within {timeout}");
        settle(state, now, &id, &Outcome::Unknown { message });
    }
}

/// Takes in the outcome of an action: it is no longer under way, and its subsystem learns how it went.
fn settle(state: &mut State, at: Time, id: &super::names::ActionId, outcome: &Outcome) {
    let Some(flight) = state.guard.in_flight.remove(id) else {
        return;
    };
    state.guard.busy.retain(|_, busy| busy != id);
    let key = flight.action.policy.clone();
    match key.kind {
        PolicyKind::ScalingPolicy => scaling::settle(state, at, &flight, outcome),
        PolicyKind::NodePoolPolicy => nodes::settle(state, at, &flight, outcome),
        PolicyKind::HealingPolicy => healing::settle(state, at, &flight, outcome),
        PolicyKind::GitSource => healing::settle_drift(state, at, &flight, outcome),
        PolicyKind::OperatorConfig => {}
    }
    state.touch(&key);
}

/// A policy is gone, or cannot be used any more: what it did stays as it is.
fn forget_policy(state: &mut State, key: &PolicyKey) {
    scaling::forget(state, key);
    state.nodes.remove(key);
    state.healing.remove(key);
    if let Some(id) = state.policies.id(key) {
        state.agenda.forget(id);
    }
}
