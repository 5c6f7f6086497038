//! Checks of scale actions, by an arithmetic of its own.

use super::picture::Picture;
use super::{Broken, Checker, Invariant};
use crate::core::event::Outcome;
use crate::core::names::{ObjectRef, Uid};
use crate::core::plan::{Action, Deed};
use crate::core::policy::{
    Direction, MetricTarget, Mode, RateKind, ScalingPolicy, ScalingRules, SelectPolicy, Trigger,
};
use crate::core::sample::Reading;
use crate::core::time::{Span, Time};
use crate::core::world::{Status, Target, View};

/// What was answered so shortly before a crash may not be in the status yet.
const MAY_BE_LOST: Span = Span::from_secs(5);
/// After so long the next write's precondition is the way to read the truth.
const PATIENCE: Span = Span::from_mins(2);
/// So many overwritten values within [`FIGHT_WITHIN`] are a fight.
const FIGHT: usize = 3;
const FIGHT_WITHIN: Span = Span::from_mins(5);
/// No window and no rate limit is longer.
const LONGEST: Span = Span::from_mins(60);

/// What is remembered of one policy's doings.
#[derive(Clone, Debug, Default)]
pub(super) struct Scaler {
    target: Option<ObjectRef>,
    /// Own changes that the operator knows to be done.
    history: Vec<(Time, u32, u32)>,
    /// Recommendations since the operator began with the policy.
    recommended: Vec<(Time, u32)>,
    begun: bool,
    /// What it wrote last, to which object.
    written: Option<(Uid, u32)>,
    /// When it replaced somebody else's value.
    overwrote: Vec<Time>,
    /// A change of which it is not known whether it was made.
    tried: Option<(Uid, Time, u32, u32)>,
    /// The target has not been seen since an unclear answer at this time.
    unsure: Option<Time>,
}

impl Scaler {
    pub fn lost(&mut self, now: Time) {
        self.history.retain(|(at, ..)| now.since(*at) >= MAY_BE_LOST);
        self.forget();
    }

    /// The operator begins anew with this policy; its own changes stand in the status.
    pub fn forget(&mut self) {
        let history = std::mem::take(&mut self.history);
        *self = Self {
            history,
            ..Self::default()
        };
    }

    pub fn seen(&mut self, object: &ObjectRef, target: Option<&Target>, _now: Time) {
        if self.target.as_ref() != Some(object) {
            return;
        }
        self.unsure = None;
        if let Some((uid, at, from, to)) = self.tried.clone()
            && let Some(target) = target.filter(|t| t.uid == uid && t.replicas.get() == to)
        {
            self.history.push((at, from, to));
            self.written = Some((target.uid.clone(), to));
            self.tried = None;
        }
        if target.is_none() {
            self.tried = None;
        }
    }

    pub fn answered(&mut self, now: Time, target: &ObjectRef, uid: &Uid, (from, to): (u32, u32), outcome: &Outcome) {
        self.target = Some(target.clone());
        match outcome {
            Outcome::Done => {
                if self.written.as_ref().is_some_and(|(u, last)| u == uid && *last != from) {
                    self.overwrote.push(now);
                }
                self.written = Some((uid.clone(), to));
                self.history.push((now, from, to));
                self.history.retain(|(at, ..)| now.since(*at) < LONGEST);
                self.tried = None;
            }
            Outcome::Unknown { .. } => {
                self.tried = Some((uid.clone(), now, from, to));
                self.unsure = Some(now);
                self.written = None;
            }
            Outcome::Conflict { found, .. } => {
                self.unsure = Some(now).filter(|_| found.is_none_or(|found| found.get() == from));
            }
            _ => {}
        }
    }

    /// Remembers what is recommended at this moment, if the policy decides now.
    pub fn look(&mut self, now: Time, policy: &ScalingPolicy, seen: &Picture) {
        self.target = Some(policy.target.clone());
        if may_decide(policy, seen).is_err() {
            return;
        }
        let Some(Some(target)) = seen.targets.get(&policy.target) else {
            return;
        };
        let current = target.replicas.get();
        if self.is_switched_off(policy, target) {
            return;
        }
        self.recommended.retain(|(at, ..)| now.since(*at) < LONGEST);
        if !self.begun {
            // Nothing shrinks or grows before a whole window has passed.
            self.recommended.push((now, current));
            self.begun = true;
        }
        if current > policy.max.get() || current < policy.min.get() {
            return;
        }
        if let Some(recommended) = recommendation(now, policy, target, seen).0 {
            self.recommended.push((now, recommended));
        }
    }

    /// Somebody else has set the target to zero.
    fn is_switched_off(&self, policy: &ScalingPolicy, target: &Target) -> bool {
        let own = self.written.as_ref().is_some_and(|(_, to)| *to == 0)
            || self.history.last().is_some_and(|(_, _, to)| *to == 0);
        target.replicas.get() == 0 && policy.min.get() > 0 && !own
    }
}

