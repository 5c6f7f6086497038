//! How kinds are called in the paths of the custom metrics API. Asked once a kind.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use kube::Client;
use kube::core::GroupVersionKind;
use kube::discovery::{self, Scope};

use crate::core::names::ObjectRef;
use crate::edge::kube::{CallError, call};

/// A kind's name in paths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Resource {
    /// As in `services` or `deployments.apps`.
    pub name: String,
    /// Whether its objects are in namespaces.
    pub namespaced: bool,
}

/// What is known of kinds.
#[derive(Clone, Default)]
pub(super) struct Kinds(Arc<Mutex<BTreeMap<(String, String), Resource>>>);

impl Kinds {
    /// How the object's kind is called; `None` where the cluster does not know the kind.
    pub(super) async fn resource(&self, client: &Client, object: &ObjectRef) -> Result<Option<Resource>, CallError> {
        let kind = (object.api_version.clone(), object.kind.clone());
        let lock = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = lock().get(&kind) {
            return Ok(Some(known.clone()));
        }
        let (group, version) = object.api_version.split_once('/').unwrap_or(("", &object.api_version));
        let gvk = GroupVersionKind::gvk(group, version, &object.kind);
        let what = format!("find kind {} of {}", object.kind, object.api_version);
        let (resource, capabilities) = match call(what, discovery::pinned_kind(client, &gvk)).await {
            Ok(found) => found,
            Err(error) if error.code() == Some(404) || error.is_unknown_kind() => return Ok(None),
            Err(error) => return Err(error),
        };
        let found = Resource {
            name: if group.is_empty() {
                resource.plural
            } else {
                format!("{}.{group}", resource.plural)
            },
            namespaced: capabilities.scope == Scope::Namespaced,
        };
        lock().insert(kind, found.clone());
        Ok(Some(found))
    }
}
