//! Kinds: which API serves them, and in which order they are applied.

use std::collections::BTreeMap;

use kube::Client;
use kube::core::GroupVersionKind;
use kube::discovery::{self, ApiResource, Scope};

use crate::api::GROUP;
use crate::core::names::ObjectRef;
use crate::edge::kube::{CallError, call};

/// How the API server serves a kind.
#[derive(Clone, Debug)]
pub(super) struct Served {
    pub resource: ApiResource,
    pub namespaced: bool,
}

/// The kinds that were asked for; forgotten when something does not fit any more.
#[derive(Debug, Default)]
pub(super) struct Kinds {
    known: BTreeMap<(String, String), Served>,
}

impl Kinds {
    /// How a kind is served; `None` when the API server does not know it.
    pub async fn resolve(
        &mut self,
        client: &Client,
        api_version: &str,
        kind: &str,
    ) -> Result<Option<Served>, CallError> {
        let key = (api_version.to_owned(), kind.to_owned());
        if let Some(known) = self.known.get(&key) {
            return Ok(Some(known.clone()));
        }
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let gvk = GroupVersionKind::gvk(group, version, kind);
        let found = call(
            format!("find kind {kind} of {api_version}"),
            discovery::pinned_kind(client, &gvk),
        )
        .await;
        match found {
            Ok((resource, capabilities)) => {
                let served = Served {
                    resource,
                    namespaced: capabilities.scope == Scope::Namespaced,
                };
                self.known.insert(key, served.clone());
                Ok(Some(served))
            }
            Err(error) if error.code() == Some(404) || is_unknown(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub fn forget(&mut self) {
        self.known.clear();
    }
}

fn is_unknown(error: &CallError) -> bool {
    matches!(error, CallError::Api { source, .. } if matches!(**source, kube::Error::Discovery(_)))
}

/// Objects of lower rank are applied first, and are there before those of the next rank are applied; deletion goes the other
/// way round.
pub(super) fn rank(object: &ObjectRef) -> u8 {
    match (object.group(), object.kind.as_str()) {
        ("", "Namespace") | ("apiextensions.k8s.io", "CustomResourceDefinition") => FOUNDATIONS,
        ("rbac.authorization.k8s.io" | "scheduling.k8s.io" | "storage.k8s.io", _) | ("", "ServiceAccount") => 1,
        (
            "",
            "ConfigMap" | "Secret" | "PersistentVolume" | "PersistentVolumeClaim" | "LimitRange" | "ResourceQuota",
        ) => 2,
        ("", "Service") => 3,
        (GROUP, "GitSource") => 6,
        (GROUP, _) => 5,
        _ => 4,
    }
}

/// The rank of what other objects of the same revision may need to be accepted at all.
pub(super) const FOUNDATIONS: u8 = 0;
