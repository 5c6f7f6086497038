//! What a ScalingPolicy says of itself: conditions, the last decision, and a sentence that a person understands.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::combine::Combined;
use super::decide::Course;
use super::gather::Datum;
use super::limit::in_words;
use super::memory::Memory;
use super::per_pod::Counted;
use super::plan::Obstacle;
use super::propose::Said;
use super::validate::{Gate, GateKind};
use crate::core::policy::{MetricTarget, Mode, ScalingPolicy, Trigger};
use crate::core::quantity::{Milli, Replicas};
use crate::core::reason::Reason;
use crate::core::report::{ConditionReport, Decision, Detail, Report, ScalingHistory, ScalingReport, TriggerReport};
use crate::core::sample::QueryError;
use crate::core::time::Time;
use crate::core::world::Status;

/// How an evaluation ended.
#[derive(Debug)]
pub(super) enum Account {
    /// Nothing was decided.
    Gated(Gate),
    /// Decided, and perhaps not done.
    Decided {
        /// The decision.
        course: Course,
        /// Why it is not done.
        obstacle: Option<Obstacle>,
    },
}

/// The report of one evaluation.
pub(super) fn report(now: Time, memory: &Memory, account: &Account) -> Report {
    let policy = &memory.policy;
    let (mut conditions, decision) = match account {
        Account::Gated(gate) => (gated(gate), None),
        Account::Decided { course, obstacle } => (
            decided(now, memory, course, obstacle.as_ref()),
            Some(decision(now, policy, course)),
        ),
    };
    conditions.push(if memory.fight.is_noticed(now) {
        let message = memory.fight.in_words(now, policy);
        condition("FieldConflict", Status::True, Reason::FieldConflict, message)
    } else {
        let message = "nobody else keeps changing spec.replicas";
        condition("FieldConflict", Status::False, Reason::AsDesired, message)
    });
    Report {
        policy: policy.meta.key.clone(),
        generation: policy.meta.generation,
        conditions,
        detail: Detail::Scaling(Box::new(ScalingReport {
            decision,
            history: ScalingHistory {
                scale_events: memory.history.clone(),
                recommendations: memory.windows.recent(),
                complete_until: None,
                last_active: memory.last_active.filter(|_| memory.inactive),
                missing_since: memory.missing_since.clone(),
                original: memory.original.clone(),
                contributors: memory.contributors.clone(),
            },
        })),
    }
}

fn condition(kind: &str, status: Status, reason: Reason, message: impl Into<String>) -> ConditionReport {
    ConditionReport {
        kind: kind.into(),
        status,
        reason,
        message: message.into(),
    }
}

fn gated(gate: &Gate) -> Vec<ConditionReport> {
    let say = |kind, status| condition(kind, status, gate.reason, gate.message.as_str());
    let mut conditions = match gate.kind {
        GateKind::Off => vec![say("Ready", Status::True)],
        GateKind::Waiting => vec![say("Ready", Status::False), say("Reconciling", Status::True)],
        GateKind::Stalled => vec![say("Ready", Status::False), say("Stalled", Status::True)],
    };
    conditions.push(say("ScalingActive", Status::False));
    conditions
}

fn decided(now: Time, memory: &Memory, course: &Course, obstacle: Option<&Obstacle>) -> Vec<ConditionReport> {
    let policy = &memory.policy;
    let held = match course.combined {
        Combined::Hold { reason, .. } if course.limited_by == Some(reason) => Some(reason),
        _ => None,
    };
    let sentence = sentence(policy, course);
    let mut conditions = Vec::with_capacity(7);
    match (obstacle, held) {
        (Some((reason, message)), _) => conditions.push(condition("Ready", Status::False, *reason, message.as_str())),
        (None, Some(reason)) => {
            conditions.push(condition("Ready", Status::False, reason, sentence.as_str()));
            if reason == Reason::NotSampledYet {
                conditions.push(condition("Reconciling", Status::True, reason, sentence.as_str()));
            }
        }
        (None, None) if memory.fight.holds(now) => {
            let message = memory.fight.in_words(now, policy);
            conditions.push(condition("Ready", Status::False, Reason::FieldConflict, message));
        }
        (None, None) if policy.meta.mode == Mode::DryRun => {
            let message = format!("would want {} replicas: {sentence}", course.desired);
            conditions.push(condition("Ready", Status::True, Reason::DryRun, message));
        }
        (None, None) => {
            let reason = course
                .limited_by
                .filter(|r| *r == Reason::Held)
                .unwrap_or(Reason::Accepted);
            conditions.push(condition("Ready", Status::True, reason, sentence.as_str()));
        }
    }
    conditions.push(match held {
        Some(reason) => condition("ScalingActive", Status::False, reason, sentence.as_str()),
        None => condition("ScalingActive", Status::True, Reason::Accepted, sentence.as_str()),
    });
    conditions.push(metrics_available(policy, course));
    conditions.push(
        match course.limited_by.filter(|r| Some(*r) != held && *r != Reason::Idle) {
            Some(reason) => condition("Limited", Status::True, reason, sentence),
            None => condition("Limited", Status::False, Reason::AsDesired, "no limit bites"),
        },
    );
    conditions
}

