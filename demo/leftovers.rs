//! In a cluster that is somebody else's: what would be in the way, and how all that the demo made goes away again.

use std::collections::BTreeSet;
use std::time::Duration;

use homeostat::api::{GROUP, VERSION, all_crds};
use homeostat_cluster::{Error, Result};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Namespace, Node, Pod};
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams};
use kube::{Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use crate::place::NODES;

/// Namespaces that the demo makes.
const NAMESPACES: [&str; 2] = ["shop", "homeostat-system"];
/// ClusterRoles and their bindings that the demo makes.
const ROLES: [&str; 2] = ["homeostat", "shop-deployer"];
/// How long it may take until all is gone.
const LIMIT: Duration = Duration::from_mins(3);
/// Controllers note late that a node or a namespace is gone: their Events are looked for until none came for so long.
const CALM: Duration = Duration::from_secs(12);

/// What was there before, as far as it matters.
pub struct Before {
    client: Client,
    /// Definitions that stay.
    crds: BTreeSet<String>,
}

fn api_of(client: &Client, crd: &CustomResourceDefinition) -> Api<DynamicObject> {
    let names = &crd.spec.names;
    let gvk = kube::core::GroupVersionKind::gvk(GROUP, VERSION, &names.kind);
    Api::all_with(client.clone(), &ApiResource::from_gvk_with_plural(&gvk, &names.plural))
}

fn err(what: &str) -> impl Fn(kube::Error) -> Error {
    let what = what.to_owned();
    move |e| Error::new(&what, e)
}

impl Before {
    /// Looks at the cluster.
    ///
    /// # Errors
    /// Something has a name that the demo needs, or a Homeostat is at home already: nothing was changed, and the error says
    /// what to do.
    pub async fn look(client: &Client) -> Result<Self> {
        let mut in_the_way = Vec::new();
        for name in NAMESPACES {
            in_the_way.extend(find::<Namespace>(client, name, "namespace").await?);
        }
        for name in ROLES {
            in_the_way.extend(find::<ClusterRole>(client, name, "clusterrole").await?);
            in_the_way.extend(find::<ClusterRoleBinding>(client, name, "clusterrolebinding").await?);
        }
        let nodes: Api<Node> = Api::all(client.clone());
        let labelled = nodes.list(&ListParams::default().labels(NODES)).await;
        let labelled = labelled.map_err(err("list nodes"))?;
        in_the_way.extend(labelled.iter().map(|node| format!("node/{}", node.name_any())));
        let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
        let mut crds = BTreeSet::new();
        for crd in all_crds() {
            let name = crd.name_any();
            let found = definitions.get_opt(&name).await.map_err(err(&name))?;
            let Some(found) = found else { continue };
            let objects = api_of(client, &crd).list(&ListParams::default()).await;
            let kind = crd.spec.names.kind.to_lowercase();
            for object in objects.map_err(err(&name))? {
                let namespace = object.namespace().map(|n| format!(" -n {n}")).unwrap_or_default();
                in_the_way.push(format!("{kind}/{}{namespace}", object.name_any()));
            }
            let params = PatchParams {
                dry_run: true,
                ..PatchParams::apply("homeostat-demo").force()
            };
            let ours = definitions.patch(&name, &params, &Patch::Apply(&crd)).await;
            if ours.map_err(err(&name))?.spec != found.spec {
                in_the_way.push(format!("crd/{name} of another version of Homeostat"));
            }
            crds.insert(name);
        }
        if in_the_way.is_empty() {
            let client = client.clone();
            return Ok(Self { client, crds });
        }
        Err(Error(format!(
            "this cluster has what the demo would make, so that the demo would disturb it: {}. Nothing was changed. If it is \
             left over from a demo that was killed, delete it; otherwise use another cluster",
            in_the_way.join(", ")
        )))
    }

    /// Whether a definition was there before.
    #[must_use]
    pub fn has_crd(&self, name: &str) -> bool {
        self.crds.contains(name)
    }

    /// Removes everything that the demo made, on and around these nodes too. The operator must not run any more.
    ///
    /// # Errors
    /// Something is still there; the error names it.
    pub async fn restore(&self, mut nodes: BTreeSet<String>) -> Result<()> {
        let started = Instant::now();
        loop {
            // What fails is tried again in the next round.
            let left = self.round(&mut nodes).await;
            match left {
                Ok(left) if left.is_empty() => break,
                left if started.elapsed() > LIMIT => {
                    let left = left.map_or_else(|e| e.to_string(), |left| left.join(", "));
                    return Err(Error(format!("still there after {}s: {left}", LIMIT.as_secs())));
                }
                _ => tokio::time::sleep(Duration::from_millis(500)).await,
            }
        }
        let mut calm_since = Instant::now();
        while calm_since.elapsed() < CALM {
            if self.sweep_events(&nodes).await? {
                calm_since = Instant::now();
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        Ok(())
    }

    /// Deletes what is still there; its names.
    async fn round(&self, nodes: &mut BTreeSet<String>) -> Result<Vec<String>> {
        let client = &self.client;
        let mut left = Vec::new();
        for crd in all_crds() {
            let ours = match crd.spec.names.kind.as_str() {
                "OperatorConfig" => "default",
                "NodePoolPolicy" => "shop",
                _ => continue,
            };
            left.extend(delete(&api_of(client, &crd), ours).await?);
        }
        let namespaces: Api<Namespace> = Api::all(client.clone());
        for name in NAMESPACES {
            left.extend(delete(&namespaces, name).await?);
        }
        let api: Api<Node> = Api::all(client.clone());
        let labelled = api.list(&ListParams::default().labels(NODES)).await;
        for node in labelled.map_err(err("list nodes"))? {
            left.extend(delete(&api, &node.name_any()).await?);
            nodes.insert(node.name_any());
        }
        let leases: Api<Lease> = Api::namespaced(client.clone(), "kube-node-lease");
        for node in nodes.iter() {
            left.extend(delete(&leases, node).await?);
            left.extend(self.delete_pods_on(node).await?);
        }
        let (roles, bindings) = (
            Api::<ClusterRole>::all(client.clone()),
            Api::<ClusterRoleBinding>::all(client.clone()),
        );
        for name in ROLES {
            left.extend(delete(&bindings, name).await?);
            left.extend(delete(&roles, name).await?);
        }
        // Definitions last: with one goes every object of its kind.
        if left.is_empty() {
            let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
            for name in all_crds().iter().map(ResourceExt::name_any) {
                if !self.crds.contains(&name) {
                    left.extend(delete(&definitions, &name).await?);
                }
            }
        }
        Ok(left)
    }

    /// No kubelet would ever end these: by force, since nothing runs.
    async fn delete_pods_on(&self, node: &str) -> Result<Vec<String>> {
        let all: Api<Pod> = Api::all(self.client.clone());
        let bound = all
            .list(&ListParams::default().fields(&format!("spec.nodeName={node}")))
            .await;
        let mut left = Vec::new();
        for pod in bound.map_err(err("list pods"))? {
            let api: Api<Pod> = Api::namespaced(self.client.clone(), &pod.namespace().unwrap_or_default());
            let _ = api
                .delete(&pod.name_any(), &DeleteParams::default().grace_period(0))
                .await;
            left.push(format!("pod/{}", pod.name_any()));
        }
        Ok(left)
    }

    /// Events about what has no namespace are in `default` and would stay for an hour; whether there were any.
    async fn sweep_events(&self, nodes: &BTreeSet<String>) -> Result<bool> {
        let api: Api<Event> = Api::namespaced(self.client.clone(), "default");
        let mut found = false;
        for event in api.list(&ListParams::default()).await.map_err(err("list events"))? {
            let about = event.regarding.clone().unwrap_or_default();
            let name = about.name.unwrap_or_default();
            let ours = match about.kind.as_deref() {
                Some("Node") => nodes.contains(&name),
                Some("NodePoolPolicy" | "OperatorConfig") => true,
                _ => event
                    .reporting_controller
                    .as_deref()
                    .is_some_and(|who| who.starts_with(GROUP)),
            };
            if ours {
                delete(&api, &event.name_any()).await?;
                found = true;
            }
        }
        Ok(found)
    }
}

/// Whether something of this name is there.
async fn find<K>(client: &Client, name: &str, kind: &str) -> Result<Option<String>>
where
    K: Resource<Scope = kube::core::ClusterResourceScope> + Clone + DeserializeOwned + std::fmt::Debug,
    K::DynamicType: Default,
{
    let what = format!("{kind}/{name}");
    let found = Api::<K>::all(client.clone()).get_opt(name).await.map_err(err(&what))?;
    Ok(found.map(|_| what))
}

/// Deletes an object; its name while it is still there.
async fn delete<K>(api: &Api<K>, name: &str) -> Result<Option<String>>
where
    K: Clone + DeserializeOwned + std::fmt::Debug,
{
    match api.delete(name, &DeleteParams::background()).await {
        Ok(_) => Ok(Some(name.to_owned())),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
        // A namespace that is going away already.
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(Some(name.to_owned())),
        Err(error) => Err(Error::new(format!("delete {name}"), error)),
    }
}
