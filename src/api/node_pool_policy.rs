//! NodePoolPolicy: sizes the node pools of one provider.

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::common::{Condition, Mode, Provenance};
use super::rules;
use super::scalar::{DurationText, QuantityText};

/// Which pools there are, and when they grow and shrink.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "homeostat.dev",
    version = "v1alpha1",
    kind = "NodePoolPolicy",
    plural = "nodepoolpolicies",
    shortname = "npp",
    category = "homeostat",
    status = "NodePoolPolicyStatus",
    derive = "PartialEq",
    doc = "Sizes the node pools of one provider: adds nodes for pods that find no room, and gives back nodes that are not needed.",
    validation = rules::rule(
        "!has(self.spec.pools) || self.spec.pools.all(p, !has(p.name) || self.metadata.name.size() + p.name.size() <= 62)",
        "the names of the policy and of a pool must together have at most 62 characters, since nodes bear both in one label; shorten one of them",
    ),
    printcolumn(name = "Nodes", type_ = "integer", json_path = ".status.nodes"),
    printcolumn(name = "Requested", type_ = "integer", json_path = ".status.nodesRequested"),
    printcolumn(name = "Pending-Pods", type_ = "integer", json_path = ".status.pendingPods"),
    printcolumn(name = "Pools", type_ = "string", json_path = ".spec.pools[*].name", priority = 1),
    printcolumn(name = "Mode", type_ = "string", json_path = ".spec.mode", priority = 1),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct NodePoolPolicySpec {
    /// Stops this policy: no node is added or removed. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspend: Option<bool>,
    /// Whether nodes are really added and removed (`Enforce`) or decisions are only shown (`DryRun`). Default: Enforce.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// What creates and deletes the nodes.
    pub provider: Provider,
    /// Groups of like nodes, 1 to 32, their names distinct.
    #[schemars(length(min = 1, max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub pools: Vec<Pool>,
    /// How pools grow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale_up: Option<NodeScaleUp>,
    /// How pools shrink.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale_down: Option<NodeScaleDown>,
}

/// What creates and deletes nodes: exactly one of its fields.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = rules::exactly_one_of(&["kwok"]))]
pub struct Provider {
    /// Simulation: Node objects without machines, kept alive by kwok. For tests and demonstrations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kwok: Option<KwokProvider>,
}

/// Node objects without machines, kept alive by kwok.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct KwokProvider {
    /// How long after the request the Node object appears, as a machine would need to boot, 0s to 1h. Default: 0s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = rules::duration("0s", "1h"))]
    pub registration_delay: Option<DurationText>,
}

/// One group of like nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = rules::rule(
        "!has(self.maxNodes) || self.maxNodes >= (has(self.minNodes) ? self.minNodes : 0)",
        "maxNodes must be at least minNodes; raise maxNodes or lower minNodes",
    ).field_path(".maxNodes")
)]
pub struct Pool {
    /// Name of the pool, distinct in the policy; `<policy>.<pool>` is the value of the label `homeostat.dev/pool` on its
    /// nodes.
    #[schemars(length(min = 1, max = 61))]
    #[x_kube(validation = rules::label_name())]
    pub name: String,
    /// Lower bound of the nodes, 0 to 15000. Default: 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 15_000))]
    pub min_nodes: Option<i32>,
    /// Upper bound of the nodes, 0 to 15000, and at least `minNodes`.
    #[schemars(range(min = 0, max = 15_000))]
    pub max_nodes: i32,
    /// Of several pools that fit, the one with the highest weight grows, 0 to 100. Default: 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub weight: Option<i32>,
    /// The shape of its nodes, by which is decided which pods a new one would take.
    pub template: PoolTemplate,
}