/// The first trigger without usable data speaks for all, as in the HPA.
fn metrics_available(policy: &ScalingPolicy, course: &Course) -> ConditionReport {
    let mut all = policy.triggers.iter().zip(&course.said);
    match all.find(|(_, said)| !said.is_complete()) {
        None => condition(
            "MetricsAvailable",
            Status::True,
            Reason::Accepted,
            "every trigger has data",
        ),
        Some((trigger, said)) => {
            let (status, reason) = match (said.reason, &said.datum) {
                (Reason::NotSampledYet, _) => (Status::Unknown, said.reason),
                (_, Ok(_)) => (Status::False, Reason::PartialData),
                _ => (Status::False, said.reason),
            };
            condition(
                "MetricsAvailable",
                status,
                reason,
                phrase(trigger, said, course.current),
            )
        }
    }
}

fn decision(now: Time, policy: &ScalingPolicy, course: &Course) -> Decision {
    let proposed = match course.combined {
        Combined::Recommend(n) => Some(n),
        Combined::Hold { highest, .. } => highest,
    };
    let triggers = policy.triggers.iter().zip(&course.said);
    Decision {
        at: now,
        from: course.current,
        proposed,
        stabilized: course.stabilized,
        desired: course.desired,
        limited_by: course.limited_by,
        triggers: triggers.map(|(t, s)| trigger_report(t, s, course.current)).collect(),
        message: sentence(policy, course),
    }
}

fn trigger_report(trigger: &Trigger, said: &Said, current: Replicas) -> TriggerReport {
    let (value, sampled_at, error) = match &said.datum {
        Ok(datum) => (Some(datum.value), Some(datum.sampled_at), None),
        Err(gap) => (gap.value, gap.sampled_at, gap.error),
    };
    TriggerReport {
        name: trigger.name.clone(),
        value,
        is_share: matches!(trigger.target, MetricTarget::Utilization(_)),
        sampled_at,
        proposal: said.proposal,
        reason: said.reason,
        error,
        message: phrase(trigger, said, current),
    }
}

/// One trigger in words: `rps is 1180 against 100 per replica: 12 replicas`.
fn phrase(trigger: &Trigger, said: &Said, current: Replicas) -> String {
    let name = &trigger.name;
    let Datum { value, warning, .. } = match &said.datum {
        Err(gap) => return format!("{name} {}{}", gap.message, instead(said)),
        Ok(datum) => datum,
    };
    let pods = with_pods(said.counted);
    let (is, against) = match trigger.target {
        MetricTarget::AverageValue(aim) => (short(*value), format!("{} per replica{pods}", short(aim))),
        MetricTarget::Value(aim) => (short(*value), format!("{}{pods}", short(aim))),
        MetricTarget::Utilization(percent) => {
            let share = Milli::new(value.thousandths().saturating_mul(100));
            (format!("{}%", short(share)), format!("{percent}%{pods}"))
        }
    };
    let asks = match (said.reason, said.proposal) {
        (Reason::WithinTolerance, _) => "within tolerance".to_owned(),
        (_, proposal) => replicas(proposal.unwrap_or(current)),
    };
    let partial = warning
        .as_ref()
        .map_or_else(String::new, |w| format!(", from incomplete data ({w})"));
    format!("{name} is {is} against {against}: {asks}{partial}")
}

/// What counts in place of a value.
fn instead(said: &Said) -> String {
    let asks = said.proposal.map(replicas).unwrap_or_default();
    match said.reason {
        Reason::FellBack => format!("; its fallback counts: {asks}"),
        Reason::Ignored => "; the other triggers decide without it".into(),
        Reason::CountsAsZero => format!("; it counts as zero: {asks}"),
        _ => String::new(),
    }
}

fn with_pods(counted: Option<Counted>) -> String {
    let Some(Counted {
        ready,
        unready,
        missing,
    }) = counted
    else {
        return String::new();
    };
    let mut text = match ready {
        1 => " with 1 Ready pod".to_owned(),
        n => format!(" with {n} Ready pods"),
    };
    if unready > 0 {
        text.push_str(&format!(", {unready} starting"));
    }
    if missing > 0 {
        text.push_str(&format!(", {missing} without metrics"));
    }
    text
}

