//! From a metric to replicas: `replica_calculator.go`, with `metrics/client.go` and `metrics/utilization.go`.

use std::collections::BTreeMap;

use super::answer::{MetricError, Proposal};
use super::go;
use super::input::{Input, Metric, Outcome, PodSample, PodValue, Rules, Source, Target, TargetKind};
use super::pods::{self, PodMetric, PodMetrics};
use crate::core::time::{Span, Time};

/// The deviation from 1 of a ratio, within which nothing is done.
#[derive(Clone, Copy, Debug)]
pub struct Tolerances {
    down: f64,
    up: f64,
}

impl Tolerances {
    /// `tolerancesForHpa`.
    pub fn of(input: &Input) -> Self {
        let flag = input.flags.tolerance;
        let own = |rules: Option<&Rules>| rules.and_then(|r| r.tolerance).unwrap_or(flag);
        let behavior = input.behavior.as_ref();
        Self {
            down: own(behavior.and_then(|b| b.scale_down.as_ref())),
            up: own(behavior.and_then(|b| b.scale_up.as_ref())),
        }
    }

    fn contain(self, ratio: f64) -> bool {
        (1.0 - self.down) <= ratio && ratio <= (1.0 + self.up)
    }
}

/// `computeReplicasForMetric`.
pub fn propose(input: &Input, metric: &Metric) -> Result<Proposal, MetricError> {
    let target = &metric.target;
    match &metric.source {
        Source::Resource { name, samples } => resource(input, target, name, None, samples),
        Source::ContainerResource {
            name,
            container,
            samples,
        } => resource(input, target, name, Some(container), samples),
        Source::Pods { samples } => pods_metric(input, target, samples),
        Source::Object { value } => object(input, target, value),
        Source::External { values } => external(input, target, values),
    }
}

/// `computeStatusForResourceMetricGeneric`.
fn resource(
    input: &Input,
    target: &Target,
    name: &str,
    container: Option<&str>,
    samples: &Outcome<Vec<PodSample>>,
) -> Result<Proposal, MetricError> {
    if target.average_value.is_none() && target.average_utilization.is_none() {
        return Err(MetricError::Target);
    }
    let mut metrics = BTreeMap::new();
    for sample in listed(samples)? {
        let usage = match container {
            None => pod_usage(sample),
            Some(container) => container_usage(sample, container),
        };
        if let Some(value) = usage {
            let (at, window) = (sample.at, sample.window);
            metrics.insert(sample.pod.as_str(), PodMetric { value, at, window });
        }
    }
    if let Some(target) = target.average_value {
        return plain(input, metrics, name, target);
    }
    let target = target.average_utilization.ok_or(MetricError::Target)?;
    utilization(input, metrics, name, container, target)
}

/// `computeStatusForPodsMetric` with `GetRawMetric`.
fn pods_metric(input: &Input, target: &Target, samples: &Outcome<Vec<PodValue>>) -> Result<Proposal, MetricError> {
    let target = target.average_value.ok_or(MetricError::Target)?;
    let metric = |sample: &PodValue| PodMetric {
        value: sample.value,
        at: Time::default(),
        window: Span::ZERO,
    };
    let metrics = listed(samples)?.iter().map(|s| (s.pod.as_str(), metric(s))).collect();
    plain(input, metrics, "", target)
}

/// What a metrics API lists, unless it is nothing.
fn listed<T>(data: &Outcome<Vec<T>>) -> Result<&[T], MetricError> {
    match data {
        Err(error) => Err(MetricError::Unavailable(error.clone())),
        Ok(list) if list.is_empty() => Err(MetricError::Empty),
        Ok(list) => Ok(list),
    }
}

/// `getPodMetrics`: one container without the resource, and the pod's is missing.
fn pod_usage(sample: &PodSample) -> Option<i64> {
    if sample.containers.is_empty() {
        return None;
    }
    let mut usages = sample.containers.iter().map(|c| c.usage);
    usages.try_fold(0_i64, |sum, usage| usage.map(|usage| sum.wrapping_add(usage)))
}

/// `getContainerMetrics`.
fn container_usage(sample: &PodSample, container: &str) -> Option<i64> {
    sample.containers.iter().find(|c| c.name == container)?.usage
}

/// What `plain` and `utilization` differ in: how metrics become a ratio, and what a missing one is taken for.
struct Scheme<'a> {
    /// The ratio of usage to target, with what the status shows of it.
    ratio: &'a dyn Fn(&PodMetrics) -> Result<(f64, Proposal), MetricError>,
    /// What a pod without a metric is taken to use when scaling down.
    full: &'a dyn Fn(&str) -> i64,
}

