//! The storm latch: when much breaks at once, healing stops, and starts again only after it has been calm for a while.

use serde::{Deserialize, Serialize};

use super::{State, Time};

/// Whether healing is stopped because much broke at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Storm {
    /// No storm.
    #[default]
    Calm,
    /// Too much is unhealthy.
    Raging {
        /// Since when.
        since: Time,
    },
    /// It is calm again, not yet for long enough.
    Settling {
        /// Since when it is calm.
        calm_since: Time,
    },
}

/// Looks at the shares of unhealthy pods and moves the latch. To be called once a step, before healing decides. Says whether
/// the latch moved.
pub fn update_storm(state: &mut State, now: Time) -> bool {
    let (mut total, mut unhealthy) = (0_u32, 0_u32);
    for pod in state.world.all_pods() {
        if pod.is_finished() || pod.deleting.is_some() || pod.node.is_none() {
            continue;
        }
        total += 1;
        unhealthy += u32::from(crate::core::healing::is_unhealthy(pod, now));
    }
    let limits = &state.limits;
    let stormy = unhealthy >= limits.storm_at_least.max(1)
        && u64::from(unhealthy) * 100 > u64::from(total) * u64::from(limits.storm_share_percent);
    let before = state.guard.storm;
    state.guard.storm = match (before, stormy) {
        (Storm::Raging { since }, true) => Storm::Raging { since },
        (_, true) => Storm::Raging { since: now },
        (Storm::Calm, false) => Storm::Calm,
        (Storm::Raging { .. }, false) => Storm::Settling { calm_since: now },
        (Storm::Settling { calm_since }, false) if now.since(calm_since) >= limits.storm_calm => Storm::Calm,
        (Storm::Settling { calm_since }, false) => Storm::Settling { calm_since },
    };
    state.guard.storm != before
}
