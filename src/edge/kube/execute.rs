//! Carries out a plan's actions. Each one's preconditions are checked by the API server, or against a live read where the
//! server cannot; nothing is chosen here.

use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

use super::feed::Feed;
use super::provider::{NodeProvider, NodeRequest, ProviderError, provider};
use super::{CallError, FIELD_MANAGER, call, convert, scale};
use crate::core::event::Outcome;
use crate::core::names::{ObjectKey, ObjectRef, PolicyKey, Uid};
use crate::core::plan::{Action, Deed};
use crate::core::policy::ProviderKind;
use crate::core::world::REMOVAL_TAINT;
use crate::edge::kube::lease::Leadership;

/// A declared object that is to be applied again, by whoever holds the manifests.
#[derive(Debug)]
pub struct RestoreOrder {
    /// Which object.
    pub object: ObjectRef,
    /// The GitSource that declares it.
    pub source: PolicyKey,
    /// The revision that declares it.
    pub revision: String,
    /// Identity of what is there; `None`: it must be absent.
    pub uid: Option<Uid>,
    /// Where the outcome is awaited.
    pub done: oneshot::Sender<Outcome>,
}

/// Carries out actions.
#[derive(Clone)]
pub struct Executor {
    client: Client,
    leadership: Leadership,
    feed: Feed,
    restores: mpsc::Sender<RestoreOrder>,
}

impl Executor {
    /// An executor that acts only while this process leads.
    #[must_use]
    pub fn new(client: Client, leadership: Leadership, feed: Feed, restores: mpsc::Sender<RestoreOrder>) -> Self {
        Self {
            client,
            leadership,
            feed,
            restores,
        }
    }

    /// Carries out one action. Leadership is checked at the last moment: a paused process that wakes late does nothing, and
    /// what slips through is caught by the write's precondition.
    pub async fn execute(&self, action: &Action) -> Outcome {
        if !self.leadership.is_leader_now() {
            return Outcome::Skipped {
                message: "this replica does not lead".into(),
            };
        }
        match &action.what {
            Deed::Scale { target, uid, from, to } => match scale::resource(&self.client, target).await {
                Ok(None) => Outcome::Conflict {
                    message: format!("the cluster does not know kind {} any more", target.kind),
                    found: None,
                },
                Ok(Some(resource)) => {
                    let api = scale::api(self.client.clone(), &resource, target);
                    scale::set(&api, target, uid, *from, *to).await
                }
                Err(error) => Outcome::Failed {
                    message: error.to_string(),
                },
            },
            Deed::AddNode {
                node,
                pool,
                template,
                provider: kind,
            } => {
                let request = NodeRequest {
                    node: node.clone(),
                    pool: pool.clone(),
                    template: (**template).clone(),
                };
                outcome(self.provider(kind).create(request).await)
            }
            Deed::MarkNode { node, uid } => self.set_mark(node, uid, true).await,
            Deed::UnmarkNode { node, uid } => self.set_mark(node, uid, false).await,
            Deed::RemoveNode {
                node,
                uid,
                provider: kind,
                ..
            } => match self.still_removable(node, uid).await {
                Ok(()) => outcome(self.provider(kind).delete(node, uid).await),
                Err(outcome) => outcome,
            },
            Deed::Evict { pod, uid, .. } => self.evict(pod, uid).await,
            Deed::Restore {
                object,
                source,
                revision,
                uid,
            } => self.restore(object, source, revision, uid.as_ref()).await,
        }
    }

    fn provider(&self, kind: &ProviderKind) -> Box<dyn NodeProvider> {
        provider(kind, self.client.clone(), self.feed.clone(), self.leadership.clone())
    }