/// `GetResourceReplicas`.
fn utilization(
    input: &Input,
    mut metrics: PodMetrics,
    name: &str,
    container: Option<&str>,
    target: i32,
) -> Result<Proposal, MetricError> {
    let groups = counted(input, &mut metrics, name)?;
    let requests = pods::requests(&input.pods, container, name)?;
    let full = |pod: &str| {
        let request = requests.get(pod).copied().unwrap_or(0);
        request.wrapping_mul(i64::from(target.max(100))) / 100
    };
    let ratio = |metrics: &PodMetrics| utilization_ratio(metrics, &requests, target);
    let scheme = Scheme {
        ratio: &ratio,
        full: &full,
    };
    replicas(input, metrics, &groups, &scheme)
}

/// `calcPlainMetricReplicas`.
fn plain(input: &Input, mut metrics: PodMetrics, name: &str, target: i64) -> Result<Proposal, MetricError> {
    let groups = counted(input, &mut metrics, name)?;
    let ratio = |metrics: &PodMetrics| Ok(usage_ratio(metrics, target));
    let scheme = Scheme {
        ratio: &ratio,
        full: &|_| target,
    };
    replicas(input, metrics, &groups, &scheme)
}

/// Groups the pods, and leaves only metrics that count.
fn counted<'a>(input: &'a Input, metrics: &mut PodMetrics, name: &str) -> Result<pods::Groups<'a>, MetricError> {
    if input.pods.is_empty() {
        return Err(MetricError::NoPods);
    }
    let groups = pods::group(&input.pods, metrics, name, input.now, &input.flags);
    metrics.retain(|pod, _| !groups.ignored.contains(pod) && !groups.unready.contains(pod));
    if metrics.is_empty() {
        return Err(MetricError::NoneCounts);
    }
    Ok(groups)
}

/// The part that `GetResourceReplicas` and `calcPlainMetricReplicas` have in common.
fn replicas<'a>(
    input: &'a Input,
    mut metrics: PodMetrics<'a>,
    groups: &pods::Groups<'a>,
    scheme: &Scheme,
) -> Result<Proposal, MetricError> {
    let tolerances = Tolerances::of(input);
    let current = input.replicas;
    let (ratio, shown) = (scheme.ratio)(&metrics)?;
    let proposal = |replicas| Ok(Proposal { replicas, ..shown });

    let up_with_unready = !groups.unready.is_empty() && ratio > 1.0;
    if !up_with_unready && groups.missing.is_empty() {
        if tolerances.contain(ratio) {
            return proposal(current);
        }
        return proposal(go::int32((ratio * groups.ready as f64).ceil()));
    }

    let mut assume = |pod: &'a str, value| {
        let metric = PodMetric {
            value,
            ..PodMetric::default()
        };
        metrics.insert(pod, metric);
    };
    for pod in &groups.missing {
        if ratio < 1.0 {
            assume(pod, (scheme.full)(pod));
        } else if ratio > 1.0 {
            assume(pod, 0);
        }
    }
    if up_with_unready {
        groups.unready.iter().for_each(|pod| assume(pod, 0));
    }

    let (again, _) = (scheme.ratio)(&metrics)?;
    if tolerances.contain(again) || (ratio < 1.0 && again > 1.0) || (ratio > 1.0 && again < 1.0) {
        return proposal(current);
    }
    let replicas = go::int32((again * metrics.len() as f64).ceil());
    if (again < 1.0 && replicas > current) || (again > 1.0 && replicas < current) {
        return proposal(current);
    }
    proposal(replicas)
}

/// `GetResourceUtilizationRatio`: whole percents, cut off. Names without a pod are left out here, though not in the count.
fn utilization_ratio(
    metrics: &PodMetrics,
    requests: &BTreeMap<&str, i64>,
    target: i32,
) -> Result<(f64, Proposal), MetricError> {
    let (mut used, mut requested, mut entries) = (0_i64, 0_i64, 0_i64);
    for (pod, metric) in metrics {
        if let Some(request) = requests.get(pod) {
            used = used.wrapping_add(metric.value);
            requested = requested.wrapping_add(*request);
            entries += 1;
        }
    }
    if requested == 0 {
        return Err(MetricError::NothingRequested);
    }
    let utilization = used.wrapping_mul(100).wrapping_div(requested) as i32;
    let shown = Proposal {
        replicas: 0,
        value: used / entries,
        utilization: Some(utilization),
    };
    Ok((f64::from(utilization) / f64::from(target), shown))
}