/// A decision in words: what the deciding trigger says, then what changed it.
pub(super) fn sentence(policy: &ScalingPolicy, course: &Course) -> String {
    let mut pairs = policy.triggers.iter().zip(&course.said);
    let first_gap = || pairs.clone().find(|(_, said)| !said.is_complete());
    let gap = first_gap().map(|(t, s)| phrase(t, s, course.current));
    match course.limited_by {
        Some(Reason::AboveMaximum) => {
            let text = format!("{} are more than max ({})", replicas(course.current), policy.max);
            return text + &scheduled(course);
        }
        Some(Reason::BelowMinimum) => {
            let text = format!("{} are fewer than min ({})", replicas(course.current), policy.min);
            return text + &scheduled(course);
        }
        Some(Reason::Held) => return held_by_hand(policy, course),
        Some(reason @ (Reason::DataMissing | Reason::NotSampledYet | Reason::FormulaFailed)) => {
            let why = [course.problem.clone(), gap];
            let why: Vec<String> = why.into_iter().flatten().collect();
            return format!("held at {} by {reason}: {}", course.current, why.join("; "));
        }
        _ => {}
    }
    let highest = match course.combined {
        Combined::Recommend(n) => Some(n),
        Combined::Hold { .. } => None,
    };
    let deciding = pairs.find(|(_, said)| said.proposal.is_some() && said.proposal == highest);
    let mut text = deciding.map_or_else(
        || gap.unwrap_or_default(),
        |(trigger, said)| phrase(trigger, said, course.current),
    );
    if let (Some(_), Some(n)) = (&policy.formula, highest) {
        let phrases = policy.triggers.iter().zip(&course.said);
        let phrases: Vec<_> = phrases.map(|(t, s)| phrase(t, s, course.current)).collect();
        text = format!("the formula asks for {} ({})", replicas(n), phrases.join("; "));
    } else if policy.triggers.len() > 1 {
        text = format!("{text} (the highest of {} triggers)", policy.triggers.len());
    }
    let stand_ins = policy.triggers.iter().zip(&course.said);
    for (trigger, said) in stand_ins.filter(|(_, said)| said.stands_in()) {
        let phrase = phrase(trigger, said, course.current);
        if phrase != text {
            text.push_str(&format!("; {phrase}"));
        }
    }
    if let Some(reason) = course.limited_by {
        text.push_str(&limited(policy, course, reason));
    }
    text + &scheduled(course)
}

/// Which schedules are in force.
fn scheduled(course: &Course) -> String {
    match &course.schedules[..] {
        [] => String::new(),
        [one] => format!("; schedule {one} is in force"),
        all => format!("; schedules {} are in force", all.join(", ")),
    }
}

fn held_by_hand(policy: &ScalingPolicy, course: &Course) -> String {
    let hold = policy.hold.as_ref();
    let why = hold.map_or("", |hold| hold.reason.as_str());
    let until = hold
        .and_then(|hold| hold.until)
        .map_or_else(String::new, |end| format!(", until {end}"));
    format!("held at {} by spec.hold: {why}{until}", course.desired)
}

fn limited(policy: &ScalingPolicy, course: &Course, reason: Reason) -> String {
    let n = course.desired;
    let behavior = &policy.behavior;
    match reason {
        Reason::ScaleUpStabilized => format!(
            "; kept at {n} by {reason} (the lowest of the last {})",
            behavior.up.stabilization
        ),
        Reason::ScaleDownStabilized => format!(
            "; kept at {n} by {reason} (the highest of the last {})",
            behavior.down.stabilization
        ),
        Reason::ScaleUpLimit => format!("; limited to {n} by {reason} ({})", in_words(&behavior.up)),
        Reason::ScaleDownLimit => format!("; limited to {n} by {reason} ({})", in_words(&behavior.down)),
        Reason::TooManyReplicas => format!("; limited to {n} by {reason} (max)"),
        Reason::TooFewReplicas => format!("; limited to {n} by {reason} (min)"),
        Reason::Idle => format!("; nothing is to be done: {n} by {reason}"),
        Reason::RolloutNotReady => format!(
            "; kept at {n} by {reason} (fewer than {}% of the pods are Ready)",
            behavior.min_ready_percent
        ),
        Reason::DirectionForbidden => format!("; kept at {n} by {reason} (direction: {:?})", policy.direction),
        _ => String::new(),
    }
}

fn replicas(n: Replicas) -> String {
    if n.get() == 1 {
        "1 replica".into()
    } else {
        format!("{n} replicas")
    }
}

