//! What things are called: objects, policies, queries, actions.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::time::Time;

/// A namespaced object of a known kind, or with an empty namespace a cluster-scoped one. Written `namespace/name`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", from = "String")]
pub struct ObjectKey {
    /// Empty for cluster-scoped objects.
    pub namespace: String,
    /// The object's name.
    pub name: String,
}

impl ObjectKey {
    /// A key from its parts.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
        }
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            f.write_str(&self.name)
        } else {
            write!(f, "{}/{}", self.namespace, self.name)
        }
    }
}

impl From<ObjectKey> for String {
    fn from(key: ObjectKey) -> Self {
        key.to_string()
    }
}

impl From<String> for ObjectKey {
    fn from(text: String) -> Self {
        match text.split_once('/') {
            Some((namespace, name)) => Self::new(namespace, name),
            None => Self::new("", text),
        }
    }
}

/// Any object of the cluster. Written `apiVersion|Kind|namespace|name`, which needs no escapes.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct ObjectRef {
    /// Group and version, such as `apps/v1` or `v1`.
    pub api_version: String,
    /// Kind, such as `Deployment`.
    pub kind: String,
    /// Empty for cluster-scoped objects.
    pub namespace: String,
    /// The object's name.
    pub name: String,
}

impl ObjectRef {
    /// A reference from its parts.
    #[must_use]
    pub fn new(api_version: &str, kind: &str, namespace: &str, name: &str) -> Self {
        Self {
            api_version: api_version.into(),
            kind: kind.into(),
            namespace: namespace.into(),
            name: name.into(),
        }
    }

    /// Namespace and name.
    #[must_use]
    pub fn key(&self) -> ObjectKey {
        ObjectKey::new(&self.namespace, &self.name)
    }

    /// The API group: what stands before the slash of the API version, empty for the core group.
    #[must_use]
    pub fn group(&self) -> &str {
        self.api_version.split_once('/').map_or("", |(group, _)| group)
    }
}

/// For people: `Deployment shop/checkout`.
impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.key())
    }
}

impl From<ObjectRef> for String {
    fn from(o: ObjectRef) -> Self {
        format!("{}|{}|{}|{}", o.api_version, o.kind, o.namespace, o.name)
    }
}

/// A text that does not name an object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not of the form {form}")]
pub struct ParseNameError {
    /// What was given.
    pub text: String,
    /// What it should look like.
    pub form: &'static str,
}

impl TryFrom<String> for ObjectRef {
    type Error = ParseNameError;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        let parts: Vec<&str> = text.split('|').collect();
        match parts[..] {
            [api_version, kind, namespace, name] => Ok(Self::new(api_version, kind, namespace, name)),
            _ => Err(ParseNameError {
                text,
                form: "apiVersion|Kind|namespace|name",
            }),
        }
    }
}

/// An object's identity: a new object of the same name has another one.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Uid(pub String);

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Homeostat's own kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum PolicyKind {
    /// Scales one target.
    ScalingPolicy,
    /// Sizes node pools.
    NodePoolPolicy,
    /// Heals pods, workloads and declared objects.
    HealingPolicy,
    /// Syncs a repository path into the cluster.
    GitSource,
    /// Named servers and defaults.
    OperatorConfig,
}

impl PolicyKind {
    /// Every kind.
    pub const ALL: [Self; 5] = [
        Self::ScalingPolicy,
        Self::NodePoolPolicy,
        Self::HealingPolicy,
        Self::GitSource,
        Self::OperatorConfig,
    ];

    /// As in manifests.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ScalingPolicy => "ScalingPolicy",
            Self::NodePoolPolicy => "NodePoolPolicy",
            Self::HealingPolicy => "HealingPolicy",
            Self::GitSource => "GitSource",
            Self::OperatorConfig => "OperatorConfig",
        }
    }
}

impl fmt::Display for PolicyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One of Homeostat's own objects. Written `Kind/namespace/name`, or `Kind/name` for cluster-scoped kinds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct PolicyKey {
    /// Which kind.
    pub kind: PolicyKind,
    /// Empty for cluster-scoped kinds.
    pub namespace: String,
    /// The object's name.
    pub name: String,
}

impl PolicyKey {
    /// A key from its parts.
    pub fn new(kind: PolicyKind, namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            kind,
            namespace: namespace.into(),
            name: name.into(),
        }
    }

    /// Namespace and name.
    #[must_use]
    pub fn object_key(&self) -> ObjectKey {
        ObjectKey::new(&self.namespace, &self.name)
    }
}

impl fmt::Display for PolicyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.object_key())
    }
}

impl From<PolicyKey> for String {
    fn from(key: PolicyKey) -> Self {
        key.to_string()
    }
}

impl FromStr for PolicyKey {
    type Err = ParseNameError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let err = || ParseNameError {
            text: text.to_owned(),
            form: "Kind/namespace/name or Kind/name",
        };
        let (kind, rest) = text.split_once('/').ok_or_else(err)?;
        let kind = PolicyKind::ALL
            .into_iter()
            .find(|k| k.as_str() == kind)
            .ok_or_else(err)?;
        let (namespace, name) = rest.split_once('/').unwrap_or(("", rest));
        Ok(Self::new(kind, namespace, name))
    }
}