/// `GetMetricUsageRatio`: the average is a whole number, cut off.
fn usage_ratio(metrics: &PodMetrics, target: i64) -> (f64, Proposal) {
    let used = metrics.values().fold(0_i64, |sum, m| sum.wrapping_add(m.value));
    let usage = used / metrics.len() as i64;
    (usage as f64 / target as f64, shown(usage))
}

/// A proposal whose replicas are still to be found.
const fn shown(value: i64) -> Proposal {
    Proposal {
        replicas: 0,
        value,
        utilization: None,
    }
}

/// `computeStatusForObjectMetric`.
fn object(input: &Input, target: &Target, value: &Outcome<i64>) -> Result<Proposal, MetricError> {
    let value = || value.clone().map_err(MetricError::Unavailable);
    match (target.kind, target.value, target.average_value) {
        (TargetKind::Value, Some(target), _) => {
            let usage = value()?;
            by_ratio(input, usage, usage as f64 / target as f64)
        }
        (TargetKind::AverageValue, _, Some(target)) => {
            let usage = value()?;
            let replicas = by_average(input, usage, target).unwrap_or_else(go::int32);
            Ok(Proposal {
                replicas,
                ..shown(average(input, usage))
            })
        }
        _ => Err(MetricError::Target),
    }
}

/// `computeStatusForExternalMetric`.
fn external(input: &Input, target: &Target, values: &Outcome<Vec<i64>>) -> Result<Proposal, MetricError> {
    if let Some(target) = target.average_value {
        let usage = sum_until_negative(listed(values)?);
        let saturate = |wanted: f64| {
            if wanted > f64::from(i32::MAX) {
                i32::MAX
            } else {
                go::int32(wanted)
            }
        };
        let value = if usage as f64 >= i64::MAX as f64 {
            i64::MAX
        } else {
            average(input, usage)
        };
        let replicas = by_average(input, usage, target).unwrap_or_else(saturate);
        return Ok(Proposal {
            replicas,
            ..shown(value)
        });
    }
    let target = target.value.ok_or(MetricError::Target)?;
    let usage = sum_up_to_most(listed(values)?);
    by_ratio(input, usage, usage as f64 / target as f64)
}

/// The sum in `GetExternalMetricReplicas`.
fn sum_up_to_most(values: &[i64]) -> i64 {
    let mut usage: i64 = 0;
    for value in values {
        if *value > 0 && usage > i64::MAX - value {
            return i64::MAX;
        }
        usage = usage.wrapping_add(*value);
    }
    usage
}

/// The sum in `GetExternalPerPodMetricReplicas`: below zero is taken for too much.
fn sum_until_negative(values: &[i64]) -> i64 {
    let mut usage: i64 = 0;
    for value in values {
        usage = usage.wrapping_add(*value);
        if usage < 0 {
            return i64::MAX;
        }
    }
    usage
}

/// `getUsageRatioReplicaCount`. From zero nothing comes here, with the default gates.
fn by_ratio(input: &Input, usage: i64, ratio: f64) -> Result<Proposal, MetricError> {
    let replicas = if Tolerances::of(input).contain(ratio) {
        input.replicas
    } else {
        let wanted = ratio * pods::count_ready(&input.pods)? as f64;
        if wanted > f64::from(i32::MAX) {
            i32::MAX
        } else {
            go::int32(wanted.ceil())
        }
    };
    Ok(Proposal {
        replicas,
        ..shown(usage)
    })
}

/// The common part of `GetObjectPerPodMetricReplicas` and `GetExternalPerPodMetricReplicas`: within the tolerance
/// `status.replicas`, or else the wanted replicas as a float, which the two convert differently.
fn by_average(input: &Input, usage: i64, target: i64) -> Result<i32, f64> {
    let ratio = usage as f64 / (target as f64 * f64::from(input.status_replicas));
    if Tolerances::of(input).contain(ratio) {
        Ok(input.status_replicas)
    } else {
        Err((usage as f64 / target as f64).ceil())
    }
}

/// Per pod of `status.replicas`, rounded up.
fn average(input: &Input, usage: i64) -> i64 {
    go::int64((usage as f64 / f64::from(input.status_replicas)).ceil())
}
