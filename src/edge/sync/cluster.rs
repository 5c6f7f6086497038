//! The cluster, as the ServiceAccount that a source names: reads, dry runs, applies, deletes. What is written over something
//! is written over exactly what was read: whoever came in between makes it start again.

use kube::api::{
    Api, DeleteParams, DynamicObject, PartialObjectMeta, Patch, PatchParams, Preconditions, PropagationPolicy,
    ValidationDirective,
};
use kube::{Client, Config};
use serde_json::Value;

use super::kinds::Served;
use super::payload::{differences, prepare};
use super::{MANAGER, Surroundings};
use crate::core::names::ObjectRef;
use crate::edge::kube::{CallError, call};

/// How often it is read again when somebody else writes in between.
const TRIES: usize = 5;

/// One declared object.
#[derive(Clone, Debug)]
pub(super) struct Declared {
    pub object: ObjectRef,
    pub served: Served,
    /// What is applied; see [`prepare`].
    pub base: Value,
    /// Where it is declared, such as `shop/web.yaml:12`.
    pub place: String,
}

/// How a declared object was found.
#[derive(Clone, Debug)]
pub(super) struct Looked {
    /// What is there.
    pub live: Option<DynamicObject>,
    /// Where it differs from what is declared; empty where nothing is there.
    pub differs: Vec<String>,
}

/// The cluster, as a ServiceAccount.
#[derive(Clone)]
pub(super) struct Account {
    client: Client,
    around: Surroundings,
    /// As in `ServiceAccount shop/deployer`.
    pub name: String,
}

impl Account {
    /// Acts as this ServiceAccount; the API server adds the groups that belong to it.
    pub fn new(around: &Surroundings, namespace: &str, name: &str) -> Result<Self, String> {
        let mut config: Config = around.config.clone();
        config.auth_info.impersonate = Some(format!("system:serviceaccount:{namespace}:{name}"));
        Ok(Self {
            client: Client::try_from(config).map_err(|e| e.to_string())?,
            around: around.clone(),
            name: format!("ServiceAccount {namespace}/{name}"),
        })
    }

    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Whether the replicas of this object belong to an active policy.
    fn is_owned(&self, object: &ObjectRef) -> bool {
        self.around
            .owned
            .borrow()
            .as_ref()
            .is_some_and(|owned| owned.contains(object))
    }

    fn api(&self, served: &Served, object: &ObjectRef) -> Api<DynamicObject> {
        if served.namespaced {
            Api::namespaced_with(self.client.clone(), &object.namespace, &served.resource)
        } else {
            Api::all_with(self.client.clone(), &served.resource)
        }
    }

    /// For watches, which need not know what is in the objects.
    pub fn metadata(&self, served: &Served, object: &ObjectRef) -> Api<PartialObjectMeta<DynamicObject>> {
        if served.namespaced {
            Api::namespaced_with(self.client.clone(), &object.namespace, &served.resource)
        } else {
            Api::all_with(self.client.clone(), &served.resource)
        }
    }

    pub async fn get(&self, served: &Served, object: &ObjectRef) -> Result<Option<DynamicObject>, CallError> {
        let api = self.api(served, object);
        call(format!("read {object}"), api.get_opt(&object.name)).await
    }

    /// What is there and how it differs, by the API server's own word: a dry run of what would be applied. Where nothing is
    /// there the server is asked only with `try_missing`.
    pub async fn look(&self, declared: &Declared, try_missing: bool) -> Result<Looked, CallError> {
        let mut tries = 0;
        loop {
            tries += 1;
            let live = self.get(&declared.served, &declared.object).await?;
            if live.is_none() && !try_missing {
                let differs = Vec::new();
                return Ok(Looked { live, differs });
            }
            match self.apply(declared, live.as_ref(), true).await {
                Ok(dry) => {
                    let differs = live.as_ref().map_or_else(Vec::new, |live| differences(live, &dry));
                    return Ok(Looked { live, differs });
                }
                Err(error) if error.code() == Some(409) && tries < TRIES => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Applies it over what is there, or over what is there by then.
    pub async fn put(&self, declared: &Declared, mut live: Option<DynamicObject>) -> Result<(), CallError> {
        for _ in 1..TRIES {
            match self.apply(declared, live.as_ref(), false).await {
                Err(error) if error.code() == Some(409) => {
                    live = self.get(&declared.served, &declared.object).await?;
                }
                other => return other.map(|_| ()),
            }
        }
        self.apply(declared, live.as_ref(), false).await.map(|_| ())
    }

    /// Applies, or with `dry_run` only asks what would come of it, if what is there is still as it was read.
    pub async fn apply(
        &self,
        declared: &Declared,
        live: Option<&DynamicObject>,
        dry_run: bool,
    ) -> Result<DynamicObject, CallError> {
        let object = &declared.object;
        let payload = prepare(&declared.base, live, self.is_owned(object));
        let params = PatchParams {
            dry_run,
            ..PatchParams::apply(MANAGER)
                .force()
                .validation(ValidationDirective::Strict)
        };
        let api = self.api(&declared.served, object);
        let what = if dry_run { "try" } else { "apply" };
        call(
            format!("{what} {object}"),
            api.patch(&object.name, &params, &Patch::Apply(&payload)),
        )
        .await
    }

    /// Deletes exactly this object.
    pub async fn delete(&self, served: &Served, object: &ObjectRef, uid: &str) -> Result<(), CallError> {
        let params = DeleteParams {
            propagation_policy: Some(PropagationPolicy::Background),
            preconditions: Some(Preconditions {
                uid: Some(uid.to_owned()),
                resource_version: None,
            }),
            ..DeleteParams::default()
        };
        let api = self.api(served, object);
        call(format!("delete {object}"), api.delete(&object.name, &params))
            .await
            .map(|_| ())
    }
}
