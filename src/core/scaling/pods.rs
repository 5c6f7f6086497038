//! Which pods are a target's own, and how they fare. Chosen by their owner, so that strangers with the same labels never
//! count; with `compat: HPAv2` by their labels alone, as the HPA does.

use super::gather::Gap;
use crate::core::guard::Safeguard;
use crate::core::policy::ScalingPolicy;
use crate::core::reason::Reason;
use crate::core::state::State;
use crate::core::world::{Pod, Target, View};

/// The pods of a policy's target.
///
/// # Errors
/// Where not all pods are seen yet, so that nothing can be said of them.
pub(super) fn own_pods<'a>(state: &'a State, policy: &ScalingPolicy, target: &Target) -> Result<Vec<&'a Pod>, Gap> {
    if state.guard.on(Safeguard::CompleteView) && !state.world.sees(View::Pods) {
        return Err(Gap::new(
            Reason::ViewIncomplete,
            "cannot be related to the pods: the operator does not see all of them yet",
        ));
    }
    if target.selector.is_empty() {
        return Ok(Vec::new());
    }
    let all = state.world.pods_in(&policy.target.namespace);
    let selected = all.filter(|pod| target.selector.matches(&pod.labels));
    Ok(selected
        .filter(|pod| !policy.compat.is_none() || belongs(pod, policy, target))
        .collect())
}

/// Whether a pod that the selector matches is the target's own. A Deployment's pods belong to a ReplicaSet that is named
/// after it and the hash of its template. Of kinds whose ways are not known, only what plainly belongs to somebody else is
/// left out.
fn belongs(pod: &Pod, policy: &ScalingPolicy, target: &Target) -> bool {
    let Some(owner) = &pod.owner else { return false };
    let of = &policy.target;
    match (of.group(), of.kind.as_str()) {
        ("apps", "ReplicaSet" | "StatefulSet") => owner.uid == target.uid,
        ("apps", "Deployment") => {
            let rest = owner.name.strip_prefix(of.name.as_str());
            let hash = rest.and_then(|rest| rest.strip_prefix('-'));
            owner.kind == "ReplicaSet" && hash.is_some_and(|hash| !hash.is_empty() && !hash.contains('-'))
        }
        _ => owner.uid == target.uid || owner.name.starts_with(of.name.as_str()),
    }
}

/// How many of the pods are Ready.
pub(super) fn count_ready(pods: &[&Pod]) -> u32 {
    u32::try_from(pods.iter().filter(|pod| pod.is_ready()).count()).unwrap_or(u32::MAX)
}

/// How many of the pods are Ready, at least one.
///
/// # Errors
/// None is.
pub(super) fn ready(pods: &[&Pod]) -> Result<u32, Gap> {
    let ready = count_ready(pods);
    if ready > 0 {
        return Ok(ready);
    }
    let message = format!(
        "cannot be related to the Ready pods: none of {} pods is Ready",
        pods.len()
    );
    Err(Gap::new(Reason::NotReady, message))
}