/// Whether a policy may decide at all, by what stands beside it.
fn may_decide(policy: &ScalingPolicy, seen: &Picture) -> Result<(), Broken> {
    let writes = |p: &ScalingPolicy| !p.meta.suspend && p.meta.mode == Mode::Enforce;
    if policy.meta.suspend {
        return Err((Invariant::SuspendedActsNot, String::new()));
    }
    if !seen.sees(View::Policies) {
        return Err((Invariant::WholePictureFirst, "not all policies are seen".into()));
    }
    let age = |p: &ScalingPolicy| (p.meta.created, p.meta.key.clone());
    let mut others = seen.scaling.values();
    if writes(policy)
        && let Some(older) = others.find(|p| p.target == policy.target && writes(p) && age(p) < age(policy))
    {
        return Err((Invariant::OlderPolicyActs, format!("{} is older", older.meta.key)));
    }
    if let Some(Some(target)) = seen.targets.get(&policy.target)
        && let Some(other) = &target.other_scaler
        && writes(policy)
    {
        return Err((Invariant::LeavesOthersTargets, format!("{other} scales it")));
    }
    Ok(())
}

/// What all triggers ask for together, and whether their data are complete.
fn recommendation(now: Time, policy: &ScalingPolicy, target: &Target, seen: &Picture) -> (Option<u32>, bool) {
    let current = target.replicas.get();
    let asked: Vec<Option<(u32, bool)>> = policy
        .triggers
        .iter()
        .map(|trigger| ask(now, trigger, policy, target, seen))
        .collect();
    let highest = asked.iter().flatten().map(|(wanted, _)| *wanted).max();
    let complete = asked.iter().all(|a| a.is_some_and(|(_, complete)| complete));
    (highest.filter(|h| complete || *h >= current), complete)
}

/// What one trigger asks for, and whether its data are complete.
fn ask(now: Time, trigger: &Trigger, policy: &ScalingPolicy, target: &Target, seen: &Picture) -> Option<(u32, bool)> {
    let (reading, told) = seen.samples.get(&trigger.query)?;
    let (value, sampled_at, complete) = match reading {
        Reading::Value { value, sampled_at, .. } => (value, sampled_at, true),
        Reading::Partial { value, sampled_at, .. } => (value, sampled_at, false),
        _ => return None,
    };
    let patience = trigger.max_age.max(policy.interval.times(3));
    if now.since(*sampled_at) > trigger.max_age || now.since(*told) > patience {
        return None;
    }
    let current = target.replicas.get();
    let value = value.thousandths().max(0);
    let (aim, base, per) = match trigger.target {
        MetricTarget::AverageValue(aim) => (aim.thousandths(), 1, current),
        MetricTarget::Value(aim) => {
            let ready = ready_pods(policy, target, seen)?;
            (aim.thousandths(), ready, 1)
        }
        MetricTarget::Utilization(percent) => {
            let ready = ready_pods(policy, target, seen)?;
            (i64::from(percent) * 10, ready, 1)
        }
    };
    let wanted = (i128::from(value) * i128::from(base.max(1)) + i128::from(aim) - 1) / i128::from(aim);
    let wanted = u32::try_from(wanted).unwrap_or(u32::MAX);
    if current == 0 {
        let wanted = (value + aim - 1) / aim;
        return Some((u32::try_from(wanted).unwrap_or(u32::MAX), complete));
    }
    let ratio = value as f64 / (aim as f64 * f64::from(per));
    let rules = &policy.behavior;
    let wanted = if ratio >= 1.0 - rules.down.tolerance && ratio <= 1.0 + rules.up.tolerance {
        current
    } else if ratio > 1.0 {
        wanted.max(current)
    } else {
        wanted.min(current)
    };
    Some((wanted, complete))
}

/// Ready pods of the target; `None` where there are none, or where not all pods are seen.
fn ready_pods(policy: &ScalingPolicy, target: &Target, seen: &Picture) -> Option<u32> {
    let pods = seen.pods_in(&policy.target.namespace);
    let ready = pods.filter(|pod| {
        target.selector.matches(&pod.labels)
            && pod.deleting.is_none()
            && pod.ready.as_ref().is_some_and(|c| c.status == Status::True)
    });
    let count = u32::try_from(ready.count()).unwrap_or(u32::MAX);
    (count > 0 && seen.sees(View::Pods)).then_some(count)
}

