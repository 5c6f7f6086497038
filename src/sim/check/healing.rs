//! Checks of remedies: evictions and restores.

use std::collections::BTreeMap;

use super::picture::Picture;
use super::{Broken, Checker, Invariant};
use crate::core::event::Outcome;
use crate::core::names::{ActionId, ObjectRef, PolicyKey, PolicyKind, Uid};
use crate::core::plan::{Action, Deed, Plan};
use crate::core::policy::{Cause, HealingPolicy, HealingRule, Mode, PodSymptom};
use crate::core::report::{Detail, IncidentPhase};
use crate::core::time::{Span, Time};
use crate::core::world::{DeclaredState, Pod, PodPhase, Status};

/// A pod younger than this that is not Ready is starting.
const STARTING: Span = Span::from_mins(2);
/// The window of hourly budgets, and in which attempts are certainly remembered.
const HOUR: Span = Span::from_mins(60);
/// So many restores of one object within [`HEAT_WINDOW`] are a fight, and then there is a pause between two.
const FIGHT: usize = 5;
const HEAT_WINDOW: Span = Span::from_mins(10);
const PAUSE: Span = Span::from_secs(30);

/// What becomes of a remedy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// Decided; perhaps done.
    Open,
    /// Done: the API server says so.
    Done,
    /// The process that wanted it has ended.
    Lost,
}

/// A remedy that was decided.
#[derive(Clone, Debug)]
struct Remedy {
    id: ActionId,
    policy: PolicyKey,
    policy_uid: Uid,
    /// Rule and owner; the object where there is none.
    incident: String,
    object: ObjectRef,
    at: Time,
    wait: Span,
    fate: Fate,
    /// In which term of the operator.
    term: u32,
}

/// What is remembered of remedies, over restarts.
#[derive(Clone, Debug, Default)]
pub(super) struct Log {
    remedies: Vec<Remedy>,
    term: u32,
    /// When too much was unhealthy last.
    stormy: Option<Time>,
    /// When each declared object was brought back by its source, in this term.
    restored: BTreeMap<ObjectRef, Vec<Time>>,
}

impl Log {
    /// The process ends. Evictions under way may still be done and are known from the stored intents; restores are not.
    pub fn lost(&mut self) {
        self.remedies.retain(|r| r.object.kind == "Pod");
        for remedy in self.remedies.iter_mut().filter(|r| r.fate == Fate::Open) {
            remedy.fate = Fate::Lost;
        }
        self.term += 1;
        self.stormy = None;
        self.restored.clear();
    }

    pub fn decided(&mut self, now: Time, action: &Action, seen: &Picture) {
        let incident = match &action.what {
            Deed::Evict { incident, .. } => incident.clone(),
            Deed::Restore { object, .. } => object.to_string(),
            _ => return,
        };
        self.remedies.retain(|r| now.since(r.at) < HOUR.times(2));
        let policy = seen.healing.get(&action.policy);
        let wait = policy
            .and_then(|p| rule_of(p, &incident))
            .map_or(Span::ZERO, shortest_wait);
        self.remedies.push(Remedy {
            id: action.id.clone(),
            policy_uid: policy.map(|p| p.meta.uid.clone()).unwrap_or_default(),
            policy: action.policy.clone(),
            incident,
            object: action.what.subject(),
            at: now,
            wait,
            fate: Fate::Open,
            term: self.term,
        });
    }

    /// What the API server did.
    pub fn written(&mut self, id: &ActionId, outcome: &Outcome) {
        match outcome {
            Outcome::Done => {
                if let Some(remedy) = self.remedies.iter_mut().find(|r| r.id == *id) {
                    remedy.fate = Fate::Done;
                }
            }
            _ => self.remedies.retain(|r| r.id != *id),
        }
    }

