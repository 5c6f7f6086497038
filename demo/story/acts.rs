//! What happens in each act, and what is waited for.

use std::time::Duration;

use homeostat_cluster::{Error, Result, wait};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use serde_json::json;
use tokio::time::Instant;

use super::{LIMIT, LONG, Observed, Scene};
use crate::eyes::{Seen, short};
use crate::record::{Book, Deed, Point};
use crate::stage::Stage;

/// Pods that the launch needs at least; at its peak 1,700 requests a second come in, 80 a pod.
pub const PEAK_PODS: u32 = 15;
/// Nodes that so many pods need at least, two a node.
pub const PEAK_NODES: usize = 8;
/// Nodes at night at most.
pub const NIGHT_NODES: usize = 6;

/// Fault injection by hand has a name of its own, so that it is seen who it was.
const BY_HAND: &str = "somebody-by-hand";

/// Waits until what is seen is as it should be.
async fn see<T>(scene: &Scene, what: &str, limit: Duration, look: impl Fn(&Seen) -> Option<T>) -> Result<T> {
    let looking = || async { look(&scene.eyes.last()) };
    wait::until(what, limit, looking).await.map_err(|error| {
        let seen = scene.eyes.last();
        let source = &seen.source;
        let pods = seen.pods.len();
        Error::new(
            error,
            format!(
                "{} wanted, {} of {pods} pods Ready, {} nodes, GitSource {} {}",
                seen.wanted,
                seen.ready(),
                seen.nodes.len(),
                source.reason,
                source.message
            ),
        )
    })
}

/// Waits for an action of Homeostat; its sentence.
async fn told(scene: &Scene, what: &str, is: impl Fn(&Deed) -> bool) -> Result<String> {
    let looking = || async {
        let found = |book: &mut Book| book.deeds.iter().find(|d| is(d)).map(|d| d.message.clone());
        scene.record.with(found)
    };
    wait::until(what, LIMIT, looking).await
}

/// The platform team applies the GitSource; everything in the repository follows.
pub async fn sync(scene: &Scene, stage: &Stage) -> Result<String> {
    let head = stage.repository()?.head()?;
    stage.bootstrap().await?;
    let objects = see(scene, "the first sync", LIMIT, |seen| {
        let source = &seen.source;
        (source.ready && source.applied.ends_with(&head)).then_some(source.objects)
    })
    .await?;
    Ok(format!(
        "{objects} objects at {}",
        short(&scene.eyes.last().source.applied)
    ))
}

/// No node is there: the first pods make the pool give some.
pub async fn first_nodes(scene: &Scene) -> Result<String> {
    see(scene, "the first nodes and pods", LIMIT, |seen| {
        let enough = seen.ready() >= 2 && seen.nodes.len() >= 2 && seen.ready_policies.len() == 3;
        enough.then(|| format!("{} nodes, {} pods, all policies Ready", seen.nodes.len(), seen.ready()))
    })
    .await
}

/// The morning of the launch, which was at 9:42.
pub async fn follow(scene: &Scene) -> Result<String> {
    let first = scene.eyes.last().ready();
    scene.replay.reach(10.0).await?;
    see(scene, "the pods of the peak", LIMIT, |seen| {
        (seen.ready() >= PEAK_PODS).then_some(())
    })
    .await?;
    let load = scene.record.with(|book| most(book, |p| p.load));
    let pods = scene.record.with(|book| most(book, |p| f64::from(p.ready)));
    Ok(format!("{first} → {pods} pods Ready for {load:.0} requests/s"))
}

/// Pods that find no room make the pool grow.
pub async fn grow(scene: &Scene) -> Result<String> {
    let first = scene.eyes.last().nodes.len();
    scene.replay.reach(10.0).await?;
    see(scene, "the nodes of the peak", LIMIT, |seen| {
        (seen.nodes.len() >= PEAK_NODES).then_some(())
    })
    .await?;
    told(scene, "a node for pods without room", |deed| {
        deed.what == "AddNode" && deed.reason == "PodsUnschedulable"
    })
    .await?;
    let nodes = scene.record.with(|book| most(book, |p| f64::from(p.nodes)));
    Ok(format!("{first} → {nodes} nodes for pods without room"))
}

fn most(book: &Book, of: impl Fn(&Point) -> f64) -> f64 {
    book.points.iter().map(of).fold(0.0, f64::max)
}

/// One pod begins to crash. Where the scheduler's own scale-down takes it away first, the next one is tried.
pub async fn crash(scene: &Scene) -> Result<Observed> {
    let pods: Api<Pod> = Api::namespaced(scene.client.clone(), "shop");
    let began = Instant::now();
    loop {
        let victim = see(scene, "a Ready pod", LIMIT, |seen| {
            seen.pods.iter().find(|p| p.ready).cloned()
        })
        .await?;
        let name = victim.name.as_str();
        let patch = Patch::Merge(json!({"metadata": {"annotations": {"homeostat.dev/sim": "crashloop"}}}));
        let patched = pods.patch(name, &PatchParams::default(), &patch).await;
        patched.map_err(|e| Error::new(format!("make {name} crash"), e))?;
        let since = Instant::now();
        let subject = format!("Pod shop/{name}");
        let gone = || async { pods.get_opt(name).await.ok().filter(Option::is_none) };
        wait::until(format!("{name} to be evicted"), LIMIT, gone).await?;
        let took = since.elapsed();
        // The journal is read a moment later.
        let evicted = tokio::time::timeout(
            Duration::from_secs(3),
            told(scene, "the eviction", |deed| {
                deed.what == "Evict" && deed.subject == subject
            }),
        );
        if evicted.await.is_ok_and(|told| told.is_ok()) {
            see(scene, "a new pod", LIMIT, |seen| {
                (seen.ready() >= seen.wanted).then_some(())
            })
            .await?;
            let text = format!("evicted after {:.1} s, replaced", took.as_secs_f64());
            return Ok(Observed { text, took: Some(took) });
        }
        if began.elapsed() > LIMIT {
            return Err(Error(format!("{name} went away without an eviction")));
        }
    }
}

