//! Decides on one HealingPolicy: who is unwell, what is next for each, what stands in the way.

use std::collections::BTreeSet;

use super::detect::{self, track_crashes};
use super::diagnose::Census;
use super::drift::drifted;
use super::ladder::{self, Step, awaited_until};
use super::memory::Memory;
use super::report::{Findings, report};
use crate::core::engine::Draft;
use crate::core::guard::{self, Safeguard, Storm};
use crate::core::names::{ObjectRef, PolicyKey, Uid};
use crate::core::plan::Deed;
use crate::core::policy::{Cause, HealingRule, Mode, PodSymptom};
use crate::core::reason::Reason;
use crate::core::report::{Incident, IncidentPhase, Report};
use crate::core::state::State;
use crate::core::time::{Span, Time};
use crate::core::world::{Pod, View};

/// What is held back for a reason that has no time of its own is looked at again after this.
const LOOK_AGAIN: Span = Span::from_secs(30);

/// Something that is unwell, and what would be done about it.
struct Patient {
    /// Index of the rule.
    rule: usize,
    /// Rule and owner.
    id: String,
    owner: ObjectRef,
    object: ObjectRef,
    uid: Uid,
    since: Time,
    /// What is wrong, in words.
    symptom: String,
    reason: Reason,
    deed: Deed,
    /// Whether a remedy can help, by what is around it.
    diagnosis: Result<(), (Reason, String)>,
}

/// Decides on one policy.
pub fn evaluate(state: &mut State, now: Time, key: &PolicyKey, draft: &mut Draft) {
    let Some((key, mut memory)) = state.healing.remove_entry(key) else {
        return;
    };
    let mut findings = Findings {
        gate: gate(state, &memory),
        ..Findings::default()
    };
    if findings.gate.is_none() {
        let mut turn = Turn {
            now,
            draft,
            findings: &mut findings,
            wake: None,
            symptomatic: BTreeSet::new(),
        };
        turn.heal(state, &mut memory);
        turn.recover(state, &mut memory);
        if let Some(at) = turn.wake {
            state.wake(&key, at);
        }
    }
    memory.prune();
    draft.report(state, report(&memory, &findings), Report::eq);
    state.healing.insert(key, memory);
}

fn gate(state: &State, memory: &Memory) -> Option<(Reason, String)> {
    if memory.policy.meta.suspend && state.guard.on(Safeguard::Suspend) {
        return Some((Reason::Suspended, "spec.suspend is true: nothing is healed".into()));
    }
    // All policies, since what others have done counts in the namespace's budget.
    let blind = [View::Pods, View::Nodes, View::Policies]
        .into_iter()
        .find(|view| !state.world.sees(*view));
    blind.filter(|_| state.guard.on(Safeguard::CompleteView)).map(|view| {
        let message = format!("the operator does not see all {view} at the moment: nothing is healed until it does");
        (Reason::ViewIncomplete, message)
    })
}

/// One evaluation under way.
struct Turn<'a> {
    now: Time,
    draft: &'a mut Draft,
    findings: &'a mut Findings,
    wake: Option<Time>,
    /// Incidents whose symptom shows now, however short.
    symptomatic: BTreeSet<String>,
}