    /// What the operator was told. Not done is not counted; not known is.
    pub fn answered(&mut self, id: &ActionId, outcome: &Outcome) {
        let index = self.remedies.iter().position(|r| r.id == *id);
        let Some(index) = index else { return };
        match outcome {
            Outcome::Done => {
                let remedy = &self.remedies[index];
                if remedy.policy.kind == PolicyKind::GitSource {
                    let (object, at) = (remedy.object.clone(), remedy.at);
                    self.restored.entry(object).or_default().push(at);
                }
            }
            Outcome::Unknown { .. } => {}
            _ if self.remedies[index].fate == Fate::Open => {
                self.remedies.remove(index);
            }
            _ => {}
        }
    }

    /// Whether too much is unhealthy at this moment.
    pub fn look(&mut self, now: Time, seen: &Picture) {
        let healed = seen
            .healing
            .keys()
            .any(|key| seen.fresh.namespaces.contains(&key.namespace));
        if (healed || seen.fresh.all() && !seen.healing.is_empty()) && is_stormy(now, seen) {
            self.stormy = Some(now);
        }
    }

    /// Whether healing in a namespace was never at the end of its budget within the last hours.
    pub fn had_budget(&self, now: Time, source: &PolicyKey, check: &Checker) -> bool {
        let spent = self.remedies.iter().filter(|r| r.object.namespace == source.namespace);
        let recent = spent.filter(|r| now.since(r.at) < HOUR.times(2)).count();
        recent < check.seen.limits.healing_per_window as usize
    }

    fn counted(&self) -> impl Iterator<Item = &Remedy> {
        self.remedies.iter().filter(|r| r.fate != Fate::Lost)
    }
}

fn rule_of<'a>(policy: &'a HealingPolicy, incident: &str) -> Option<&'a HealingRule> {
    let name = incident.split('/').next()?;
    policy.rules.iter().find(|rule| rule.name == name)
}

fn shortest_wait(rule: &HealingRule) -> Span {
    rule.remedies.iter().map(|r| r.wait).min().unwrap_or(Span::ZERO)
}

fn crash_loops(pod: &Pod) -> bool {
    let waits = |reason: &Option<String>| reason.as_deref() == Some("CrashLoopBackOff");
    pod.containers.iter().any(|c| waits(&c.waiting))
}

/// Since when it runs and is not Ready.
fn unready_since(pod: &Pod) -> Option<Time> {
    let ready = pod.ready.as_ref()?;
    (pod.phase == PodPhase::Running && ready.status == Status::False).then_some(ready.since)
}

fn is_unhealthy(pod: &Pod, now: Time) -> bool {
    crash_loops(pod) || (unready_since(pod).is_some() && now.since(pod.created) >= STARTING)
}

fn is_there(pod: &Pod) -> bool {
    pod.deleting.is_none() && !matches!(pod.phase, PodPhase::Succeeded | PodPhase::Failed)
}

fn is_stormy(now: Time, seen: &Picture) -> bool {
    let (mut all, mut bad) = (0_u64, 0_u64);
    for pod in seen.all_pods().filter(|p| is_there(p) && p.node.is_some()) {
        all += 1;
        bad += u64::from(is_unhealthy(pod, now));
    }
    let limits = &seen.limits;
    bad >= u64::from(limits.storm_at_least.max(1)) && bad * 100 > all * u64::from(limits.storm_share_percent)
}

