//! Why a repository could not be read, in sentences for the person who can do something about it.

use std::time::Duration;

/// Why a repository could not be read: what happened, where, and what to do. Never holds credentials.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GitError {
    /// The URL cannot be used.
    #[error("the URL {url} cannot be used: {reason}")]
    InvalidUrl {
        /// The URL without credentials.
        url: String,
        /// What is wrong, and what to write instead.
        reason: String,
    },
    /// No branch can be called this.
    #[error("`{branch}` cannot be the name of a branch; write it without refs/heads/")]
    InvalidBranch {
        /// What was given.
        branch: String,
    },
    /// The path leaves the repository or is not written as expected.
    #[error("the path `{path}` cannot be used: {reason}")]
    InvalidPath {
        /// What was given.
        path: String,
        /// What is wrong, and what to write instead.
        reason: String,
    },
    /// The certificate authorities are not PEM.
    #[error("the certificate authorities given for {url} cannot be read: {reason}; give PEM certificates")]
    InvalidCa {
        /// The URL without credentials.
        url: String,
        /// What is wrong.
        reason: String,
    },
    /// Credentials would travel readable by everybody on the way.
    #[error("credentials are not sent to {url} in clear text; use an https:// URL, or no credentials")]
    ClearTextCredentials {
        /// The URL without credentials.
        url: String,
    },
    /// The server cannot be reached, or the connection broke.
    #[error("{url} cannot be reached: {reason}")]
    Network {
        /// The URL without credentials.
        url: String,
        /// What the network said.
        reason: String,
    },
    /// It took too long.
    #[error(
        "{url} was not read within {} s; see whether the server answers, or allow more time",
        after.as_secs_f64()
    )]
    Timeout {
        /// The URL without credentials.
        url: String,
        /// The time allowed.
        after: Duration,
    },
    /// The server has trouble of its own, or wants fewer requests.
    #[error("the server of {url} answered {status}; it is tried again later")]
    Server {
        /// The URL without credentials.
        url: String,
        /// The HTTP status.
        status: u16,
    },
    /// The server's certificate is not trusted.
    #[error(
        "the certificate of {url} is not trusted: {reason}; if it is signed by your own authority, give its certificate"
    )]
    Tls {
        /// The URL without credentials.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The server wants other credentials.
    #[error(
        "{url} refused access ({status}): {}",
        if *sent { "check that the credentials are current and may read this repository" }
        else { "it wants credentials and none are given, or there is no such repository" }
    )]
    AuthFailed {
        /// The URL without credentials.
        url: String,
        /// The HTTP status, 401 or 403.
        status: u16,
        /// Whether any credentials were sent.
        sent: bool,
    },
    /// There is no such repository.
    #[error("there is no repository at {url}, or the credentials may not see it; check the URL")]
    RepositoryNotFound {
        /// The URL without credentials.
        url: String,
    },
    /// What answers does not speak Git.
    #[error(
        "{url} does not answer as a Git server: {reason}; check the URL, and whether a proxy or login page is in between"
    )]
    NotGit {
        /// The URL without credentials.
        url: String,
        /// What it answered.
        reason: String,
    },
    /// The server sends us elsewhere in a way that is not followed.
    #[error("{url} redirects to {to}, which is not followed: {reason}")]
    Redirect {
        /// The URL without credentials.
        url: String,
        /// Where to, without credentials.
        to: String,
        /// Why not, and what to do.
        reason: String,
    },
    /// There is no such branch.
    #[error("{url} has no branch `{branch}`{}", branches_hint(branches))]
    BranchMissing {
        /// The URL without credentials.
        url: String,
        /// The branch asked for.
        branch: String,
        /// Some of those that exist.
        branches: Vec<String>,
    },
    /// Nothing was pushed yet.
    #[error("{url} is empty; push a first commit")]
    EmptyRepository {
        /// The URL without credentials.
        url: String,
    },
    /// The path is not in the commit.
    #[error("{url} has no directory `{path}` at {revision}; check the path, or whether it was moved")]
    MissingPath {
        /// The URL without credentials.
        url: String,
        /// The path asked for.
        path: String,
        /// The commit.
        revision: String,
    },
    /// The path is something else than a directory.
    #[error("`{path}` in {url} at {revision} is {what}; name a directory")]
    NotADirectory {
        /// The URL without credentials.
        url: String,
        /// The path asked for.
        path: String,
        /// The commit.
        revision: String,
        /// What it is instead.
        what: &'static str,
    },
    /// There is more of something than is taken.
    #[error("{url} holds more than {limit} {what}; keep manifests in a repository or directory of their own")]
    TooLarge {
        /// The URL without credentials.
        url: String,
        /// Of what there is too much.
        what: &'static str,
        /// How much is taken.
        limit: u64,
    },
    /// The repository or the server uses something that is not supported.
    #[error("{url} uses something that is not supported: {reason}")]
    Unsupported {
        /// The URL without credentials.
        url: String,
        /// What.
        reason: String,
    },
    /// What was received is damaged.
    #[error("what {url} sent is damaged: {reason}; it is fetched anew")]
    Corrupt {
        /// The URL without credentials.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The exchange with the server failed in another way.
    #[error("fetching from {url} failed: {reason}")]
    Protocol {
        /// The URL without credentials.
        url: String,
        /// What Git said.
        reason: String,
    },
    /// The directory for the copy of the repository cannot be used, or a program is missing.
    #[error("the local copy of {url} cannot be kept: {reason}")]
    Local {
        /// The URL without credentials.
        url: String,
        /// What the system said.
        reason: String,
    },
    /// The caller wanted it to end.
    #[error("reading {url} was given up on request")]
    Cancelled {
        /// The URL without credentials.
        url: String,
    },
}