impl Turn<'_> {
    fn wake_at(&mut self, at: Time) {
        let at = at.max(self.now + Span::from_millis(1));
        self.wake = Some(self.wake.map_or(at, |old| old.min(at)));
    }

    fn heal(&mut self, state: &mut State, memory: &mut Memory) {
        let mut patients = self.pods(state, memory);
        patients.extend(self.objects(state, memory));
        // Who has been unwell for longest comes first; one patient an owner and rule.
        patients.sort_by(|a, b| (a.rule, a.since, &a.object).cmp(&(b.rule, b.since, &b.object)));
        let mut seen = BTreeSet::new();
        for patient in patients {
            if self.findings.unwell.is_none() {
                self.findings.unwell = Some(patient.symptom.clone());
            }
            if seen.insert(patient.id.clone()) {
                self.treat(state, memory, patient);
            }
        }
    }

    /// The selected pods that have been unwell for long enough.
    fn pods(&mut self, state: &State, memory: &mut Memory) -> Vec<Patient> {
        let Memory { policy, crashing, .. } = memory;
        let selected: Vec<&Pod> = state
            .world
            .pods_in(&policy.meta.key.namespace)
            .filter(|pod| !pod.is_finished() && pod.deleting.is_none() && policy.selector.matches(&pod.labels))
            .collect();
        if let Some(calm_at) = track_crashes(crashing, selected.iter().copied(), self.now) {
            self.wake_at(calm_at);
        }
        let mut census = None;
        let mut patients = Vec::new();
        for pod in selected {
            for (index, rule) in policy.rules.iter().enumerate() {
                let Cause::Pod(symptom) = rule.when else { continue };
                let Some(since) = detect::since(pod, symptom, crashing, self.now) else {
                    continue;
                };
                let id = incident_id(rule, &owner(pod));
                self.symptomatic.insert(id.clone());
                if self.now.since(since) < rule.lasting {
                    self.wake_at(since + rule.lasting);
                    continue;
                }
                let census = census.get_or_insert_with(|| Census::take(state, policy, self.now));
                patients.push(Patient {
                    rule: index,
                    id: id.clone(),
                    owner: owner(pod),
                    object: reference(pod),
                    uid: pod.uid.clone(),
                    since,
                    symptom: format!("pod {}: {}", pod.key.name, detect::in_words(pod, symptom)),
                    reason: match symptom {
                        PodSymptom::CrashLoopBackOff => Reason::CrashLooping,
                        PodSymptom::NotReady => Reason::NotReady,
                    },
                    deed: Deed::Evict {
                        pod: pod.key.clone(),
                        uid: pod.uid.clone(),
                        incident: id,
                    },
                    diagnosis: census.diagnose(state, policy, pod, self.now),
                });
                break;
            }
        }
        patients
    }

    /// Declared objects that have been missing or changed for long enough.
    fn objects(&mut self, state: &State, memory: &Memory) -> Vec<Patient> {
        let policy = &memory.policy;
        let rule = policy.rules.iter().enumerate().find(|(_, r)| r.when == Cause::Drift);
        let Some((index, rule)) = rule else { return Vec::new() };
        let mut patients = Vec::new();
        for found in drifted(state, |source, set| {
            source.namespace == policy.meta.key.namespace && !set.enforce && !set.suspend
        }) {
            let id = incident_id(rule, &found.object);
            self.symptomatic.insert(id.clone());
            if self.now.since(found.since) < rule.lasting {
                self.wake_at(found.since + rule.lasting);
                continue;
            }
            patients.push(Patient {
                rule: index,
                id,
                owner: found.object.clone(),
                uid: found.uid.clone().unwrap_or_default(),
                since: found.since,
                symptom: found.symptom.clone(),
                reason: found.reason,
                deed: found.deed(),
                object: found.object,
                diagnosis: Ok(()),
            });
        }
        patients
    }

    fn treat(&mut self, state: &mut State, memory: &mut Memory, patient: Patient) {
        let rule = memory.policy.rules[patient.rule].clone();
        let incident = memory.incidents.get(&patient.id);
        if incident.is_some_and(|i| i.phase == IncidentPhase::Intended) && state.guard.on(Safeguard::OneAtATime) {
            return;
        }
        let endless = !state.guard.on(Safeguard::AttemptLimit);
        let (remedy, attempt) = match ladder::next(&rule, incident, self.now, endless) {
            Step::Try(remedy, attempt) => (remedy.name.clone(), attempt),
            Step::Wait { until, remedy } => {
                self.wake_at(until);
                let message = format!("the effect of remedy {} is awaited until {until}", remedy.name);
                return self.refuse(memory, &patient, Reason::AwaitingOutcome, message);
            }
            Step::Exhausted => return self.give_up(memory, &patient, &rule),
        };
        if let Err((reason, message)) = self.obstacle(state, memory, &patient) {
            return self.refuse(memory, &patient, reason, message);
        }
        let message = format!(
            "{}, for {}: rule {}, remedy {remedy}, attempt {attempt} of {}",
            patient.symptom,
            self.now.since(patient.since),
            rule.name,
            ladder::total(&rule),
        );
        let meta = memory.policy.meta.clone();
        if meta.mode == Mode::DryRun {
            if memory.shown.insert(patient.id.clone()) {
                let why = (patient.reason, message);
                let _ = self.draft.act(state, &meta.key, meta.mode, patient.deed, why);
            }
            return;
        }
        let why = (patient.reason, message.clone());
        match self.draft.act(state, &meta.key, meta.mode, patient.deed.clone(), why) {
            Ok(_) => {
                guard::spend(state, &patient.object.namespace, self.now);
                memory.spent.push(self.now);
                self.intend(memory, patient, &rule, attempt, message);
            }
            Err(reason) => self.hold(reason, format!("{}: refused", patient.symptom)),
        }
    }

    /// What stands in the way of any remedy for this patient now.
    fn obstacle(&mut self, state: &State, memory: &mut Memory, patient: &Patient) -> Result<(), (Reason, String)> {
        if let Err(not_alone) = &patient.diagnosis {
            self.wake_at(self.look_again(state));
            return Err(not_alone.clone());
        }
        if let Some(delay) = memory.delays.get(&patient.id)
            && delay.retry_at > self.now
        {
            self.wake_at(delay.retry_at);
            let message = memory.incidents.get(&patient.id).map_or("", |i| i.message.as_str());
            return Err((Reason::Blocked, format!("{message}; next try at {}", delay.retry_at)));
        }
        if !state.guard.on(Safeguard::HealingBudget) {
            return Ok(());
        }
        let budget = memory.policy.budget;
        let under_way = memory
            .incidents
            .values()
            .filter(|i| i.id != patient.id && self.is_under_way(memory, i));
        let under_way = u32::try_from(under_way.count()).unwrap_or(u32::MAX);
        if under_way >= budget.in_flight {
            self.wake_at(self.now + LOOK_AGAIN);
            let message = format!(
                "{under_way} other remedies are under way, and budget.inFlight is {}",
                budget.in_flight
            );
            return Err((Reason::InFlightLimit, message));
        }
        let spent = memory.spent_in_hour(self.now);
        if spent >= budget.per_hour {
            let free_at = memory.hour_free_at(self.now);
            self.wake_at(free_at);
            let message = format!(
                "{spent} remedies within the last hour, and budget.perHour is {}; the next one is possible at {free_at}",
                budget.per_hour
            );
            return Err((Reason::BudgetExhausted, message));
        }
        guard::check_budget(state, &patient.object.namespace, self.now)
            .inspect_err(|_| self.wake_at(self.now + LOOK_AGAIN))
    }

    /// When to look again at what is held back, at the latest: a storm that settles has an end of its own.
    fn look_again(&self, state: &State) -> Time {
        let calm_at = match state.guard.storm {
            Storm::Settling { calm_since } => Some(calm_since + state.limits.storm_calm),
            Storm::Calm | Storm::Raging { .. } => None,
        };
        let again = self.now + LOOK_AGAIN;
        calm_at.filter(|at| *at > self.now).map_or(again, |at| at.min(again))
    }

    /// A remedy whose effect is awaited.
    fn is_under_way(&self, memory: &Memory, incident: &Incident) -> bool {
        let open = matches!(incident.phase, IncidentPhase::Intended | IncidentPhase::Acted);
        let rule = memory.policy.rules.iter().find(|r| r.name == incident.rule);
        let until = rule.and_then(|rule| awaited_until(rule, incident));
        open && until.is_some_and(|until| until > self.now)
    }

    /// Records the intent; it is stored in the policy's status before the act.
    fn intend(&mut self, memory: &mut Memory, patient: Patient, rule: &HealingRule, attempt: u32, message: String) {
        let incident = Incident {
            id: patient.id.clone(),
            rule: rule.name.clone(),
            owner: patient.owner,
            object: patient.object,
            uid: patient.uid,
            since: patient.since,
            attempts: attempt,
            last_attempt: Some(self.now),
            phase: IncidentPhase::Intended,
            message,
        };
        if let Some(until) = awaited_until(rule, &incident) {
            self.wake_at(until);
        }
        memory.incidents.insert(patient.id, incident);
    }

    fn give_up(&mut self, memory: &mut Memory, patient: &Patient, rule: &HealingRule) {
        let message = format!(
            "{}: every remedy of rule {} has been tried ({} attempts) and it is still so; a person has to look",
            patient.symptom,
            rule.name,
            ladder::total(rule)
        );
        if let Some(incident) = memory.incidents.get_mut(&patient.id)
            && incident.phase != IncidentPhase::GaveUp
        {
            incident.phase = IncidentPhase::GaveUp;
            incident.message.clone_from(&message);
        }
        self.refuse(memory, patient, Reason::LadderExhausted, message);
    }

    fn refuse(&mut self, memory: &Memory, patient: &Patient, reason: Reason, message: String) {
        let key = &memory.policy.meta.key;
        self.draft
            .refuse(key, &patient.object, patient.deed.verb(), reason, message.clone());
        if reason != Reason::AwaitingOutcome {
            self.hold(reason, message);
        }
    }

    fn hold(&mut self, reason: Reason, message: String) {
        self.findings.held.get_or_insert((reason, message));
    }

    /// Ends incidents whose owner is well again: no symptom, every pod Ready, and the last remedy had its time.
    fn recover(&mut self, state: &State, memory: &mut Memory) {
        let Memory {
            policy,
            incidents,
            delays,
            shown,
            ..
        } = memory;
        shown.retain(|id| self.symptomatic.contains(id));
        for incident in incidents.values_mut() {
            let done = matches!(incident.phase, IncidentPhase::Recovered | IncidentPhase::Intended);
            if done || self.symptomatic.contains(&incident.id) || is_starting(state, incident) {
                continue;
            }
            let rule = policy.rules.iter().find(|r| r.name == incident.rule);
            let acted = incident.phase == IncidentPhase::Acted;
            let until = rule.and_then(|rule| awaited_until(rule, incident));
            if let Some(until) = until.filter(|until| acted && *until > self.now) {
                self.wake_at(until);
                continue;
            }
            incident.phase = IncidentPhase::Recovered;
            incident.message = format!("{} is well again", incident.owner);
            delays.remove(&incident.id);
        }
    }
}

