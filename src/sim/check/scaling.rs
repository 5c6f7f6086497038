//! Checks of scale actions, by an arithmetic of its own.

use super::demand::{Demand, Usable, as_scheduled, bounds, count_ready, demand, note_usable, up_to_step};
use super::picture::Picture;
use super::{Broken, Checker, Invariant};
use crate::core::event::Outcome;
use crate::core::names::{ObjectRef, Uid};
use crate::core::plan::{Action, Deed};
use crate::core::policy::{
    Direction, Idle, MetricTarget, Mode, RateKind, ScalingPolicy, ScalingRules, SelectPolicy, Trigger,
};
use crate::core::time::{Span, Time};
use crate::core::world::{Target, View};

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
    /// When the triggers last had values, since the operator began with the policy.
    usable: Usable,
    /// When something was last to do, or was not known, since the operator began with the policy.
    active: Option<Time>,
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
        let policy = &as_scheduled(now, policy);
        let current = target.replicas.get();
        note_usable(now, policy, target, seen, &mut self.usable);
        if self.is_switched_off(policy, target) {
            return;
        }
        let demand = demand(now, policy, target, seen, &self.usable);
        if demand.active != Some(false) {
            self.active = Some(now);
        }
        self.recommended.retain(|(at, ..)| now.since(*at) < LONGEST);
        if !self.begun {
            // Nothing shrinks or grows before a whole window has passed.
            self.recommended.push((now, current));
            self.begun = true;
        }
        let (min, max) = bounds(policy);
        // While nothing is to be done, or while what is wanted changes with the moment at which missing data
        // come, nothing is remembered.
        let rests = policy.idle.is_some() && demand.active != Some(true);
        let changes = policy.formula.is_some() || policy.triggers.iter().any(|t| t.on_missing.after().is_some());
        let unclear = demand.lacking && changes;
        if current > max || current < min || rests || unclear {
            return;
        }
        if let Some(recommended) = demand.wanted {
            self.recommended.push((now, recommended));
        }
    }

    /// Somebody else has set the target to zero.
    fn is_switched_off(&self, policy: &ScalingPolicy, target: &Target) -> bool {
        let own = self.written.as_ref().is_some_and(|(_, to)| *to == 0)
            || self.history.last().is_some_and(|(_, _, to)| *to == 0);
        let may_be_zero = policy.min.get() == 0 || policy.idle.is_some_and(|idle| idle.replicas.get() == 0);
        target.replicas.get() == 0 && !may_be_zero && !own
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
        let policy = &as_scheduled(now, policy);
        let (min, max) = bounds(policy);
        let least = policy.idle.map_or(min, |idle| min.min(idle.replicas.get()));
        if to < least || to > max {
            return Err((Invariant::WithinBounds, format!("{to} is not within {least} and {max}")));
        }
        if !to.is_multiple_of(policy.step) && to != least {
            return Err((Invariant::WholeSteps, format!("{to} is no multiple of {}", policy.step)));
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
        if from > max || (from < min && to == min && policy.idle.is_none_or(|idle| from > idle.replicas.get())) {
            return Ok(());
        }
        direction(policy, from, to)?;
        started(policy, live, &self.seen, (from, to))?;
        let demand = demand(now, policy, live, &self.seen, &scaler.usable);
        match policy.idle {
            Some(idle) if to < min || from <= idle.replicas.get() => {
                rested(now, (policy, idle), scaler, demand, (from, to))?;
            }
            // On the way to the idle size windows do not count.
            Some(idle) if to < from && rests(now, idle, scaler, demand) => {}
            _ => {
                by_data(policy, demand, (from, to))?;
                stabilized(now, policy, scaler, (from, to))?;
            }
        }
        within_rates(now, policy, scaler, (from, to))
    }
}

/// Nothing has been to do for long enough; what was so before a restart is not known here.
fn rests(now: Time, idle: Idle, scaler: &Scaler, demand: Demand) -> bool {
    demand.active == Some(false) && scaler.active.is_none_or(|at| now.since(at) >= idle.cooldown)
}

/// To the idle size, or away from it.
fn rested(
    now: Time,
    (policy, idle): (&ScalingPolicy, Idle),
    scaler: &Scaler,
    demand: Demand,
    (from, to): (u32, u32),
) -> Result<(), Broken> {
    let size = idle.replicas.get();
    if to <= size || to < from {
        if to < from && !demand.settled {
            return Err((Invariant::MissingDataHold, "not every trigger has complete data".into()));
        }
        if !rests(now, idle, scaler, demand) {
            let message = format!("something is to be done, or was within {}", idle.cooldown);
            return Err((Invariant::RestsOnlyWhenIdle, message));
        }
        return Ok(());
    }
    if demand.active != Some(true) {
        return Err((Invariant::RestsOnlyWhenIdle, "no trigger is active".into()));
    }
    let (min, _) = bounds(policy);
    let wanted = up_to_step(policy.step, demand.wanted.unwrap_or(0)) + slack(policy);
    if to > wanted.max(min).max(1) {
        return Err((Invariant::FollowsData, format!("the data ask for {wanted}")));
    }
    Ok(())
}

/// A rollout that cannot start is not scaled further.
fn started(policy: &ScalingPolicy, live: &Target, seen: &Picture, (from, to): (u32, u32)) -> Result<(), Broken> {
    let percent = u64::from(policy.behavior.min_ready_percent);
    let ready = u64::from(count_ready(policy, live, seen));
    if to > from && seen.sees(View::Pods) && ready * 100 < percent * u64::from(from) {
        let message = format!("{ready} pods are Ready of {from}, and {percent}% are needed");
        return Err((Invariant::WaitsForRollout, message));
    }
    Ok(())
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

fn by_data(policy: &ScalingPolicy, demand: Demand, (from, to): (u32, u32)) -> Result<(), Broken> {
    if to < from && !demand.settled {
        return Err((Invariant::MissingDataHold, "not every trigger has complete data".into()));
    }
    let slack = slack(policy);
    match demand.wanted {
        None => Err((Invariant::FollowsData, "the data ask for nothing".into())),
        Some(wanted) if to > from && to > up_to_step(policy.step, wanted) + slack => {
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
        let too_high = to > from && age < up && to > up_to_step(policy.step, *recommended) + slack;
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
    // A step is never split: one always passes.
    let step = policy.step;
    let one = if to > from {
        (from / step + 1) * step - from
    } else {
        from - from.saturating_sub(1) / step * step
    };
    let one = if step > 1 { i64::from(one) } else { 0 };
    if change > allowed.max(one) {
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