impl GitError {
    /// Whether trying again later may help although nobody changes anything. Such an error says nothing about the content
    /// of the repository: what was read before stays good.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Network { .. }
                | Self::Timeout { .. }
                | Self::Server { .. }
                | Self::Corrupt { .. }
                | Self::Protocol { .. }
                | Self::Local { .. }
                | Self::Cancelled { .. }
        )
    }

    /// A stable word for conditions, events and metrics.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::InvalidUrl { .. } => "InvalidURL",
            Self::InvalidBranch { .. } => "InvalidBranch",
            Self::InvalidPath { .. } => "InvalidPath",
            Self::InvalidCa { .. } => "InvalidCA",
            Self::ClearTextCredentials { .. } => "ClearTextCredentials",
            Self::Network { .. } => "Unreachable",
            Self::Timeout { .. } => "TimedOut",
            Self::Server { .. } => "ServerError",
            Self::Tls { .. } => "UntrustedCertificate",
            Self::AuthFailed { .. } => "AuthenticationFailed",
            Self::RepositoryNotFound { .. } => "RepositoryNotFound",
            Self::NotGit { .. } => "NotAGitServer",
            Self::Redirect { .. } => "RedirectRefused",
            Self::BranchMissing { .. } => "BranchMissing",
            Self::EmptyRepository { .. } => "EmptyRepository",
            Self::MissingPath { .. } => "PathMissing",
            Self::NotADirectory { .. } => "PathNotADirectory",
            Self::TooLarge { .. } => "TooLarge",
            Self::Unsupported { .. } => "Unsupported",
            Self::Corrupt { .. } => "Damaged",
            Self::Protocol { .. } => "FetchFailed",
            Self::Local { .. } => "LocalCopyFailed",
            Self::Cancelled { .. } => "Cancelled",
        }
    }

    /// Whether the local copy may be at fault, so that a new one is worth a try.
    pub(super) const fn blames_copy(&self) -> bool {
        matches!(
            self,
            Self::Corrupt { .. } | Self::Protocol { .. } | Self::Local { .. } | Self::Unsupported { .. }
        )
    }
}

fn branches_hint(branches: &[String]) -> String {
    if branches.is_empty() {
        "; check the name".to_owned()
    } else {
        format!("; there are: {}", branches.join(", "))
    }
}
