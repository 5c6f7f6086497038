//! Looks at the cluster as a user would, by the API server alone, about twice a second; feeds the shop's load with the pods that
//! are Ready, and the record with all that changed.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use homeostat::api::{GitSource, HealingPolicy, NodePoolPolicy, ScalingPolicy};
use homeostat::core::time::Time;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, ListParams};
use kube::{Client, ResourceExt};

use crate::journal::Follower;
use crate::load::Load;
use crate::place::NODES;
use crate::record::{Deed, DeedKind, Point, Record};
use crate::replay::Replay;

/// How often it looks.
const EVERY: Duration = Duration::from_millis(400);
/// The load that is shown is the mean of so many seconds, about as Prometheus sees it.
const WINDOW: f64 = 3.0;
/// What does not answer within this time is looked at the next time.
const PATIENCE: Duration = Duration::from_secs(5);

/// A pod of the shop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodSeen {
    /// Its name.
    pub name: String,
    /// Ready, and not going away.
    pub ready: bool,
    /// No node has room for it.
    pub unschedulable: bool,
}

/// How the GitSource is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceSeen {
    /// The revision that was applied last.
    pub applied: String,
    /// The revision that was tried last.
    pub attempted: String,
    /// Condition Ready.
    pub ready: bool,
    /// Condition Stalled.
    pub stalled: bool,
    /// Code of the condition Ready.
    pub reason: String,
    /// Sentence of the condition Ready.
    pub message: String,
    /// How many objects it applied.
    pub objects: usize,
}

impl SourceSeen {
    fn state(&self) -> (&str, &str, &str) {
        (&self.reason, &self.applied, &self.attempted)
    }
}

/// What was seen last.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Pods of the shop.
    pub pods: Vec<PodSeen>,
    /// Nodes of the pool that are Ready.
    pub nodes: BTreeSet<String>,
    /// Replicas in the Deployment's spec.
    pub wanted: u32,
    /// The GitSource.
    pub source: SourceSeen,
    /// Kinds of the policies that say that they are Ready.
    pub ready_policies: BTreeSet<&'static str>,
}

impl Seen {
    /// How many pods are Ready.
    #[must_use]
    pub fn ready(&self) -> u32 {
        self.pods.iter().filter(|pod| pod.ready).count() as u32
    }
}

/// What was seen last, for all who need it.
#[derive(Clone, Default)]
pub struct Eyes(Arc<Mutex<Seen>>);

impl Eyes {
    /// What was seen last.
    #[must_use]
    pub fn last(&self) -> Seen {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Looks on and on.
    pub async fn watch(self, client: Client, load: Load, replay: Replay, record: Record, mut journal: Follower) {
        let mut tick = tokio::time::interval(EVERY);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut lately = Lately::default();
        loop {
            tick.tick().await;
            let before = self.last();
            let Ok(seen) = tokio::time::timeout(PATIENCE, look(&client, &before)).await else {
                continue;
            };
            let ready = seen.pods.iter().filter(|p| p.ready).map(|p| p.name.clone()).collect();
            let shop = load.with(|shop| {
                shop.set_ready(&ready);
                shop.clone()
            });
            journal.read(&seen.source.applied);
            if seen.source.state() != before.source.state() && (seen.source.ready || seen.source.stalled) {
                record.tell(of_source(&seen.source, record.seconds()));
            }
            let point = Point {
                at: record.seconds(),
                minute: replay.minute(),
                load: lately.per_second(record.seconds(), shop.arrived),
                waiting: shop.waiting,
                per_pod: shop.per_pod,
                wanted: seen.wanted,
                ready: seen.ready(),
                nodes: seen.nodes.len() as u32,
            };
            record.with(|book| {
                book.points.push(point);
                book.source = in_words(&seen.source);
                book.served = (shop.arrived, shop.given_up);
            });
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = seen;
        }
    }
}

/// Requests that came in, for a rate over the last seconds: single minutes of the log jump too much to be read.
#[derive(Default)]
struct Lately(VecDeque<(f64, f64)>);

impl Lately {
    fn per_second(&mut self, at: f64, arrived: f64) -> f64 {
        self.0.push_back((at, arrived));
        while self.0.get(1).is_some_and(|(then, _)| at - then >= WINDOW) {
            self.0.pop_front();
        }
        let (then, before) = self.0.front().copied().unwrap_or((at, arrived));
        if at > then {
            (arrived - before) / (at - then)
        } else {
            0.0
        }
    }
}

/// What cannot be read stays as it was seen before.
async fn look(client: &Client, before: &Seen) -> Seen {
    let pods: Api<Pod> = Api::namespaced(client.clone(), "shop");
    let nodes: Api<Node> = Api::all(client.clone());
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), "shop");
    let sources: Api<GitSource> = Api::namespaced(client.clone(), "shop");
    let scaling: Api<ScalingPolicy> = Api::namespaced(client.clone(), "shop");
    let healing: Api<HealingPolicy> = Api::namespaced(client.clone(), "shop");
    let pools: Api<NodePoolPolicy> = Api::all(client.clone());
    let (all, ours) = (ListParams::default(), ListParams::default().labels(NODES));
    let (pods, nodes, deployment, source, scaling, healing, pool) = tokio::join!(
        pods.list(&all),
        nodes.list(&ours),
        deployments.get_opt("checkout"),
        sources.get_opt("shop"),
        scaling.get_opt("checkout"),
        healing.get_opt("shop"),
        pools.get_opt("shop"),
    );
    let mut seen = before.clone();
    if let Ok(pods) = pods {
        seen.pods = pods.iter().map(pod).collect();
    }
    if let Ok(nodes) = nodes {
        let ready = nodes.iter().filter(|node| is_ready(node)).map(ResourceExt::name_any);
        seen.nodes = ready.collect();
    }
    if let Ok(deployment) = deployment {
        let replicas = deployment.and_then(|d| d.spec).and_then(|s| s.replicas).unwrap_or(0);
        seen.wanted = replicas.max(0).unsigned_abs();
    }
    if let Ok(Some(found)) = source {
        seen.source = self::source(&found);
    }
    let conditions = [
        (
            "ScalingPolicy",
            scaling.ok().flatten().and_then(|p| p.status).map(|s| s.conditions),
        ),
        (
            "HealingPolicy",
            healing.ok().flatten().and_then(|p| p.status).map(|s| s.conditions),
        ),
        (
            "NodePoolPolicy",
            pool.ok().flatten().and_then(|p| p.status).map(|s| s.conditions),
        ),
    ];
    let ready = conditions.into_iter().filter(|(_, conditions)| {
        let all = conditions.iter().flatten();
        all.into_iter().any(|c| c.type_ == "Ready" && c.status == "True")
    });
    seen.ready_policies = ready.map(|(kind, _)| kind).collect();
    seen
}

