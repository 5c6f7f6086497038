//! What the operator has been told, kept apart from the engine.

use std::collections::{BTreeMap, BTreeSet};

use crate::core::event::{Event, Outcome};
use crate::core::names::{ObjectKey, ObjectRef, PolicyKey, PolicyKind, QueryKey};
use crate::core::plan::{Action, Deed};
use crate::core::policy::{HealingPolicy, Limits, Meta, NodePoolPolicy, ScalingPolicy};
use crate::core::quantity::Replicas;
use crate::core::sample::Reading;
use crate::core::time::Time;
use crate::core::world::{
    DeclaredSet, DeclaredState, Node, OwnIdentity, Pod, REMOVAL_TAINT, Taint, Target, View, ViewState,
};

/// What has been told.
#[derive(Clone, Debug, Default)]
pub(super) struct Picture {
    pub own: Option<OwnIdentity>,
    pub limits: Limits,
    pub views: BTreeMap<View, ViewState>,
    pub pods: BTreeMap<String, BTreeMap<String, Pod>>,
    pub nodes: BTreeMap<String, Node>,
    pub targets: BTreeMap<ObjectRef, Option<Target>>,
    pub samples: BTreeMap<QueryKey, (Reading, Time)>,
    pub sources: BTreeMap<PolicyKey, DeclaredSet>,
    pub scaling: BTreeMap<PolicyKey, ScalingPolicy>,
    pub healing: BTreeMap<PolicyKey, HealingPolicy>,
    pub pools: BTreeMap<PolicyKey, NodePoolPolicy>,
    pub fresh: Fresh,
}

/// What has been told since the last step.
#[derive(Clone, Debug, Default)]
pub(super) struct Fresh {
    everything: bool,
    queries: BTreeSet<QueryKey>,
    targets: BTreeSet<ObjectRef>,
    /// Namespaces with news of pods.
    pub namespaces: BTreeSet<String>,
}

impl Fresh {
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Whether a policy is certainly looked at in this step.
    pub fn concerns(&self, policy: &ScalingPolicy) -> bool {
        self.everything
            || self.targets.contains(&policy.target)
            || policy.triggers.iter().any(|t| self.queries.contains(&t.query))
    }

    /// Whether every policy is looked at in this step.
    pub fn all(&self) -> bool {
        self.everything
    }
}

impl Picture {
    pub fn take_in(&mut self, now: Time, event: &Event) {
        match event {
            Event::Own(own) => self.own = Some(own.clone()),
            Event::Limits(limits) => self.limits = limits.clone(),
            Event::View { view, state } => {
                if self.views.insert(*view, *state) != Some(*state) {
                    self.fresh.everything = true;
                }
            }
            Event::Pod(pod) => {
                let key = &pod.key;
                self.fresh.namespaces.insert(key.namespace.clone());
                let pods = self.pods.entry(key.namespace.clone()).or_default();
                pods.insert(key.name.clone(), (**pod).clone());
            }
            Event::PodGone(key) => {
                self.fresh.namespaces.insert(key.namespace.clone());
                if let Some(pods) = self.pods.get_mut(&key.namespace) {
                    pods.remove(&key.name);
                }
            }
            Event::Node(node) => {
                self.nodes.insert(node.name.clone(), (**node).clone());
            }
            Event::NodeGone(name) => {
                self.nodes.remove(name);
            }
            Event::Target { object, target } => {
                self.targets.insert(object.clone(), target.as_deref().cloned());
                self.fresh.targets.insert(object.clone());
            }
            Event::Sample { query, reading } => {
                self.samples.insert(query.clone(), (reading.clone(), now));
                self.fresh.queries.insert(query.clone());
            }
            Event::Declared { .. } | Event::DeclaredObject { .. } => self.take_in_declared(event),
            Event::Outcome { .. } | Event::NodeFailed { .. } => {}
            _ => self.take_in_policy(event),
        }
    }

