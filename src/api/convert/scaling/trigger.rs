//! Triggers.

use super::MOST_REPLICAS;
use crate::api::common::{LabelOperator, LabelSelector};
use crate::api::convert::{DAY, HOUR, Invalid, SECOND, count, span};
use crate::api::scalar::QuantityText;
use crate::api::scaling_trigger as api;
use crate::core::names::{MetricName, ObjectRef, QueryKey};
use crate::core::policy as core;
use crate::core::quantity::{Milli, Replicas};
use crate::core::time::Span;

/// After so many failed tries in a row something is done, where the policy does not say.
const DEFAULT_AFTER: u32 = 3;

/// What is asked, and how much of the answer is meant.
struct Source {
    query: QueryKey,
    resource: Option<core::ResourceName>,
    combine: core::Combine,
}

pub(super) fn convert(
    field: &str,
    written: &api::Trigger,
    target: &ObjectRef,
    interval: Span,
) -> Result<core::Trigger, Invalid> {
    let source = source(field, written, target)?;
    let of_prometheus = written.prometheus.as_ref();
    let least = Span::from_mins(if of_prometheus.is_some() { 3 } else { 5 });
    let own_age = of_prometheus.and_then(|p| p.max_age.as_ref());
    if own_age.is_some() && written.max_age.is_some() {
        let problem = "is set twice: remove it here or in prometheus";
        return Err(Invalid::new(format!("{field}.maxAge"), problem));
    }
    let max_age = span(
        &format!("{field}.maxAge"),
        written.max_age.as_ref().or(own_age),
        interval.times(3).max(least),
        (SECOND, HOUR),
    )?;
    let aim = aim(&format!("{field}.target"), &written.target)?;
    let fits = match aim {
        core::MetricTarget::AverageValue(_) => true,
        core::MetricTarget::Value(_) => !matches!(source.query, QueryKey::Pods { .. }),
        core::MetricTarget::Utilization(_) => source.resource.is_some() || of_prometheus.is_some(),
    };
    if !fits {
        let problem =
            "does not fit the trigger: pods need averageValue; averageUtilization is for resources and prometheus";
        return Err(Invalid::new(format!("{field}.target"), problem));
    }
    Ok(core::Trigger {
        resource: source.resource,
        combine: source.combine,
        activation: match &written.activation {
            None => Milli::default(),
            Some(quantity) => at_least_zero(&format!("{field}.activation"), quantity)?,
        },
        on_missing: on_missing(&format!("{field}.onMissing"), written.on_missing.as_ref())?,
        ..core::Trigger::new(&written.name, source.query, aim, max_age)
    })
}

fn source(field: &str, written: &api::Trigger, target: &ObjectRef) -> Result<Source, Invalid> {
    let plain = |query| Source {
        query,
        resource: None,
        combine: core::Combine::Error,
    };
    let usage = |name: &str, container: Option<&String>| Source {
        resource: Some(core::ResourceName {
            name: name.to_owned(),
            container: container.cloned(),
        }),
        ..plain(QueryKey::Resources { target: target.clone() })
    };
    let mut found = Vec::new();
    if let Some(prometheus) = &written.prometheus {
        let server = prometheus.server.as_deref().unwrap_or("default");
        found.push(Source {
            combine: match prometheus.combine.unwrap_or_default() {
                api::Combine::Error => core::Combine::Error,
                api::Combine::Sum => core::Combine::Sum,
                api::Combine::Max => core::Combine::Max,
                api::Combine::Avg => core::Combine::Avg,
            },
            ..plain(QueryKey::prometheus(server, &prometheus.query))
        });
    }
    found.extend(written.resource.as_ref().map(|r| usage(&r.name, None)));
    let of_container = written.container_resource.as_ref();
    found.extend(of_container.map(|r| usage(&r.name, Some(&r.container))));
    found.extend(written.pods.as_ref().map(|pods| {
        plain(QueryKey::Pods {
            target: target.clone(),
            metric: metric(&pods.metric),
        })
    }));
    found.extend(written.object.as_ref().map(|object| {
        let described = &object.described_object;
        let version = described.api_version.as_deref().unwrap_or("v1");
        plain(QueryKey::Object {
            object: ObjectRef::new(version, &described.kind, &target.namespace, &described.name),
            metric: metric(&object.metric),
        })
    }));
    found.extend(written.external.as_ref().map(|external| {
        plain(QueryKey::External {
            namespace: target.namespace.clone(),
            metric: metric(&external.metric),
        })
    }));
    match (found.pop(), found.is_empty()) {
        (Some(one), true) => Ok(one),
        _ => Err(Invalid::new(
            field,
            "exactly one of prometheus, resource, containerResource, pods, object, external must be set",
        )),
    }
}

