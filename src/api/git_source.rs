//! GitSource: syncs a repository path into the cluster, for those who have neither Flux nor Argo CD.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::common::{Condition, Provenance, SecretRef};
use super::rules;
use super::scalar::DurationText;

/// Which repository path is synced, as whom, and what may be applied and deleted.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "homeostat.dev",
    version = "v1alpha1",
    kind = "GitSource",
    plural = "gitsources",
    shortname = "gsrc",
    category = "homeostat",
    namespaced,
    status = "GitSourceStatus",
    derive = "PartialEq",
    doc = "Syncs the objects of a repository path into the cluster, for those who have neither Flux nor Argo CD.",
    printcolumn(name = "URL", type_ = "string", json_path = ".spec.url"),
    printcolumn(name = "Path", type_ = "string", json_path = ".spec.path", priority = 1),
    printcolumn(name = "Revision", type_ = "string", json_path = ".status.lastAppliedRevision"),
    printcolumn(
        name = "Attempted",
        type_ = "string",
        json_path = ".status.lastAttemptedRevision",
        priority = 1
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = rules::rule(
        "!has(self.secretRef) || self.url.startsWith('https://')",
        "secretRef needs an https:// URL: credentials are never sent in the clear",
    ).field_path(".secretRef")
)]
pub struct GitSourceSpec {
    /// Stops this source: nothing is fetched, applied, restored or deleted. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspend: Option<bool>,
    /// URL of the repository: https://, http://, or file:// for one on the operator's own disk. Without credentials. At most
    /// 2048 characters.
    #[schemars(length(min = 1, max = 2048))]
    #[x_kube(
        validation = rules::url(&["https", "http", "file"], "https://git.example.com/platform/policies.git"),
        validation = rules::url_without_credentials("secretRef"),
    )]
    pub url: String,
    /// What of the repository is synced. Default: the branch that the repository's HEAD names.
    #[serde(default, rename = "ref", skip_serializing_if = "Option::is_none")]
    pub reference: Option<GitReference>,
    /// Directory in the repository, relative to its root; its YAML files and those of its subdirectories are read. Default:
    /// the root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    #[x_kube(validation = rules::rule(
        "!self.startsWith('/') && !self.matches('(^|/)[.][.](/|$)')",
        "must be a path below the repository's root, without .., such as clusters/prod",
    ))]
    pub path: Option<String>,
    /// How often the repository is asked for a new revision, and the objects are compared with it, 5s to 24h. Default: 1m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = rules::duration("5s", "24h"))]
    pub interval: Option<DurationText>,
    /// How long a fetch may take, 1s to 1h. Default: 60s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = rules::duration("1s", "1h"))]
    pub timeout: Option<DurationText>,
    /// The ServiceAccount of this namespace as which objects are applied and deleted: what it may not do, this source cannot
    /// do.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = rules::object_name())]
    pub service_account_name: String,
    /// The Secret of this namespace with the credentials: `username` and `password`, or `bearerToken`. Only with https://.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretRef>,
    /// Which kinds may be in the repository; any other is an error, and then nothing is applied. At most 64. Default: every
    /// kind of homeostat.dev.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["group".into(), "kind".into()]))]
    pub kinds: Option<Vec<AllowedKind>>,
    /// What happens to objects that are no longer in the repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prune: Option<Prune>,
    /// What happens to objects that differ from the repository. Default: Enforce.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<DriftMode>,
}

/// What of the repository is synced: exactly one of its fields.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = rules::exactly_one_of(&["branch"]))]
pub struct GitReference {
    /// The head of this branch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    #[x_kube(validation = rules::rule(
        "self.matches('^[A-Za-z0-9_][-A-Za-z0-9_./+#@]*$') && !self.contains('..') && !self.startsWith('refs/')",
        "must be the name of a branch, such as main or release/1.2, without refs/heads/",
    ))]
    pub branch: Option<String>,
}

/// A kind that may be in the repository.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
pub struct AllowedKind {
    /// API group, such as apps; \"\" for the core group.
    #[schemars(length(max = 253))]
    #[x_kube(validation = rules::rule(
        "self.matches('^([a-z0-9]([-a-z0-9.]*[a-z0-9])?)?$')",
        "must be an API group without version, such as apps, or \"\" for the core group",
    ))]
    pub group: String,
    /// Kind, such as Deployment, or * for every kind of the group.
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = rules::rule(
        "self.matches('^([*]|[A-Z][A-Za-z0-9]*)$')",
        "must be a kind as in manifests, such as Deployment, or * for every kind of the group",
    ))]
    pub kind: String,
}

/// What happens to objects that are no longer in the repository.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Prune {
    /// Whether they are deleted. Default: true. Objects that this source did not apply are never deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// With more than so many percent of the applied objects gone from the repository at once, none is deleted and the source
    /// is Stalled, 1 to 100. Default: 20. One object may always be deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub max_percent: Option<i32>,
}

/// What happens to objects that differ from the repository: they are brought back (`Enforce`, the default), or it is only said
/// so (`Warn`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DriftMode {
    /// They are brought back.
    #[default]
    Enforce,
    /// It is only said so.
    Warn,
}

/// What was applied, from which revision.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct GitSourceStatus {
    /// The generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready, Reconciling and Stalled by kstatus; FieldConflict.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "super::common::conditions_schema")]
    pub conditions: Vec<Condition>,
    /// Where this source itself comes from, if a GitOps tool says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Provenance>,
    /// The last revision that was fetched, such as `main@sha1:4f2c9e1…`, whether or not it could be applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub last_attempted_revision: Option<String>,
    /// The last revision that was applied as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub last_applied_revision: Option<String>,
    /// The value of the annotation `reconcile.fluxcd.io/requestedAt` that was acted upon last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub last_handled_reconcile_at: Option<String>,
    /// What was applied, and is deleted when it goes from the repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inventory: Option<Inventory>,
}

/// What was applied; in Flux's form.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
pub struct Inventory {
    /// The objects. At most 4096.
    #[schemars(length(max = 4096))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["id".into()]))]
    pub entries: Vec<InventoryEntry>,
}

/// One applied object; in Flux's form.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, KubeSchema)]
pub struct InventoryEntry {
    /// `<namespace>_<name>_<group>_<kind>`.
    #[schemars(length(max = 640))]
    pub id: String,
    /// Version of the API by which it was applied, such as v1.
    #[schemars(length(max = 63))]
    pub v: String,
}
