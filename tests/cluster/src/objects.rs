//! Many objects, fast: no client-side rate limit.

use std::path::Path;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use kube::discovery::{self, Scope};
use kube::{Client, ResourceExt};
use serde::Deserialize;

use crate::{Error, Result, wait};

/// The objects of a YAML text with any number of documents.
///
/// # Errors
/// A document is not an object.
pub fn parse(text: &str) -> Result<Vec<DynamicObject>> {
    let mut objects = Vec::new();
    for document in text.split("\n---") {
        let document = document.trim_start_matches('-');
        if document
            .lines()
            .all(|line| line.trim().is_empty() || line.trim_start().starts_with('#'))
        {
            continue;
        }
        let value: serde_json::Value = serde_saphyr::from_str(document).map_err(|e| Error::new("YAML", e))?;
        objects.push(DynamicObject::deserialize(value).map_err(|e| Error::new("YAML", e))?);
    }
    Ok(objects)
}

/// The API of an object's kind, in the object's namespace.
///
/// # Errors
/// The server does not know the kind.
pub async fn api_of(client: &Client, object: &DynamicObject) -> Result<Api<DynamicObject>> {
    let types = object
        .types
        .as_ref()
        .ok_or_else(|| Error("an object has no kind".into()))?;
    let gvk = kube::core::GroupVersionKind::try_from(types).map_err(|e| Error::new(&types.kind, e))?;
    let found = wait::until(format!("kind {}", types.kind), Duration::from_secs(20), || async {
        discovery::pinned_kind(client, &gvk).await.ok()
    });
    let (resource, capabilities) = found.await?;
    Ok(if capabilities.scope == Scope::Cluster {
        Api::all_with(client.clone(), &resource)
    } else {
        Api::namespaced_with(
            client.clone(),
            object.namespace().as_deref().unwrap_or("default"),
            &resource,
        )
    })
}

/// Applies one object.
///
/// # Errors
/// The server refuses it.
pub async fn apply(client: &Client, object: &DynamicObject) -> Result<DynamicObject> {
    let name = format!(
        "{} {}",
        object.types.as_ref().map_or("", |t| t.kind.as_str()),
        object.name_any()
    );
    let api = api_of(client, object).await?;
    let params = PatchParams::apply("test").force();
    api.patch(&object.name_any(), &params, &Patch::Apply(object))
        .await
        .map_err(|e| Error::new(name, e))
}

/// Applies every object of a YAML text, namespaces and definitions first.
///
/// # Errors
/// The server refuses one.
pub async fn apply_yaml(client: &Client, text: &str) -> Result<()> {
    let mut objects = parse(text)?;
    objects.sort_by_key(|o| match o.types.as_ref().map_or("", |t| t.kind.as_str()) {
        "Namespace" => 0,
        "CustomResourceDefinition" => 1,
        "ServiceAccount" | "ClusterRole" | "Role" => 2,
        _ => 3,
    });
    for object in &objects {
        apply(client, object).await?;
    }
    Ok(())
}

/// Applies every YAML file of a folder.
///
/// # Errors
/// A file cannot be read, or the server refuses an object.
pub async fn apply_dir(client: &Client, folder: &Path) -> Result<()> {
    let err = |e: std::io::Error| Error::new(folder.display(), e);
    let mut text = String::new();
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .map_err(err)?
        .filter_map(|e| e.ok().map(|e| e.path()))
        .collect();
    files.sort();
    for file in files.iter().filter(|f| f.extension().is_some_and(|e| e == "yaml")) {
        text += "\n---\n";
        text += &std::fs::read_to_string(file).map_err(err)?;
    }
    apply_yaml(client, &text).await
}

/// Applies many objects of one kind, `at_once` at a time.
///
/// # Errors
/// The server refuses one.
pub async fn apply_many(client: &Client, objects: &[DynamicObject], at_once: usize) -> Result<()> {
    let Some(first) = objects.first() else { return Ok(()) };
    let api = api_of(client, first).await?;
    let params = PatchParams::apply("test").force();
    let (api, params) = (&api, &params);
    stream::iter(objects)
        .map(|o| async move {
            api.patch(&o.name_any(), params, &Patch::Apply(o))
                .await
                .map_err(|e| Error::new(o.name_any(), e))
        })
        .buffer_unordered(at_once)
        .try_for_each(|_| async { Ok(()) })
        .await
}

/// Creates many new objects of one kind, each in its own namespace, `at_once` at a time.
///
/// # Errors
/// The server refuses one.
pub async fn create_many(client: &Client, objects: &[DynamicObject], at_once: usize) -> Result<()> {
    let Some(types) = objects.first().and_then(|o| o.types.as_ref()) else {
        return Ok(());
    };
    let gvk = kube::core::GroupVersionKind::try_from(types).map_err(|e| Error::new(&types.kind, e))?;
    let (resource, _) = discovery::pinned_kind(client, &gvk)
        .await
        .map_err(|e| Error::new(&types.kind, e))?;
    let (resource, params) = (&resource, &PostParams::default());
    stream::iter(objects)
        .map(|o| async move {
            let namespace = o.namespace().unwrap_or_default();
            Api::<DynamicObject>::namespaced_with(client.clone(), &namespace, resource)
                .create(params, o)
                .await
                .map_err(|e| Error::new(o.name_any(), e))
        })
        .buffer_unordered(at_once)
        .try_for_each(|_| async { Ok(()) })
        .await
}

/// Deletes many objects of one kind, `at_once` at a time; those that are gone already are fine.
///
/// # Errors
/// The server refuses one.
pub async fn delete_many(client: &Client, objects: &[DynamicObject], at_once: usize) -> Result<()> {
    let Some(first) = objects.first() else { return Ok(()) };
    let api = api_of(client, first).await?;
    let api = &api;
    stream::iter(objects)
        .map(|o| async move {
            match api.delete(&o.name_any(), &DeleteParams::default()).await {
                Ok(_) => Ok(()),
                Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
                Err(error) => Err(Error::new(o.name_any(), error)),
            }
        })
        .buffer_unordered(at_once)
        .try_for_each(|()| async { Ok(()) })
        .await
}

/// A kwok node as YAML.
#[must_use]
pub fn node(name: &str, cpu: &str, memory: &str, pods: u32) -> String {
    format!(
        "apiVersion: v1
kind: Node
metadata:
  name: {name}
  annotations:
    kwok.x-k8s.io/node: fake
    metrics.k8s.io/resource-metrics-path: /metrics/nodes/{name}/metrics/resource
  labels: {{kubernetes.io/hostname: {name}, kubernetes.io/os: linux, kubernetes.io/arch: amd64}}
spec: {{}}
status:
  capacity: {{cpu: '{cpu}', memory: '{memory}', pods: '{pods}'}}
  allocatable: {{cpu: '{cpu}', memory: '{memory}', pods: '{pods}'}}
"
    )
}
