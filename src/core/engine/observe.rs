//! Takes events into the state and notes which policies they concern. Decides nothing.

use crate::core::event::Event;
use crate::core::guard::Safeguard;
use crate::core::names::{ObjectKey, PolicyKey, PolicyKind};
use crate::core::state::{Config, Invalid, Sample, State};
use crate::core::time::Time;
use crate::core::world::{DeclaredSet, Node, Pod};
use crate::core::{healing, nodes, scaling};

pub(super) fn observe(state: &mut State, at: Time, event: Event) {
    match event {
        Event::ScalingPolicy { .. }
        | Event::NodePoolPolicy(_)
        | Event::HealingPolicy { .. }
        | Event::PolicyInvalid { .. }
        | Event::ConfigAccepted { .. }
        | Event::PolicyGone(_)
        | Event::ActedElsewhere(_) => observe_policy(state, at, event),
        Event::Own(identity) => state.world.own = Some(identity),
        Event::Limits(limits) => {
            state.limits = limits;
            touch_all(state);
        }
        Event::View { view, state: seen } => {
            if state.world.views.insert(view, seen) != Some(seen) {
                touch_all(state);
            }
        }
        Event::Target { object, target } => scaling::observe_target(state, at, object, target.map(|t| *t)),
        Event::TargetUnusable { object, message } => scaling::observe_unusable(state, object, message),
        Event::Pod(pod) => observe_pod(state, *pod),
        Event::PodGone(key) => pod_gone(state, &key),
        Event::Node(node) => observe_node(state, *node),
        Event::NodeGone(name) => {
            state.world.nodes.remove(&name);
            nodes::touch_all(state);
        }
        Event::Sample { query, reading } => {
            let id = state.queries.enter(query);
            if let Some(query) = state.queries.at_mut(id) {
                query.sample = Some(Sample { reading, at });
                state.agenda.touch_all(&query.asked_by);
            }
        }
        Event::Declared { source, set } => observe_declared(state, &source, set.map(|s| *s)),
        Event::DeclaredObject {
            source,
            object,
            state: seen,
        } => {
            let known = state
                .world
                .declared
                .get_mut(&source)
                .and_then(|set| set.objects.get_mut(&object));
            if let Some(known) = known
                && *known != seen
            {
                *known = seen;
                touch_declared(state, &source);
            }
        }
        Event::Outcome { action, outcome } => super::settle(state, at, &action, &outcome),
        Event::NodeFailed { node, message } => nodes::node_failed(state, at, &node, &message),
    }
}

fn observe_policy(state: &mut State, at: Time, event: Event) {
    match event {
        Event::ScalingPolicy { policy, history } => {
            accept(state, &policy.meta.key);
            scaling::accept(state, at, *policy, history);
        }
        Event::NodePoolPolicy(policy) => {
            accept(state, &policy.meta.key);
            nodes::accept(state, at, *policy);
        }
        Event::HealingPolicy { policy, incidents } => {
            accept(state, &policy.meta.key);
            healing::accept(state, at, *policy, incidents);
        }
        Event::PolicyInvalid {
            key,
            generation,
            message,
            uid,
            target,
        } => {
            super::forget_policy(state, &key);
            let invalid = Invalid {
                uid,
                generation,
                message,
                target,
            };
            state.agenda.touch(state.policies.enter(key.clone()));
            state.invalid.insert(key, invalid);
        }
        Event::ConfigAccepted { key, uid, generation } => {
            accept(state, &key);
            state.configs.insert(key, Config { uid, generation });
        }
        Event::ActedElsewhere(key) => {
            scaling::acted_elsewhere(state, &key);
            healing::acted_elsewhere(state, &key);
        }
        Event::PolicyGone(key) => {
            scaling::depart(state, at, &key);
            super::forget_policy(state, &key);
            if state.leaving.contains_key(&key) {
                state.touch(&key);
            } else {
                state.drop_policy(&key);
            }
            state.invalid.remove(&key);
            state.configs.remove(&key);
            state.reports.remove(&key);
            state.refusals.remove(&key);
        }
        _ => {}
    }
}

/// A policy that can be used is no longer invalid, and has to be looked at.
fn accept(state: &mut State, key: &PolicyKey) {
    state.invalid.remove(key);
    state.agenda.touch(state.policies.enter(key.clone()));
}

fn observe_pod(state: &mut State, pod: Pod) {
    let namespace = pod.key.namespace.clone();
    if state.world.pods.see(pod) {
        touch_pod(state, &namespace);
    }
}

fn pod_gone(state: &mut State, key: &ObjectKey) {
    if state.world.pods.remove(key) {
        touch_pod(state, &key.namespace);
    }
}

/// A pod concerns the healing policies of its namespace, and every node pool.
fn touch_pod(state: &mut State, namespace: &str) {
    let State {
        agenda,
        policies,
        nodes,
        healing,
        ..
    } = state;
    let first = PolicyKey::new(PolicyKind::HealingPolicy, namespace, "");
    let healing = healing.range(first..).map(|(key, _)| key);
    let healing = healing.take_while(|key| key.namespace == namespace);
    agenda.touch_known(policies, healing.chain(nodes.keys()));
}

fn observe_node(state: &mut State, node: Node) {
    if state.world.nodes.get(&node.name) != Some(&node) {
        state.world.nodes.insert(node.name.clone(), node);
        nodes::touch_all(state);
    }
}

/// The new set counts; how its objects were seen before is kept.
fn observe_declared(state: &mut State, source: &PolicyKey, set: Option<DeclaredSet>) {
    let old = state.world.declared.remove(source);
    if let Some(mut set) = set {
        let keep_undeclared = !state.guard.on(Safeguard::CurrentRevisionOnly);
        for (object, seen) in old.map(|old| old.objects).into_iter().flatten() {
            if let Some(new) = set.objects.get_mut(&object) {
                *new = seen;
            } else if keep_undeclared {
                set.objects.insert(object, seen);
            }
        }
        state.policies.enter(source.clone());
        state.world.declared.insert(source.clone(), set);
    } else {
        state.drift.remove(source);
        state.refusals.remove(source);
    }
    touch_declared(state, source);
}

/// Drift concerns the source itself and the healing policies of its namespaces.
fn touch_declared(state: &mut State, source: &PolicyKey) {
    let keys = state.healing.keys().chain([source]);
    state.agenda.touch_known(&state.policies, keys);
}

fn touch_all(state: &mut State) {
    for id in state.policies.ids() {
        state.agenda.touch(id);
    }
}
