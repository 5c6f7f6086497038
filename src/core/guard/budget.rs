//! The budget over all healing actions of a namespace, whichever policy wants them.

use super::{Reason, Safeguard, State, Time};
use crate::core::names::Uid;

/// Whether the namespace may have one more healing action now.
///
/// # Errors
/// [`Reason::BudgetExhausted`], with a sentence that says until when.
pub fn check_budget(state: &State, namespace: &str, now: Time) -> Result<(), (Reason, String)> {
    if !state.guard.on(Safeguard::HealingBudget) {
        return Ok(());
    }
    let limits = &state.limits;
    let since = now - limits.healing_window;
    let recent: Vec<Time> = state
        .guard
        .spent
        .get(namespace)
        .into_iter()
        .flatten()
        .copied()
        .filter(|at| *at > since)
        .collect();
    if recent.len() < limits.healing_per_window as usize {
        return Ok(());
    }
    let over = recent.len() - (limits.healing_per_window as usize).min(recent.len());
    let free_at = recent.get(over).map_or(now, |at| *at + limits.healing_window);
    Err((
        Reason::BudgetExhausted,
        format!(
            "namespace {namespace} has had {} of {} healing actions within {}; the next one is possible at {free_at}",
            recent.len(),
            limits.healing_per_window,
            limits.healing_window,
        ),
    ))
}

/// Records one healing action.
pub fn spend(state: &mut State, namespace: &str, now: Time) {
    let since = now - state.limits.healing_window;
    let spent = state.guard.spent.entry(namespace.to_owned()).or_default();
    spent.retain(|at| *at > since);
    spent.push(now);
}

/// Records what a policy's incidents tell of its healing actions, instead of what they told before. What was recorded when
/// it was done here does not count twice.
pub fn recall(state: &mut State, namespace: &str, policy: &Uid, told: &[Time], now: Time) {
    let since = now - state.limits.healing_window;
    let spent = state.guard.spent.entry(namespace.to_owned()).or_default();
    let recalled = state.guard.recalled.entry(namespace.to_owned()).or_default();
    for at in recalled.remove(policy).unwrap_or_default() {
        take(spent, at);
    }
    let mut done_here = spent.clone();
    for at in recalled.values().flatten() {
        take(&mut done_here, *at);
    }
    let recent = told.iter().copied().filter(|at| *at > since);
    let new: Vec<Time> = recent.filter(|at| !take(&mut done_here, *at)).collect();
    spent.extend(&new);
    spent.sort_unstable();
    recalled.insert(policy.clone(), new);
}

/// Takes one of these times out; says whether it was there.
fn take(times: &mut Vec<Time>, at: Time) -> bool {
    let place = times.iter().position(|t| *t == at);
    place.map(|place| times.remove(place)).is_some()
}

/// Takes back one healing action that turned out not to have been done.
pub fn refund(state: &mut State, namespace: &str, at: Time) {
    if let Some(spent) = state.guard.spent.get_mut(namespace)
        && let Some(last) = spent.iter().rposition(|t| *t == at)
    {
        spent.remove(last);
    }
}
