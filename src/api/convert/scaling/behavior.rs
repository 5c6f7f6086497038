//! `behavior`.

use super::MOST_REPLICAS;
use crate::api::convert::{Invalid, count};
use crate::api::scaling_behavior as api;
use crate::core::policy as core;
use crate::core::quantity::Milli;
use crate::core::time::Span;

/// `behavior`, with the defaults of `autoscaling/v2` where it says nothing.
pub(super) fn convert(written: Option<&api::Behavior>) -> Result<core::Behavior, Invalid> {
    let mut result = core::Behavior::default();
    if let Some(written) = written {
        fill("spec.behavior.scaleUp", written.scale_up.as_ref(), &mut result.up)?;
        fill("spec.behavior.scaleDown", written.scale_down.as_ref(), &mut result.down)?;
        result.inside_tolerance = match written.inside_tolerance.unwrap_or_default() {
            api::InsideTolerance::Hold => core::InsideTolerance::Hold,
            api::InsideTolerance::Converge => core::InsideTolerance::Converge,
        };
        let field = "spec.behavior.minReadyPercent";
        result.min_ready_percent = count(field, written.min_ready_percent, 0, (0, 100))?;
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
