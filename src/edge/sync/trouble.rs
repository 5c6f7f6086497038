//! Why a source is not as it should be, and whether trying again may help.

use super::cluster::Account;
use crate::edge::kube::CallError;

/// Problems that a message names one by one.
const NAMED: usize = 5;

/// Why a source is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trouble {
    /// Stable code.
    pub reason: String,
    /// What happened, where, and what to do.
    pub message: String,
    /// Only a person can help (kstatus Stalled); otherwise trying again may.
    pub stalled: bool,
}

impl Trouble {
    /// Trying again may help.
    pub fn retry(reason: &str, message: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            message: message.into(),
            stalled: false,
        }
    }

    /// Only a person can help.
    pub fn stalled(reason: &str, message: impl Into<String>) -> Self {
        Self {
            stalled: true,
            ..Self::retry(reason, message)
        }
    }

    /// A call to the API server, as this ServiceAccount, failed.
    pub fn call(account: &Account, error: &CallError) -> Self {
        if is_transient(error) {
            Self::retry("APIUnavailable", error.to_string())
        } else {
            Self::stalled("Rejected", format!("refused to {}: {error}", account.name))
        }
    }

    /// This replica must not write.
    pub fn not_leading() -> Self {
        Self::retry("NotLeading", "this replica does not lead any more")
    }
}

/// Whether the same call may succeed later although nobody changes anything.
pub(super) fn is_transient(error: &CallError) -> bool {
    // The API server calls a field that the schema does not know an error of its own.
    let unknown_field = error.to_string().contains("failed to create typed patch object");
    match error.code() {
        None | Some(408 | 409 | 429) => true,
        Some(code) => code >= 500 && !unknown_field,
    }
}

/// Several problems as one sentence.
pub(super) fn list(mut problems: Vec<String>) -> String {
    problems.sort();
    problems.dedup();
    let more = problems.len().saturating_sub(NAMED);
    problems.truncate(NAMED);
    let named = problems.join("; ");
    if more > 0 {
        format!("{named}; and {more} more")
    } else {
        named
    }
}
