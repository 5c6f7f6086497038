//! The metrics APIs: the real metrics-server on what pods are said to use, an adapter with what a test sets, and the real HPA on
//! both.

use std::collections::BTreeMap;
use std::time::Duration;

use homeostat_cluster::{Adapter, Cluster, Options, objects, wait};
use k8s_openapi::api::core::v1::Pod;
use kube::Client;
use kube::api::{Api, ListParams, Patch, PatchParams};
use serde_json::Value;

/// metrics-server needs two scrapes, ten seconds apart, of a pod that it has not seen.
const LIMIT: Duration = Duration::from_mins(3);

fn deployment(name: &str, replicas: u32, annotations: &str) -> String {
    format!(
        "{{apiVersion: apps/v1, kind: Deployment, metadata: {{name: {name}, namespace: default}}, spec: {{replicas: {replicas},
  selector: {{matchLabels: {{app: {name}}}}}, template: {{metadata: {{labels: {{app: {name}}}, annotations: {{{annotations}}}}},
  spec: {{containers: [
    {{name: app, image: app, resources: {{requests: {{cpu: 500m}}}}}},
    {{name: helper, image: helper, resources: {{requests: {{cpu: 500m}}}}}}]}}}}}}}}"
    )
}

fn hpa(target: &str, metric: &str) -> String {
    format!(
        "{{apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, metadata: {{name: {target}, namespace: default}}, spec: {{
  scaleTargetRef: {{apiVersion: apps/v1, kind: Deployment, name: {target}}}, minReplicas: 1, maxReplicas: 6, metrics: [{metric}]}}}}"
    )
}

async fn get(client: &Client, path: &str) -> Option<Value> {
    let request = http::Request::get(path).body(Vec::new()).unwrap();
    client.request::<Value>(request).await.ok()
}

async fn apply(client: &Client, yaml: &str) {
    objects::apply_yaml(client, yaml).await.unwrap();
}

async fn pods_of(client: &Client, app: &str) -> Vec<String> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), "default");
    let list = pods.list(&ListParams::default().labels(&format!("app={app}"))).await;
    list.unwrap().into_iter().filter_map(|p| p.metadata.name).collect()
}

async fn annotate(client: &Client, pod: &str, key: &str, value: &str) {
    let pods: Api<Pod> = Api::namespaced(client.clone(), "default");
    let patch = serde_json::json!({"metadata": {"annotations": {key: value}}});
    pods.patch(pod, &PatchParams::default(), &Patch::Merge(patch))
        .await
        .unwrap();
}

/// Thousandths of a core, of a quantity that metrics-server wrote.
fn millicores(quantity: &Value) -> u64 {
    let text = quantity.as_str().unwrap();
    let (digits, per_milli) = match (text.strip_suffix('n'), text.strip_suffix('u'), text.strip_suffix('m')) {
        (Some(nano), ..) => (nano, 1_000_000),
        (_, Some(micro), _) => (micro, 1_000),
        (.., Some(milli)) => (milli, 1),
        _ => return text.parse::<u64>().unwrap() * 1_000,
    };
    (digits.parse::<u64>().unwrap() + per_milli / 2) / per_milli
}

/// What the containers of pods use by metrics-server, as `kubectl top pods --containers` shows.
async fn usage(client: &Client, app: &str) -> BTreeMap<String, BTreeMap<String, u64>> {
    let path = format!("/apis/metrics.k8s.io/v1beta1/namespaces/default/pods?labelSelector=app%3D{app}");
    let answer = get(client, &path).await.unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let list = answer["items"].as_array().cloned().unwrap_or_default();
    let of_pod = |pod: &Value| {
        let containers = pod["containers"].as_array().unwrap().iter();
        containers
            .map(|c| (text(&c["name"]), millicores(&c["usage"]["cpu"])))
            .collect()
    };
    list.iter()
        .map(|pod| (text(&pod["metadata"]["name"]), of_pod(pod)))
        .collect()
}

async fn replicas(client: &Client, name: &str, wanted: i64) {
    let path = format!("/apis/apps/v1/namespaces/default/deployments/{name}");
    let reached = wait::until(format!("{wanted} replicas of {name}"), LIMIT, || async {
        (get(client, &path).await?["spec"]["replicas"] == wanted).then_some(())
    });
    if let Err(error) = reached.await {
        let path = format!("/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers/{name}");
        let status = get(client, &path).await.unwrap_or_default()["status"].clone();
        assert!(status.is_null(), "{error}; {status:#}");
        assert!(!status.is_null(), "{error}");
    }
}

