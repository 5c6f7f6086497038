//! Troubles begin, go on and end.

use super::{Happening, Sim};
use crate::core::names::{ObjectRef, PolicyKey, Uid};
use crate::core::policy::Mode;
use crate::core::quantity::Replicas;
use crate::core::time::Span;
use crate::sim::cluster::{Illness, PodId, WorkloadId};
use crate::sim::policies::Spec;
use crate::sim::scenario::{START, What};
use crate::sim::wires::Wire;

impl Sim<'_> {
    pub(super) fn trouble(&mut self, index: usize) {
        let scenario = self.scenario;
        let trouble = &scenario.troubles[index];
        self.stats.troubles += 1;
        self.story
            .line(self.now, || format!("TROUBLE {}", scenario.in_words(trouble)));
        match &trouble.what {
            What::Crash { .. }
            | What::Unready { .. }
            | What::Storm { .. }
            | What::BadRollout(_)
            | What::NodeDown(_)
            | What::OwnUnready
            | What::ProviderFails
            | What::IntruderOnMarked => self.cluster_trouble(index, &trouble.what),
            What::Metrics(question, how) => self.metrics.break_down(index, *question, *how, self.now),
            What::Surge(question, percent) => self.metrics.factors[*question] = f64::from(*percent) / 100.0,
            What::ApiDown
            | What::WatchBroken(_)
            | What::WatchLag(..)
            | What::SlowWrites(_)
            | What::OddAnswers(_)
            | What::Restart
            | What::LeaderChange => self.edge_trouble(&trouble.what, trouble.lasts),
            What::Drift(..) | What::DriftFight(..) | What::NewRevision(..) | What::SuspendSource(_) => {
                self.source_trouble(&trouble.what, trouble.lasts);
            }
            _ => self.people(index, &trouble.what),
        }
        if trouble.lasts > Span::ZERO && trouble.what != What::Restart {
            self.later(trouble.lasts, Happening::TroubleEnds(index));
        }
    }

    fn cluster_trouble(&mut self, index: usize, what: &What) {
        let now = self.now;
        match what {
            What::Crash {
                workload,
                pods,
                inherited,
            } => {
                self.cluster.workloads[*workload].cursed = *inherited;
                self.afflict(index, &[*workload], *pods as usize, Illness::Crashes);
            }
            What::Unready { workload, pods } => self.afflict(index, &[*workload], *pods as usize, Illness::Unready),
            What::Storm { percent } => {
                let all: Vec<WorkloadId> = (2..self.cluster.workloads.len()).collect();
                let count = self.cluster.pod_count() * *percent as usize / 100;
                self.afflict(index, &all, count, Illness::Unready);
            }
            What::OwnUnready => {
                let id = self.cluster.pods.iter().position(|p| {
                    let key = p.as_ref().map(|p| &p.pod.key);
                    key == Some(&self.operator.own)
                });
                if let Some(id) = id {
                    self.afflicted.insert(index, vec![id]);
                    self.cluster.set_illness(now, id, Illness::Unready);
                }
            }
            What::BadRollout(workload) => self.cluster.roll_out(now, *workload, true),
            What::NodeDown(node) => self.cluster.node_down(now, &format!("n{node}")),
            What::ProviderFails => self.cluster.provider_fails = true,
            What::IntruderOnMarked => self.cluster.intrude(now),
            _ => {}
        }
    }

    /// Some Ready pods of these workloads fall ill.
    fn afflict(&mut self, index: usize, workloads: &[WorkloadId], count: usize, illness: Illness) {
        let mut random = self.random.fork(&format!("afflict {index}"));
        let pods = workloads.iter().flat_map(|w| &self.cluster.workloads[*w].pods);
        let mut well: Vec<PodId> = pods
            .copied()
            .filter(|id| self.cluster.pod(*id).is_some_and(|p| p.pod.is_ready()))
            .collect();
        let mut chosen = Vec::new();
        while chosen.len() < count && !well.is_empty() {
            let place = random.index(well.len());
            chosen.push(well.swap_remove(place));
        }
        for id in &chosen {
            self.cluster.set_illness(self.now, *id, illness);
        }
        self.afflicted.insert(index, chosen);
    }

    fn edge_trouble(&mut self, what: &What, lasts: Span) {
        match what {
            What::ApiDown => {
                self.api_down += 1;
                for wire in Wire::ALL {
                    self.break_wire(wire);
                }
            }
            What::WatchBroken(wire) => self.break_wire(*wire),
            What::WatchLag(wire, lag) => self.wires.line_mut(*wire).lag = *lag,
            What::SlowWrites(by) => self.slow = *by,
            What::OddAnswers(odd) => self.odd.extend(odd),
            _ => {
                let term = self.operator.term + 1;
                let down = if *what == What::Restart {
                    lasts
                } else {
                    Span::from_secs(2)
                };
                self.operator.up = false;
                self.operator.next_step = None;
                self.check.lost(self.now);
                self.later(down, Happening::Begin(term));
            }
        }
    }

    fn break_wire(&mut self, wire: Wire) {
        self.wires.line_mut(wire).faults += 1;
        self.cut(wire);
    }

    fn mend_wire(&mut self, wire: Wire) {
        let line = self.wires.line_mut(wire);
        line.faults = line.faults.saturating_sub(1);
        let after = self.millis(200, 3000);
        self.later(after, Happening::Connect(wire, self.operator.term));
    }

    fn source_trouble(&mut self, what: &What, lasts: Span) {
        match what {
            What::Drift(source, object, missing) => self.disturb(*source, object, *missing, "kubectl-edit"),
            What::DriftFight(source, object) => {
                let until = self.now + lasts;
                self.sources[*source].fights.insert(object.clone(), until);
                self.disturb(*source, object, false, "other-controller");
            }
            What::NewRevision(source, object) => self.revise(*source, object),
            What::SuspendSource(source) => {
                self.sources[*source].set.suspend = true;
                self.watch(self.sources[*source].event());
            }
            _ => {}
        }
    }

    pub(super) fn disturb(&mut self, source: usize, object: &ObjectRef, missing: bool, writer: &str) {
        self.sources[source].disturb(object, self.now, missing, writer);
        if let Some(event) = self.sources[source].object_event(object) {
            self.watch(event);
        }
    }

    /// A new revision; an object that it leaves out is deleted, and a watch tells of that late.
    fn revise(&mut self, source: usize, object: &ObjectRef) {
        self.sources[source].new_revision(object);
        self.watch(self.sources[source].event());
        if !self.sources[source].set.objects.contains_key(object) {
            let since = self.now;
            self.watch(crate::core::event::Event::DeclaredObject {
                source: self.sources[source].key.clone(),
                object: object.clone(),
                state: crate::core::world::DeclaredState::Missing { since },
            });
        }
    }

    fn people(&mut self, index: usize, what: &What) {
        let now = self.now;
        match what {
            What::SetReplicas(workload, to) => self.cluster.set_replicas(now, *workload, *to, "kubectl-scale"),
            What::Fight(..) => self.trouble_again(index),
            What::TargetDeleted(workload) => self.cluster.set_exists(now, *workload, false),
            What::OtherScaler(workload) => {
                let name = format!("HorizontalPodAutoscaler {}", self.scenario.workload(*workload));
                self.cluster.set_other_scaler(*workload, Some(name));
            }
            What::Suspend(key) => self.edit(key, |spec| spec.meta_mut().suspend = true),
            What::DryRun(key) => self.edit(key, |spec| spec.meta_mut().mode = Mode::DryRun),
            What::Bounds(key, min, max) => self.edit(key, |spec| set_bounds(spec, *min, *max)),
            What::PolicyDeleted(key) => {
                self.policies.all.remove(key);
                self.tell_policy(key);
            }
            What::Duplicate(key, older) => {
                let Some(Spec::Scaling(original)) = self.spec(key) else {
                    return;
                };
                let mut copy = original.clone();
                copy.meta.key.name = copy_name(key);
                copy.meta.uid = Uid(format!("{}-{index}", copy.meta.key));
                copy.meta.created = if *older { START - Span::from_mins(60) } else { now };
                copy.min = Replicas::new(original.max.get() / 2);
                let key = self.policies.apply(Spec::Scaling(copy));
                self.tell_policy(&key);
            }
            What::Invalid(key) => {
                if let Some(stored) = self.policies.all.get_mut(key) {
                    stored.spec.meta_mut().generation += 1;
                    stored.invalid = Some("spec.remedies[0]: unknown action `reboot`".into());
                }
                self.tell_policy(key);
            }
            _ => {}
        }
    }

    /// A trouble that repeats itself.
    pub(super) fn trouble_again(&mut self, index: usize) {
        let trouble = &self.scenario.troubles[index];
        let What::Fight(workload, every) = &trouble.what else {
            return;
        };
        if self.now < START + trouble.at + trouble.lasts {
            let replicas = self.scenario.workloads[*workload].replicas;
            self.cluster
                .set_replicas(self.now, *workload, replicas, "argocd-controller");
            self.later(*every, Happening::TroubleAgain(index));
        }
    }

    pub(super) fn trouble_ends(&mut self, index: usize) {
        let scenario = self.scenario;
        let trouble = &scenario.troubles[index];
        let now = self.now;
        self.story.line(now, || format!("over: {}", scenario.in_words(trouble)));
        for id in self.afflicted.remove(&index).unwrap_or_default() {
            self.cluster.set_illness(now, id, Illness::None);
        }
        match &trouble.what {
            What::Crash { workload, .. } => {
                self.cluster.workloads[*workload].cursed = 0;
                let pods = self.cluster.workloads[*workload].pods.clone();
                for id in pods {
                    self.cluster.set_illness(now, id, Illness::None);
                }
            }
            What::BadRollout(workload) => self.cluster.roll_out(now, *workload, false),
            What::NodeDown(node) => self.cluster.node_ready(now, &format!("n{node}")),
            What::ProviderFails => self.cluster.provider_fails = false,
            What::Metrics(..) => self.metrics.repair(index),
            What::Surge(question, _) => self.metrics.factors[*question] = 1.0,
            What::ApiDown => {
                self.api_down = self.api_down.saturating_sub(1);
                for wire in Wire::ALL {
                    self.mend_wire(wire);
                }
            }
            What::WatchBroken(wire) => self.mend_wire(*wire),
            What::WatchLag(wire, _) => self.wires.line_mut(*wire).lag = Span::ZERO,
            What::SlowWrites(_) => self.slow = Span::ZERO,
            What::SuspendSource(source) => {
                self.sources[*source].set.suspend = false;
                self.watch(self.sources[*source].event());
            }
            What::NewRevision(source, object) => {
                if !self.sources[*source].set.objects.contains_key(object) {
                    self.revise(*source, object);
                }
            }
            what => self.people_stop(what),
        }
    }

    fn people_stop(&mut self, what: &What) {
        let now = self.now;
        match what {
            What::TargetDeleted(workload) => self.cluster.set_exists(now, *workload, true),
            What::OtherScaler(workload) => self.cluster.set_other_scaler(*workload, None),
            What::Suspend(key) => self.edit(key, |spec| spec.meta_mut().suspend = false),
            What::DryRun(key) => self.edit(key, |spec| spec.meta_mut().mode = Mode::Enforce),
            What::Bounds(key, ..) => {
                let original = self.scenario.policies.iter().find(|s| s.meta().key == *key);
                if let Some(Spec::Scaling(policy)) = original {
                    let (min, max) = (policy.min.get(), policy.max.get());
                    self.edit(key, |spec| set_bounds(spec, min, max));
                }
            }
            What::PolicyDeleted(key) => {
                let original = self.scenario.policies.iter().find(|s| s.meta().key == *key);
                if let (Some(spec), None) = (original, self.spec(key)) {
                    let key = self.policies.make_again(spec.clone(), now);
                    self.tell_policy(&key);
                }
            }
            What::Duplicate(key, _) => {
                let copy = PolicyKey::new(key.kind, &key.namespace, copy_name(key));
                self.policies.all.remove(&copy);
                self.tell_policy(&copy);
            }
            What::Invalid(key) => self.edit(key, |_| {}),
            _ => {}
        }
    }

    /// Somebody edits a policy.
    fn edit(&mut self, key: &PolicyKey, edit: impl FnOnce(&mut Spec)) {
        if let Some(mut spec) = self.spec(key).cloned() {
            edit(&mut spec);
            self.policies.apply(spec);
            self.tell_policy(key);
        }
    }

    fn tell_policy(&mut self, key: &PolicyKey) {
        let event = self.policies.event(key);
        self.watch(event);
    }
}

fn copy_name(key: &PolicyKey) -> String {
    format!("{}-copy", key.name)
}

fn set_bounds(spec: &mut Spec, min: u32, max: u32) {
    if let Spec::Scaling(policy) = spec {
        policy.min = Replicas::new(min);
        policy.max = Replicas::new(max);
    }
}
