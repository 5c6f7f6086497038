//! A validated NodePoolPolicy.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Meta;
use crate::core::quantity::{Replicas, Resources};
use crate::core::time::Span;
use crate::core::world::Taint;

/// Sizes the node groups of one provider.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodePoolPolicy {
    /// Name, identity, mode.
    pub meta: Meta,
    /// What creates and deletes the nodes.
    pub provider: ProviderKind,
    /// At least one, with distinct names.
    pub pools: Vec<NodePool>,
    /// A node that was asked for and has not become Ready after this time counts as failed.
    pub provision_timeout: Span,
    /// Which nodes may be given back.
    pub consolidation: Consolidation,
    /// How long a node must have been empty before it is removed.
    pub unneeded_for: Span,
}

/// What creates and deletes nodes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum ProviderKind {
    /// Simulation: fake Node objects that kwok keeps alive.
    Kwok {
        /// How long after the request the Node object appears.
        registration_delay: Span,
    },
}

/// One group of like nodes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodePool {
    /// Unique in the policy; the value of the label `homeostat.dev/pool` on its nodes is `<policy>.<pool>`.
    pub name: String,
    /// Lower bound; never above `max`.
    pub min: Replicas,
    /// Upper bound.
    pub max: Replicas,
    /// Of several pools that fit, the one with the highest weight grows.
    pub weight: u32,
    /// The shape of its nodes.
    pub template: NodeTemplate,
}

/// Shape of a node that a pool would add.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeTemplate {
    /// Labels that the node will have, besides those of kubelet and Homeostat.
    pub labels: BTreeMap<String, String>,
    /// Taints that the node will keep.
    pub taints: Vec<Taint>,
    /// All that the machine has.
    pub capacity: Resources,
    /// What pods can use of it.
    pub allocatable: Resources,
}

/// Which nodes may be given back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Consolidation {
    /// None.
    None,
    /// Those without pods, DaemonSets' and mirror pods aside.
    #[default]
    Empty,
}