impl Checker {
    pub(super) fn check_evict(&self, now: Time, action: &Action, plan: &Plan) -> Result<(), Broken> {
        let Deed::Evict { pod, uid, incident } = &action.what else {
            return Ok(());
        };
        let Some(live) = self.seen.pod(pod).filter(|p| p.uid == *uid && is_there(p)) else {
            return Err((Invariant::Preconditions, "the pod was not seen like that".into()));
        };
        let Some(policy) = self.seen.healing.get(&action.policy) else {
            return Err((Invariant::OnlyKnownPolicies, "the policy is not there".into()));
        };
        self.is_sick(now, policy, live)?;
        self.siblings(now, policy, live)?;
        let calm = self.seen.limits.storm_calm;
        if is_stormy(now, &self.seen) || self.healing.stormy.is_some_and(|at| now.since(at) < calm) {
            let message = format!("too much was unhealthy within the last {calm}");
            return Err((Invariant::StormsBrake, message));
        }
        if action.mode == Mode::DryRun {
            return Ok(());
        }
        self.ladder(now, policy, incident)?;
        self.budgets(now, policy, incident)?;
        let report = plan.reports.iter().find(|r| r.policy == action.policy);
        let recorded = report.is_some_and(|r| match &r.detail {
            Detail::Healing(detail) => detail
                .incidents
                .iter()
                .any(|i| i.uid == *uid && i.id == *incident && i.phase == IncidentPhase::Intended),
            _ => false,
        });
        if !recorded {
            return Err((Invariant::IntentRecorded, "no report of this plan says so".into()));
        }
        Ok(())
    }

    fn is_sick(&self, now: Time, policy: &HealingPolicy, pod: &Pod) -> Result<(), Broken> {
        let shows = |rule: &HealingRule| match rule.when {
            Cause::Pod(PodSymptom::CrashLoopBackOff) => crash_loops(pod),
            Cause::Pod(PodSymptom::NotReady) => unready_since(pod).is_some_and(|at| now.since(at) >= rule.lasting),
            Cause::Drift => false,
        };
        let node = pod.node.as_ref().and_then(|node| self.seen.nodes.get(node));
        let node_is_well = node.is_none_or(|n| n.ready.as_ref().is_some_and(|c| c.status == Status::True));
        let comes_back = pod.owner.as_ref().is_some_and(|owner| owner.kind != "Node");
        let selected = pod.key.namespace == policy.meta.key.namespace && policy.selector.matches(&pod.labels);
        if policy.rules.iter().any(shows) && node_is_well && comes_back && selected {
            return Ok(());
        }
        let message = format!("node well: {node_is_well}, comes back: {comes_back}, selected: {selected}, {pod:?}");
        Err((Invariant::OnlySickPodsGo, message))
    }

    fn siblings(&self, now: Time, policy: &HealingPolicy, pod: &Pod) -> Result<(), Broken> {
        let owner = |p: &Pod| p.owner.as_ref().map(|o| o.uid.clone());
        let (mut ready, mut bad, mut selected, mut all_bad) = (0_u32, 0_u32, 0_u32, 0_u32);
        for other in self.seen.pods_in(&pod.key.namespace).filter(|p| is_there(p)) {
            let unhealthy = is_unhealthy(other, now);
            if policy.selector.matches(&other.labels) {
                selected += 1;
                all_bad += u32::from(unhealthy);
            }
            let alike = owner(other) == owner(pod) && other.template_hash == pod.template_hash;
            if alike && other.uid != pod.uid {
                ready += u32::from(other.is_ready());
                bad += u32::from(unhealthy);
            }
        }
        if ready == 0 || bad >= ready {
            return Err((
                Invariant::SiblingsAreWell,
                format!("{ready} of its siblings are Ready and {bad} unhealthy"),
            ));
        }
        if all_bad > policy.budget.max_unhealthy.of(selected) {
            let message = format!("{all_bad} of {selected} selected pods are unhealthy");
            return Err((Invariant::MaxUnhealthy, message));
        }
        Ok(())
    }

    fn ladder(&self, now: Time, policy: &HealingPolicy, incident: &str) -> Result<(), Broken> {
        let Some(rule) = rule_of(policy, incident) else {
            return Err((Invariant::OnlySickPodsGo, format!("no rule for {incident}")));
        };
        let of_this = |r: &&Remedy| r.policy_uid == policy.meta.uid && r.incident == incident;
        let before: Vec<&Remedy> = self.healing.counted().filter(of_this).collect();
        if let Some(last) = before.iter().find(|r| now.since(r.at) < r.wait) {
            let message = format!("{} was decided {} ago", last.id, now.since(last.at));
            return Err((Invariant::EffectIsAwaited, message));
        }
        let allowed: u32 = rule.remedies.iter().map(|r| r.attempts).sum();
        let recent = before.iter().filter(|r| now.since(r.at) < HOUR).count();
        if recent >= allowed as usize {
            let message = format!("{recent} of {allowed} attempts were made within the hour");
            return Err((Invariant::AttemptsEnd, message));
        }
        Ok(())
    }

