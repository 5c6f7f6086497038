//! What the triggers of a policy ask for, by an arithmetic of its own: values, what counts where they are missing, formulas,
//! schedules, and whether there is anything to do.

use std::collections::BTreeMap;

use super::picture::Picture;
use crate::core::policy::{Fallback, MetricTarget, OnMissing, ScalingPolicy, Trigger};
use crate::core::quantity::Replicas;
use crate::core::sample::Reading;
use crate::core::time::Time;
use crate::core::world::{Status, Target, View};

/// Trigger → when it last had a value that can be used.
pub(super) type Usable = BTreeMap<String, Time>;

/// What one trigger says.
#[derive(Clone, Copy, Debug)]
struct Word {
    /// What it asks for.
    wants: Option<u32>,
    /// Nothing of its data is missing, or the policy said what counts then and it may count by now.
    settled: bool,
    /// It has no complete value.
    lacking: bool,
    /// There is something to do; `None`: it does not know.
    active: Option<bool>,
}

/// What all triggers together ask for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Demand {
    /// So many; `None`: nothing can be said.
    pub wanted: Option<u32>,
    /// Scaling down is allowed by the data.
    pub settled: bool,
    /// Some value is missing, so that what counts may be one or the other.
    pub lacking: bool,
    /// Some trigger certainly has something to do; or every one knows that there is nothing, or what counts in its place says
    /// so; `None`: neither.
    pub active: Option<bool>,
}

/// The policy with the bounds of the schedules whose windows are open.
pub(super) fn as_scheduled(now: Time, policy: &ScalingPolicy) -> ScalingPolicy {
    let mut changed = policy.clone();
    for schedule in policy.schedules.iter().filter(|s| s.window.active(now).is_some()) {
        changed.min = schedule.min.unwrap_or(changed.min);
        changed.max = schedule.max.unwrap_or(changed.max);
    }
    changed.min = changed.min.min(changed.max);
    changed
}

/// The bounds in whole steps, while something is to be done. Where no multiple lies between, the highest below counts, and at
/// least one step.
pub(super) fn bounds(policy: &ScalingPolicy) -> (u32, u32) {
    let step = policy.step;
    let high = (policy.max.get() / step * step).max(step);
    (up_to_step(step, policy.min.get()).min(high), high)
}

pub(super) fn up_to_step(step: u32, replicas: u32) -> u32 {
    replicas.div_ceil(step).saturating_mul(step)
}

/// Which triggers have a usable value now.
pub(super) fn note_usable(now: Time, policy: &ScalingPolicy, target: &Target, seen: &Picture, usable: &mut Usable) {
    for trigger in &policy.triggers {
        if ask(now, trigger, policy, target, seen).is_some() {
            usable.insert(trigger.name.clone(), now);
        }
    }
}

pub(super) fn demand(now: Time, policy: &ScalingPolicy, target: &Target, seen: &Picture, usable: &Usable) -> Demand {
    let words: Vec<Word> = policy
        .triggers
        .iter()
        .map(|trigger| word(now, trigger, policy, target, seen, usable))
        .collect();
    let settled = words.iter().all(|w| w.settled);
    let current = target.replicas.get();
    let (wanted, settled) = match &policy.formula {
        Some(formula) => by_formula(formula.as_str(), &words),
        None => (words.iter().filter_map(|w| w.wants).max(), settled),
    };
    Demand {
        wanted: wanted.filter(|wanted| settled || *wanted >= current),
        settled,
        lacking: words.iter().any(|w| w.lacking),
        active: if words.iter().any(|w| w.active == Some(true)) {
            Some(true)
        } else {
            let all_know = words.iter().all(|w| w.settled) && words.iter().any(|w| w.active == Some(false));
            all_know.then_some(false)
        },
    }
}

/// The formulas that stories know. A value that may be incomplete never lowers; what the formula says of a missing one counts.
fn by_formula(formula: &str, words: &[Word]) -> (Option<u32>, bool) {
    let of = |n: usize| words.get(n).and_then(|w| w.wants);
    let wanted = match formula {
        "max(t0, 3)" => of(0).map(|n| n.max(3)),
        "max(t0.orValue(2), 3)" => Some(of(0).unwrap_or(2).max(3)),
        "max(t0, t1)" => of(0).zip(of(1)).map(|(a, b)| a.max(b)),
        "max(t0.orValue(4), t1)" => of(1).map(|n| n.max(of(0).unwrap_or(4))),
        _ => None,
    };
    let partial = words.iter().any(|w| w.lacking && w.wants.is_some());
    (wanted, wanted.is_some() && !partial)
}

