//! A simulation provider: its nodes are Node objects and nothing else. kwok keeps them alive.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::BoxFuture;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::Client;
use kube::api::{Api, DeleteParams, ObjectMeta, PostParams, Preconditions};

use super::super::{FIELD_MANAGER, call};
use super::{Feed, NodeProvider, NodeRequest, ProviderError, Uid};
use crate::core::event::Event;
use crate::core::quantity::Resources;
use crate::core::time::Span;
use crate::core::world::POOL_LABEL;
use crate::edge::kube::lease::Leadership;

/// Creates and deletes fake Node objects.
#[derive(Clone)]
pub struct Kwok {
    nodes: Api<core::Node>,
    feed: Feed,
    leadership: Leadership,
    delay: Duration,
}

impl Kwok {
    /// A provider whose nodes appear after the given delay.
    #[must_use]
    pub fn new(client: Client, feed: Feed, leadership: Leadership, delay: Span) -> Self {
        let delay = Duration::from_millis(delay.as_millis().max(0).unsigned_abs());
        Self {
            nodes: Api::all(client),
            feed,
            leadership,
            delay,
        }
    }

    async fn create_now(&self, request: &NodeRequest) -> Result<(), ProviderError> {
        let params = PostParams {
            field_manager: Some(FIELD_MANAGER.into()),
            ..PostParams::default()
        };
        match call(
            format!("create node {}", request.node),
            self.nodes.create(&params, &fake_node(request)),
        )
        .await
        {
            Ok(_) => Ok(()),
            Err(error) if error.code() == Some(409) => Ok(()),
            Err(error) if error.is_ambiguous() => Err(ProviderError::Unknown(error.to_string())),
            Err(error) => Err(ProviderError::Failed(error.to_string())),
        }
    }
}

impl NodeProvider for Kwok {
    fn create(&self, request: NodeRequest) -> BoxFuture<'_, Result<(), ProviderError>> {
        Box::pin(async move {
            if self.delay.is_zero() {
                return self.create_now(&request).await;
            }
            let later = self.clone();
            tokio::spawn(async move {
                tokio::time::sleep(later.delay).await;
                // Who has lost leadership meanwhile leaves it to the next leader to ask again.
                if !later.leadership.is_leader_now() {
                    return;
                }
                if let Err(error) = later.create_now(&request).await {
                    let message = error.to_string();
                    later
                        .feed
                        .send(Event::NodeFailed {
                            node: request.node,
                            message,
                        })
                        .await;
                }
            });
            Ok(())
        })
    }

    fn delete<'a>(&'a self, node: &'a str, uid: &'a Uid) -> BoxFuture<'a, Result<(), ProviderError>> {
        Box::pin(async move {
            let preconditions = Preconditions {
                uid: Some(uid.0.clone()),
                resource_version: None,
            };
            let params = DeleteParams {
                preconditions: Some(preconditions),
                ..DeleteParams::default()
            };
            match call(format!("delete node {node}"), self.nodes.delete(node, &params)).await {
                Ok(_) => Ok(()),
                Err(error) => match error.code() {
                    Some(404) => Ok(()),
                    Some(409) => Err(ProviderError::Conflict(format!("node {node} is another object now"))),
                    _ if error.is_ambiguous() => Err(ProviderError::Unknown(error.to_string())),
                    _ => Err(ProviderError::Failed(error.to_string())),
                },
            }
        })
    }
}

/// The Node object that stands for a machine of the template's shape.
fn fake_node(request: &NodeRequest) -> core::Node {
    let template = &request.template;
    let mut labels = BTreeMap::from([
        ("kubernetes.io/hostname".to_owned(), request.node.clone()),
        ("kubernetes.io/os".to_owned(), "linux".to_owned()),
        ("kubernetes.io/arch".to_owned(), "amd64".to_owned()),
    ]);
    labels.extend(template.labels.clone());
    labels.insert(POOL_LABEL.to_owned(), request.pool.clone());
    labels.insert("type".to_owned(), "kwok".to_owned());
    let taints = template.taints.iter().map(|taint| core::Taint {
        key: taint.key.clone(),
        value: Some(taint.value.clone()).filter(|v| !v.is_empty()),
        effect: taint.effect.clone(),
        time_added: None,
    });
    core::Node {
        metadata: ObjectMeta {
            name: Some(request.node.clone()),
            labels: Some(labels),
            annotations: Some(BTreeMap::from([("kwok.x-k8s.io/node".to_owned(), "fake".to_owned())])),
            ..ObjectMeta::default()
        },
        spec: Some(core::NodeSpec {
            provider_id: Some(format!("kwok://{}", request.node)),
            taints: Some(taints.collect::<Vec<_>>()).filter(|t| !t.is_empty()),
            ..core::NodeSpec::default()
        }),
        status: Some(core::NodeStatus {
            capacity: Some(quantities(&template.capacity)),
            allocatable: Some(quantities(&template.allocatable)),
            ..core::NodeStatus::default()
        }),
    }
}

fn quantities(resources: &Resources) -> BTreeMap<String, Quantity> {
    let mut list = BTreeMap::from([
        ("cpu".to_owned(), Quantity(format!("{}m", resources.cpu_milli))),
        ("memory".to_owned(), Quantity(resources.memory_bytes.to_string())),
        ("pods".to_owned(), Quantity(resources.pods.to_string())),
    ]);
    list.extend(
        resources
            .other
            .iter()
            .map(|(name, amount)| (name.clone(), Quantity(amount.to_string()))),
    );
    list
}