async fn cluster(metrics: bool) -> (Cluster, Client) {
    let options = Options {
        metrics,
        controller_manager: vec!["--horizontal-pod-autoscaler-sync-period=1s".into()],
        ..Options::default()
    };
    let cluster = Cluster::start(options).await.unwrap();
    let client = cluster.client().unwrap();
    apply(&client, &objects::node("n1", "32", "64Gi", 110)).await;
    (cluster, client)
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_server_measures_what_pods_are_said_to_use() {
    let (_cluster, client) = cluster(true).await;
    let used = "homeostat.dev/sim-cpu: 300m, homeostat.dev/sim-cpu.helper: 20m";
    apply(&client, &deployment("web", 2, used)).await;
    let exactly = |app: u64, helper: u64| BTreeMap::from([("app".to_owned(), app), ("helper".to_owned(), helper)]);
    let measured = wait::until("the usage of two pods", LIMIT, || async {
        Some(usage(&client, "web").await)
            .filter(|pods| pods.len() == 2 && pods.values().all(|c| *c == exactly(300, 20)))
    });
    if let Err(error) = measured.await {
        panic!("{error}; {:?}", usage(&client, "web").await);
    }
    let nodes = get(&client, "/apis/metrics.k8s.io/v1beta1/nodes").await.unwrap();
    assert_eq!(millicores(&nodes["items"][0]["usage"]["cpu"]), 640, "{nodes:#}");

    let pods = pods_of(&client, "web").await;
    annotate(&client, &pods[0], "homeostat.dev/sim-cpu", "1200m").await;
    annotate(&client, &pods[1], "homeostat.dev/sim-memory", "0").await;
    wait::until("the changed usage, and nothing of the other pod", LIMIT, || async {
        (usage(&client, "web").await == BTreeMap::from([(pods[0].clone(), exactly(1200, 20))])).then_some(())
    })
    .await
    .unwrap();

    // 640 of 1,000 thousandths, where 40 % is wanted: two pods for one, which use as much again, and so on to the end.
    apply(&client, &deployment("api", 1, "homeostat.dev/sim-cpu: 320m")).await;
    let cpu = "{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 40}}}";
    apply(&client, &hpa("api", cpu)).await;
    replicas(&client, "api", 2).await;
    replicas(&client, "api", 6).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_real_hpa_follows_the_adapter() {
    let (_cluster, client) = cluster(false).await;
    let adapter = Adapter::start(&client, &["v1beta2", "v1beta1"]).await.unwrap();
    for name in ["pods", "object", "external"] {
        apply(&client, &deployment(name, 1, "")).await;
    }
    let ready = wait::until("a pod", LIMIT, || async {
        pods_of(&client, "pods").await.into_iter().next()
    });
    let pod = ready.await.unwrap();
    adapter.set_pod("default", &pod, "rps", Some("250"));
    adapter.set_object("default", "services", "front", "queued", Some("42"));
    adapter.set_external("default", "lag", &[("topic", "orders")], Some("30"));
    adapter.set_external("default", "lag", &[("topic", "returns")], Some("500"));
    let pods = "{type: Pods, pods: {metric: {name: rps}, target: {type: AverageValue, averageValue: '100'}}}";
    let object =
        "{type: Object, object: {metric: {name: queued}, describedObject: {apiVersion: v1, kind: Service, name: front},
    target: {type: AverageValue, averageValue: '10'}}}";
    let external = "{type: External, external: {metric: {name: lag, selector: {matchLabels: {topic: orders}}},
    target: {type: AverageValue, averageValue: '15'}}}";
    apply(&client, &hpa("pods", pods)).await;
    apply(&client, &hpa("object", object)).await;
    apply(&client, &hpa("external", external)).await;
    replicas(&client, "pods", 3).await;
    replicas(&client, "object", 5).await;
    replicas(&client, "external", 2).await;

    adapter.set_external("default", "lag", &[("topic", "orders")], Some("61"));
    replicas(&client, "external", 5).await;

    let path = "/apis/custom.metrics.k8s.io/v1beta1/namespaces/default/services/front/queued";
    let old = get(&client, path).await.unwrap();
    assert_eq!(
        (&old["items"][0]["metricName"], &old["items"][0]["value"]),
        (&"queued".into(), &"42".into())
    );
    adapter.fail(Some(500));
    assert!(get(&client, path).await.is_none());
}
