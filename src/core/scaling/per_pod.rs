//! Proposals from what each pod uses or reports. The calculators for resource and pod metrics of the HPA controller
//! (`GetResourceReplicas`, `calcPlainMetricReplicas` in `pkg/controller/podautoscaler/replica_calculator.go`), with these
//! deliberate differences:
//!
//! * Ratios are exact; the HPA cuts a utilization to whole percents, and a mean to whole milli-units.
//! * A pod that does not request the resource is left out like one without metrics; in the HPA it stops the whole metric.
//! * Metrics of pods that are not the target's own, or are gone, do not count.
//! * Overload never asks for fewer replicas than there are, and idleness never for more.
//!
//! As in the HPA, pods without metrics count as idle on the way up and as just at the target on the way down, and pods
//! that are not Ready yet count as idle on the way up.

use std::collections::BTreeMap;

use super::gather::{Datum, Gap};
use super::propose::Proposal;
use crate::core::policy::{MetricTarget, Readiness, ResourceName, ScalingPolicy, Trigger};
use crate::core::quantity::{Milli, Replicas};
use crate::core::reason::Reason;
use crate::core::sample::{PodUsage, PodValue, Reading};
use crate::core::time::{Span, Time};
use crate::core::world::{Pod, PodPhase, Status};

/// The pods behind a value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Measured and taken for serving.
    pub ready: u32,
    /// Not Ready yet.
    pub unready: u32,
    /// Without metrics.
    pub missing: u32,
}

/// What the pods say together, and what it asks for.
///
/// # Errors
/// The gap, where no pod says anything that can be used.
pub(super) fn ask(
    trigger: &Trigger,
    reading: &Reading,
    pods: &[&Pod],
    (policy, current): (&ScalingPolicy, Replicas),
    now: Time,
) -> Result<(Datum, Proposal, Counted), Gap> {
    let living: Vec<&Pod> = pods
        .iter()
        .copied()
        .filter(|pod| pod.deleting.is_none() && !pod.is_finished())
        .collect();
    let sums = sum(trigger, reading, &living, policy.readiness, now);
    let counted = Counted {
        ready: sums.ready.count,
        unready: sums.unready.count,
        missing: sums.missing.count,
    };
    let Some(sampled_at) = sums.oldest else {
        return Err(nothing(trigger, &living, counted));
    };
    let ratio = sums.ready.used / sums.ready.aim;
    let value = match trigger.target {
        MetricTarget::Utilization(percent) => ratio * f64::from(percent) / 100.0,
        MetricTarget::AverageValue(_) => sums.ready.used / f64::from(sums.ready.count.max(1)) / 1000.0,
        MetricTarget::Value(_) => sums.ready.used / 1000.0,
    };
    let datum = Datum {
        value: Milli::from_f64(value).unwrap_or_default(),
        sampled_at,
        warning: None,
    };
    Ok((datum, propose(&sums, ratio, policy, current), counted))
}

fn nothing(trigger: &Trigger, living: &[&Pod], counted: Counted) -> Gap {
    let utilization = matches!(trigger.target, MetricTarget::Utilization(_));
    let asks = living.iter().any(|pod| aim(trigger, pod, living.len()).is_some());
    if utilization && !asks && !living.is_empty() {
        let name = trigger.resource.as_ref().map_or("the resource", |r| r.name.as_str());
        return Gap::new(
            Reason::NoRequests,
            format!("cannot be computed: no pod requests {name}; set resources.requests, or use averageValue"),
        );
    }
    let Counted { unready, missing, .. } = counted;
    let message = format!("has no metrics of any Ready pod ({unready} not Ready, {missing} without metrics)");
    Gap::new(Reason::NoData, message)
}

/// What some pods use together, and what they should use, in thousandths.
#[derive(Default)]
struct Part {
    used: f64,
    aim: f64,
    count: u32,
}

impl Part {
    fn add(&mut self, used: f64, aim: Option<f64>) {
        self.used += used;
        self.aim += aim.unwrap_or(0.0);
        self.count += 1;
    }
}

#[derive(Default)]
struct Sums {
    ready: Part,
    unready: Part,
    missing: Part,
    oldest: Option<Time>,
}

fn sum(trigger: &Trigger, reading: &Reading, living: &[&Pod], readiness: Readiness, now: Time) -> Sums {
    let measured = measurements(trigger, reading);
    let is_cpu = trigger.resource.as_ref().is_some_and(|r| r.name == "cpu");
    let mut sums = Sums::default();
    for pod in living {
        let aim = aim(trigger, pod, living.len());
        let found = measured
            .get(pod.key.name.as_str())
            .filter(|found| now.since(found.at) <= trigger.max_age);
        match (found, aim) {
            _ if pod.phase == PodPhase::Pending => sums.unready.add(0.0, aim),
            (Some(found), _) if is_cpu && !counts(pod, found, readiness, now) => sums.unready.add(0.0, aim),
            (Some(found), Some(aim)) => {
                sums.ready.add(found.used, Some(aim));
                sums.oldest = Some(sums.oldest.map_or(found.at, |old| old.min(found.at)));
            }
            _ => sums.missing.add(0.0, aim),
        }
    }
    sums
}

