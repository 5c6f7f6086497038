//! Which pods are a target's own, and how they fare. Chosen by their owner, so that strangers with the same labels never
//! count; with `compat: HPAv2` by their labels alone, as the HPA does.

use super::gather::Gap;
use crate::core::guard::Safeguard;
use crate::core::names::Uid;
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
    let (pods, of) = (&state.world.pods, &policy.target);
    let namespace = of.namespace.as_str();
    let own: Vec<&Pod> = match (of.group(), of.kind.as_str()) {
        _ if !policy.compat.is_none() => pods.in_namespace(namespace).collect(),
        ("apps", "ReplicaSet" | "StatefulSet") => {
            let own = pods.owned_by(namespace, &of.kind, &of.name);
            own.filter(|pod| owner_uid(pod) == Some(&target.uid)).collect()
        }
        // A Deployment's pods belong to a ReplicaSet that is named after it and the hash of its template.
        ("apps", "Deployment") => pods.owned_through_replica_sets(namespace, &of.name).collect(),
        // Of kinds whose ways are not known, only what plainly belongs to somebody else is left out.
        _ => pods.owned_by_any(namespace, &of.name),
    };
    let selected = own.into_iter().filter(|pod| target.selector.matches(&pod.labels));
    Ok(selected.collect())
}

fn owner_uid(pod: &Pod) -> Option<&Uid> {
    pod.owner.as_ref().map(|owner| &owner.uid)
}

/// How many of the pods are Ready.
pub(super) fn count_ready(pods: &[&Pod]) -> u32 {
    u32::try_from(pods.iter().filter(|pod| pod.is_ready()).count()).unwrap_or(u32::MAX)
}

/// How many of a target's pods are Ready; where that is not known, as many as it should have.
pub(super) fn known_ready(state: &State, policy: &ScalingPolicy, target: &Target) -> u32 {
    match own_pods(state, policy, target) {
        Ok(own) if !target.selector.is_empty() => count_ready(&own),
        _ => target.replicas.get(),
    }
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
