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
            touch_all(state, |_| true);
        }
        Event::View { view, state: seen } => {
            if state.world.views.insert(view, seen) != Some(seen) {
                touch_all(state, |_| true);
            }
        }
        Event::Target { object, target } => scaling::observe_target(state, at, object, target.map(|t| *t)),
        Event::TargetUnusable { object, message } => scaling::observe_unusable(state, object, message),
        Event::Pod(pod) => observe_pod(state, *pod),
        Event::PodGone(key) => pod_gone(state, &key),
        Event::Node(node) => observe_node(state, *node),
        Event::NodeGone(name) => {
            state.world.nodes.remove(&name);
            touch_all(state, |key| key.kind == PolicyKind::NodePoolPolicy);
        }
        Event::Sample { query, reading } => {
            for key in state.by_query.get(&query).into_iter().flatten() {
                state.agenda.touch(key);
            }
            state.samples.insert(query, Sample { reading, at });
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
            let key = accept(state, &policy.meta.key);
            scaling::accept(state, at, *policy, history);
            state.agenda.touch(&key);
        }
        Event::NodePoolPolicy(policy) => {
            let key = accept(state, &policy.meta.key);
            nodes::accept(state, at, *policy);
            state.agenda.touch(&key);
        }
        Event::HealingPolicy { policy, incidents } => {
            let key = accept(state, &policy.meta.key);
            healing::accept(state, at, *policy, incidents);
            state.agenda.touch(&key);
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
            state.invalid.insert(key.clone(), invalid);
            state.agenda.touch(&key);
        }
        Event::ConfigAccepted { key, uid, generation } => {
            let key = accept(state, &key);
            state.configs.insert(key.clone(), Config { uid, generation });
            state.agenda.touch(&key);
        }
        Event::ActedElsewhere(key) => {
            scaling::acted_elsewhere(state, &key);
            healing::acted_elsewhere(state, &key);
        }
        Event::PolicyGone(key) => {
            scaling::depart(state, at, &key);
            super::forget_policy(state, &key);
            if state.leaving.contains_key(&key) {
                state.agenda.touch(&key);
            }
            state.invalid.remove(&key);
            state.configs.remove(&key);
            state.reports.remove(&key);
            state.refusals.remove(&key);
        }
        _ => {}
    }
}

/// A policy that can be used is no longer invalid.
fn accept(state: &mut State, key: &PolicyKey) -> PolicyKey {
    state.invalid.remove(key);
    key.clone()
}

fn observe_pod(state: &mut State, pod: Pod) {
    let namespace = pod.key.namespace.clone();
    let pods = state.world.pods.entry(namespace.clone()).or_default();
    if pods.get(&pod.key.name) == Some(&pod) {
        return;
    }
    pods.insert(pod.key.name.clone(), pod);
    touch_pod(state, &namespace);
}

fn pod_gone(state: &mut State, key: &ObjectKey) {
    let Some(pods) = state.world.pods.get_mut(&key.namespace) else {
        return;
    };
    pods.remove(&key.name);
    if pods.is_empty() {
        state.world.pods.remove(&key.namespace);
    }
    touch_pod(state, &key.namespace);
}

/// A pod concerns the healing policies of its namespace, and every node pool.
fn touch_pod(state: &mut State, namespace: &str) {
    touch_all(state, |key| match key.kind {
        PolicyKind::HealingPolicy => key.namespace == namespace,
        PolicyKind::NodePoolPolicy => true,
        _ => false,
    });
}

fn observe_node(state: &mut State, node: Node) {
    if state.world.nodes.get(&node.name) != Some(&node) {
        state.world.nodes.insert(node.name.clone(), node);
        touch_all(state, |key| key.kind == PolicyKind::NodePoolPolicy);
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
        state.world.declared.insert(source.clone(), set);
    } else {
        state.drift.remove(source);
        state.refusals.remove(source);
    }
    touch_declared(state, source);
}

/// Drift concerns the source itself and the healing policies of its namespaces.
fn touch_declared(state: &mut State, source: &PolicyKey) {
    state.agenda.touch(source);
    touch_all(state, |key| key.kind == PolicyKind::HealingPolicy);
}

fn touch_all(state: &mut State, which: impl Fn(&PolicyKey) -> bool) {
    let State {
        agenda,
        scaling,
        nodes,
        healing,
        world,
        ..
    } = state;
    let keys = scaling
        .keys()
        .chain(nodes.keys())
        .chain(healing.keys())
        .chain(world.declared.keys());
    for key in keys.filter(|key| which(key)) {
        agenda.touch(key);
    }
}