fn propose(sums: &Sums, ratio: f64, policy: &ScalingPolicy, current: Replicas) -> Proposal {
    let behavior = &policy.behavior;
    let within = |ratio: f64| (1.0 - behavior.down.tolerance) <= ratio && ratio <= (1.0 + behavior.up.tolerance);
    let (mut used, mut aim, mut count) = (sums.ready.used, sums.ready.aim, sums.ready.count);
    if ratio < 1.0 {
        used += sums.missing.aim;
        aim += sums.missing.aim;
        count += sums.missing.count;
    } else if ratio > 1.0 {
        aim += sums.missing.aim + sums.unready.aim;
        count += sums.missing.count + sums.unready.count;
    }
    let damped = used / aim;
    let turned = (ratio < 1.0 && damped > 1.0) || (ratio > 1.0 && damped < 1.0);
    let wanted = Replicas::from_i64((damped * f64::from(count)).ceil() as i64);
    if turned {
        Proposal::Replicas(current)
    } else if within(damped) {
        Proposal::WithinTolerance(wanted)
    } else if damped > 1.0 {
        Proposal::Replicas(wanted.max(current))
    } else {
        Proposal::Replicas(wanted.min(current))
    }
}

/// What a pod should use, in thousandths; `None` where it does not say how much it requests.
fn aim(trigger: &Trigger, pod: &Pod, pods: usize) -> Option<f64> {
    let aim = match (trigger.target, &trigger.resource) {
        (MetricTarget::Utilization(percent), Some(resource)) => {
            requested(pod, resource)? as f64 * f64::from(percent) / 100.0
        }
        (MetricTarget::AverageValue(aim), _) => aim.thousandths() as f64,
        (MetricTarget::Value(aim), _) => aim.thousandths() as f64 / pods as f64,
        (MetricTarget::Utilization(_), None) => return None,
    };
    (aim > 0.0).then_some(aim)
}

/// What a pod requests of a resource, in thousandths: as a whole where it says so, otherwise its containers together, each
/// of which must.
fn requested(pod: &Pod, resource: &ResourceName) -> Option<i64> {
    let of = |requests: &BTreeMap<String, Milli>| requests.get(&resource.name).map(|m| m.thousandths());
    if let Some(name) = &resource.container {
        return of(&pod.asks.iter().find(|ask| ask.container == *name)?.requests);
    }
    if let Some(whole) = pod.pod_asks.as_ref().and_then(of) {
        return Some(whole);
    }
    let mut asks = pod.asks.iter();
    asks.try_fold(0_i64, |sum, ask| Some(sum.saturating_add(of(&ask.requests)?)))
}

/// Whether the processor time of a pod says something of the load: not while it is starting.
fn counts(pod: &Pod, found: &Measured, readiness: Readiness, now: Time) -> bool {
    let (Some(ready), Some(started)) = (&pod.ready, pod.started) else {
        return false;
    };
    if started + readiness.cpu_initialization > now {
        return ready.status != Status::False && found.at >= ready.since + found.window;
    }
    !(ready.status == Status::False && started + readiness.initial_delay > ready.since)
}

/// A measurement of one pod; `used` in thousandths.
struct Measured {
    used: f64,
    at: Time,
    window: Span,
}

fn measurements<'a>(trigger: &Trigger, reading: &'a Reading) -> BTreeMap<&'a str, Measured> {
    match (reading, &trigger.resource) {
        (Reading::PodUsage { pods }, Some(resource)) => {
            let read = |pod: &'a PodUsage| Some((pod.pod.as_str(), usage(pod, resource)?));
            pods.iter().filter_map(read).collect()
        }
        (Reading::PodValues { pods }, _) => pods.iter().map(|pod| (pod.pod.as_str(), value(pod))).collect(),
        _ => BTreeMap::new(),
    }
}

fn usage(pod: &PodUsage, resource: &ResourceName) -> Option<Measured> {
    let of = |container: &BTreeMap<String, Milli>| container.get(&resource.name).map(|m| m.thousandths() as f64);
    let used = match &resource.container {
        Some(name) => of(pod.containers.get(name)?)?,
        None if pod.containers.is_empty() => return None,
        None => pod.containers.values().map(of).sum::<Option<f64>>()?,
    };
    Some(Measured {
        used,
        at: pod.at,
        window: pod.window,
    })
}

fn value(pod: &PodValue) -> Measured {
    Measured {
        used: pod.value.thousandths() as f64,
        at: pod.at,
        window: pod.window,
    }
}