/// Some pod of the incident's owner is not Ready yet.
fn is_starting(state: &State, incident: &Incident) -> bool {
    let mut pods = state.world.pods_in(&incident.object.namespace);
    pods.any(|pod| !pod.is_finished() && pod.deleting.is_none() && !pod.is_ready() && owner(pod) == incident.owner)
}

/// What a pod's attempts are counted under: its controller, or itself.
fn owner(pod: &Pod) -> ObjectRef {
    match &pod.owner {
        Some(owner) => ObjectRef::new(&owner.api_version, &owner.kind, &pod.key.namespace, &owner.name),
        None => reference(pod),
    }
}

fn reference(pod: &Pod) -> ObjectRef {
    ObjectRef::new("v1", "Pod", &pod.key.namespace, &pod.key.name)
}

/// The same after a restart.
fn incident_id(rule: &HealingRule, owner: &ObjectRef) -> String {
    format!("{}/{}/{}", rule.name, owner.kind, owner.name)
}

/// Whether an active policy brings back what this source only reports.
pub(super) fn is_covered(state: &State, source: &PolicyKey) -> bool {
    state.healing.values().any(|memory| {
        let policy = &memory.policy;
        policy.meta.key.namespace == source.namespace
            && !policy.meta.suspend
            && policy.rules.iter().any(|r| r.when == Cause::Drift)
    })
}
