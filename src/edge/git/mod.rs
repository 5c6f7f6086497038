//! Reads a Git repository: fetch, walk the tree, parse the manifests. No checkout, no decision.
//!
//! Everything a repository holds is untrusted: every read is bounded by [`Limits`] and by the request's time-out, symbolic
//! links are never followed, no program named by a repository is ever run. Nothing here knows a Kubernetes client, and
//! everything blocks: call it from a thread that may block.

mod error;
mod fetch;
mod guard;
mod http;
mod local;
mod manifest;
mod parse;
mod request;
mod sender;
mod tree;
pub(crate) mod yaml;

pub use error::GitError;
pub use fetch::{Fetched, Fetcher, Outcome};
pub use manifest::{Manifest, ManifestError, ManifestErrorKind, Parsed, RepoFile};
pub use parse::parse;
pub use request::{Credentials, Limits, Request};
