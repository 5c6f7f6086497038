//! ScalingPolicy.

use super::{HOUR, Invalid, SECOND, count, meta, span};
use crate::api::ScalingPolicy;
use crate::api::scalar::QuantityText;
use crate::api::scaling_policy as api;
use crate::core::event::Event;
use crate::core::names::{ObjectRef, PolicyKind, QueryKey};
use crate::core::policy as core;
use crate::core::quantity::{Milli, Replicas};
use crate::core::report::ScaleEvent;
use crate::core::time::Span;

const MOST_REPLICAS: u32 = 1_000_000;

pub(super) fn event(object: &ScalingPolicy) -> Result<Event, Invalid> {
    let spec = &object.spec;
    let meta = meta(PolicyKind::ScalingPolicy, object, spec.suspend, spec.mode);
    let min = count("spec.minReplicas", spec.min_replicas, 1, (0, MOST_REPLICAS))?;
    let max = count("spec.maxReplicas", Some(spec.max_replicas), 1, (1, MOST_REPLICAS))?;
    if min > max {
        return Err(Invalid::new(
            "spec.maxReplicas",
            format!("{max} must be at least minReplicas, which is {min}"),
        ));
    }
    let interval = span(
        "spec.interval",
        spec.interval.as_ref(),
        Span::from_secs(15),
        (SECOND, HOUR),
    )?;
    let mut triggers = Vec::new();
    for (i, trigger) in spec.triggers.iter().enumerate() {
        triggers.push(convert_trigger(&format!("spec.triggers[{i}]"), trigger, interval)?);
    }
    if triggers.is_empty() {
        return Err(Invalid::new("spec.triggers", "at least one trigger is needed"));
    }
    let reference = &spec.scale_target_ref;
    let version = reference.api_version.as_deref().unwrap_or("apps/v1");
    let policy = core::ScalingPolicy {
        target: ObjectRef::new(version, &reference.kind, &meta.key.namespace, &reference.name),
        meta,
        min: Replicas::new(min),
        max: Replicas::new(max),
        direction: match spec.direction.unwrap_or_default() {
            api::Direction::Both => core::Direction::Both,
            api::Direction::UpOnly => core::Direction::UpOnly,
            api::Direction::DownOnly => core::Direction::DownOnly,
        },
        interval,
        triggers,
        behavior: behavior(spec.behavior.as_ref())?,
    };
    let remembered = object.status.iter().flat_map(|s| &s.scale_events);
    let history = remembered.map(|e| ScaleEvent {
        at: e.at,
        from: Replicas::from_i64(e.from.into()),
        to: Replicas::from_i64(e.to.into()),
    });
    Ok(Event::ScalingPolicy {
        history: history.collect(),
        policy: Box::new(policy),
    })
}

fn convert_trigger(field: &str, trigger: &api::Trigger, interval: Span) -> Result<core::Trigger, Invalid> {
    let Some(prometheus) = &trigger.prometheus else {
        return Err(Invalid::new(field, "exactly one of prometheus must be set"));
    };
    let positive = |name: &str, quantity: &QuantityText| -> Result<Milli, Invalid> {
        let field = format!("{field}.target.{name}");
        let value = quantity.milli().map_err(|e| Invalid::new(&field, e))?;
        if value > Milli::default() {
            Ok(value)
        } else {
            Err(Invalid::new(field, "must be above zero, such as 100"))
        }
    };
    let target = match (&trigger.target.value, &trigger.target.average_value) {
        (Some(value), None) => core::MetricTarget::Value(positive("value", value)?),
        (None, Some(average)) => core::MetricTarget::AverageValue(positive("averageValue", average)?),
        _ => {
            return Err(Invalid::new(
                format!("{field}.target"),
                "exactly one of value, averageValue must be set",
            ));
        }
    };
    let default_age = interval.times(3).max(Span::from_mins(1));
    let server = prometheus.server.clone().unwrap_or_else(|| "default".into());
    Ok(core::Trigger {
        name: trigger.name.clone(),
        query: QueryKey {
            server,
            expr: prometheus.query.clone(),
        },
        target,
        max_age: span(
            &format!("{field}.prometheus.maxAge"),
            prometheus.max_age.as_ref(),
            default_age,
            (SECOND, HOUR),
        )?,
    })
}

fn behavior(written: Option<&api::Behavior>) -> Result<core::Behavior, Invalid> {
    let mut result = core::Behavior::default();
    if let Some(written) = written {
        fill("spec.behavior.scaleUp", written.scale_up.as_ref(), &mut result.up)?;
        fill("spec.behavior.scaleDown", written.scale_down.as_ref(), &mut result.down)?;
    }
    Ok(result)
}

fn fill(field: &str, written: Option<&api::ScalingRules>, rules: &mut core::ScalingRules) -> Result<(), Invalid> {
    let Some(written) = written else { return Ok(()) };
    let window = written.stabilization_window_seconds;
    if window.is_some() {
        let seconds = count(&format!("{field}.stabilizationWindowSeconds"), window, 0, (0, 3600))?;
        rules.stabilization = Span::from_secs(seconds.into());
    }
    rules.select = match written.select_policy.unwrap_or_default() {
        api::SelectPolicy::Max => core::SelectPolicy::Max,
        api::SelectPolicy::Min => core::SelectPolicy::Min,
        api::SelectPolicy::Disabled => core::SelectPolicy::Disabled,
    };
    if let Some(policies) = &written.policies {
        rules.policies.clear();
        for (i, policy) in policies.iter().enumerate() {
            let field = format!("{field}.policies[{i}]");
            let period = count(
                &format!("{field}.periodSeconds"),
                Some(policy.period_seconds),
                1,
                (1, 1800),
            )?;
            rules.policies.push(core::RatePolicy {
                kind: match policy.kind {
                    api::RateKind::Pods => core::RateKind::Pods,
                    api::RateKind::Percent => core::RateKind::Percent,
                },
                value: count(&format!("{field}.value"), Some(policy.value), 1, (1, MOST_REPLICAS))?,
                period: Span::from_secs(period.into()),
            });
        }
    }
    if let Some(tolerance) = &written.tolerance {
        let field = format!("{field}.tolerance");
        let value = tolerance.milli().map_err(|e| Invalid::new(&field, e))?;
        if value < Milli::default() {
            return Err(Invalid::new(field, "must be at least 0, such as 100m for 10 percent"));
        }
        rules.tolerance = value.as_f64();
    }
    Ok(())
}
