//! How many replicas are wanted: hold, bounds, idle size, windows, rate limits, steps, in this order.

use super::combine::{Activity, Combined, activity, by_formula, combine};
use super::compat;
use super::limit::Limits;
use super::memory::Memory;
use super::pods;
use super::propose::Said;
use crate::core::guard::Safeguard;
use crate::core::policy::{Direction, Idle, ScalingPolicy};
use crate::core::quantity::Replicas;
use crate::core::reason::Reason;
use crate::core::state::State;
use crate::core::time::Time;
use crate::core::world::Target;

/// What was decided, before it is acted upon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Course {
    /// Replicas now.
    pub current: Replicas,
    /// What the triggers say.
    pub said: Vec<Said>,
    /// What they say together.
    pub combined: Combined,
    /// After stabilization.
    pub stabilized: Replicas,
    /// What is wanted.
    pub desired: Replicas,
    /// What changed the recommendation last: a window, a limit, a bound, missing data.
    pub limited_by: Option<Reason>,
    /// The policy's schedules whose windows are open.
    pub schedules: Vec<String>,
    /// Why the formula has no value.
    pub problem: Option<String>,
}

impl Course {
    /// Why the replicas change.
    pub fn reason(&self) -> Reason {
        match self.limited_by {
            Some(special @ (Reason::AboveMaximum | Reason::BelowMinimum | Reason::Held | Reason::Idle)) => special,
            _ if self.desired > self.current => Reason::ScaleUp,
            _ if self.desired < self.current => Reason::ScaleDown,
            _ => Reason::AsDesired,
        }
    }
}

/// What is wanted, and what changed the recommendation last.
#[derive(Clone, Copy, Debug)]
struct Verdict {
    stabilized: Replicas,
    desired: Replicas,
    limited_by: Option<Reason>,
}

impl Verdict {
    /// At once, past windows and rate limits.
    fn at_once(desired: Replicas, because: Reason) -> Self {
        Self {
            stabilized: desired,
            desired,
            limited_by: Some(because),
        }
    }
}

/// Decides; remembers the recommendation and whether there is anything to do.
pub(super) fn decide(state: &State, now: Time, memory: &mut Memory, target: &Target, said: Vec<Said>) -> Course {
    let current = target.replicas;
    let policy = &memory.policy;
    memory.windows.seed(now, current, &policy.behavior, policy.interval);
    let trusting = !state.guard.on(Safeguard::HoldOnMissingData);
    let (combined, problem) = match &policy.formula {
        Some(formula) if !trusting => {
            let ready = pods::own_pods(state, policy, target).map_or(current.get(), |own| pods::count_ready(&own));
            by_formula(formula, policy, &said, current, ready)
        }
        _ if policy.triggers.is_empty() => (Combined::Recommend(policy.min), None),
        _ => (combine(&said, current, trusting), None),
    };
    let activity = activity(&policy.triggers, &said);
    let idle = idle(policy);
    if idle.is_some() {
        memory.note_activity(now, activity);
    }
    let verdict = at_once(state, now, &memory.policy, current, idle)
        .or_else(|| idle.and_then(|idle| resting(state, now, memory, current, (idle, activity), combined)))
        .or_else(|| below_minimum(state, &memory.policy, current))
        .unwrap_or_else(|| by_load(state, now, memory, current, combined));
    let Verdict {
        stabilized,
        desired,
        limited_by,
    } = gated(state, &memory.policy, target, verdict);
    // What an unknown trigger keeps from leaving the idle size is held for want of data.
    let combined = match (combined, limited_by) {
        (Combined::Recommend(highest), Some(reason @ Reason::DataMissing)) => Combined::Hold {
            reason,
            highest: Some(highest),
        },
        (combined, _) => combined,
    };
    Course {
        current,
        said,
        combined,
        stabilized,
        desired,
        limited_by,
        schedules: Vec::new(),
        problem,
    }
}

/// Decides as the HPA does, unless somebody holds the replicas by hand.
pub(super) fn decide_as_hpa(state: &State, now: Time, memory: &mut Memory, target: &Target) -> Course {
    let course = compat::decide(state, now, memory, target);
    let held = memory.policy.hold.as_ref().filter(|hold| hold.holds(now));
    let verdict = match held {
        Some(hold) => Verdict::at_once(hold.replicas.unwrap_or(course.current), Reason::Held),
        None => Verdict {
            stabilized: course.stabilized,
            desired: course.desired,
            limited_by: course.limited_by,
        },
    };
    let verdict = gated(state, &memory.policy, target, verdict);
    Course {
        stabilized: verdict.stabilized,
        desired: verdict.desired,
        limited_by: verdict.limited_by,
        ..course
    }
}

