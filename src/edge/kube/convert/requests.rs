//! What a pod asks for, by Kubernetes' rules: containers and sidecars together, or the largest init container with the
//! sidecars started before it, whichever is more; pod-level resources instead where they are set; plus the overhead.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, PodSpec};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use crate::core::quantity::{Milli, Resources};
use crate::core::world::Ask;

/// The pod's requests; it always takes room for one pod.
pub(super) fn requests(spec: &PodSpec) -> Resources {
    let mut total = Resources::default();
    for container in &spec.containers {
        total.add(&of_container(container));
    }
    let mut sidecars = Resources::default();
    let mut largest_init = Resources::default();
    for container in spec.init_containers.iter().flatten() {
        let mut needed = of_container(container);
        if container.restart_policy.as_deref() == Some("Always") {
            sidecars.add(&needed);
            largest_init = at_least(largest_init, &sidecars);
        } else {
            needed.add(&sidecars);
            largest_init = at_least(largest_init, &needed);
        }
    }
    total.add(&sidecars);
    total = at_least(total, &largest_init);
    if let Some(pod_level) = spec.resources.as_ref().and_then(|r| r.requests.as_ref()) {
        let declared = resources(pod_level);
        for name in pod_level.keys() {
            match name.as_str() {
                "cpu" => total.cpu_milli = declared.cpu_milli,
                "memory" => total.memory_bytes = declared.memory_bytes,
                other => {
                    let amount = declared.other.get(other).copied().unwrap_or(0);
                    total.other.insert(other.to_owned(), amount);
                }
            }
        }
    }
    if let Some(overhead) = &spec.overhead {
        total.add(&resources(overhead));
    }
    total.pods = 1;
    total
}

/// What each container and sidecar asks for, and the pod as a whole.
pub(super) fn asks(spec: &PodSpec) -> (Vec<Ask>, Option<BTreeMap<String, Milli>>) {
    let ask = |container: &Container, sidecar| Ask {
        container: container.name.clone(),
        sidecar,
        requests: container
            .resources
            .as_ref()
            .and_then(|r| r.requests.as_ref())
            .map(amounts)
            .unwrap_or_default(),
    };
    let sidecars = spec.init_containers.iter().flatten();
    let sidecars = sidecars.filter(|c| c.restart_policy.as_deref() == Some("Always"));
    let all = spec.containers.iter().map(|c| ask(c, false));
    let all = all.chain(sidecars.map(|c| ask(c, true))).collect();
    let whole = spec.resources.as_ref().and_then(|r| r.requests.as_ref()).map(amounts);
    (all, whole)
}

fn amounts(list: &BTreeMap<String, Quantity>) -> BTreeMap<String, Milli> {
    let read = |(name, quantity): (&String, &Quantity)| Some((name.clone(), quantity.0.parse().ok()?));
    list.iter().filter_map(read).collect()
}

/// A list of resources by name; what is not a quantity counts as zero (the API server stores no such thing).
#[must_use]
pub(super) fn resources(list: &BTreeMap<String, Quantity>) -> Resources {
    let mut result = Resources::default();
    for (name, quantity) in list {
        let amount = quantity.0.parse::<Milli>().unwrap_or_default();
        match name.as_str() {
            "cpu" => result.cpu_milli = amount.thousandths(),
            "memory" => result.memory_bytes = amount.ceil_units(),
            "pods" => result.pods = amount.ceil_units(),
            _ => {
                result.other.insert(name.clone(), amount.ceil_units());
            }
        }
    }
    result
}

/// Limits stand in for absent requests, as the API server's defaulting does; kept for objects read before defaulting.
fn of_container(container: &Container) -> Resources {
    let Some(declared) = &container.resources else {
        return Resources::default();
    };
    let mut list = declared.limits.clone().unwrap_or_default();
    list.extend(declared.requests.clone().unwrap_or_default());
    resources(&list)
}

fn at_least(mut a: Resources, b: &Resources) -> Resources {
    a.cpu_milli = a.cpu_milli.max(b.cpu_milli);
    a.memory_bytes = a.memory_bytes.max(b.memory_bytes);
    for (name, amount) in &b.other {
        let mine = a.other.entry(name.clone()).or_default();
        *mine = (*mine).max(*amount);
    }
    a
}