fn pod(pod: &Pod) -> PodSeen {
    let conditions = pod.status.as_ref().and_then(|s| s.conditions.as_ref());
    let has = |kind: &str, status: &str| {
        conditions
            .into_iter()
            .flatten()
            .any(|c| c.type_ == kind && c.status == status)
    };
    PodSeen {
        name: pod.name_any(),
        ready: pod.metadata.deletion_timestamp.is_none() && has("Ready", "True"),
        unschedulable: has("PodScheduled", "False"),
    }
}

fn is_ready(node: &Node) -> bool {
    let conditions = node.status.as_ref().and_then(|s| s.conditions.as_ref());
    conditions
        .into_iter()
        .flatten()
        .any(|c| c.type_ == "Ready" && c.status == "True")
}

fn source(found: &GitSource) -> SourceSeen {
    let status = found.status.clone().unwrap_or_default();
    let condition = |kind: &str| status.conditions.iter().find(|c| c.type_ == kind);
    let ready = condition("Ready");
    SourceSeen {
        applied: status.last_applied_revision.clone().unwrap_or_default(),
        attempted: status.last_attempted_revision.clone().unwrap_or_default(),
        ready: ready.is_some_and(|c| c.status == "True"),
        stalled: condition("Stalled").is_some_and(|c| c.status == "True"),
        reason: ready.map(|c| c.reason.clone()).unwrap_or_default(),
        message: ready.map(|c| c.message.clone()).unwrap_or_default(),
        objects: status.inventory.as_ref().map_or(0, |i| i.entries.len()),
    }
}

/// A text with its revisions as people read them: `main@4f2c9e1`.
#[must_use]
pub fn short(text: &str) -> String {
    let mut parts = text.split("@sha1:");
    let mut short = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let hash = part.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(part.len());
        short.push('@');
        short += &part[..hash.min(7)];
        short += &part[hash..];
    }
    short
}

fn in_words(source: &SourceSeen) -> String {
    let state = if source.ready { "Ready" } else { source.reason.as_str() };
    if source.attempted == source.applied || source.attempted.is_empty() {
        format!("{} {state}", short(&source.applied))
    } else {
        format!(
            "{} {state}; {} goes on",
            short(&source.attempted),
            short(&source.applied)
        )
    }
}

fn of_source(source: &SourceSeen, seconds: f64) -> Deed {
    let numbers = vec![
        ("applied".to_owned(), source.applied.clone()),
        ("attempted".to_owned(), source.attempted.clone()),
        ("objects".to_owned(), source.objects.to_string()),
    ];
    Deed {
        id: None,
        at: Time::from_millis(Timestamp::now().as_millisecond()),
        seconds,
        policy: "GitSource shop/shop".into(),
        what: if source.ready { "Sync" } else { "Not: Sync" }.into(),
        subject: short(if source.ready {
            &source.applied
        } else {
            &source.attempted
        }),
        reason: source.reason.clone(),
        message: source.message.clone(),
        outcome: if source.ready { "done" } else { "refused" }.into(),
        revision: source.applied.clone(),
        numbers,
        kind: if source.ready { DeedKind::Git } else { DeedKind::Refusal },
    }
}