impl Checker {
    pub(super) fn check_scale(&self, now: Time, action: &Action) -> Result<(), Broken> {
        let Deed::Scale { target, uid, from, to } = &action.what else {
            return Ok(());
        };
        let (from, to) = (from.get(), to.get());
        let (Some(policy), Some(Some(live))) = (self.seen.scaling.get(&action.policy), self.seen.targets.get(target))
        else {
            return Err((Invariant::Preconditions, "its target has not been seen".into()));
        };
        may_decide(policy, &self.seen)?;
        if live.uid != *uid || live.replicas.get() != from {
            let message = format!("it was last seen as {} with {} replicas", live.uid, live.replicas);
            return Err((Invariant::Preconditions, message));
        }
        let (min, max) = (policy.min.get(), policy.max.get());
        if to < min || to > max {
            return Err((Invariant::WithinBounds, format!("{to} is not within {min} and {max}")));
        }
        if action.mode == Mode::DryRun {
            return Ok(());
        }
        let none = Scaler::default();
        let scaler = self.scalers.get(&action.policy).unwrap_or(&none);
        if scaler.unsure.is_some_and(|at| now.since(at) < PATIENCE) {
            let message = "the last answer was unclear and the target has not been seen since".into();
            return Err((Invariant::TruthIsReadAgain, message));
        }
        if scaler.is_switched_off(policy, live) {
            return Err((Invariant::LeavesOthersTargets, "somebody else set it to zero".into()));
        }
        let fought = scaler.overwrote.iter().filter(|at| now.since(**at) < FIGHT_WITHIN);
        if fought.count() >= FIGHT {
            let message = format!("within {FIGHT_WITHIN} it replaced somebody else's value {FIGHT} times");
            return Err((Invariant::BacksOff, message));
        }
        if from > max || from < min {
            return Ok(());
        }
        direction(policy, from, to)?;
        by_data(now, policy, live, &self.seen, (from, to))?;
        stabilized(now, policy, scaler, (from, to))?;
        within_rates(now, policy, scaler, (from, to))
    }
}

fn direction(policy: &ScalingPolicy, from: u32, to: u32) -> Result<(), Broken> {
    let against = match policy.direction {
        Direction::Both => false,
        Direction::UpOnly => to < from,
        Direction::DownOnly => to > from,
    };
    if against {
        return Err((Invariant::KeepsDirection, format!("{:?}", policy.direction)));
    }
    Ok(())
}

/// The two ways to compute with the Ready pods may differ by one.
fn slack(policy: &ScalingPolicy) -> u32 {
    let by_pods = |t: &Trigger| matches!(t.target, MetricTarget::Value(_));
    u32::from(policy.triggers.iter().any(by_pods))
}

fn by_data(
    now: Time,
    policy: &ScalingPolicy,
    live: &Target,
    seen: &Picture,
    (from, to): (u32, u32),
) -> Result<(), Broken> {
    let (recommended, complete) = recommendation(now, policy, live, seen);
    if to < from && !complete {
        return Err((Invariant::MissingDataHold, "not every trigger has complete data".into()));
    }
    let slack = slack(policy);
    match recommended {
        None => Err((Invariant::FollowsData, "the data ask for nothing".into())),
        Some(wanted) if to > from && to > wanted + slack => {
            Err((Invariant::FollowsData, format!("the data ask for {wanted}")))
        }
        Some(wanted) if to < from && to + slack < wanted => {
            Err((Invariant::FollowsData, format!("the data ask for {wanted}")))
        }
        Some(_) => Ok(()),
    }
}

fn stabilized(now: Time, policy: &ScalingPolicy, scaler: &Scaler, (from, to): (u32, u32)) -> Result<(), Broken> {
    let (up, down) = (policy.behavior.up.stabilization, policy.behavior.down.stabilization);
    let slack = slack(policy);
    for (at, recommended) in &scaler.recommended {
        let age = now.since(*at);
        let too_low = to < from && age < down && to + slack < *recommended;
        let too_high = to > from && age < up && to > *recommended + slack;
        if too_low || too_high {
            return Err((
                Invariant::Stabilized,
                format!("{age} ago {recommended} was recommended"),
            ));
        }
    }
    Ok(())
}

fn within_rates(now: Time, policy: &ScalingPolicy, scaler: &Scaler, (from, to): (u32, u32)) -> Result<(), Broken> {
    let rules = if to > from {
        &policy.behavior.up
    } else {
        &policy.behavior.down
    };
    let change = i64::from(from.abs_diff(to));
    let allowed = allowed(now, rules, scaler, from, to > from);
    if change > allowed.max(0) {
        return Err((
            Invariant::WithinRates,
            format!("only {allowed} are allowed now ({rules:?})"),
        ));
    }
    Ok(())
}

/// How many replicas may be added (or taken) now. Zero replicas can always become one.
fn allowed(now: Time, rules: &ScalingRules, scaler: &Scaler, current: u32, up: bool) -> i64 {
    let limits = rules.policies.iter().map(|rate| {
        let recent = scaler.history.iter().filter(|(at, ..)| now.since(*at) < rate.period);
        let net: i64 = recent.map(|(_, from, to)| i64::from(*to) - i64::from(*from)).sum();
        let start = i64::from(current) - net;
        let step = match rate.kind {
            RateKind::Pods => i64::from(rate.value),
            // Rounded away from the start; the float that the HPA computes with may give one more.
            RateKind::Percent => (start * i64::from(rate.value) + 99).div_euclid(100) + 1,
        };
        if up {
            start + step - i64::from(current)
        } else {
            i64::from(current) - (start - step)
        }
    });
    let floor = i64::from(up && current == 0);
    match rules.select {
        SelectPolicy::Disabled => 0,
        SelectPolicy::Max => limits.max().unwrap_or(0).max(floor),
        SelectPolicy::Min => limits.min().unwrap_or(0).max(floor),
    }
}
