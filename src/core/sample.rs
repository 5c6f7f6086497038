//! What a query said. "No data", "error", "stale", "not a number" and "zero" are different things.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::quantity::Milli;
use super::time::Time;

/// The outcome of one query.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Reading {
    /// One finite number.
    Value {
        /// The number, in thousandths.
        value: Milli,
        /// The sample's own time, as the server gave it.
        sampled_at: Time,
    },
    /// The query is fine and has no result.
    Empty,
    /// More than one element: the policy must say how to combine them.
    Many {
        /// How many elements came.
        series: u32,
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
        }
    }
}

impl fmt::Display for QueryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
