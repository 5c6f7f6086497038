//! Decides on one policy: validate → gather → propose → stabilize → limit → act or refuse.

use super::combine::{Combined, stand_in};
use super::decide::{Course, decide, decide_as_hpa};
use super::leave;
use super::memory::Memory;
use super::propose::ask;
use super::report::{self, Account, means_the_same};
use super::track::{Tracked, put_back, take};
use super::validate::{Gate, validate};
use crate::core::engine::Draft;
use crate::core::guard::Safeguard;
use crate::core::names::Uid;
use crate::core::plan::Deed;
use crate::core::policy::Mode;
use crate::core::policy::schedule::{InForce, in_force, next_change};
use crate::core::reason::Reason;
use crate::core::state::{PolicyId, State};
use crate::core::time::Time;

/// Why what is wanted is not done.
pub(super) type Obstacle = (Reason, String);

/// Decides on one policy.
pub fn evaluate(state: &mut State, now: Time, id: PolicyId, draft: &mut Draft) {
    let Some(mut tracked) = take(state, id) else {
        leave::carry_out(state, now, id, draft);
        return;
    };
    tracked.memory.prune(now);
    let (written, schedules) = match in_force(&tracked.memory.policy, now) {
        Some(InForce { policy, names }) => (Some(std::mem::replace(&mut tracked.memory.policy, policy)), names),
        None => (None, Vec::new()),
    };
    let valid = validate(state, now, &tracked);
    let Tracked { memory, queries, .. } = tracked.as_mut();
    let account = match valid {
        Err(gate) => {
            refuse_gated(memory, &gate, draft);
            Account::Gated(gate)
        }
        Ok(target) => {
            memory.note_original(target);
            let course = if memory.policy.compat.is_none() {
                memory.note_contributors(state, now, queries, target);
                let mut said = ask(state, now, (memory, queries), target);
                memory.note_missing(now, &said);
                stand_in(memory, now, target.replicas, &mut said);
                decide(state, now, memory, target, said)
            } else {
                decide_as_hpa(state, now, memory, target)
            };
            let course = Course { schedules, ..course };
            let uid = (course.desired != course.current).then(|| target.uid.clone());
            let obstacle = act(state, now, memory, uid, &course, draft);
            wake(state, now, id, memory);
            Account::Decided { course, obstacle }
        }
    };
    // Nearly every evaluation says what the last one said: that is seen before it is put into words.
    let meaning = Some(report::meaning_of(now, memory, &account));
    if memory.told != meaning {
        memory.told = meaning;
        draft.report(state, report::report(now, memory, &account), means_the_same);
    }
    if let Some(written) = written {
        memory.policy = written;
    }
    put_back(state, id, tracked);
}

/// For the next tick, or an earlier end of a back-off.
fn wake(state: &mut State, now: Time, id: PolicyId, memory: &Memory) {
    let retry = memory.trouble.as_ref().map(|t| t.retry_at);
    let hold = memory.policy.hold.as_ref().and_then(|hold| hold.until);
    let times = [
        retry,
        memory.not_before,
        memory.fight.wake(now),
        memory.waits(now),
        hold,
        next_change(&memory.policy, now),
    ];
    let next = times
        .into_iter()
        .flatten()
        .filter(|at| *at > now)
        .fold(now + memory.policy.interval, Time::min);
    state.agenda.wake(id, next);
}

fn refuse_gated(memory: &Memory, gate: &Gate, draft: &mut Draft) {
    if matches!(
        gate.reason,
        Reason::TargetConflict | Reason::OtherAutoscaler | Reason::TargetNotFound | Reason::TargetUnusable
    ) {
        let policy = &memory.policy;
        draft.refuse(
            &policy.meta.key,
            &policy.target,
            "Scale",
            gate.reason,
            gate.message.clone(),
        );
    }
}

/// Acts, or says why not. In dry-run mode a change is shown once.
fn act(
    state: &mut State,
    now: Time,
    memory: &mut Memory,
    uid: Option<Uid>,
    course: &Course,
    draft: &mut Draft,
) -> Option<Obstacle> {
    let Some(uid) = uid else {
        memory.shown = None;
        memory.trouble = None;
        if let Some(reason) = held(course) {
            let policy = &memory.policy;
            let message = report::sentence(policy, course);
            draft.refuse(&policy.meta.key, &policy.target, "Scale", reason, message);
        }
        return None;
    };
    let meta = memory.policy.meta.clone();
    let subject = memory.policy.target.clone();
    let message = report::sentence(&memory.policy, course);
    let deed = Deed::Scale {
        target: subject.clone(),
        uid,
        from: course.current,
        to: course.desired,
    };
    let why = (course.reason(), message);
    if meta.mode == Mode::DryRun {
        let change = Some((course.current, course.desired));
        if memory.shown != change {
            memory.shown = change;
            let _ = draft.act(state, &meta.key, meta.mode, deed, why);
        }
        return None;
    }
    if let Some((reason, message)) = obstacle(state, now, memory) {
        draft.refuse(&meta.key, &subject, "Scale", reason, message.clone());
        return Some((reason, message));
    }
    let own_under_way = state.guard.on(Safeguard::OneAtATime)
        && state
            .guard
            .under_way(&subject)
            .is_some_and(|flight| flight.action.policy == meta.key);
    if !own_under_way && memory.not_before.is_none_or(|at| at <= now) {
        memory.not_before = None;
        let _ = draft.act(state, &meta.key, meta.mode, deed, why);
    }
    // A write is being tried again: until it succeeds the trouble is not over.
    memory
        .trouble
        .as_ref()
        .map(|t| (Reason::Blocked, trouble_in_words(t.failures, &t.message)))
}

/// Why a change that is wanted, or might be, is not made.
fn held(course: &Course) -> Option<Reason> {
    match course.combined {
        Combined::Hold { reason, .. } => {
            Some(reason).filter(|r| matches!(r, Reason::DataMissing | Reason::FormulaFailed))
        }
        Combined::Recommend(_) => course
            .limited_by
            .filter(|r| matches!(r, Reason::DirectionForbidden | Reason::RolloutNotReady)),
    }
}

fn trouble_in_words(failures: u32, message: &str) -> String {
    match failures {
        1 => format!("the last write failed: {message}"),
        n => format!("the last {n} writes failed: {message}"),
    }
}

/// What stands in the way of any write now.
fn obstacle(state: &State, now: Time, memory: &Memory) -> Option<Obstacle> {
    if let Some(until) = memory.waits(now) {
        let message = format!(
            "it is not known how the last write of {} ended: waiting until it is seen again, at most until {until}",
            memory.policy.target
        );
        return Some((Reason::AwaitingOutcome, message));
    }
    if state.guard.on(Safeguard::FightBackOff) && memory.fight.holds(now) {
        return Some((Reason::FieldConflict, memory.fight.in_words(now, &memory.policy)));
    }
    let trouble = memory.trouble.as_ref().filter(|t| now < t.retry_at)?;
    let message = format!(
        "{}; next try at {}",
        trouble_in_words(trouble.failures, &trouble.message),
        trouble.retry_at
    );
    Some((Reason::Blocked, message))
}
