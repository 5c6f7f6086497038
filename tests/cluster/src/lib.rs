//! A real Kubernetes control plane, with kwok nodes and Prometheus, for tests and for the demo. Everything listens on
//! loopback at free ports, and ends with the process that started it, however that ends.

pub mod adapter;
mod aggregation;
pub mod binaries;
pub mod cluster;
pub mod guarded;
pub mod objects;
pub mod port;
pub mod prometheus;
pub mod wait;

pub use adapter::Adapter;
pub use cluster::{Cluster, Component, Options};
pub use guarded::Guarded;
pub use prometheus::Prometheus;

/// The folder of the project.
#[must_use]
pub fn root() -> std::path::PathBuf {
    let here = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_owned()
}

/// What went wrong, in a sentence.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Error(pub String);

impl Error {
    /// An error that says what was tried and why it failed.
    pub fn new(what: impl std::fmt::Display, why: impl std::fmt::Display) -> Self {
        Self(format!("{what}: {why}"))
    }
}

/// The result of anything here.
pub type Result<T> = std::result::Result<T, Error>;
