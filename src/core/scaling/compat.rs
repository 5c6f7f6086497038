//! `compat: HPAv2`: what is seen, as the HPA's controller would see it, and its answer as this operator's decision. The
//! algorithm itself is in [`super::hpa`].
//!
//! What stays ours: what is asked of Prometheus counts as an external metric, and data that are too old count as missing.

use super::combine::Combined;
use super::decide::Course;
use super::gather::{Datum, Gap, gather};
use super::hpa::{self, History, Input, input};
use super::memory::Memory;
use super::pods::own_pods;
use super::propose::Said;
use crate::core::names::QueryKey;
use crate::core::policy::{
    Compat, MetricTarget, RateKind, ResourceName, ScalingPolicy, ScalingRules, SelectPolicy, Trigger,
};
use crate::core::quantity::{Milli, Replicas};
use crate::core::reason::Reason;
use crate::core::report::ScaleEvent;
use crate::core::sample::{PodUsage, Reading};
use crate::core::state::State;
use crate::core::time::Time;
use crate::core::world::{Pod, PodPhase, Status, Target};

/// Decides as the HPA does; remembers the recommendation.
pub(super) fn decide(state: &State, now: Time, memory: &mut Memory, target: &Target) -> Course {
    let current = target.replicas;
    let policy = &memory.policy;
    let data: Vec<Result<Datum, Gap>> = policy
        .triggers
        .iter()
        .map(|trigger| datum(state, now, trigger, policy))
        .collect();
    let pods = match own_pods(state, policy, target) {
        Ok(pods) => pods,
        Err(gap) => return blind(current, data.len(), &gap),
    };
    let asked = Input {
        now,
        flags: flags(policy),
        min: Some(policy.min.as_i32()),
        max: policy.max.as_i32(),
        metrics: metrics(state, policy, &data),
        behavior: behavior(policy),
        replicas: current.as_i32(),
        status_replicas: target.status_replicas.as_i32(),
        selector: if target.selector.is_empty() {
            input::Selector::Missing
        } else {
            input::Selector::Valid
        },
        pods: pods.into_iter().map(pod).collect(),
        history: history(memory),
    };
    let answer = hpa::decide(&asked);
    memory.recommendations.clone_from(&answer.history.recommendations);
    course(&answer, current, data)
}

/// Without a view of the pods nothing can be said.
fn blind(current: Replicas, triggers: usize, gap: &Gap) -> Course {
    Course {
        current,
        said: vec![Said::gap(gap.clone()); triggers],
        combined: Combined::Hold {
            reason: Reason::DataMissing,
            highest: None,
        },
        stabilized: current,
        desired: current,
        limited_by: Some(Reason::DataMissing),
        schedules: Vec::new(),
        problem: None,
    }
}

/// What is shown as the trigger's value; and whether there is one at all.
fn datum(state: &State, now: Time, trigger: &Trigger, policy: &ScalingPolicy) -> Result<Datum, Gap> {
    let sample = state.sample(&trigger.query);
    match sample.map(|sample| &sample.reading) {
        Some(Reading::PodUsage { pods }) => Ok(measured(now, pods.iter().map(|pod| pod.at))),
        Some(Reading::PodValues { pods }) => Ok(measured(now, pods.iter().map(|pod| pod.at))),
        // The controller takes an empty list for what it is; other metrics are old when their server says so.
        Some(Reading::Value { value, sampled_at, .. }) if !matches!(trigger.query, QueryKey::Prometheus { .. }) => {
            Ok(Datum {
                value: *value,
                sampled_at: *sampled_at,
                warning: None,
            })
        }
        _ => gather(trigger, sample, now, policy.interval, None),
    }
}

fn measured(now: Time, times: impl Iterator<Item = Time>) -> Datum {
    Datum {
        value: Milli::default(),
        sampled_at: times.min().unwrap_or(now),
        warning: None,
    }
}

fn flags(policy: &ScalingPolicy) -> input::Flags {
    input::Flags {
        cpu_initialization: policy.readiness.cpu_initialization,
        initial_readiness_delay: policy.readiness.initial_delay,
        ..input::Flags::default()
    }
}

/// With the defaults filled in, which are those of the controller.
fn behavior(policy: &ScalingPolicy) -> Option<input::Behavior> {
    (policy.compat == Compat::HpaV2).then(|| input::Behavior {
        scale_up: Some(rules(&policy.behavior.up)),
        scale_down: Some(rules(&policy.behavior.down)),
    })
}

fn rules(rules: &ScalingRules) -> input::Rules {
    let policies = rules.policies.iter().map(|policy| input::Policy {
        kind: match policy.kind {
            RateKind::Pods => input::PolicyKind::Pods,
            RateKind::Percent => input::PolicyKind::Percent,
        },
        value: i32::try_from(policy.value).unwrap_or(i32::MAX),
        period_seconds: i32::try_from(policy.period.as_millis() / 1000).unwrap_or(i32::MAX),
    });
    input::Rules {
        stabilization_window_seconds: i32::try_from(rules.stabilization.as_millis() / 1000).ok(),
        select_policy: Some(match rules.select {
            SelectPolicy::Max => input::SelectPolicy::Max,
            SelectPolicy::Min => input::SelectPolicy::Min,
            SelectPolicy::Disabled => input::SelectPolicy::Disabled,
        }),
        policies: Some(policies.collect()),
        tolerance: Some(rules.tolerance),
    }
}