/// Somebody deletes the Service.
pub async fn delete_service(scene: &Scene) -> Result<Observed> {
    let services: Api<Service> = Api::namespaced(scene.client.clone(), "shop");
    let err = |e: kube::Error| Error::new("Service shop/checkout", e);
    let old = services.get("checkout").await.map_err(err)?.uid();
    services
        .delete("checkout", &DeleteParams::default())
        .await
        .map_err(err)?;
    let since = Instant::now();
    let back = || async {
        services
            .get_opt("checkout")
            .await
            .ok()
            .flatten()
            .filter(|service| service.uid() != old)
    };
    wait::until("the Service to be back", LIMIT, back).await?;
    let took = since.elapsed();
    Ok(Observed {
        text: format!("back after {:.2} s", took.as_secs_f64()),
        took: Some(took),
    })
}

/// Somebody changes image and environment on the cluster instead of in Git.
pub async fn edit(scene: &Scene) -> Result<Observed> {
    let deployments: Api<Deployment> = Api::namespaced(scene.client.clone(), "shop");
    let patch = json!({"spec": {"template": {"spec": {"containers": [
        {"name": "checkout", "image": "registry.example.com/shop/checkout:hotfix",
         "env": [{"name": "PAYMENT", "value": "https://elsewhere.example.com"}]},
    ]}}}});
    let params = PatchParams {
        field_manager: Some(BY_HAND.into()),
        ..PatchParams::default()
    };
    let patched = deployments.patch("checkout", &params, &Patch::Strategic(patch)).await;
    patched.map_err(|e| Error::new("edit Deployment shop/checkout", e))?;
    let since = Instant::now();
    let restored = || async {
        let live = deployments.get_opt("checkout").await.ok().flatten()?;
        let container = live.spec?.template.spec?.containers.into_iter().next()?;
        let payment = container.env?.into_iter().find(|e| e.name == "PAYMENT")?.value?;
        (container.image?.ends_with(":1.4.2") && payment == "https://payment.example.com").then_some(())
    };
    wait::until("the Deployment to be as in Git", LIMIT, restored).await?;
    let took = since.elapsed();
    Ok(Observed {
        text: format!("image and env as in Git after {:.2} s", took.as_secs_f64()),
        took: Some(took),
    })
}

/// Somebody pushes a new image together with a policy that cannot be.
pub async fn bad_commit(scene: &Scene, stage: &Stage) -> Result<String> {
    let good = scene.eyes.last().source.applied;
    let changes = [
        ("deploy/scaling.yaml", "maxReplicas: 30", "maxReplicas: 1"),
        ("deploy/checkout.yaml", "checkout:1.4.2", "checkout:1.5.0"),
    ];
    let bad = stage
        .repository()?
        .change(&changes, "Save money: one replica is enough")?;
    see(scene, "the GitSource to be Stalled", LIMIT, |seen| {
        let source = &seen.source;
        (source.stalled && source.attempted.ends_with(&bad)).then_some(())
    })
    .await?;
    let deployments: Api<Deployment> = Api::namespaced(scene.client.clone(), "shop");
    let live = deployments
        .get("checkout")
        .await
        .map_err(|e| Error::new("read the Deployment", e))?;
    let containers = live.spec.and_then(|s| s.template.spec).map(|s| s.containers);
    let image = containers
        .into_iter()
        .flatten()
        .next()
        .and_then(|c| c.image)
        .unwrap_or_default();
    let seen = scene.eyes.last();
    if !image.ends_with(":1.4.2") || seen.source.applied != good || !seen.ready_policies.contains("ScalingPolicy") {
        return Err(Error(format!(
            "part of the bad commit was applied: image {image}, revision {}",
            seen.source.applied
        )));
    }
    let rejected = short(&seen.source.attempted);
    Ok(format!("{rejected} Stalled, {} goes on", short(&good)))
}

/// The commit is reverted.
pub async fn revert(scene: &Scene, stage: &Stage) -> Result<String> {
    let head = stage.repository()?.revert()?;
    see(scene, "the GitSource to be Ready again", LIMIT, |seen| {
        let source = &seen.source;
        (source.ready && source.applied.ends_with(&head)).then(|| format!("Ready at {}", short(&source.applied)))
    })
    .await
}

/// The load goes, then pods go, then nodes are empty and go.
pub async fn shrink(scene: &Scene) -> Result<String> {
    let most = scene
        .record
        .with(|book| book.points.iter().map(|p| p.nodes).max().unwrap_or(0));
    let left = see(scene, "nodes to be given back", LONG, |seen| {
        (seen.nodes.len() <= NIGHT_NODES).then_some(seen.nodes.len())
    })
    .await?;
    told(scene, "the removal of a node", |deed| deed.what == "RemoveNode").await?;
    Ok(format!("{most} → {left} nodes"))
}
