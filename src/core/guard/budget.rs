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

/// Records what a policy did before the operator started, or under another leader; each time once, however often it is told.
pub fn recall(state: &mut State, namespace: &str, policy: &Uid, before: &[Time]) {
    let is_new = state.guard.recalled.insert(policy.clone());
    let spent = state.guard.spent.entry(namespace.to_owned()).or_default();
    if is_new {
        spent.extend(before.iter().filter(|at| **at < state.epoch));
    } else if let Some(last) = before.iter().max().filter(|last| !spent.contains(last)) {
        // What another replica has done meanwhile: only the last time is exact.
        spent.push(*last);
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