fn metrics(state: &State, policy: &ScalingPolicy, data: &[Result<Datum, Gap>]) -> Vec<input::Metric> {
    let all = policy.triggers.iter().zip(data);
    all.map(|(trigger, datum)| input::Metric {
        source: source(state, trigger, datum),
        target: target(trigger.target),
    })
    .collect()
}

fn target(aim: MetricTarget) -> input::Target {
    let kind = match aim {
        MetricTarget::Value(_) => input::TargetKind::Value,
        MetricTarget::AverageValue(_) => input::TargetKind::AverageValue,
        MetricTarget::Utilization(_) => input::TargetKind::Utilization,
    };
    let mut target = input::Target {
        kind,
        value: None,
        average_value: None,
        average_utilization: None,
    };
    match aim {
        MetricTarget::Value(value) => target.value = Some(value.thousandths()),
        MetricTarget::AverageValue(value) => target.average_value = Some(value.thousandths()),
        MetricTarget::Utilization(percent) => target.average_utilization = i32::try_from(percent).ok(),
    }
    target
}

fn source(state: &State, trigger: &Trigger, datum: &Result<Datum, Gap>) -> input::Source {
    let reading = state.sample(&trigger.query).map(|sample| &sample.reading);
    let error = || datum.as_ref().err().map_or_else(String::new, |gap| gap.message.clone());
    let number = datum.as_ref().map(|d| d.value.thousandths()).map_err(|_| error());
    match (&trigger.query, &trigger.resource) {
        (QueryKey::Resources { .. }, Some(resource)) => {
            let samples = match reading {
                Some(Reading::PodUsage { pods }) => Ok(pods.iter().map(|pod| usage(pod, resource)).collect()),
                Some(Reading::Empty) => Ok(Vec::new()),
                _ => Err(error()),
            };
            let name = resource.name.clone();
            match resource.container.clone() {
                None => input::Source::Resource { name, samples },
                Some(container) => input::Source::ContainerResource {
                    name,
                    container,
                    samples,
                },
            }
        }
        (QueryKey::Pods { .. }, _) => input::Source::Pods {
            samples: match reading {
                Some(Reading::PodValues { pods }) => Ok(pods
                    .iter()
                    .map(|pod| input::PodValue {
                        pod: pod.pod.clone(),
                        value: pod.value.thousandths(),
                    })
                    .collect()),
                Some(Reading::Empty) => Ok(Vec::new()),
                _ => Err(error()),
            },
        },
        (QueryKey::Object { .. }, _) => input::Source::Object { value: number },
        _ => input::Source::External {
            values: match reading {
                Some(Reading::Series { values, .. }) => Ok(values.iter().map(|v| v.thousandths()).collect()),
                Some(Reading::Empty) => Ok(Vec::new()),
                _ => number.map(|n| vec![n]),
            },
        },
    }
}

fn usage(pod: &PodUsage, resource: &ResourceName) -> input::PodSample {
    let containers = pod.containers.iter().map(|(name, usage)| input::ContainerUsage {
        name: name.clone(),
        usage: usage.get(&resource.name).map(|amount| amount.thousandths()),
    });
    input::PodSample {
        pod: pod.pod.clone(),
        at: pod.at,
        window: pod.window,
        containers: containers.collect(),
    }
}

fn pod(pod: &Pod) -> input::Pod {
    let requests = |list: &std::collections::BTreeMap<String, Milli>| -> input::Requests {
        list.iter()
            .map(|(name, amount)| (name.clone(), amount.thousandths()))
            .collect()
    };
    let containers = |init: bool| {
        let asks = pod.asks.iter().filter(move |ask| ask.init == init);
        asks.map(|ask| input::Container {
            name: ask.container.clone(),
            restartable: ask.sidecar,
            requests: requests(&ask.requests),
        })
    };
    input::Pod {
        name: pod.key.name.clone(),
        phase: match pod.phase {
            PodPhase::Pending => input::Phase::Pending,
            PodPhase::Running => input::Phase::Running,
            PodPhase::Succeeded => input::Phase::Succeeded,
            PodPhase::Failed => input::Phase::Failed,
            PodPhase::Unknown => input::Phase::Unknown,
        },
        deleting: pod.deleting.is_some(),
        start_time: pod.started,
        ready: pod.ready.as_ref().map(|ready| input::Ready {
            status: match ready.status {
                Status::True => input::Status::True,
                Status::False => input::Status::False,
                Status::Unknown => input::Status::Unknown,
            },
            since: Some(ready.since).filter(|since| *since != Time::default()),
        }),
        containers: containers(false).collect(),
        init_containers: containers(true).collect(),
        requests: pod.pod_asks.as_ref().map(requests),
        overhead: pod.overhead.as_ref().map(requests),
    }
}

