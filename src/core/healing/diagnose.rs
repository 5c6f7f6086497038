//! Is it this pod alone? A pod is healed only where its siblings are well, since otherwise the fault is in the template, a
//! dependency or the cluster, and moving one pod only adds load.

use std::collections::BTreeMap;

use super::detect::is_unhealthy;
use crate::core::guard::{Safeguard, Storm};
use crate::core::names::Uid;
use crate::core::policy::HealingPolicy;
use crate::core::reason::Reason;
use crate::core::state::State;
use crate::core::time::Time;
use crate::core::world::Pod;

/// Pods that are alike: same owner, same template.
#[derive(Clone, Copy, Debug, Default)]
struct Kin {
    ready: u32,
    unhealthy: u32,
}

/// How the pods of one namespace are, by owner and template, and how many of those that a policy selects are unhealthy.
pub(super) struct Census {
    kin: BTreeMap<(Uid, Option<String>), Kin>,
    selected: u32,
    unhealthy: u32,
}

impl Census {
    /// Counts the pods of the policy's namespace.
    pub fn take(state: &State, policy: &HealingPolicy, now: Time) -> Self {
        let mut census = Self {
            kin: BTreeMap::new(),
            selected: 0,
            unhealthy: 0,
        };
        for pod in state.world.pods_in(&policy.meta.key.namespace) {
            if pod.is_finished() || pod.deleting.is_some() {
                continue;
            }
            let unhealthy = u32::from(is_unhealthy(pod, now));
            if let Some(owner) = &pod.owner {
                let kin = census
                    .kin
                    .entry((owner.uid.clone(), pod.template_hash.clone()))
                    .or_default();
                kin.ready += u32::from(pod.is_ready());
                kin.unhealthy += unhealthy;
            }
            if policy.selector.matches(&pod.labels) {
                census.selected += 1;
                census.unhealthy += unhealthy;
            }
        }
        census
    }

    /// Whether healing this pod can help and harms nothing.
    ///
    /// # Errors
    /// Why not, with the numbers.
    pub fn diagnose(
        &self,
        state: &State,
        policy: &HealingPolicy,
        pod: &Pod,
        now: Time,
    ) -> Result<(), (Reason, String)> {
        let name = &pod.key.name;
        let owner = match &pod.owner {
            Some(owner) if owner.kind != "Node" => owner,
            _ => {
                let message = format!("nothing would make pod {name} again: it has no controller");
                return Err((Reason::NoController, message));
            }
        };
        if let Some(node) = pod.node.as_ref().and_then(|node| state.world.nodes.get(node))
            && !node.is_ready()
        {
            let message = format!("node {} of pod {name} is not Ready: the fault is the node's", node.name);
            return Err((Reason::NodeUnhealthy, message));
        }
        let on = |safeguard| state.guard.on(safeguard);
        if on(Safeguard::HealthySiblings) {
            let kin = self
                .kin
                .get(&(owner.uid.clone(), pod.template_hash.clone()))
                .copied()
                .unwrap_or_default();
            let ready = kin.ready - u32::from(pod.is_ready()).min(kin.ready);
            let unhealthy = kin.unhealthy - u32::from(is_unhealthy(pod, now)).min(kin.unhealthy);
            if ready == 0 {
                let message = format!("no other pod of {} {} is Ready", owner.kind, owner.name);
                return Err((Reason::LastReplica, message));
            }
            if unhealthy >= ready {
                let message = format!(
                    "{unhealthy} other pods of {} {} are unhealthy too and only {ready} Ready: moving one cannot help",
                    owner.kind, owner.name
                );
                return Err((Reason::SiblingsUnhealthy, message));
            }
        }
        let allowed = policy.budget.max_unhealthy.of(self.selected);
        if on(Safeguard::HealthySiblings) && self.unhealthy > allowed {
            let message = format!(
                "{} of {} selected pods are unhealthy, and the policy heals only while at most {allowed} are \
                 (budget.maxUnhealthy)",
                self.unhealthy, self.selected
            );
            return Err((Reason::TooManyUnhealthy, message));
        }
        storm(state)
    }
}

/// Whether a storm stops all healing of pods.
fn storm(state: &State) -> Result<(), (Reason, String)> {
    if !state.guard.on(Safeguard::StormBrake) {
        return Ok(());
    }
    let limits = &state.limits;
    let message = match state.guard.storm {
        Storm::Calm => return Ok(()),
        Storm::Raging { since } => format!(
            "since {since} more than {} % of all pods are unhealthy at once: healing waits until it has been calm for {}",
            limits.storm_share_percent, limits.storm_calm
        ),
        Storm::Settling { calm_since } => format!(
            "much broke at once and it has been calm only since {calm_since}: healing starts again after {}",
            limits.storm_calm
        ),
    };
    Err((Reason::Storm, message))
}