    fn take_in_declared(&mut self, event: &Event) {
        match event {
            Event::Declared { source, set } => {
                let old = self.sources.remove(source).map(|set| set.objects).unwrap_or_default();
                if let Some(set) = set {
                    let mut set = (**set).clone();
                    for (object, state) in &mut set.objects {
                        if let Some(known) = old.get(object) {
                            state.clone_from(known);
                        }
                    }
                    self.sources.insert(source.clone(), set);
                }
            }
            Event::DeclaredObject { source, object, state } => {
                let set = self.sources.get_mut(source);
                if let Some(known) = set.and_then(|set| set.objects.get_mut(object)) {
                    known.clone_from(state);
                }
            }
            _ => {}
        }
    }

    fn take_in_policy(&mut self, event: &Event) {
        match event {
            Event::ScalingPolicy { policy, .. } => {
                self.fresh.targets.insert(policy.target.clone());
                self.scaling.insert(policy.meta.key.clone(), (**policy).clone());
            }
            Event::HealingPolicy { policy, .. } => {
                self.healing.insert(policy.meta.key.clone(), (**policy).clone());
            }
            Event::NodePoolPolicy(policy) => {
                self.pools.insert(policy.meta.key.clone(), (**policy).clone());
            }
            Event::PolicyInvalid { key, .. } | Event::PolicyGone(key) => {
                if let Some(old) = self.scaling.remove(key) {
                    self.fresh.targets.insert(old.target);
                }
                self.healing.remove(key);
                self.pools.remove(key);
            }
            _ => {}
        }
    }

    /// What an answer tells of its object.
    pub fn answered(&mut self, action: &Action, outcome: &Outcome) {
        match (&action.what, outcome) {
            (Deed::Scale { target, uid, to, .. }, Outcome::Done) => self.found(target, uid, *to),
            (Deed::Scale { target, uid, .. }, Outcome::Conflict { found: Some(found), .. }) => {
                self.found(target, uid, *found);
            }
            (Deed::MarkNode { node, uid }, Outcome::Done) => {
                if let Some(node) = self.nodes.get_mut(node).filter(|n| n.uid == *uid && !n.is_marked()) {
                    node.taints.push(Taint {
                        key: REMOVAL_TAINT.into(),
                        value: String::new(),
                        effect: "NoSchedule".into(),
                    });
                }
            }
            (Deed::Restore { source, object, .. }, Outcome::Done) => {
                let set = self.sources.get_mut(source);
                if let Some(state) = set.and_then(|set| set.objects.get_mut(object)) {
                    *state = DeclaredState::InSync;
                }
            }
            _ => {}
        }
    }

    fn found(&mut self, target: &ObjectRef, uid: &crate::core::names::Uid, replicas: Replicas) {
        let known = self.targets.get_mut(target).and_then(Option::as_mut);
        if let Some(known) = known.filter(|known| known.uid == *uid) {
            known.replicas = replicas;
        }
        self.fresh.targets.insert(target.clone());
    }

    pub fn sees(&self, view: View) -> bool {
        self.views.get(&view) == Some(&ViewState::Current)
    }

    pub fn pod(&self, key: &ObjectKey) -> Option<&Pod> {
        self.pods.get(&key.namespace)?.get(&key.name)
    }

    pub fn pods_in(&self, namespace: &str) -> impl Iterator<Item = &Pod> {
        self.pods.get(namespace).into_iter().flat_map(BTreeMap::values)
    }

    pub fn all_pods(&self) -> impl Iterator<Item = &Pod> {
        self.pods.values().flat_map(BTreeMap::values)
    }

    pub fn meta(&self, key: &PolicyKey) -> Option<&Meta> {
        match key.kind {
            PolicyKind::ScalingPolicy => self.scaling.get(key).map(|p| &p.meta),
            PolicyKind::HealingPolicy => self.healing.get(key).map(|p| &p.meta),
            PolicyKind::NodePoolPolicy => self.pools.get(key).map(|p| &p.meta),
            _ => None,
        }
    }
}
