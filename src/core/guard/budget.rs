//! The budget over all healing actions of a namespace, whichever policy wants them.

use super::{Memory, Reason, Safeguard, State, Time};
use crate::core::policy::Limits;

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

/// Records healing actions of before the operator started. What is known already does not count twice.
pub fn recall<'a>(
    memory: &mut Memory,
    limits: &Limits,
    namespace: &str,
    before: impl Iterator<Item = &'a Time>,
    now: Time,
) {
    let since = now - limits.healing_window;
    let spent = memory.spent.entry(namespace.to_owned()).or_default();
    for at in before.filter(|at| **at > since) {
        if !spent.contains(at) {
            spent.push(*at);
        }
    }
    spent.sort_unstable();
}

/// Takes back one healing action that turned out not to have been done.
pub fn refund(state: &mut State, namespace: &str, at: Time) {
    if let Some(spent) = state.guard.spent.get_mut(namespace)
        && let Some(last) = spent.iter().rposition(|t| *t == at)
    {
        spent.remove(last);
    }
}
