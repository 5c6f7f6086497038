//! What is learnt after an action: how it went, and how the target is now.

use super::leave;
use super::memory::Memory;
use super::track::touch;
use crate::core::event::Outcome;
use crate::core::guard::InFlight;
use crate::core::names::{ObjectRef, Uid};
use crate::core::plan::Deed;
use crate::core::quantity::Replicas;
use crate::core::report::ScaleEvent;
use crate::core::state::State;
use crate::core::time::{Span, Time};
use crate::core::world::{Known, Sight, Target};

/// How long nothing is tried after an action that was skipped, unless the interval is shorter.
const AFTER_SKIP: Span = Span::from_secs(5);

/// How a target is now. A value other than the one written last is simply taken as the current one; whether it is a fight
/// shows when it is overwritten.
pub fn observe_target(state: &mut State, _at: Time, object: ObjectRef, target: Option<Target>) {
    let busy = state.guard.under_way(&object).is_some();
    let State {
        world,
        policies,
        agenda,
        ..
    } = state;
    world.unusable_targets.remove(&object);
    let Some(Known { seen, named_by }) = world.targets.see(object, target) else {
        return;
    };
    agenda.touch_all(named_by);
    for id in named_by {
        if let Some(tracked) = policies.at_mut(*id).and_then(Option::as_mut) {
            learn_target(&mut tracked.memory, seen, busy);
        }
    }
}

/// A target cannot be read or scaled. What was seen of it before is not relied upon any more.
pub fn observe_unusable(state: &mut State, object: ObjectRef, message: String) {
    let known = state.world.targets.known_mut(&object);
    if let Some(known) = known.filter(|known| !known.named_by.is_empty()) {
        known.seen = Sight::Unseen;
        state.agenda.touch_all(&known.named_by);
        state.world.unusable_targets.insert(object, message);
    }
}

fn learn_target(memory: &mut Memory, seen: &Sight, busy: bool) {
    let Sight::There(target) = seen else {
        memory.unsure = None;
        return;
    };
    if let Some(unsure) = &mut memory.unsure {
        unsure.waiting_until = None;
        confirm(memory, target.replicas, &target.uid);
    }
    let Some(written) = &mut memory.written else {
        return;
    };
    if written.uid.as_ref().is_some_and(|uid| *uid != target.uid) {
        memory.written = None;
    } else if target.replicas != written.to && !busy {
        written.replaced = true;
        memory.fight.writer.clone_from(&target.writer);
    }
}

/// A write of unknown outcome was done after all, if its value is found.
fn confirm(memory: &mut Memory, found: Replicas, uid: &Uid) {
    let unsure = memory.unsure.as_ref().filter(|u| u.uid == *uid);
    if let Some(event) = unsure.and_then(|u| u.tried).filter(|tried| tried.to == found) {
        memory.wrote(uid, event);
    }
}

/// Learns what became of an action.
pub fn settle(state: &mut State, at: Time, flight: &InFlight, outcome: &Outcome) {
    let Deed::Scale { target, uid, from, to } = &flight.action.what else {
        return;
    };
    let event = ScaleEvent {
        at,
        from: *from,
        to: *to,
    };
    let found = match outcome {
        Outcome::Done => Some(*to),
        Outcome::Conflict { found, .. } => *found,
        _ => None,
    };
    let live = state.world.targets.get_mut(target);
    if let (Some(found), Some(live)) = (found, live.filter(|live| live.uid == *uid)) {
        live.replicas = found;
    }
    let id = state.policies.id(&flight.action.policy);
    if let Some(memory) = id.and_then(|id| state.scaling_at_mut(id)) {
        learn(memory, at, uid, event, outcome);
    } else {
        leave::learn(state, at, flight, outcome);
    }
    touch(state, target);
}

fn learn(memory: &mut Memory, at: Time, uid: &Uid, event: ScaleEvent, outcome: &Outcome) {
    match outcome {
        Outcome::Done => {
            let last = memory.written.as_ref().filter(|w| w.uid.as_ref() == Some(uid));
            // The precondition held: the value that was replaced was really there, and it was not ours.
            if last.is_some_and(|w| w.to != event.from) {
                memory.fight.overwrote(at);
            }
            memory.wrote(uid, event);
            memory.trouble = None;
        }
        Outcome::Conflict { found: Some(found), .. } if *found != event.from => {
            confirm(memory, *found, uid);
            // What was seen before was out of date.
            if let Some(written) = memory.written.as_mut().filter(|w| w.to == *found) {
                written.replaced = false;
            }
        }
        Outcome::Conflict { .. } => memory.wait(at, uid, None),
        Outcome::Unknown { .. } => memory.wait(at, uid, Some(event)),
        Outcome::Blocked { message } | Outcome::Failed { message } => memory.failed(at, message),
        Outcome::Skipped { .. } => memory.not_before = Some(at + memory.policy.interval.min(AFTER_SKIP)),
    }
}
