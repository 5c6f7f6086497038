//! OperatorConfig: what policies refer to by name, and limits that no policy can raise.

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use super::common::{Condition, Provenance, SecretKeyRef, SecretRef};
use super::rules;
use super::scalar::DurationText;

/// Prometheus servers by name, and limits for the whole cluster.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "homeostat.dev",
    version = "v1alpha1",
    kind = "OperatorConfig",
    plural = "operatorconfigs",
    shortname = "opcfg",
    category = "homeostat",
    status = "OperatorConfigStatus",
    derive = "PartialEq",
    doc = "What policies refer to by name, and limits that no policy can raise. The operator reads the one named default.",
    validation = rules::rule(
        "self.metadata.name == 'default'",
        "metadata.name must be default: it is the only OperatorConfig that the operator reads",
    ),
    printcolumn(name = "Prometheus", type_ = "string", json_path = ".spec.prometheus[*].name"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct OperatorConfigSpec {
    /// Prometheus servers, or others that speak its HTTP API. Triggers name one; where they name none, the one named default
    /// is asked. At most 16, their names distinct.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub prometheus: Vec<PrometheusServer>,
    /// Limits of all HealingPolicies together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healing: Option<HealingLimits>,
}

/// A Prometheus server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = rules::rule(
    "!has(self.tls) || self.url.startsWith('https://')",
    "tls needs a url with https://",
).field_path(".tls"))]
pub struct PrometheusServer {
    /// Name by which triggers name it.
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = rules::label_name())]
    pub name: String,
    /// Base URL, to which `/api/v1/query` is appended; https:// or http://, without credentials. At most 2048 characters.
    #[schemars(length(min = 1, max = 2048))]
    #[x_kube(
        validation = rules::url(&["https", "http"], "http://prometheus.monitoring:9090"),
        validation = rules::url_without_credentials("auth"),
        validation = rules::rule("!self.contains('?') && !self.contains('#')", "must be a base URL, without ? and #"),
    )]
    pub url: String,
    /// How long an answer may take, 1s to 5m. Default: 10s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = rules::duration("1s", "5m"))]
    pub timeout: Option<DurationText>,
    /// How the operator says who it is. Default: not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<PrometheusAuth>,
    /// Whom the server must be, and who the operator is, by certificates. Default: the certificate authorities of the system,
    /// and no client certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<PrometheusTls>,
    /// Headers that every request has besides, such as X-Scope-OrgID for a tenant. No secrets. At most 16, each value at most
    /// 1024 characters.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "headers_schema")]
    #[x_kube(
        validation = rules::rule(
            "self.all(k, k.size() <= 128 && k.matches('^[A-Za-z0-9][-A-Za-z0-9_]*$'))",
            "names of headers must be letters, digits, hyphens and underscores, such as X-Scope-OrgID",
        ),
        validation = rules::rule(
            "self.all(k, k.size() > 128 || !(k.lowerAscii() in ['authorization', 'cookie', 'host', 'proxy-authorization']))",
            "headers must not contain Authorization, Cookie or Host; put credentials into a Secret and name it in auth",
        ),
    )]
    pub headers: BTreeMap<String, String>,
}

/// How the operator says who it is: exactly one of its fields. Secrets are those of the operator's own namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = rules::exactly_one_of(&["bearerTokenSecretRef", "basicAuthSecretRef"]))]
pub struct PrometheusAuth {
    /// The Secret and its key that hold a bearer token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bearer_token_secret_ref: Option<SecretKeyRef>,
    /// The Secret that holds `username` and `password`, as one of type kubernetes.io/basic-auth does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basic_auth_secret_ref: Option<SecretRef>,
}

/// Whom a server must be, and who the operator is, by certificates: at least one of its fields. Secrets are those of the
/// operator's own namespace, and are read again every minute, so that a renewed certificate is used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = rules::rule(
    "has(self.caSecretRef) || has(self.clientCertificateSecretRef) || has(self.serverName)",
    "at least one of caSecretRef, clientCertificateSecretRef, serverName must be set",
))]
pub struct PrometheusTls {
    /// The Secret and its key, such as ca.crt, that hold the certificate authorities to trust, in PEM: these and no others.
    /// Default: those of the system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_secret_ref: Option<SecretKeyRef>,
    /// The Secret of type kubernetes.io/tls with the operator's own certificate: `tls.crt` and `tls.key`, in PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_certificate_secret_ref: Option<SecretRef>,
    /// The DNS name or IP address that the server's certificate must have. Default: the host of `url`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = rules::rule(
        "self.matches('^[-A-Za-z0-9.:]+$')",
        "must be a name or an IP address as in a certificate, such as prometheus.example.com",
    ))]
    pub server_name: Option<String>,
}

/// Limits of all HealingPolicies together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct HealingLimits {
    /// Remedies of all policies of a namespace in any hour, 1 to 10000. Default: 30.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000))]
    pub per_hour: Option<i32>,
    /// When much breaks at once, healing of pods stops in the whole cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storm: Option<StormLimits>,
}

/// When much breaks at once, healing of pods stops in the whole cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct StormLimits {
    /// More than this share of the observed pods unhealthy at once is a storm, 1% to 100%. Default: 30%.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4))]
    #[x_kube(validation = rules::rule(
        "self.matches('^([1-9][0-9]?|100)%$')",
        "must be a percentage from 1% to 100%, such as 30%",
    ))]
    pub brake_at: Option<String>,
    /// Fewer unhealthy pods than this are never a storm, 1 to 100000. Default: 5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000))]
    pub at_least: Option<i32>,
    /// How long it must have been calm before healing starts again, 0s to 24h. Default: 5m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = rules::duration("0s", "24h"))]
    pub calm_for: Option<DurationText>,
}

/// Whether the operator uses it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct OperatorConfigStatus {
    /// The generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready, Reconciling and Stalled by kstatus.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "super::common::conditions_schema")]
    pub conditions: Vec<Condition>,
    /// Where this configuration comes from, if a GitOps tool says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Provenance>,
}

/// Schema of a map of headers: at most 16, each value at most 1024 characters on one line.
fn headers_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    let one_line = rules::rule("self.matches('^[ -~]*$')", "must be one line of ASCII characters");
    let value = schemars::json_schema!({
        "type": "string",
        "maxLength": 1024,
        "x-kubernetes-validations": [one_line],
    });
    schemars::json_schema!({"type": "object", "maxProperties": 16, "additionalProperties": value})
}
