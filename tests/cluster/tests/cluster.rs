//! The cluster itself: what tests and the demo rely on.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod metrics;

use std::time::Duration;

use homeostat_cluster::{Cluster, Component, Options, objects, wait};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{Api, ListParams, Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

const LIMIT: Duration = Duration::from_mins(1);

fn deployment(replicas: u32, cpu: &str) -> String {
    format!(
        "{{apiVersion: apps/v1, kind: Deployment, metadata: {{name: web, namespace: default}}, spec: {{replicas: {replicas},
  selector: {{matchLabels: {{app: web}}}}, template: {{metadata: {{labels: {{app: web}}}},
  spec: {{containers: [{{name: app, image: app, resources: {{requests: {{cpu: '{cpu}'}}}}}}]}}}}}}}}"
    )
}

async fn ready(client: &Client) -> i32 {
    let api: Api<Deployment> = Api::namespaced(client.clone(), "default");
    api.get_status("web")
        .await
        .ok()
        .and_then(|d| d.status)
        .and_then(|s| s.ready_replicas)
        .unwrap_or(0)
}

async fn annotate(client: &Client, pod: &str, sim: Option<&str>) {
    let api: Api<Pod> = Api::namespaced(client.clone(), "default");
    let patch = serde_json::json!({"metadata": {"annotations": {"homeostat.dev/sim": sim}}});
    api.patch(pod, &PatchParams::default(), &Patch::Merge(patch))
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn workloads_run_fail_and_recover() {
    let cluster = Cluster::start(Options::default()).await.unwrap();
    let client = cluster.client().unwrap();
    objects::apply_yaml(&client, &objects::node("n1", "4", "8Gi", 20))
        .await
        .unwrap();
    objects::apply_yaml(&client, &deployment(3, "1")).await.unwrap();
    wait::until("three ready replicas", LIMIT, || async {
        (ready(&client).await == 3).then_some(())
    })
    .await
    .unwrap();

    let pods: Api<Pod> = Api::namespaced(client.clone(), "default");
    let name = pods.list(&ListParams::default()).await.unwrap().items[0]
        .metadata
        .name
        .clone()
        .unwrap();
    annotate(&client, &name, Some("crashloop")).await;
    let restarts = |pod: Pod| {
        let status = pod.status?.container_statuses?.into_iter().next()?;
        (status.state?.waiting?.reason? == "CrashLoopBackOff").then_some(status.restart_count)
    };
    wait::until("a second crash", LIMIT, || async {
        restarts(pods.get(&name).await.ok()?).filter(|n| *n >= 2)
    })
    .await
    .unwrap();
    assert_eq!(ready(&client).await, 2);
    annotate(&client, &name, None).await;
    wait::until("the recovery", LIMIT, || async {
        (ready(&client).await == 3).then_some(())
    })
    .await
    .unwrap();

    objects::apply_yaml(&client, &deployment(6, "1")).await.unwrap();
    let unschedulable = || async {
        let list = pods.list(&ListParams::default()).await.ok()?;
        let waiting = list.into_iter().filter(|p| {
            let conditions = p.status.as_ref().and_then(|s| s.conditions.as_ref());
            conditions.is_some_and(|c| c.iter().any(|c| c.reason.as_deref() == Some("Unschedulable")))
        });
        (waiting.count() == 2).then_some(())
    };
    wait::until("two unschedulable pods", LIMIT, unschedulable)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_clusters_stand_side_by_side_and_rights_are_real() {
    let (one, two) = tokio::join!(Cluster::start(Options::default()), Cluster::start(Options::default()));
    let (one, mut two) = (one.unwrap(), two.unwrap());
    assert_ne!(one.url(), two.url());
    let parsed = Kubeconfig::read_from(one.kubeconfig_for("default", "default").await.unwrap()).unwrap();
    let config = Config::from_custom_kubeconfig(parsed, &KubeConfigOptions::default())
        .await
        .unwrap();
    let stranger: Api<Pod> = Api::namespaced(Client::try_from(config).unwrap(), "default");
    let denied = stranger.list(&ListParams::default()).await.unwrap_err();
    assert!(matches!(denied, kube::Error::Api(status) if status.code == 403));

    two.stop(Component::ApiServer);
    let maps: Api<ConfigMap> = Api::namespaced(two.client().unwrap(), "default");
    assert!(maps.list(&ListParams::default()).await.is_err());
    two.start_again(Component::ApiServer).await.unwrap();
    let many: Vec<_> = (0..2000)
        .map(|i| format!("{{apiVersion: v1, kind: ConfigMap, metadata: {{name: m{i}, namespace: default}}}}"))
        .flat_map(|text| objects::parse(&text).unwrap())
        .collect();
    objects::apply_many(&two.client().unwrap(), &many, 32).await.unwrap();
    assert!(maps.list(&ListParams::default()).await.unwrap().items.len() >= 2000);
    objects::delete_many(&two.client().unwrap(), &many, 32).await.unwrap();
    assert!(maps.list(&ListParams::default()).await.unwrap().items.len() < 10);
}