    fn budgets(&self, now: Time, policy: &HealingPolicy, incident: &str) -> Result<(), Broken> {
        let budget = &policy.budget;
        let own: Vec<&Remedy> = self
            .healing
            .counted()
            .filter(|r| r.policy_uid == policy.meta.uid)
            .collect();
        let under_way = own
            .iter()
            .filter(|r| r.incident != incident && now.since(r.at) < r.wait);
        let under_way = under_way.count();
        if under_way >= budget.in_flight as usize {
            let message = format!("{under_way} others are under way, of {}", budget.in_flight);
            return Err((Invariant::PolicyBudget, message));
        }
        let recent = own.iter().filter(|r| now.since(r.at) < HOUR).count();
        if recent >= budget.per_hour as usize {
            let message = format!("{recent} within the hour, of {}", budget.per_hour);
            return Err((Invariant::PolicyBudget, message));
        }
        self.namespace_budget(now, &policy.meta.key.namespace)
    }

    fn namespace_budget(&self, now: Time, namespace: &str) -> Result<(), Broken> {
        let limits = &self.seen.limits;
        // What a deleted policy did in an earlier term stands nowhere any more.
        let known = |r: &&Remedy| {
            let policy = self.seen.healing.get(&r.policy);
            r.term == self.healing.term || policy.is_some_and(|p| p.meta.uid == r.policy_uid)
        };
        let spent = self
            .healing
            .counted()
            .filter(known)
            .filter(|r| r.object.namespace == namespace && now.since(r.at) < limits.healing_window)
            .count();
        if spent >= limits.healing_per_window as usize {
            let message = format!("{spent} of {} in {namespace}", limits.healing_per_window);
            return Err((Invariant::NamespaceBudget, message));
        }
        Ok(())
    }

    pub(super) fn check_restore(&self, now: Time, action: &Action) -> Result<(), Broken> {
        let Deed::Restore {
            object,
            source,
            revision,
            uid,
        } = &action.what
        else {
            return Ok(());
        };
        let Some(set) = self.seen.sources.get(source) else {
            return Err((Invariant::CurrentRevision, format!("{source} is not there")));
        };
        if set.suspend {
            return Err((Invariant::SuspendedActsNot, format!("{source} is suspended")));
        }
        let live = match set.objects.get(object) {
            Some(DeclaredState::Missing { .. }) => None,
            Some(DeclaredState::Drifted { uid, .. }) => Some(uid.clone()),
            seen => {
                let message = format!("in {} it was seen as {seen:?}", set.revision);
                return Err((Invariant::CurrentRevision, message));
            }
        };
        if set.revision != *revision || live != *uid {
            let message = format!("it was seen as {live:?} in {}", set.revision);
            return Err((Invariant::CurrentRevision, message));
        }
        if action.mode == Mode::DryRun {
            return Ok(());
        }
        let times = self.healing.restored.get(object).into_iter().flatten();
        let recent: Vec<&Time> = times.filter(|at| now.since(**at) < HEAT_WINDOW).collect();
        let at_once = recent.last().is_some_and(|at| now.since(**at) < PAUSE);
        if action.policy.kind == PolicyKind::GitSource && recent.len() >= FIGHT && at_once {
            let message = format!("it was brought back {} times within {HEAT_WINDOW}", recent.len());
            return Err((Invariant::BacksOff, message));
        }
        self.namespace_budget(now, &object.namespace)
    }
}