fn history(memory: &Memory) -> History {
    let event = |event: &ScaleEvent| hpa::history::ScaleEvent {
        change: event.to.as_i32().abs_diff(event.from.as_i32()).cast_signed(),
        at: event.at,
        outdated: false,
    };
    let (up, down): (Vec<_>, Vec<_>) = memory.history.iter().partition(|event| event.to > event.from);
    History {
        recommendations: memory.recommendations.clone(),
        up: up.into_iter().map(event).collect(),
        down: down.into_iter().map(event).collect(),
    }
}

fn course(answer: &hpa::Answer, current: Replicas, data: Vec<Result<Datum, Gap>>) -> Course {
    let count = |n: i32| Replicas::from_i64(n.into());
    // The controller's numbers can overflow to below zero, which the API server would refuse: nothing changes then.
    let desired = if answer.desired < 0 {
        current
    } else {
        count(answer.desired)
    };
    let mut proposals = answer.proposals.iter();
    let said: Vec<Said> = data
        .into_iter()
        .map(|datum| said(datum, proposals.next(), current))
        .collect();
    let hold = |reason| Combined::Hold {
        reason,
        highest: said.iter().filter_map(|s| s.proposal).max(),
    };
    let (combined, stabilized, limited_by) = match &answer.course {
        hpa::Course::Disabled => (hold(Reason::ScaledToZero), current, Some(Reason::ScaledToZero)),
        hpa::Course::AboveMax => (Combined::Recommend(desired), desired, Some(Reason::AboveMaximum)),
        hpa::Course::BelowMin => (Combined::Recommend(desired), desired, Some(Reason::BelowMinimum)),
        hpa::Course::InvalidSelector | hpa::Course::Failed { .. } => {
            let waiting = said
                .iter()
                .all(|s| s.is_complete() || s.reason == Reason::NotSampledYet);
            let waits = waiting && said.iter().any(|s| s.reason == Reason::NotSampledYet);
            let reason = if waits {
                Reason::NotSampledYet
            } else {
                Reason::DataMissing
            };
            (hold(reason), current, Some(reason))
        }
        hpa::Course::Metrics {
            recommended,
            normalized,
            ..
        } => (
            Combined::Recommend(count(*recommended)),
            count(normalized.stabilized),
            limit(normalized),
        ),
    };
    Course {
        current,
        said,
        combined,
        stabilized,
        desired,
        limited_by,
        schedules: Vec::new(),
        problem: None,
    }
}

fn limit(normalized: &hpa::Normalized) -> Option<Reason> {
    let window = normalized.stabilization.map(|stabilized| match stabilized {
        hpa::Stabilized::ScaleUpStabilized => Reason::ScaleUpStabilized,
        hpa::Stabilized::ScaleDownStabilized => Reason::ScaleDownStabilized,
    });
    if normalized.desired == normalized.stabilized {
        return window;
    }
    match normalized.limit {
        hpa::Limit::DesiredWithinRange => window,
        hpa::Limit::ScaleUpLimit => Some(Reason::ScaleUpLimit),
        hpa::Limit::ScaleDownLimit => Some(Reason::ScaleDownLimit),
        hpa::Limit::TooManyReplicas => Some(Reason::TooManyReplicas),
        hpa::Limit::TooFewReplicas => Some(Reason::TooFewReplicas),
    }
}

/// What one metric says, as the controller shows it.
fn said(
    datum: Result<Datum, Gap>,
    proposal: Option<&Result<hpa::Proposal, hpa::MetricError>>,
    current: Replicas,
) -> Said {
    let datum = match datum {
        Ok(datum) => datum,
        Err(gap) => return Said::gap(gap),
    };
    match proposal {
        Some(Ok(proposal)) => {
            let replicas = Replicas::from_i64(proposal.replicas.into());
            let shown = proposal
                .utilization
                .map_or(proposal.value, |percent| i64::from(percent) * 10);
            Said {
                datum: Ok(Datum {
                    value: Milli::new(shown),
                    ..datum
                }),
                proposal: Some(replicas),
                reason: match replicas.cmp(&current) {
                    std::cmp::Ordering::Greater => Reason::ScaleUp,
                    std::cmp::Ordering::Less => Reason::ScaleDown,
                    std::cmp::Ordering::Equal => Reason::AsDesired,
                },
                counted: None,
                active: None,
            }
        }
        Some(Err(error)) => Said::gap(Gap {
            sampled_at: Some(datum.sampled_at),
            ..Gap::new(Reason::NoData, format!("cannot be used: {error}"))
        }),
        // Out of bounds, or at zero: metrics are not looked at.
        None => Said {
            proposal: Some(current),
            reason: Reason::AsDesired,
            counted: None,
            active: None,
            datum: Ok(datum),
        },
    }
}
