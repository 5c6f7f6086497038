//! What a query said. "No data", "error", "stale", "not a number" and "zero" are different things.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::quantity::Milli;
use super::time::{Span, Time};

/// The outcome of one query.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Reading {
    /// One finite number.
    Value {
        /// The number, in thousandths.
        value: Milli,
        /// The sample's own time: of the newest one that it was made from, where that is known.
        sampled_at: Time,
        /// What it was made from, where the server could tell.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        contributors: Option<Contributors>,
    },
    /// The query is fine and has no result.
    Empty,
    /// More than one element: the policy must say how to combine them.
    Many {
        /// How many elements came; at least 2.
        series: u32,
        /// Their sum, in thousandths.
        sum: Milli,
        /// The highest, in thousandths.
        highest: Milli,
        /// The oldest sample's own time.
        sampled_at: Time,
        /// Set where parts of the data may be missing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        warning: Option<String>,
        /// What they were made from, where the server could tell.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        contributors: Option<Contributors>,
    },
    /// Every series of an external metric, which together are one number. Never empty.
    Series {
        /// Their values, in the order in which they came.
        values: Vec<Milli>,
        /// The oldest one's own time.
        sampled_at: Time,
    },
    /// What each pod uses, by container and resource. Never empty.
    PodUsage {
        /// In the order of their names.
        pods: Vec<PodUsage>,
    },
    /// A metric of each pod. Never empty.
    PodValues {
        /// In the order of their names.
        pods: Vec<PodValue>,
    },
    /// One element that is NaN or infinite.
    NotFinite {
        /// As the server wrote it: `NaN`, `+Inf` or `-Inf`.
        text: String,
    },
    /// The server answered with warnings: parts of the data may be missing. Never a reason to scale down.
    Partial {
        /// The number, in thousandths.
        value: Milli,
        /// The sample's own time.
        sampled_at: Time,
        /// The server's first warning, shortened.
        warning: String,
    },
    /// The query failed.
    Failed {
        /// What kind of failure.
        error: QueryError,
        /// In a sentence: what happened and what to do. At most 500 characters.
        message: String,
    },
}

impl Reading {
    /// Notes what the answer was made from. Its time is then that of the newest sample; the time that it bore until now, which is
    /// when the server looked, is given back.
    pub fn made_from(&mut self, from: Option<Contributors>, newest: Option<Time>) -> Option<Time> {
        match self {
            Self::Value {
                sampled_at,
                contributors,
                ..
            }
            | Self::Many {
                sampled_at,
                contributors,
                ..
            } => {
                *contributors = from;
                Some(std::mem::replace(sampled_at, newest.unwrap_or(*sampled_at)))
            }
            Self::Partial { sampled_at, .. } => Some(std::mem::replace(sampled_at, newest.unwrap_or(*sampled_at))),
            _ => None,
        }
    }
}

/// The series that an answer was made from, as the same server counted them at the same time; of all selectors of the query
/// together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Contributors {
    /// Series that have a sample.
    pub series: u32,
    /// Scrape targets (`job` and `instance`) that they come from.
    pub targets: u32,
    /// Scrape targets that gave series within the last 10 minutes, and whose last scrape failed.
    pub down: u32,
    /// The oldest of the series' last samples.
    pub oldest: Option<Time>,
}

/// What a pod uses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodUsage {
    /// The pod's name.
    pub pod: String,
    /// When it was measured: the end of the window.
    pub at: Time,
    /// Over which time.
    pub window: Span,
    /// Container → resource → amount.
    pub containers: BTreeMap<String, BTreeMap<String, Milli>>,
}

/// A metric of a pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodValue {
    /// The pod's name.
    pub pod: String,
    /// When it was measured: the end of the window.
    pub at: Time,
    /// Over which time.
    pub window: Span,
    /// The value.
    pub value: Milli,
}

/// Why a query failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum QueryError {
    /// The server cannot parse or execute the expression: the policy must change.
    BadQuery,
    /// No answer within the time-out.
    Timeout,
    /// No connection, or it broke.
    Unreachable,
    /// The server answered with an HTTP error.
    Status,
    /// The answer was not what Prometheus answers (HTML, broken JSON, a string, a histogram).
    Malformed,
    /// The answer was larger than the limit.
    TooLarge,
    /// The policy names a server that no OperatorConfig has.
    UnknownServer,
    /// The cluster has no such metrics API.
    NoMetricsApi,
    /// The operator may not ask.
    Forbidden,
}

impl QueryError {
    /// A stable code for conditions and metric labels.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BadQuery => "BadQuery",
            Self::Timeout => "Timeout",
            Self::Unreachable => "Unreachable",
            Self::Status => "Status",
            Self::Malformed => "Malformed",
            Self::TooLarge => "TooLarge",
            Self::UnknownServer => "UnknownServer",
            Self::NoMetricsApi => "NoMetricsApi",
            Self::Forbidden => "Forbidden",
        }
    }
}

impl fmt::Display for QueryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