fn metric(written: &api::MetricIdentifier) -> MetricName {
    MetricName {
        name: written.name.clone(),
        selector: written.selector.as_ref().map(selector_text).unwrap_or_default(),
    }
}

/// A label selector as Kubernetes writes it in a URL: `a=b,c in (d,e),!f`.
pub(crate) fn selector_text(selector: &LabelSelector) -> String {
    let labels = selector.match_labels.iter().map(|(k, v)| format!("{k}={v}"));
    let expressions = selector.match_expressions.iter().map(|e| match e.operator {
        LabelOperator::In => format!("{} in ({})", e.key, e.values.join(",")),
        LabelOperator::NotIn => format!("{} notin ({})", e.key, e.values.join(",")),
        LabelOperator::Exists => e.key.clone(),
        LabelOperator::DoesNotExist => format!("!{}", e.key),
    });
    labels.chain(expressions).collect::<Vec<_>>().join(",")
}

pub(super) fn aim(field: &str, written: &api::MetricTarget) -> Result<core::MetricTarget, Invalid> {
    let targets = [
        written
            .value
            .as_ref()
            .map(|v| positive(&format!("{field}.value"), v).map(core::MetricTarget::Value)),
        written
            .average_value
            .as_ref()
            .map(|v| positive(&format!("{field}.averageValue"), v).map(core::MetricTarget::AverageValue)),
        written.average_utilization.map(|percent| {
            let field = format!("{field}.averageUtilization");
            count(&field, Some(percent), 1, (1, MOST_REPLICAS)).map(core::MetricTarget::Utilization)
        }),
        written.drain.as_ref().map(|d| drain(&format!("{field}.drain"), d)),
    ];
    let mut set = targets.into_iter().flatten();
    match (set.next(), set.next()) {
        (Some(target), None) => target,
        _ => Err(Invalid::new(
            field,
            "exactly one of value, averageValue, averageUtilization, drain must be set",
        )),
    }
}

/// What one replica works off in the time is what one replica may have of the backlog.
fn drain(field: &str, written: &api::DrainTarget) -> Result<core::MetricTarget, Invalid> {
    let rate = positive(&format!("{field}.ratePerReplica"), &written.rate_per_replica)?;
    let within = span(&format!("{field}.within"), Some(&written.within), SECOND, (SECOND, DAY))?;
    let share = Milli::from_f64(rate.as_f64() * within.as_secs_f64()).unwrap_or(rate);
    Ok(core::MetricTarget::AverageValue(share.max(Milli::new(1))))
}

fn positive(field: &str, quantity: &QuantityText) -> Result<Milli, Invalid> {
    let value = quantity.milli().map_err(|e| Invalid::new(field, e))?;
    if value > Milli::default() {
        Ok(value)
    } else {
        Err(Invalid::new(field, "must be above zero, such as 100"))
    }
}

fn at_least_zero(field: &str, quantity: &QuantityText) -> Result<Milli, Invalid> {
    let value = quantity.milli().map_err(|e| Invalid::new(field, e))?;
    if value >= Milli::default() {
        Ok(value)
    } else {
        Err(Invalid::new(field, "must be at least 0, such as 5"))
    }
}

fn on_missing(field: &str, written: Option<&api::OnMissing>) -> Result<core::OnMissing, Invalid> {
    let Some(written) = written else {
        return Ok(core::OnMissing::Hold);
    };
    let after = count(&format!("{field}.after"), written.after, DEFAULT_AFTER, (1, 1000))?;
    Ok(match written.action {
        api::OnMissingAction::Hold => core::OnMissing::Hold,
        api::OnMissingAction::Ignore => core::OnMissing::Ignore { after },
        api::OnMissingAction::Zero => core::OnMissing::Zero { after },
        api::OnMissingAction::Fallback => {
            let against = match written.behavior.unwrap_or_default() {
                api::FallbackBehavior::Static => core::Fallback::Static,
                api::FallbackBehavior::CurrentReplicas => core::Fallback::CurrentReplicas,
                api::FallbackBehavior::CurrentReplicasIfHigher => core::Fallback::CurrentReplicasIfHigher,
                api::FallbackBehavior::CurrentReplicasIfLower => core::Fallback::CurrentReplicasIfLower,
            };
            if written.replicas.is_none() && against != core::Fallback::CurrentReplicas {
                return Err(Invalid::new(
                    format!("{field}.replicas"),
                    "must be set with action: Fallback",
                ));
            }
            let replicas = count(&format!("{field}.replicas"), written.replicas, 0, (0, MOST_REPLICAS))?;
            core::OnMissing::Fallback {
                replicas: Replicas::new(replicas),
                against,
                after,
            }
        }
    })
}