fn word(
    now: Time,
    trigger: &Trigger,
    policy: &ScalingPolicy,
    target: &Target,
    seen: &Picture,
    usable: &Usable,
) -> Word {
    let current = target.replicas.get();
    if let Some((wants, complete, value)) = ask(now, trigger, policy, target, seen) {
        return Word {
            wants: Some(wants),
            settled: complete,
            lacking: !complete,
            active: Some(value > trigger.activation.thousandths()),
        };
    }
    let (after, size) = match trigger.on_missing {
        OnMissing::Hold => (None, None),
        OnMissing::Ignore { after } => (Some(after), None),
        OnMissing::Zero { after } => (Some(after), Some(0)),
        OnMissing::Fallback {
            replicas,
            against,
            after,
        } => (Some(after), Some(fallback(against, replicas, current))),
    };
    let due = after.is_some_and(|after| {
        let patience = policy.interval.times(i64::from(after) - 1);
        usable
            .get(&trigger.name)
            .is_none_or(|last| now.since(*last) >= patience)
    });
    Word {
        wants: size.filter(|_| due),
        settled: due,
        lacking: true,
        active: size.filter(|_| due).map(|size| size > 0),
    }
}

fn fallback(against: Fallback, replicas: Replicas, current: u32) -> u32 {
    let replicas = replicas.get();
    match against {
        Fallback::Static => replicas,
        Fallback::CurrentReplicas => current,
        Fallback::CurrentReplicasIfHigher => current.max(replicas),
        Fallback::CurrentReplicasIfLower => current.min(replicas),
    }
}

/// What one trigger asks for, whether its data are complete, and its value in thousandths.
fn ask(
    now: Time,
    trigger: &Trigger,
    policy: &ScalingPolicy,
    target: &Target,
    seen: &Picture,
) -> Option<(u32, bool, i64)> {
    let (reading, told) = seen.samples.get(&trigger.query)?;
    let (value, sampled_at, complete) = match reading {
        Reading::Value {
            value,
            sampled_at,
            contributors,
        } => (value, sampled_at, contributors.is_none_or(|from| from.down == 0)),
        Reading::Partial { value, sampled_at, .. } => (value, sampled_at, false),
        _ => return None,
    };
    let patience = trigger.max_age.max(policy.interval.times(3));
    if now.since(*sampled_at) > trigger.max_age || now.since(*told) > patience {
        return None;
    }
    let current = target.replicas.get();
    let value = value.thousandths().max(0);
    if current == 0 {
        let aim = match trigger.target {
            MetricTarget::AverageValue(aim) | MetricTarget::Value(aim) => aim.thousandths(),
            MetricTarget::Utilization(percent) => i64::from(percent) * 10,
        };
        let wanted = u32::try_from((value + aim - 1) / aim).unwrap_or(u32::MAX);
        return Some((wanted, complete, value));
    }
    let (aim, base, per) = match trigger.target {
        MetricTarget::AverageValue(aim) => (aim.thousandths(), 1, current),
        MetricTarget::Value(aim) => (aim.thousandths(), ready_pods(policy, target, seen)?, 1),
        MetricTarget::Utilization(percent) => (i64::from(percent) * 10, ready_pods(policy, target, seen)?, 1),
    };
    let wanted = (i128::from(value) * i128::from(base.max(1)) + i128::from(aim) - 1) / i128::from(aim);
    let wanted = u32::try_from(wanted).unwrap_or(u32::MAX);
    let ratio = value as f64 / (aim as f64 * f64::from(per));
    let rules = &policy.behavior;
    let wanted = if ratio >= 1.0 - rules.down.tolerance && ratio <= 1.0 + rules.up.tolerance {
        current
    } else if ratio > 1.0 {
        wanted.max(current)
    } else {
        wanted.min(current)
    };
    Some((wanted, complete, value))
}

/// Ready pods of the target; `None` where there are none, or where not all pods are seen.
fn ready_pods(policy: &ScalingPolicy, target: &Target, seen: &Picture) -> Option<u32> {
    let count = count_ready(policy, target, seen);
    (count > 0 && seen.sees(View::Pods)).then_some(count)
}

/// Ready pods of the target, of those that are seen.
pub(super) fn count_ready(policy: &ScalingPolicy, target: &Target, seen: &Picture) -> u32 {
    let pods = seen.pods_in(&policy.target.namespace);
    let ready = pods.filter(|pod| {
        target.selector.matches(&pod.labels)
            && pod.deleting.is_none()
            && pod.ready.as_ref().is_some_and(|c| c.status == Status::True)
    });
    u32::try_from(ready.count()).unwrap_or(u32::MAX)
}
