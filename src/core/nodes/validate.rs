//! What must hold before a policy decides at all.

use super::memory::Memory;
use crate::core::guard::Safeguard;
use crate::core::reason::Reason;
use crate::core::state::State;
use crate::core::world::View;

/// Why a policy does not decide: code and sentence.
pub(super) type Gate = (Reason, String);

/// Whether the policy may decide.
pub(super) fn validate(state: &State, memory: &Memory) -> Result<(), Gate> {
    if memory.policy.meta.suspend && state.guard.on(Safeguard::Suspend) {
        let message = "spec.suspend is true: no node is added, marked or removed until it is false".into();
        return Err((Reason::Suspended, message));
    }
    if !state.guard.on(Safeguard::CompleteView) {
        return Ok(());
    }
    // All policies, since another one's nodes must not be asked for again.
    let blind = [View::Pods, View::Nodes, View::Policies]
        .into_iter()
        .find(|view| !state.world.sees(*view));
    match blind {
        None => Ok(()),
        Some(view) => Err((
            Reason::ViewIncomplete,
            format!("the operator does not see all {view} at the moment; it goes on by itself"),
        )),
    }
}
