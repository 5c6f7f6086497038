//! Writes a snapshot of a live cluster: policies, their targets and pods, and what Prometheus and the metrics APIs answer now.
//! Reads only.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, stream};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::Pod;
use kube::Client;
use kube::api::{Api, DynamicObject, ListParams};
use kube::core::TypeMeta;
use kube::{ResourceExt, core::ApiResource};

use super::answers::Contributors;
use super::snapshot::{Scale, Snapshot, SnapshotMeta};
use super::{stated, trim};
use crate::api::convert as policies;
use crate::core::event::Event;
use crate::core::names::{ObjectRef, PolicyKind, QueryKey};
use crate::core::sample::Reading;
use crate::core::time::Time;
use crate::core::world::LabelSelector;
use crate::edge::clock;
use crate::edge::kube::config::servers_now;
use crate::edge::kube::status::resource_of;
use crate::edge::kube::{CallError, call, convert, scale};
use crate::edge::metrics::client::MetricsApis;
use crate::edge::poll::Servers;
use crate::edge::prometheus::batch;
use crate::edge::prometheus::client::{Auth, PrometheusClient, ServerConfig, ServerError};
use crate::edge::prometheus::question::Question;

/// How many questions are asked at once.
const AT_ONCE: usize = 8;
/// How long a server given on the command line may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What is captured.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    /// Policies of this namespace; `None`: of all.
    pub namespace: Option<String>,
    /// Only the policies of this name.
    pub policy: Option<String>,
    /// Where the operator runs: the Secrets of its servers are there.
    pub operator_namespace: String,
    /// Servers that are reached by another URL than the operator's, by name.
    pub servers: BTreeMap<String, String>,
}

/// Why nothing is captured.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// The API server does not answer, or refuses.
    #[error(transparent)]
    Call(#[from] CallError),
    /// A server given on the command line cannot be spoken to.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// There is no such policy.
    #[error("there is no ScalingPolicy that is wanted: `kubectl get scalingpolicies -A` lists what there is")]
    NoPolicy,
}

/// A snapshot, and what people should know of it.
#[derive(Clone, Debug)]
pub struct Captured {
    /// The snapshot.
    pub snapshot: Snapshot,
    /// What could not be captured, and why.
    pub notes: Vec<String>,
}

/// Captures.
///
/// # Errors
/// The cluster cannot be read, or there is no policy. What a single target or metric cannot tell is in the snapshot as an error.
pub async fn capture(client: &Client, wish: &Wish) -> Result<Captured, CaptureError> {
    let mut taking = Taking {
        client: client.clone(),
        snapshot: Snapshot {
            metadata: Some(SnapshotMeta { name: "capture".into() }),
            ..Snapshot::default()
        },
        notes: Vec::new(),
        selectors: BTreeMap::new(),
    };
    let (targets, questions) = taking.policies(wish).await?;
    for target in &targets {
        taking.target(target).await?;
    }
    let namespaces: BTreeSet<&str> = targets.iter().map(|t| t.namespace.as_str()).collect();
    for namespace in namespaces {
        taking.namespace(namespace, &targets).await?;
    }
    taking.metrics(wish, questions).await?;
    taking.snapshot.at = Some(clock::now());
    Ok(Captured {
        snapshot: taking.snapshot,
        notes: taking.notes,
    })
}

struct Taking {
    client: Client,
    snapshot: Snapshot,
    notes: Vec<String>,
    selectors: BTreeMap<ObjectRef, LabelSelector>,
}

