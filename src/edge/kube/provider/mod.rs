//! What creates and deletes nodes. Adding a provider is a new file here and a variant of the core's `ProviderKind`.

mod kwok;

use futures::future::BoxFuture;
use kube::Client;

use super::feed::Feed;
use crate::core::names::Uid;
use crate::core::policy::{NodeTemplate, ProviderKind};
use crate::edge::kube::lease::Leadership;

pub use kwok::Kwok;

/// A node that is wanted.
#[derive(Clone, Debug)]
pub struct NodeRequest {
    /// Its name; the same request always has the same name, so that asking twice is harmless.
    pub node: String,
    /// `<policy>.<pool>`.
    pub pool: String,
    /// Its shape.
    pub template: NodeTemplate,
}

/// Why a provider did not do it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ProviderError {
    /// It refused or failed, and nothing was done.
    #[error("{0}")]
    Failed(String),
    /// What was to be deleted is another object now, or is in use.
    #[error("{0}")]
    Conflict(String),
    /// No clear answer: it may have been done.
    #[error("{0}")]
    Unknown(String),
}

/// Creates and deletes nodes.
pub trait NodeProvider: Send + Sync {
    /// Asks for a node. Success means that the request is accepted; that a node of this name exists already is success.
    fn create(&self, request: NodeRequest) -> BoxFuture<'_, Result<(), ProviderError>>;

    /// Gives a node back, if it is still this object. That it is gone already is success.
    fn delete<'a>(&'a self, node: &'a str, uid: &'a Uid) -> BoxFuture<'a, Result<(), ProviderError>>;
}

/// The provider of a policy.
#[must_use]
pub fn provider(kind: &ProviderKind, client: Client, feed: Feed, leadership: Leadership) -> Box<dyn NodeProvider> {
    match kind {
        ProviderKind::Kwok { registration_delay } => Box::new(Kwok::new(client, feed, leadership, *registration_delay)),
    }
}
