//! `behavior`: the same fields with the same meaning. What is absent stays absent.

use k8s_openapi::api::autoscaling::v2 as hpa;

use super::{MOST, Notes};
use crate::api::scaling_behavior::{Behavior, RateKind, RatePolicy, ScalingRules, SelectPolicy};

/// The same behavior. `field` is where it stands in the source.
pub(in super::super) fn behavior(
    field: &str,
    written: &hpa::HorizontalPodAutoscalerBehavior,
    notes: &mut Notes,
) -> Result<Behavior, String> {
    let mut rules = |name: &str, rules: Option<&hpa::HPAScalingRules>| {
        rules
            .map(|r| direction(&format!("{field}.{name}"), r, notes))
            .transpose()
    };
    Ok(Behavior {
        scale_up: rules("scaleUp", written.scale_up.as_ref())?,
        scale_down: rules("scaleDown", written.scale_down.as_ref())?,
        ..Behavior::default()
    })
}

fn direction(field: &str, written: &hpa::HPAScalingRules, notes: &mut Notes) -> Result<ScalingRules, String> {
    let select = match written.select_policy.as_deref() {
        None | Some("") => None,
        Some("Max") => Some(SelectPolicy::Max),
        Some("Min") => Some(SelectPolicy::Min),
        Some("Disabled") => Some(SelectPolicy::Disabled),
        Some(other) => return Err(format!("{field}.selectPolicy: {other} is none of Max, Min, Disabled")),
    };
    let mut policies = Vec::new();
    for (i, policy) in written.policies.iter().flatten().enumerate() {
        policies.push(RatePolicy {
            kind: match policy.type_.as_str() {
                "Pods" => RateKind::Pods,
                "Percent" => RateKind::Percent,
                other => {
                    return Err(format!(
                        "{field}.policies[{i}].type: {other} is neither Pods nor Percent"
                    ));
                }
            },
            value: policy.value,
            period_seconds: policy.period_seconds,
        });
    }
    if policies.len() > MOST.1 {
        return Err(format!(
            "{field}.policies has {} rate limits, and a policy at most {}",
            policies.len(),
            MOST.1
        ));
    }
    if written.policies.as_ref().is_some_and(Vec::is_empty) {
        notes.differs(
            &format!("{field}.policies"),
            "an empty list, which the API server refuses: left out",
        );
    }
    Ok(ScalingRules {
        stabilization_window_seconds: written.stabilization_window_seconds,
        select_policy: select,
        policies: (!policies.is_empty()).then_some(policies),
        tolerance: written.tolerance.as_ref().map(|q| q.0.as_str().into()),
    })
}
