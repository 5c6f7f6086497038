//! Node pools: pods without room get nodes, within bounds; empty nodes go; nodes that do not come are given up for a while.

use homeostat::core::world::POOL_LABEL;
use homeostat_cluster::cluster::Component;
use homeostat_cluster::wait;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{Api, ListParams};

use crate::stage::{LIMIT, Operator, Stage, deployment, scaling};

#[tokio::test(flavor = "multi_thread")]
async fn pools_grow_for_pods_without_room_and_shrink_when_they_are_empty() {
    let stage = Stage::set().await;
    let template = "{capacity: {cpu: 4, memory: 16Gi, pods: 110}}";
    stage.apply(&pool("general", "kwok: {}", template)).await;
    let template = "{taints: [{key: example.com/gpu, effect: NoSchedule}], \
        capacity: {cpu: 4, memory: 16Gi, pods: 110, example.com/gpu: 1}}";
    stage
        .apply(&pool("far", "kwok: {registrationDelay: 1h}", template))
        .await;
    stage.apply(&deployment("big", 1, "3")).await;
    stage.apply(&scaling("big", "sum(load)", "")).await;
    stage.gauges.set("load", 100.0);
    let operator = stage.operator("one").await;
    stage
        .condition("NodePoolPolicy", "general", "Ready", "True", "PoolsAsWanted")
        .await;

    nodes_that_do_not_become_ready(&stage).await;
    no_more_than_the_maximum(&stage, &operator).await;
    nodes_that_never_register(&stage).await;
    empty_nodes_go(&stage, &operator).await;
    let log = std::fs::read_to_string(operator.process.log()).unwrap();
    assert!(!log.contains("forbidden"), "the manifests' rights are enough");
}

/// The node has room for two of the five pods, and each of the pool's nodes for one.
async fn nodes_that_do_not_become_ready(stage: &Stage) {
    stage.cluster.pause(Component::Kwok);
    stage.gauges.set("load", 500.0);
    stage.wants("big", 5).await;
    let found = stage
        .condition("NodePoolPolicy", "general", "Limited", "True", "PoolBackingOff")
        .await;
    let message = found["message"].as_str().unwrap_or_default();
    assert!(message.contains("small"), "{message}");
    stage.event("general", "PoolBackingOff").await;
    assert!(pool_nodes(stage, "general").await.len() <= 2, "never above its maximum");
    stage.cluster.resume(Component::Kwok);
}

/// They come late, and count.
async fn no_more_than_the_maximum(stage: &Stage, operator: &Operator) {
    wait::until("four pods to be Ready", LIMIT, || async {
        (ready_pods(stage, "big").await == 4).then_some(())
    })
    .await
    .unwrap();
    // The back-off ends a minute after the failure.
    wait::until("the pool to be free again", LIMIT * 2, || async {
        let status = stage.status("NodePoolPolicy", "general").await;
        status.to_string().contains("PoolAtMaximum").then_some(())
    })
    .await
    .unwrap();
    let found = stage
        .condition("NodePoolPolicy", "general", "Limited", "True", "PoolAtMaximum")
        .await;
    let message = found["message"].as_str().unwrap_or_default();
    assert!(message.contains('2'), "{message}");
    stage
        .condition("NodePoolPolicy", "general", "Ready", "True", "PodsWaiting")
        .await;
    assert_eq!(pool_nodes(stage, "general").await.len(), 2);
    let series = r#"homeostat_node_pool_nodes{policy="general",pool="small"}"#;
    assert_eq!(operator.metric(series).await, Some(2.0));
}

async fn nodes_that_never_register(stage: &Stage) {
    let gpu = deployment("gpu", 1, "1")
        .replace("memory: 64Mi}", "memory: 64Mi}, limits: {example.com/gpu: 1}")
        .replace(
            "{containers:",
            "{tolerations: [{key: example.com/gpu, operator: Exists}], containers:",
        );
    stage.apply(&gpu).await;
    stage
        .condition("NodePoolPolicy", "far", "Limited", "True", "PoolBackingOff")
        .await;
    stage.event("far", "PoolBackingOff").await;
    let status = stage.status("NodePoolPolicy", "far").await;
    assert_eq!(status["pools"][0]["nodes"], 0, "{status:#}");
}

async fn empty_nodes_go(stage: &Stage, operator: &Operator) {
    stage.gauges.set("load", 100.0);
    stage.wants("big", 1).await;
    // A node is left alone in its first minute.
    let kept = wait::until("only nodes in use to be left in the pool", LIMIT * 3, || async {
        let (left, used) = (pool_nodes(stage, "general").await, nodes_in_use(stage, "big").await);
        (left.len() < 2 && left.iter().all(|node| used.contains(node))).then_some(left.len())
    })
    .await
    .unwrap();
    stage
        .condition("NodePoolPolicy", "general", "Limited", "False", "PoolsAsWanted")
        .await;
    wait::until("the last pod to be Ready", LIMIT, || async {
        (ready_pods(stage, "big").await == 1).then_some(())
    })
    .await
    .unwrap();
    let node = stage.read("v1", "Node", "", "n1").await;
    assert_eq!(node["metadata"]["name"], "n1", "a node of nobody's pool is not touched");
    let series = r#"homeostat_actions_total{action="RemoveNode",reason="NodeEmpty",outcome="Done"}"#;
    let removed = u32::try_from(2 - kept).unwrap();
    assert_eq!(operator.metric(series).await, Some(removed.into()));
}

/// The nodes that an application's pods are bound to.
async fn nodes_in_use(stage: &Stage, app: &str) -> Vec<String> {
    let pods: Api<Pod> = Api::namespaced(stage.client.clone(), "default");
    let list = pods
        .list(&ListParams::default().labels(&format!("app={app}")))
        .await
        .unwrap();
    let bound = list.into_iter().filter_map(|pod| pod.spec?.node_name);
    bound.collect()
}

fn pool(name: &str, provider: &str, template: &str) -> String {
    format!(
        "apiVersion: homeostat.dev/v1alpha1
kind: NodePoolPolicy
metadata: {{name: {name}}}
spec:
  provider: {{{provider}}}
  pools: [{{name: small, minNodes: 0, maxNodes: 2, template: {template}}}]
  scaleUp: {{provisionTimeout: 3s}}
  scaleDown: {{unneededFor: 1s}}
"
    )
}

async fn pool_nodes(stage: &Stage, policy: &str) -> Vec<String> {
    let nodes: Api<Node> = Api::all(stage.client.clone());
    let selected = ListParams::default().labels(&format!("{POOL_LABEL}={policy}.small"));
    let list = nodes.list(&selected).await.unwrap();
    list.into_iter().filter_map(|n| n.metadata.name).collect()
}

async fn ready_pods(stage: &Stage, app: &str) -> usize {
    let pods: Api<Pod> = Api::namespaced(stage.client.clone(), "default");
    let list = pods
        .list(&ListParams::default().labels(&format!("app={app}")))
        .await
        .unwrap();
    let is_ready = |pod: &&Pod| {
        let conditions = pod.status.iter().flat_map(|s| s.conditions.iter().flatten());
        let mut conditions = conditions.filter(|c| c.type_ == "Ready" && c.status == "True");
        conditions.next().is_some() && pod.metadata.deletion_timestamp.is_none()
    };
    list.iter().filter(is_ready).count()
}
