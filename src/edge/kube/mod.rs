//! The Kubernetes API: watches in, writes out.

pub mod config;
pub mod convert;
pub mod events;
pub mod execute;
pub mod feed;
pub mod health;
pub mod lease;
pub mod policies;
pub mod provider;
pub mod rivals;
pub mod scale;
pub mod status;
pub mod targets;
pub mod watch;

use std::time::Duration;

/// Every call to the API server ends after this time, whatever happens.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(15);

/// The one field manager of everything that Homeostat writes outside GitSource. Documented: people name it in
/// `ignoreDifferences` and the like.
pub use crate::core::scaling::FIELD_MANAGER;

/// Why a call to the API server failed.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The API server answered with an error.
    #[error("{what}: {}", words(source))]
    Api {
        /// What was tried.
        what: String,
        /// The answer.
        source: Box<kube::Error>,
    },
    /// No answer in time.
    #[error("{what}: no answer within {}s", CALL_TIMEOUT.as_secs())]
    Timeout {
        /// What was tried.
        what: String,
    },
}

/// The API server's own words, without the rest of its answer.
fn words(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if !status.message.is_empty() => status.message.clone(),
        other => other.to_string(),
    }
}

impl CallError {
    /// The HTTP status of the answer, if there was one.
    #[must_use]
    pub fn code(&self) -> Option<u16> {
        match self {
            Self::Api { source, .. } => match source.as_ref() {
                kube::Error::Api(status) => Some(status.code),
                _ => None,
            },
            Self::Timeout { .. } => None,
        }
    }

    /// Whether the server answered, and does not know the kind.
    #[must_use]
    pub fn is_unknown_kind(&self) -> bool {
        matches!(self, Self::Api { source, .. } if matches!(source.as_ref(), kube::Error::Discovery(_)))
    }

    /// Whether the request may have been carried out although no clear answer came.
    #[must_use]
    pub fn is_ambiguous(&self) -> bool {
        match self.code() {
            Some(code) => code >= 500,
            None => true,
        }
    }
}

/// Runs one call to the API server within [`CALL_TIMEOUT`].
///
/// # Errors
/// [`CallError`], with what was tried.
pub async fn call<T>(
    what: impl Into<String>,
    future: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, CallError> {
    match tokio::time::timeout(CALL_TIMEOUT, future).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(source)) => Err(CallError::Api {
            what: what.into(),
            source: Box::new(source),
        }),
        Err(_) => Err(CallError::Timeout { what: what.into() }),
    }
}
