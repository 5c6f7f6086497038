//! From the last sample of a query to a value that can be used, or to the reason why there is none.

use super::contributors::{Baseline, doubt};
use crate::core::policy::{Combine, Trigger};
use crate::core::quantity::Milli;
use crate::core::reason::Reason;
use crate::core::sample::{Contributors, QueryError, Reading};
use crate::core::state::Sample;
use crate::core::time::{Span, Time};

/// A value that can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datum {
    /// The value.
    pub value: Milli,
    /// The sample's own time.
    pub sampled_at: Time,
    /// Set where parts of the data may be missing: it never scales down.
    pub warning: Option<String>,
}

/// Why there is no value that can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Stable code.
    pub reason: Reason,
    /// In a sentence, with what to do.
    pub message: String,
    /// A value that cannot be used.
    pub value: Option<Milli>,
    /// Its time.
    pub sampled_at: Option<Time>,
    /// How the query failed, if it did.
    pub error: Option<QueryError>,
}

impl Gap {
    pub(super) fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
            value: None,
            sampled_at: None,
            error: None,
        }
    }
}

/// Looks at a trigger's last sample. `interval` is how often the query is asked, `before` what its answers were made from when
/// they were complete.
///
/// # Errors
/// The gap, where there is no value that can be used: never sampled, too old, no or too many elements, not a number, failed.
pub fn gather(
    trigger: &Trigger,
    sample: Option<&Sample>,
    now: Time,
    interval: Span,
    before: Option<Baseline>,
) -> Result<Datum, Gap> {
    let Some(sample) = sample else {
        return Err(Gap::new(Reason::NotSampledYet, "has not been asked yet"));
    };
    let silence = now.since(sample.at);
    let patience = trigger.max_age.max(interval.times(3));
    let (value, sampled_at, warning) = match &sample.reading {
        Reading::Value { value, sampled_at, .. } => (*value, *sampled_at, None),
        Reading::Partial {
            value,
            sampled_at,
            warning,
        } => (*value, *sampled_at, Some(warning)),
        Reading::Many {
            series,
            sum,
            highest,
            sampled_at,
            warning,
            ..
        } => {
            let one = combined(trigger.combine, *series, *sum, *highest)?;
            (one, *sampled_at, warning.as_ref())
        }
        Reading::Series { values, sampled_at } => {
            let add = |sum: i64, value: &Milli| sum.saturating_add(value.thousandths());
            (Milli::new(values.iter().fold(0, add)), *sampled_at, None)
        }
        reading => return Err(without_value(reading)),
    };
    fresh(trigger, now, value, sampled_at)?;
    heard(silence, patience, value, sampled_at)?;
    Ok(Datum {
        value,
        sampled_at,
        warning: warning.cloned().or_else(|| {
            let contributors = contributors(&sample.reading)?;
            doubt(trigger, now, contributors, before)
        }),
    })
}

/// What an answer was made from, where the server could tell.
pub(super) const fn contributors(reading: &Reading) -> Option<Contributors> {
    match reading {
        Reading::Value { contributors, .. } | Reading::Many { contributors, .. } => *contributors,
        _ => None,
    }
}

/// One number of several elements.
fn combined(combine: Combine, series: u32, sum: Milli, highest: Milli) -> Result<Milli, Gap> {
    Ok(match combine {
        Combine::Sum => sum,
        Combine::Max => highest,
        Combine::Avg => Milli::new((sum.thousandths() as f64 / f64::from(series.max(1))).ceil() as i64),
        Combine::Error => {
            let message = format!(
                "has {series} elements where one is needed: combine them with sum(), max() or avg(), or set combine"
            );
            return Err(Gap::new(Reason::ManySeries, message));
        }
    })
}

/// Why an answer holds no number.
pub(super) fn without_value(reading: &Reading) -> Gap {
    match reading {
        Reading::NotFinite { text } => Gap::new(
            Reason::NotANumber,
            format!("is {text}: guard the division in the query"),
        ),
        Reading::Failed { error, message } => Gap {
            error: Some(*error),
            ..Gap::new(Reason::QueryFailed, format!("failed ({error}): {message}"))
        },
        _ => Gap::new(
            Reason::NoData,
            "has no result: check that the series exists, or make absence zero with `or vector(0)`",
        ),
    }
}

/// The sample's own time must be neither too old nor too far in the future.
fn fresh(trigger: &Trigger, now: Time, value: Milli, sampled_at: Time) -> Result<(), Gap> {
    let age = now.since(sampled_at);
    let message = if age > trigger.max_age {
        format!("is {} old, more than {} (maxAge)", seconds(age), trigger.max_age)
    } else if sampled_at.since(now) > trigger.max_age {
        format!("is {} in the future: check the clocks", seconds(sampled_at.since(now)))
    } else {
        return Ok(());
    };
    Err(Gap {
        reason: Reason::StaleData,
        message,
        value: Some(value),
        sampled_at: Some(sampled_at),
        error: None,
    })
}

/// The answer itself must not be too long ago.
fn heard(silence: Span, patience: Span, value: Milli, sampled_at: Time) -> Result<(), Gap> {
    if silence <= patience {
        return Ok(());
    }
    Err(Gap {
        reason: Reason::StaleData,
        message: format!("was last answered {} ago", seconds(silence)),
        value: Some(value),
        sampled_at: Some(sampled_at),
        error: None,
    })
}

/// Without milliseconds.
fn seconds(span: Span) -> Span {
    Span::from_secs(span.as_millis() / 1000)
}