impl TryFrom<String> for PolicyKey {
    type Error = ParseNameError;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

/// What is asked about a metric; policies that ask the same share the answer. Written as its parts with `|` between them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum QueryKey {
    /// A PromQL query.
    Prometheus {
        /// The server's name in the OperatorConfig; never contains `|`.
        server: String,
        /// The expression as the user wrote it.
        expr: String,
    },
    /// What each pod of a target uses: `metrics.k8s.io`.
    Resources {
        /// The target.
        target: ObjectRef,
    },
    /// A metric of each pod of a target: `custom.metrics.k8s.io`.
    Pods {
        /// The target.
        target: ObjectRef,
        /// Which metric.
        metric: MetricName,
    },
    /// A metric of one object: `custom.metrics.k8s.io`.
    Object {
        /// The object.
        object: ObjectRef,
        /// Which metric.
        metric: MetricName,
    },
    /// A metric of no object of the cluster, summed over its series: `external.metrics.k8s.io`.
    External {
        /// The namespace in which it is asked.
        namespace: String,
        /// Which metric.
        metric: MetricName,
    },
}

/// A metric of the custom or external metrics API.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct MetricName {
    /// Its name; never contains `|`.
    pub name: String,
    /// A label selector on its series, as text; empty: all.
    pub selector: String,
}

impl QueryKey {
    /// A PromQL query.
    #[must_use]
    pub fn prometheus(server: &str, expr: &str) -> Self {
        Self::Prometheus {
            server: server.into(),
            expr: expr.into(),
        }
    }

    /// Who is asked: a server by its name in the OperatorConfig, or an API of the cluster.
    #[must_use]
    pub fn server(&self) -> &str {
        match self {
            Self::Prometheus { server, .. } => server,
            Self::Resources { .. } => "metrics.k8s.io",
            Self::Pods { .. } | Self::Object { .. } => "custom.metrics.k8s.io",
            Self::External { .. } => "external.metrics.k8s.io",
        }
    }
}

/// For people: the expression, or what is asked about what.
impl fmt::Display for QueryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prometheus { expr, .. } => f.write_str(expr),
            Self::Resources { target } => write!(f, "usage of the pods of {target}"),
            Self::Pods { target, metric } => write!(f, "{} of the pods of {target}", metric.name),
            Self::Object { object, metric } => write!(f, "{} of {object}", metric.name),
            Self::External { namespace, metric } => write!(f, "external metric {namespace}/{}", metric.name),
        }
    }
}

impl From<QueryKey> for String {
    fn from(key: QueryKey) -> Self {
        match key {
            QueryKey::Prometheus { server, expr } => format!("prometheus|{server}|{expr}"),
            QueryKey::Resources { target } => format!("resources|{}", Self::from(target)),
            QueryKey::Pods { target, metric } => {
                format!("pods|{}|{}|{}", Self::from(target), metric.name, metric.selector)
            }
            QueryKey::Object { object, metric } => {
                format!("object|{}|{}|{}", Self::from(object), metric.name, metric.selector)
            }
            QueryKey::External { namespace, metric } => {
                format!("external|{namespace}|{}|{}", metric.name, metric.selector)
            }
        }
    }
}

impl TryFrom<String> for QueryKey {
    type Error = ParseNameError;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        let metric = |name: &str, selector: &str| MetricName {
            name: name.into(),
            selector: selector.into(),
        };
        let (kind, rest) = text.split_once('|').unwrap_or(("", ""));
        let most = match kind {
            "prometheus" => 2,
            "external" => 3,
            _ => 6,
        };
        let parts: Vec<&str> = rest.splitn(most, '|').collect();
        match (kind, &parts[..]) {
            ("prometheus", [server, expr]) => Ok(Self::prometheus(server, expr)),
            ("resources", [version, kind, namespace, name]) => Ok(Self::Resources {
                target: ObjectRef::new(version, kind, namespace, name),
            }),
            ("pods", [version, kind, namespace, name, series, selector]) => Ok(Self::Pods {
                target: ObjectRef::new(version, kind, namespace, name),
                metric: metric(series, selector),
            }),
            ("object", [version, kind, namespace, name, series, selector]) => Ok(Self::Object {
                object: ObjectRef::new(version, kind, namespace, name),
                metric: metric(series, selector),
            }),
            ("external", [namespace, series, selector]) => Ok(Self::External {
                namespace: (*namespace).into(),
                metric: metric(series, selector),
            }),
            _ => Err(ParseNameError {
                text,
                form: "prometheus|server|expression, resources|target, pods|target|metric|selector, \
                       object|object|metric|selector or external|namespace|metric|selector",
            }),
        }
    }
}

/// One action of one plan; unique over the operator's life and the same in a replay. 32 hexadecimal digits, so that it is
/// a trace id by the rules of W3C Trace Context as well: logs, Events and the journal name an action by it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ActionId(pub String);

impl ActionId {
    /// The id of the action of this number, of the step of this number, of the engine that was started at `epoch`.
    #[must_use]
    pub fn new(epoch: Time, step: u64, number: usize) -> Self {
        let started = epoch.as_millis() & 0xffff_ffff_ffff;
        Self(format!("{started:012x}{:012x}{number:08x}", step & 0xffff_ffff_ffff))
    }
}

impl fmt::Display for ActionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