impl Taking {
    async fn policies(&mut self, wish: &Wish) -> Result<(BTreeSet<ObjectRef>, BTreeSet<QueryKey>), CaptureError> {
        let kind = PolicyKind::ScalingPolicy;
        let resource = resource_of(kind);
        let api: Api<DynamicObject> = match &wish.namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &resource),
            None => Api::all_with(self.client.clone(), &resource),
        };
        let list = call("list ScalingPolicies", api.list(&ListParams::default())).await?;
        let (mut targets, mut questions) = (BTreeSet::new(), BTreeSet::new());
        for mut object in list {
            if wish.policy.as_ref().is_some_and(|name| *name != object.name_any()) {
                continue;
            }
            object.types = Some(types(&resource));
            self.snapshot.objects.push(trim::policy(&object));
            match policies::event(kind, object) {
                Event::ScalingPolicy { policy, .. } => {
                    questions.extend(policy.triggers.iter().map(|t| t.query.clone()));
                    targets.insert(policy.target.clone());
                }
                Event::PolicyInvalid { key, message, .. } => {
                    self.notes.push(format!(
                        "{key} cannot be used, and its target is not captured: {message}"
                    ));
                }
                _ => {}
            }
        }
        if self.snapshot.objects.is_empty() {
            return Err(CaptureError::NoPolicy);
        }
        Ok((targets, questions))
    }

    /// The target's object and its scale, or why they cannot be read.
    async fn target(&mut self, target: &ObjectRef) -> Result<(), CaptureError> {
        let mut stated = Scale {
            target: stated::reference(target),
            ..Scale::default()
        };
        let Some(resource) = scale::resource(&self.client, target).await? else {
            self.notes.push(format!(
                "{target}: the cluster has no kind {} of {}",
                target.kind, target.api_version
            ));
            return Ok(());
        };
        let api = scale::api(self.client.clone(), &resource, target);
        match call(format!("read {target}"), api.get_opt(&target.name)).await {
            Ok(None) => return Ok(()),
            Ok(Some(mut object)) => {
                object.types = Some(types(&resource));
                self.snapshot.objects.push(trim::target(&object));
            }
            Err(error) => stated.error = Some(error.to_string()),
        }
        match call(format!("read the scale of {target}"), api.get_scale(&target.name)).await {
            Ok(found) if stated.error.is_none() => {
                let status = found.status.as_ref();
                let text = status.and_then(|s| s.selector.clone()).unwrap_or_default();
                let selector = convert::selector_from_text(&text).unwrap_or_default();
                self.selectors.insert(target.clone(), selector);
                stated.replicas = Some(scale::replicas_of(&found).get());
                stated.status_replicas = status.map(|s| s.replicas.max(0).unsigned_abs());
                stated.selector = Some(text);
            }
            Ok(_) => {}
            Err(error) => stated.error = Some(error.to_string()),
        }
        self.snapshot.scales.push(stated);
        Ok(())
    }

    /// The pods that a target selects, and other autoscalers of a target.
    async fn namespace(&mut self, namespace: &str, targets: &BTreeSet<ObjectRef>) -> Result<(), CaptureError> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        let list = call(
            format!("list the pods of {namespace}"),
            pods.list(&ListParams::default()),
        )
        .await?;
        let here = self
            .selectors
            .iter()
            .filter(|(target, _)| target.namespace == namespace);
        let selectors: Vec<&LabelSelector> = here.map(|(_, s)| s).filter(|s| !s.is_empty()).collect();
        for pod in list {
            let labels = pod.metadata.labels.clone().unwrap_or_default();
            if selectors.iter().any(|s| s.matches(&labels)) {
                self.snapshot.objects.push(trim::pod(&pod));
            }
        }
        let others: Api<HorizontalPodAutoscaler> = Api::namespaced(self.client.clone(), namespace);
        let what = format!("list the HorizontalPodAutoscalers of {namespace}");
        for hpa in call(what, others.list(&ListParams::default())).await? {
            let named = &hpa.spec.scale_target_ref;
            let version = named.api_version.as_deref().unwrap_or_default();
            if targets.contains(&ObjectRef::new(version, &named.kind, namespace, &named.name)) {
                self.snapshot.objects.push(trim::autoscaler(&hpa));
            }
        }
        Ok(())
    }

    async fn metrics(&mut self, wish: &Wish, questions: BTreeSet<QueryKey>) -> Result<(), CaptureError> {
        let asks_prometheus = questions.iter().any(|q| matches!(q, QueryKey::Prometheus { .. }));
        let servers = servers(&self.client, wish, asks_prometheus).await?;
        let apis = MetricsApis::new(self.client.clone());
        let answers = stream::iter(questions)
            .map(|query| {
                let (apis, servers) = (&apis, &servers);
                let selector = match &query {
                    QueryKey::Resources { target } | QueryKey::Pods { target, .. } => self.selectors.get(target),
                    _ => None,
                };
                let selector = selector.cloned().unwrap_or_default();
                async move {
                    let answer = ask(apis, servers, &query, &selector).await;
                    (clock::now(), query, answer)
                }
            })
            .buffered(AT_ONCE)
            .collect::<Vec<(Time, QueryKey, stated::Said)>>()
            .await;
        for (at, query, said) in answers {
            stated::add(&mut self.snapshot.metrics, &query, at, said);
        }
        Ok(())
    }
}

fn types(resource: &ApiResource) -> TypeMeta {
    TypeMeta {
        api_version: resource.api_version.clone(),
        kind: resource.kind.clone(),
    }
}

/// The operator's servers, and instead of them those of the command line.
async fn servers(client: &Client, wish: &Wish, needed: bool) -> Result<Servers, CaptureError> {
    let mut servers = Servers {
        by_name: BTreeMap::new(),
        unknown: "no OperatorConfig was read".into(),
    };
    if needed {
        servers = servers_now(client, &wish.operator_namespace).await?;
    }
    for (name, url) in &wish.servers {
        let config = ServerConfig {
            name: name.clone(),
            url: url.clone(),
            timeout: TIMEOUT,
            auth: Auth::None,
            tls: None,
            headers: BTreeMap::new(),
        };
        servers
            .by_name
            .insert(name.clone(), Ok(PrometheusClient::new(&config)?));
    }
    Ok(servers)
}

async fn ask(apis: &MetricsApis, servers: &Servers, query: &QueryKey, selector: &LabelSelector) -> stated::Said {
    let QueryKey::Prometheus { server, expr } = query else {
        return stated::Said::Reading(apis.ask(query, selector).await);
    };
    match servers.by_name.get(server) {
        None => stated::Said::no_server(&servers.unknown),
        Some(Err(problem)) => stated::Said::no_server(problem),
        Some(Ok(client)) => match client.raw(expr).await {
            Ok((status, body)) => stated::Said::Prometheus(status, body, made_from(client, expr).await),
            Err(failure) => stated::Said::Reading(failure),
        },
    }
}

/// What the answer to a query is made from, as the operator asks.
async fn made_from(client: &PrometheusClient, expr: &str) -> Option<Contributors> {
    let question = Arc::new(Question::new(expr));
    question.parts.as_ref()?;
    let part = batch::ask(client, &[question]).await.pop()?.part;
    let (Reading::Value { contributors, .. } | Reading::Many { contributors, .. }) = part.reading else {
        return None;
    };
    contributors.map(|from| Contributors {
        series: from.series,
        targets: from.targets,
        down: from.down,
        oldest: from.oldest,
        newest: part.seen.map(|(newest, _)| newest),
    })
}
