//! Which pods count, and what they request: `groupPods` and `calculateRequests` of `replica_calculator.go`.

use std::collections::{BTreeMap, BTreeSet};

use super::answer::MetricError;
use super::input::{Flags, Phase, Pod, Requests, Status};
use crate::core::time::{Span, Time};

/// What the calculators know of one pod's metric.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PodMetric {
    /// In thousandths.
    pub value: i64,
    /// When it was measured.
    pub at: Time,
    /// Over how long.
    pub window: Span,
}

/// By the pod's name. Names that no pod has stay in.
pub type PodMetrics<'a> = BTreeMap<&'a str, PodMetric>;

/// The pods, sorted by how much their metric means.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Groups<'a> {
    /// How many count with their metric.
    pub ready: usize,
    /// Their metric means nothing yet.
    pub unready: BTreeSet<&'a str>,
    /// They have no metric.
    pub missing: BTreeSet<&'a str>,
    /// They go away or have failed.
    pub ignored: BTreeSet<&'a str>,
}

/// `groupPods`. `resource` is empty for metrics that are no resource; readiness is looked at for `cpu` alone.
pub fn group<'a>(pods: &'a [Pod], metrics: &PodMetrics, resource: &str, now: Time, flags: &Flags) -> Groups<'a> {
    let mut groups = Groups::default();
    for pod in pods {
        let name = pod.name.as_str();
        if pod.deleting || pod.phase == Phase::Failed {
            groups.ignored.insert(name);
        } else if pod.phase == Phase::Pending {
            groups.unready.insert(name);
        } else if let Some(metric) = metrics.get(name) {
            if resource == "cpu" && is_unready(pod, *metric, now, flags) {
                groups.unready.insert(name);
            } else {
                groups.ready += 1;
            }
        } else {
            groups.missing.insert(name);
        }
    }
    groups
}

/// Whether a CPU metric means nothing yet.
fn is_unready(pod: &Pod, metric: PodMetric, now: Time, flags: &Flags) -> bool {
    let (Some(ready), Some(start)) = (pod.ready, pod.start_time) else {
        return true;
    };
    if start + flags.cpu_initialization > now {
        // It may still be starting: only a window that lies wholly after the last change of readiness means anything.
        ready.status == Status::False || ready.since.is_some_and(|since| metric.at < since + metric.window)
    } else {
        // It has been unready all along.
        ready.status == Status::False
            && ready
                .since
                .is_none_or(|since| start + flags.initial_readiness_delay > since)
    }
}

/// `getReadyPodsCount`: pods that go away count as well.
pub fn count_ready(pods: &[Pod]) -> Result<usize, MetricError> {
    if pods.is_empty() {
        return Err(MetricError::NoPods);
    }
    let is_ready = |pod: &&Pod| pod.phase == Phase::Running && pod.ready.is_some_and(|r| r.status == Status::True);
    Ok(pods.iter().filter(is_ready).count())
}

/// `calculateRequests`: of every pod, whether or not it counts. `container`: only that one's.
pub fn requests<'a>(
    pods: &'a [Pod],
    container: Option<&str>,
    resource: &str,
) -> Result<BTreeMap<&'a str, i64>, MetricError> {
    let request = |pod: &'a Pod| {
        let request = match &pod.requests {
            Some(own) if container.is_none() && own.keys().any(|name| may_be_pod_level(name)) => {
                pod_level(pod, own, resource)
            }
            _ => by_containers(pod, container, resource),
        };
        request.map(|milli| (pod.name.as_str(), milli))
    };
    pods.iter().map(request).collect()
}

/// `IsSupportedPodLevelResource`.
fn may_be_pod_level(resource: &str) -> bool {
    resource == "cpu" || resource == "memory" || resource.starts_with("hugepages-")
}

/// `PodRequests`: the pod's own request where it has one, or else what its containers need at most at any time; and overhead.
/// Sums are exact, and cut to 64 bits at the end.
fn pod_level(pod: &Pod, own: &Requests, resource: &str) -> Result<i64, MetricError> {
    let of = |requests: &Requests| requests.get(resource).map(|milli| i128::from(*milli));
    let request = of(own)
        .filter(|_| may_be_pod_level(resource))
        .or_else(|| at_most(pod, of));
    let overhead = pod.overhead.as_ref().and_then(of);
    add(request, overhead)
        .map(|sum| sum as i64)
        .ok_or_else(|| MetricError::NoPodRequest {
            pod: pod.name.clone(),
            resource: resource.into(),
        })
}

/// `AggregateContainerRequests`: of the containers with all sidecars, or of an init container with the sidecars before it.
fn at_most(pod: &Pod, of: impl Fn(&Requests) -> Option<i128>) -> Option<i128> {
    let mut running = pod.containers.iter().fold(None, |sum, c| add(sum, of(&c.requests)));
    let (mut sidecars, mut starting) = (None, None);
    for container in &pod.init_containers {
        let own = of(&container.requests);
        let meanwhile = add(sidecars, own);
        if container.restartable {
            running = add(running, own);
            sidecars = meanwhile;
        }
        starting = starting.max(meanwhile);
    }
    running.max(starting)
}

/// The sum of what is there.
fn add(a: Option<i128>, b: Option<i128>) -> Option<i128> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a + b),
        _ => a.or(b),
    }
}

/// `calculatePodRequestsFromContainers`: of containers and sidecars; one without a request spoils the sum.
fn by_containers(pod: &Pod, container: Option<&str>, resource: &str) -> Result<i64, MetricError> {
    let sidecars = pod.init_containers.iter().filter(|c| c.restartable);
    let mut sum: i64 = 0;
    for c in pod.containers.iter().chain(sidecars) {
        if container.is_some_and(|wanted| wanted != c.name) {
            continue;
        }
        let Some(request) = c.requests.get(resource) else {
            return Err(MetricError::NoRequest {
                pod: pod.name.clone(),
                container: c.name.clone(),
                resource: resource.into(),
            });
        };
        sum = sum.wrapping_add(*request);
        if container.is_some() {
            return Ok(sum);
        }
    }
    match container {
        Some(container) => Err(MetricError::NoContainer {
            pod: pod.name.clone(),
            container: container.into(),
        }),
        None => Ok(sum),
    }
}
