//! From the last sample of a query to a value that can be used, or to the reason why there is none.

use crate::core::policy::Trigger;
use crate::core::quantity::Milli;
use crate::core::reason::Reason;
use crate::core::sample::{QueryError, Reading};
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

/// Looks at a trigger's last sample. `interval` is how often the query is asked.
///
/// # Errors
/// The gap, where there is no value that can be used: never sampled, too old, no or too many elements, not a number, failed.
pub fn gather(trigger: &Trigger, sample: Option<&Sample>, now: Time, interval: Span) -> Result<Datum, Gap> {
    let Some(sample) = sample else {
        return Err(Gap::new(Reason::NotSampledYet, "has not been asked yet"));
    };
    let silence = now.since(sample.at);
    let patience = trigger.max_age.max(interval.times(3));
    match &sample.reading {
        Reading::Value { value, sampled_at } => {
            fresh(trigger, now, *value, *sampled_at)?;
            heard(silence, patience, *value, *sampled_at)?;
            Ok(Datum {
                value: *value,
                sampled_at: *sampled_at,
                warning: None,
            })
        }
        Reading::Partial {
            value,
            sampled_at,
            warning,
        } => {
            fresh(trigger, now, *value, *sampled_at)?;
            heard(silence, patience, *value, *sampled_at)?;
            Ok(Datum {
                value: *value,
                sampled_at: *sampled_at,
                warning: Some(warning.clone()),
            })
        }
        Reading::Empty => Err(Gap::new(
            Reason::NoData,
            "has no result: check that the series exists, or make absence zero with `or vector(0)`",
        )),
        Reading::Many { series } => Err(Gap::new(
            Reason::ManySeries,
            format!("has {series} elements where one is needed: combine them with sum(), max() or avg()"),
        )),
        Reading::NotFinite { text } => Err(Gap::new(
            Reason::NotANumber,
            format!("is {text}: guard the division in the query"),
        )),
        Reading::Failed { error, message } => Err(Gap {
            error: Some(*error),
            ..Gap::new(Reason::QueryFailed, format!("failed ({error}): {message}"))
        }),
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