/// A value with about three digits: `0.25`, `12.3`, `1180`, `12.3k`, `2.15G`.
fn short(value: Milli) -> String {
    let number = value.as_f64();
    let size = number.abs();
    if size < 10.0 {
        return value.to_string();
    }
    let units = [(1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")];
    match units.into_iter().find(|(unit, _)| size >= *unit) {
        Some((unit, suffix)) if size >= 1e4 => trim(number / unit, suffix),
        _ => trim(number, ""),
    }
}

fn trim(number: f64, suffix: &str) -> String {
    let decimals = match number.abs() {
        n if n < 10.0 => 2,
        n if n < 100.0 => 1,
        _ => 0,
    };
    let text = format!("{number:.decimals$}");
    let text = if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.')
    } else {
        &text
    };
    format!("{text}{suffix}")
}

/// A hash of all that a report means, so that one that means the same need not be put into words. What differs by hash alone
/// is compared by [`means_the_same`].
pub(super) fn meaning_of(now: Time, memory: &Memory, account: &Account) -> u64 {
    let mut hash = DefaultHasher::new();
    let meta = &memory.policy.meta;
    (meta.generation, meta.mode == Mode::DryRun).hash(&mut hash);
    (memory.fight.holds(now), memory.fight.is_noticed(now)).hash(&mut hash);
    (memory.inactive, memory.history.last().map(|event| event.at)).hash(&mut hash);
    memory.original.hash(&mut hash);
    for trigger in memory.missing_since.keys() {
        trigger.hash(&mut hash);
    }
    match account {
        Account::Gated(gate) => (gate.kind as u8, gate.reason, &gate.message).hash(&mut hash),
        Account::Decided { course, obstacle } => {
            (course.current, course.desired, course.limited_by).hash(&mut hash);
            match course.combined {
                Combined::Recommend(n) => (Some(n), None::<Reason>).hash(&mut hash),
                Combined::Hold { reason, highest } => (highest, Some(reason)).hash(&mut hash),
            }
            obstacle.as_ref().map(|(reason, _)| *reason).hash(&mut hash);
            for said in &course.said {
                let gap = said.datum.as_ref().err();
                let unknown = gap.filter(|gap| gap.error == Some(QueryError::UnknownServer));
                (said.proposal, said.reason, said.is_complete()).hash(&mut hash);
                (gap.and_then(|gap| gap.error), unknown.map(|gap| &gap.message)).hash(&mut hash);
            }
        }
    }
    hash.finish()
}

/// Whether an old report already says what the new one says. Numbers that only wiggle do not count: messages of decisions,
/// sample values and times, and events that have become too old for any rate limit. What keeps a policy from deciding at
/// all has no such numbers, and neither has a server that cannot be asked: there another sentence is another meaning.
#[must_use]
pub fn means_the_same(old: &Report, new: &Report) -> bool {
    let (Detail::Scaling(before), Detail::Scaling(after)) = (&old.detail, &new.detail) else {
        return old == new;
    };
    let undecided = before.decision.is_none() && after.decision.is_none();
    let conditions = |r: &Report| {
        let parts = r.conditions.iter().map(|c| {
            let told = undecided.then(|| c.message.clone());
            (c.kind.clone(), c.status, c.reason, told)
        });
        parts.collect::<Vec<_>>()
    };
    old.policy == new.policy
        && old.generation == new.generation
        && conditions(old) == conditions(new)
        && meaning(before.decision.as_ref()) == meaning(after.decision.as_ref())
        && before.history.last_active.is_some() == after.history.last_active.is_some()
        && before
            .history
            .missing_since
            .keys()
            .eq(after.history.missing_since.keys())
        && before.history.original == after.history.original
        && after
            .history
            .scale_events
            .iter()
            .all(|event| before.history.scale_events.contains(event))
}

type TriggerMeaning<'a> = (&'a str, Option<Replicas>, Reason, Option<QueryError>, Option<&'a str>);
type DecisionMeaning<'a> = (
    Replicas,
    Replicas,
    Option<Replicas>,
    Option<Reason>,
    Vec<TriggerMeaning<'a>>,
);

fn meaning(decision: Option<&Decision>) -> Option<DecisionMeaning<'_>> {
    let d = decision?;
    let triggers = d.triggers.iter().map(|t| {
        let told = (t.error == Some(QueryError::UnknownServer)).then_some(t.message.as_str());
        (t.name.as_str(), t.proposal, t.reason, t.error, told)
    });
    let triggers = triggers.collect();
    Some((d.from, d.desired, d.proposed, d.limited_by, triggers))
}