/// The idle size. Where the lower bound is 0 there are no replicas while nothing is to be done, after the time in which
/// nothing scales down.
fn idle(policy: &ScalingPolicy) -> Option<Idle> {
    let implied = Idle {
        replicas: Replicas::ZERO,
        cooldown: policy.behavior.down.stabilization,
    };
    policy.idle.or((policy.min == Replicas::ZERO).then_some(implied))
}

/// The bounds while something is to be done, in whole steps. Schedules may leave no multiple between: then the highest below
/// counts, and at least one step, so that a small ceiling never means none.
fn bounds(policy: &ScalingPolicy, idle: Option<Idle>) -> (Replicas, Replicas) {
    let floor = if idle.is_some() {
        policy.min.max(Replicas::new(1))
    } else {
        policy.min
    };
    let max = Replicas::new((policy.max.get() / policy.step * policy.step).max(policy.step));
    (up_to_step(policy.step, floor).min(max), max)
}

fn up_to_step(step: u32, replicas: Replicas) -> Replicas {
    Replicas::new(replicas.get().div_ceil(step).saturating_mul(step))
}

/// What somebody set in the policy, and the upper bound, hold at once.
fn at_once(state: &State, now: Time, policy: &ScalingPolicy, current: Replicas, idle: Option<Idle>) -> Option<Verdict> {
    if let Some(hold) = policy.hold.as_ref().filter(|hold| hold.holds(now)) {
        return Some(Verdict::at_once(hold.replicas.unwrap_or(current), Reason::Held));
    }
    let (_, max) = bounds(policy, idle);
    (state.guard.on(Safeguard::ReplicaBounds) && current > max).then(|| Verdict::at_once(max, Reason::AboveMaximum))
}

/// So does the lower bound.
fn below_minimum(state: &State, policy: &ScalingPolicy, current: Replicas) -> Option<Verdict> {
    let (min, _) = bounds(policy, idle(policy));
    // From zero the load decides: where the lower bound is 0, it only means at least one.
    let breach = current < min && !(policy.min == Replicas::ZERO && current == Replicas::ZERO);
    (state.guard.on(Safeguard::ReplicaBounds) && breach).then(|| Verdict::at_once(min, Reason::BelowMinimum))
}

/// At the idle size, or on the way to it; `None` where the load decides.
fn resting(
    state: &State,
    now: Time,
    memory: &mut Memory,
    current: Replicas,
    (idle, activity): (Idle, Activity),
    combined: Combined,
) -> Option<Verdict> {
    let at_rest = current <= idle.replicas;
    let cooled = memory.last_active.is_some_and(|at| now.since(at) >= idle.cooldown);
    match activity {
        Activity::Active if at_rest => {
            // No window holds back the first replica; the recommendation is remembered all the same.
            let (min, max) = bounds(&memory.policy, Some(idle));
            let wanted = match combined {
                Combined::Recommend(n) => n,
                Combined::Hold { highest, .. } => highest.unwrap_or(min),
            };
            let wanted = up_to_step(memory.policy.step, wanted.max(min));
            remember(memory, now, current, wanted);
            Some(limited(state, now, memory, current, wanted, (idle.replicas, max)))
        }
        Activity::Inactive if at_rest && current == idle.replicas => Some(Verdict::at_once(current, Reason::Idle)),
        Activity::Inactive if at_rest || cooled => {
            let (_, max) = bounds(&memory.policy, Some(idle));
            let mut verdict = limited(state, now, memory, current, idle.replicas, (idle.replicas, max));
            verdict.limited_by = verdict.limited_by.or(Some(Reason::Idle));
            Some(verdict)
        }
        Activity::Unknown if at_rest => Some(Verdict::at_once(
            current,
            match combined {
                Combined::Hold { reason, .. } => reason,
                Combined::Recommend(_) => Reason::DataMissing,
            },
        )),
        _ => None,
    }
}

