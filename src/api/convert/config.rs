//! OperatorConfig.

use super::{DAY, Invalid, count, span};
use crate::api::OperatorConfig;
use crate::core::policy::Limits;
use crate::core::time::Span;

/// The limits that an OperatorConfig sets, with the defaults for the rest.
///
/// # Errors
/// A value is out of its range.
pub fn limits(config: &OperatorConfig) -> Result<Limits, Invalid> {
    let mut limits = Limits::default();
    let Some(healing) = &config.spec.healing else {
        return Ok(limits);
    };
    let per_hour = healing.per_hour;
    limits.healing_per_window = count("spec.healing.perHour", per_hour, limits.healing_per_window, (1, 10_000))?;
    if let Some(storm) = &healing.storm {
        if let Some(share) = &storm.brake_at {
            let percent = share
                .trim_end_matches('%')
                .parse()
                .ok()
                .filter(|p| (1..=100).contains(p));
            let wrong = || Invalid::new("spec.healing.storm.brakeAt", "must be a percentage, such as 30%");
            limits.storm_share_percent = percent.ok_or_else(wrong)?;
        }
        let least = storm.at_least;
        limits.storm_at_least = count("spec.healing.storm.atLeast", least, limits.storm_at_least, (1, 100_000))?;
        let calm = storm.calm_for.as_ref();
        limits.storm_calm = span("spec.healing.storm.calmFor", calm, limits.storm_calm, (Span::ZERO, DAY))?;
    }
    Ok(limits)
}
