//! The `/scale` subresource: read it, and set it only from the value that was decided upon.

use k8s_openapi::api::autoscaling::v1::Scale;
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::{Client, discovery};
use serde_json::json;

use super::{CallError, FIELD_MANAGER, call};
use crate::core::event::Outcome;
use crate::core::names::{ObjectRef, Uid};
use crate::core::quantity::Replicas;

/// The API of a target's kind, without asking the server: kinds that the operator scales every day are known.
#[must_use]
pub fn known_resource(target: &ObjectRef) -> Option<ApiResource> {
    let plural = match (target.api_version.as_str(), target.kind.as_str()) {
        ("apps/v1", "Deployment") => "deployments",
        ("apps/v1", "StatefulSet") => "statefulsets",
        ("apps/v1", "ReplicaSet") => "replicasets",
        _ => return None,
    };
    let gvk = GroupVersionKind::gvk("apps", "v1", &target.kind);
    Some(ApiResource::from_gvk_with_plural(&gvk, plural))
}

/// The API of a target's kind; `None` where the server does not know the kind.
///
/// # Errors
/// The server does not answer.
pub async fn resource(client: &Client, target: &ObjectRef) -> Result<Option<ApiResource>, CallError> {
    if let Some(known) = known_resource(target) {
        return Ok(Some(known));
    }
    let (group, version) = target.api_version.split_once('/').unwrap_or(("", &target.api_version));
    let gvk = GroupVersionKind::gvk(group, version, &target.kind);
    let what = format!("find kind {} of {}", target.kind, target.api_version);
    match call(what, discovery::pinned_kind(client, &gvk)).await {
        Ok((resource, _)) => Ok(Some(resource)),
        Err(error) if error.code() == Some(404) || error.is_unknown_kind() => Ok(None),
        Err(error) => Err(error),
    }
}

/// The objects of a target's kind in its namespace.
#[must_use]
pub fn api(client: Client, resource: &ApiResource, target: &ObjectRef) -> Api<DynamicObject> {
    Api::namespaced_with(client, &target.namespace, resource)
}

/// Replicas as a scale says them; an omitted number is zero.
#[must_use]
pub fn replicas_of(scale: &Scale) -> Replicas {
    Replicas::from_i64(scale.spec.as_ref().and_then(|s| s.replicas).unwrap_or(0).into())
}

/// Sets the replicas, if the object is still the same and still has `from`.
pub async fn set(api: &Api<DynamicObject>, target: &ObjectRef, uid: &Uid, from: Replicas, to: Replicas) -> Outcome {
    let params = PatchParams {
        field_manager: Some(FIELD_MANAGER.into()),
        ..PatchParams::default()
    };
    let what = format!("scale {target} from {from} to {to}");
    let patch = match serde_json::from_value(compare_and_set(uid, from, to)) {
        Ok(patch) => Patch::Json::<()>(patch),
        Err(error) => {
            return Outcome::Failed {
                message: format!("{what}: {error}"),
            };
        }
    };
    match call(&what, api.patch_scale(&target.name, &params, &patch)).await {
        Ok(_) => Outcome::Done,
        Err(error) => match error.code() {
            Some(404) => Outcome::Conflict {
                message: format!("{target} is gone"),
                found: None,
            },
            Some(409 | 422) => found_instead(api, target, uid, from, &error).await,
            Some(429) => Outcome::Blocked {
                message: error.to_string(),
            },
            _ if error.is_ambiguous() => Outcome::Unknown {
                message: error.to_string(),
            },
            _ => Outcome::Failed {
                message: error.to_string(),
            },
        },
    }
}

/// A JSON patch that only applies to this object with this many replicas. The server omits a zero, so that there is no
/// member to compare with then: an empty spec is.
fn compare_and_set(uid: &Uid, from: Replicas, to: Replicas) -> serde_json::Value {
    let same_value = if from == Replicas::ZERO {
        json!({"op": "test", "path": "/spec", "value": {}})
    } else {
        json!({"op": "test", "path": "/spec/replicas", "value": from.as_i32()})
    };
    json!([
        {"op": "test", "path": "/metadata/uid", "value": uid.0},
        same_value,
        {"op": "add", "path": "/spec/replicas", "value": to.as_i32()},
    ])
}

/// The write did not apply: what is there now?
async fn found_instead(
    api: &Api<DynamicObject>,
    target: &ObjectRef,
    uid: &Uid,
    from: Replicas,
    error: &CallError,
) -> Outcome {
    match call(format!("read the scale of {target}"), api.get_scale(&target.name)).await {
        Ok(scale) if scale.metadata.uid.as_deref() != Some(uid.0.as_str()) => Outcome::Conflict {
            message: format!("{target} is another object now"),
            found: None,
        },
        Ok(scale) if replicas_of(&scale) != from => {
            let found = replicas_of(&scale);
            let message = format!("{target} has {found} replicas instead of {from}");
            Outcome::Conflict {
                message,
                found: Some(found),
            }
        }
        Ok(_) => Outcome::Failed {
            message: error.to_string(),
        },
        Err(second) => Outcome::Unknown {
            message: second.to_string(),
        },
    }
}