    /// By the eviction API, so that PodDisruptionBudgets hold. Written by hand: kube 5.0 misnames `deleteOptions`, so that
    /// its own call ignores the UID.
    async fn evict(&self, pod: &ObjectKey, uid: &Uid) -> Outcome {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), &pod.namespace);
        let body = json!({
            "apiVersion": "policy/v1", "kind": "Eviction",
            "metadata": {"name": pod.name, "namespace": pod.namespace},
            "deleteOptions": {"preconditions": {"uid": uid.0}},
        });
        let params = PostParams::default();
        let result: Result<Value, CallError> = call(
            format!("evict {pod}"),
            api.create_subresource("eviction", &pod.name, &params, &body),
        )
        .await;
        match result {
            Ok(_) => Outcome::Done,
            Err(error) => match error.code() {
                Some(404) => Outcome::Conflict {
                    message: format!("pod {pod} is gone"),
                    found: None,
                },
                Some(409) => Outcome::Conflict {
                    message: format!("pod {pod} is another object now"),
                    found: None,
                },
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

    /// Sets or lifts the removal taint, if the node is still this object and its taints are still those that were read.
    async fn set_mark(&self, name: &str, uid: &Uid, marked: bool) -> Outcome {
        let api: Api<Node> = Api::all(self.client.clone());
        let node = match call(format!("read node {name}"), api.get(name)).await {
            Ok(node) => node,
            Err(error) if error.code() == Some(404) => return gone(name),
            Err(error) => {
                return Outcome::Failed {
                    message: error.to_string(),
                };
            }
        };
        if node.uid().as_deref() != Some(uid.0.as_str()) {
            return gone(name);
        }
        let version = node.resource_version().unwrap_or_default();
        let old = node.spec.and_then(|s| s.taints).unwrap_or_default();
        let mut new: Vec<Value> = old
            .iter()
            .filter(|t| t.key != REMOVAL_TAINT)
            .map(|t| json!(t))
            .collect();
        if marked {
            new.push(json!({"key": REMOVAL_TAINT, "effect": "NoSchedule"}));
        }
        // Without taints there is no member to compare with: then the whole node must be as it was.
        let unchanged = if old.is_empty() {
            json!({"op": "test", "path": "/metadata/resourceVersion", "value": version})
        } else {
            json!({"op": "test", "path": "/spec/taints", "value": old})
        };
        let patch = json!([
            {"op": "test", "path": "/metadata/uid", "value": uid.0},
            unchanged,
            {"op": "add", "path": "/spec/taints", "value": new},
        ]);
        let params = PatchParams {
            field_manager: Some(FIELD_MANAGER.into()),
            ..PatchParams::default()
        };
        let patch = match serde_json::from_value(patch) {
            Ok(patch) => Patch::Json::<()>(patch),
            Err(error) => {
                return Outcome::Failed {
                    message: error.to_string(),
                };
            }
        };
        match call(format!("taint node {name}"), api.patch(name, &params, &patch)).await {
            Ok(_) => Outcome::Done,
            Err(error) => match error.code() {
                Some(404) => gone(name),
                Some(409 | 422) => Outcome::Conflict {
                    message: format!("node {name} has just changed"),
                    found: None,
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

    /// A live read: the node is still this object, still marked, and carries only what goes with it.
    async fn still_removable(&self, name: &str, uid: &Uid) -> Result<(), Outcome> {
        let failed = |error: CallError| Outcome::Failed {
            message: error.to_string(),
        };
        let nodes: Api<Node> = Api::all(self.client.clone());
        let node = match call(format!("read node {name}"), nodes.get_opt(name))
            .await
            .map_err(failed)?
        {
            Some(node) => convert::node(&node),
            None => return Err(gone(name)),
        };
        if node.uid != *uid {
            return Err(gone(name));
        }
        if !node.is_marked() {
            let message = format!("node {name} no longer bears the taint {REMOVAL_TAINT}");
            return Err(Outcome::Conflict { message, found: None });
        }
        let pods: Api<Pod> = Api::all(self.client.clone());
        let on_node = ListParams::default().fields(&format!("spec.nodeName={name}"));
        let list = call(format!("list the pods of node {name}"), pods.list(&on_node))
            .await
            .map_err(failed)?;
        let own = list
            .iter()
            .map(convert::pod)
            .find(|pod| !pod.belongs_to_node() && !pod.is_finished());
        match own {
            Some(pod) => {
                let message = format!("pod {} has come to node {name}", pod.key);
                Err(Outcome::Conflict { message, found: None })
            }
            None => Ok(()),
        }
    }

    async fn restore(&self, object: &ObjectRef, source: &PolicyKey, revision: &str, uid: Option<&Uid>) -> Outcome {
        let (done, answer) = oneshot::channel();
        let order = RestoreOrder {
            object: object.clone(),
            source: source.clone(),
            revision: revision.to_owned(),
            uid: uid.cloned(),
            done,
        };
        let ended = || Outcome::Skipped {
            message: format!("{source} is not being synced"),
        };
        if self.restores.send(order).await.is_err() {
            return ended();
        }
        answer.await.unwrap_or_else(|_| ended())
    }
}

fn gone(node: &str) -> Outcome {
    Outcome::Conflict {
        message: format!("node {node} is gone or another object now"),
        found: None,
    }
}

fn outcome(result: Result<(), ProviderError>) -> Outcome {
    match result {
        Ok(()) => Outcome::Done,
        Err(ProviderError::Failed(message)) => Outcome::Failed { message },
        Err(ProviderError::Conflict(message)) => Outcome::Conflict { message, found: None },
        Err(ProviderError::Unknown(message)) => Outcome::Unknown { message },
    }
}