/// Shape of a node that a pool would add.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = rules::rule(
        "!has(self.capacity) || ['cpu', 'memory', 'pods'].all(r, r in self.capacity)",
        "capacity must have cpu, memory and pods, such as {cpu: \"4\", memory: 16Gi, pods: \"110\"}",
    ).field_path(".capacity"),
    validation = rules::rule(
        "!has(self.allocatable) || !has(self.capacity) || self.allocatable.all(r, r in self.capacity)",
        "allocatable must not name resources that capacity does not have",
    ).field_path(".allocatable")
)]
pub struct PoolTemplate {
    /// Labels of its nodes, besides those that kubelet and Homeostat set. At most 32.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "super::common::labels_schema")]
    #[x_kube(
        validation = rules::label_keys(),
        validation = rules::rule(
            "self.all(k, !k.startsWith('homeostat.dev/'))",
            "labels of homeostat.dev/ are set by Homeostat; use a prefix of your own",
        ),
    )]
    pub labels: BTreeMap<String, String>,
    /// Taints that its nodes keep. At most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["key".into(), "effect".into()]))]
    pub taints: Vec<PoolTaint>,
    /// All that the machine has: cpu, memory, pods, and others such as nvidia.com/gpu or ephemeral-storage. At most 16.
    #[schemars(schema_with = "resources_schema")]
    pub capacity: BTreeMap<String, QuantityText>,
    /// What pods can use of it. Default: capacity; where only some resources are named, capacity for the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "resources_schema")]
    pub allocatable: Option<BTreeMap<String, QuantityText>>,
}

/// A taint: keeps away pods that do not tolerate it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
pub struct PoolTaint {
    /// Key of the taint.
    #[schemars(length(min = 1, max = 317))]
    #[x_kube(validation = rules::label_key())]
    pub key: String,
    /// Value of the taint. Default: empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    #[x_kube(validation = rules::label_value())]
    pub value: Option<String>,
    /// What it does to pods that do not tolerate it.
    pub effect: TaintEffect,
}

/// What a taint does to pods that do not tolerate it: `NoSchedule`, `PreferNoSchedule` or `NoExecute`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TaintEffect {
    /// They are not placed there.
    NoSchedule,
    /// They are placed there last.
    PreferNoSchedule,
    /// They are not placed there, and those that run there are evicted.
    NoExecute,
}

/// How pools grow.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeScaleUp {
    /// A node that was asked for and is not Ready after this time counts as failed, 1s to 24h. Default: 15m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = rules::duration("1s", "24h"))]
    pub provision_timeout: Option<DurationText>,
}

/// How pools shrink.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeScaleDown {
    /// Which nodes may be given back. Default: Empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consolidation: Option<Consolidation>,
    /// How long a node must have been unneeded before it is removed, 0s to 24h. Default: 10m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = rules::duration("0s", "24h"))]
    pub unneeded_for: Option<DurationText>,
}

/// Which nodes may be given back: `None`, or those that are `Empty` (the default), which have no pods but those of DaemonSets
/// and mirror pods.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Consolidation {
    /// None.
    None,
    /// Those without pods, DaemonSets' and mirror pods aside.
    #[default]
    Empty,
}

/// How many nodes there are, how many are wanted, and why.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodePoolPolicyStatus {
    /// The generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready, Reconciling and Stalled by kstatus; Limited.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "super::common::conditions_schema")]
    pub conditions: Vec<Condition>,
    /// Where this policy comes from, if a GitOps tool says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Provenance>,
    /// Nodes of all pools that are there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub nodes: Option<i32>,
    /// Nodes of all pools that were asked for and are not Ready yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub nodes_requested: Option<i32>,
    /// Unschedulable pods that no pool can help.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub pending_pods: Option<i32>,
    /// Each pool. At most 32.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub pools: Vec<PoolStatus>,
}

/// One pool.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct PoolStatus {
    /// Name of the pool.
    #[schemars(length(max = 63))]
    pub name: String,
    /// Nodes that are there.
    #[schemars(range(min = 0))]
    pub nodes: i32,
    /// Nodes that were asked for and are not Ready yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub incoming: Option<i32>,
    /// Nodes that are wanted.
    #[schemars(range(min = 0))]
    pub target: i32,
    /// Unschedulable pods that fit on its nodes and need more of them than there may be now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub pending_pods: Option<i32>,
    /// Code of why the target is what it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub reason: Option<String>,
}

/// Schema of a map of resources: at most 16 quantities.
fn resources_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
    let mut quantity = QuantityText::json_schema(generator);
    let rule = rules::quantity_from_zero();
    quantity.insert("x-kubernetes-validations".into(), serde_json::json!([rule]));
    schemars::json_schema!({"type": "object", "minProperties": 1, "maxProperties": 16, "additionalProperties": quantity})
}