fn remember(memory: &mut Memory, now: Time, current: Replicas, wanted: Replicas) -> Replicas {
    let Memory { windows, policy, .. } = memory;
    windows.stabilize(now, current, wanted, &policy.behavior)
}

/// What the triggers ask for, within windows, rate limits and bounds.
fn by_load(state: &State, now: Time, memory: &mut Memory, current: Replicas, combined: Combined) -> Verdict {
    let recommended = match combined {
        Combined::Recommend(replicas) => in_steps(memory.policy.step, current, replicas),
        Combined::Hold { reason, .. } => return Verdict::at_once(current, reason),
    };
    let stabilized = if state.guard.on(Safeguard::RateLimits) {
        let counts = remember(memory, now, current, recommended);
        careful_step(memory.policy.step, current, counts)
    } else {
        recommended
    };
    let verdict = limited(
        state,
        now,
        memory,
        current,
        stabilized,
        bounds(&memory.policy, idle(&memory.policy)),
    );
    let window = if stabilized == recommended {
        None
    } else if recommended >= current {
        Some(Reason::ScaleUpStabilized)
    } else {
        Some(Reason::ScaleDownStabilized)
    };
    Verdict {
        limited_by: verdict.limited_by.or(window),
        ..verdict
    }
}

/// A recommendation in whole steps, rounded up, but never against its own direction.
fn in_steps(step: u32, current: Replicas, wanted: Replicas) -> Replicas {
    let rounded = up_to_step(step, wanted);
    if wanted < current {
        rounded.min(current)
    } else {
        rounded
    }
}

/// What counts of a window may be a size that somebody set to no whole step: then the next one towards the current size.
fn careful_step(step: u32, current: Replicas, counts: Replicas) -> Replicas {
    if counts > current {
        Replicas::new(counts.get() / step * step).max(current)
    } else {
        up_to_step(step, counts).min(current)
    }
}

/// Within rate limits and bounds. A step is never split: where a limit allows less than one, one passes.
fn limited(
    state: &State,
    now: Time,
    memory: &Memory,
    current: Replicas,
    wanted: Replicas,
    bounds: (Replicas, Replicas),
) -> Verdict {
    let policy = &memory.policy;
    let limits = Limits {
        bounds: state.guard.on(Safeguard::ReplicaBounds).then_some(bounds),
        rates: state
            .guard
            .on(Safeguard::RateLimits)
            .then_some((&policy.behavior.up, &policy.behavior.down)),
        history: &memory.history,
    };
    let (allowed, limit) = limits.apply(now, current, wanted);
    let (step, n) = (policy.step, current.get());
    let whole = if allowed > current && allowed < wanted {
        let down = allowed.get() / step * step;
        Replicas::new(down.max((n / step + 1) * step)).min(wanted)
    } else if allowed < current && allowed > wanted {
        let up = up_to_step(step, allowed).get();
        Replicas::new(up.min(n.saturating_sub(1) / step * step)).max(wanted)
    } else {
        allowed
    };
    Verdict {
        stabilized: wanted,
        desired: whole,
        limited_by: limit,
    }
}

/// What the policy forbids altogether: a direction, or scaling up while the pods that there are do not start.
fn gated(state: &State, policy: &ScalingPolicy, target: &Target, verdict: Verdict) -> Verdict {
    let current = target.replicas;
    let special = [Reason::AboveMaximum, Reason::BelowMinimum, Reason::Held];
    if verdict.limited_by.is_some_and(|reason| special.contains(&reason)) {
        return verdict;
    }
    let stay = |because| Verdict {
        desired: current,
        limited_by: Some(because),
        ..verdict
    };
    let forbidden = match policy.direction {
        Direction::Both => false,
        Direction::UpOnly => verdict.desired < current,
        Direction::DownOnly => verdict.desired > current,
    };
    if forbidden {
        return stay(Reason::DirectionForbidden);
    }
    let percent = u64::from(policy.behavior.min_ready_percent);
    if verdict.desired > current && percent > 0 {
        let ready = pods::own_pods(state, policy, target).map(|own| pods::count_ready(&own));
        // Where the pods are not seen, scaling up stays possible.
        if ready.is_ok_and(|ready| u64::from(ready) * 100 < percent * u64::from(current.get())) {
            return stay(Reason::RolloutNotReady);
        }
    }
    verdict
}
