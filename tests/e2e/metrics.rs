//! The contract with the metrics APIs: what they really answer, and what the operator makes of it.

use std::collections::BTreeMap;

use homeostat::core::names::{MetricName, ObjectRef, QueryKey};
use homeostat::core::quantity::Milli;
use homeostat::core::sample::{QueryError, Reading};
use homeostat::core::time::Span;
use homeostat::core::world::LabelSelector;
use homeostat::edge::metrics::client::MetricsApis;
use homeostat_cluster::{Adapter, Cluster, Component, Options, objects, wait};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams, Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config, ResourceExt};

use crate::stage::{LIMIT, deployment};

fn web() -> ObjectRef {
    ObjectRef::new("apps/v1", "Deployment", "default", "web")
}

fn named(name: &str, selector: &str) -> MetricName {
    MetricName {
        name: name.into(),
        selector: selector.into(),
    }
}

fn of_object(object: ObjectRef, metric: &str) -> QueryKey {
    QueryKey::Object {
        object,
        metric: named(metric, ""),
    }
}

fn lag(selector: &str) -> QueryKey {
    QueryKey::External {
        namespace: "default".into(),
        metric: named("lag", selector),
    }
}

async fn ask(apis: &MetricsApis, key: &QueryKey) -> Reading {
    let selector = LabelSelector {
        match_labels: BTreeMap::from([("app".into(), "web".into())]),
        match_expressions: Vec::new(),
    };
    apis.ask(key, &selector).await
}

/// The number of an answer.
fn value(reading: &Reading) -> i64 {
    match reading {
        Reading::Value { value, sampled_at, .. } => {
            assert!(sampled_at.as_millis() > 0);
            value.thousandths()
        }
        Reading::Series { values, .. } => values.iter().map(|v| v.thousandths()).sum(),
        other => panic!("{other:?}"),
    }
}

/// The failure, which names this.
fn failure(reading: Reading, words: &str) -> QueryError {
    match reading {
        Reading::Failed { error, message } => {
            assert!(message.contains(words), "{words} is missing in: {message}");
            error
        }
        other => panic!("{other:?}"),
    }
}

async fn apis(cluster: &Cluster, namespace: &str, account: &str) -> MetricsApis {
    let kubeconfig = cluster.kubeconfig_for(namespace, account).await.unwrap();
    let parsed = Kubeconfig::read_from(kubeconfig).unwrap();
    let config = Config::from_custom_kubeconfig(parsed, &KubeConfigOptions::default()).await;
    let mut config = config.unwrap();
    config.default_retry = false;
    MetricsApis::new(Client::try_from(config).unwrap())
}

async fn cluster(metrics: bool) -> (Cluster, Client) {
    let options = Options {
        metrics,
        ..Options::default()
    };
    let cluster = Cluster::start(options).await.unwrap();
    let client = cluster.client().unwrap();
    let base = homeostat_cluster::root().join("manifests/base");
    for file in ["namespace", "rbac"] {
        let text = std::fs::read_to_string(base.join(format!("{file}.yaml"))).unwrap();
        objects::apply_yaml(&client, &text).await.unwrap();
    }
    let node = objects::node("n1", "8", "32Gi", 110);
    objects::apply_yaml(&client, &node).await.unwrap();
    objects::apply_yaml(&client, &deployment("web", 2, "100m"))
        .await
        .unwrap();
    (cluster, client)
}

async fn pods(client: &Client) -> Vec<Pod> {
    let api: Api<Pod> = Api::namespaced(client.clone(), "default");
    let of_web = ListParams::default().labels("app=web");
    let both = wait::until("two pods", LIMIT, || async {
        Some(api.list(&of_web).await.ok()?.items).filter(|pods| pods.len() == 2)
    });
    let mut pods = both.await.unwrap();
    pods.sort_by_key(ResourceExt::name_any);
    pods
}

#[tokio::test(flavor = "multi_thread")]
async fn what_pods_use_comes_from_the_real_metrics_server() {
    let (mut cluster, client) = cluster(true).await;
    let api: Api<Pod> = Api::namespaced(client.clone(), "default");
    let pods = pods(&client).await;
    for (pod, cpu) in pods.iter().zip(["150m", "40m"]) {
        let patch = serde_json::json!({"metadata": {"annotations": {"homeostat.dev/sim-cpu": cpu}}});
        let params = PatchParams::default();
        api.patch(&pod.name_any(), &params, &Patch::Merge(patch)).await.unwrap();
    }
    let operator = apis(&cluster, "homeostat-system", "homeostat").await;
    let key = QueryKey::Resources { target: web() };
    // A processor's time is measured in nanoseconds: a thousandth of a core is never hit to the point, and rounded up.
    let about = |amount: Milli, expected: i64| (expected..=expected + 1).contains(&amount.thousandths());
    let used = wait::until("the usage of both pods", LIMIT, || async {
        let Reading::PodUsage { pods } = ask(&operator, &key).await else {
            return None;
        };
        let cpu: Vec<Milli> = pods.iter().map(|p| p.containers["app"]["cpu"]).collect();
        matches!(cpu[..], [a, b] if about(a, 150) && about(b, 40)).then_some(pods)
    });
    let used = used.await.unwrap();
    for (used, pod) in used.iter().zip(&pods) {
        assert_eq!(used.pod, pod.name_any());
        assert_eq!(used.containers["app"]["memory"], Milli::from_units(1 << 20));
        assert!(
            (Span::from_secs(5)..Span::from_secs(30)).contains(&used.window),
            "{used:?}"
        );
        let started = pod.metadata.creation_timestamp.as_ref().unwrap().0.as_millisecond();
        assert!(used.at.as_millis() > started, "{used:?}");
    }
    let nobody = QueryKey::Resources {
        target: ObjectRef::new("apps/v1", "Deployment", "elsewhere", "web"),
    };
    assert_eq!(ask(&operator, &nobody).await, Reading::Empty);
    let stranger = apis(&cluster, "default", "default").await;
    let refused = failure(ask(&stranger, &key).await, "list on pods in API group metrics.k8s.io");
    assert_eq!(refused, QueryError::Forbidden);
    let unclear = operator.ask(&key, &LabelSelector::default()).await;
    assert_eq!(failure(unclear, "labelSelectorPath"), QueryError::BadQuery);

    cluster.pause(Component::MetricsServer);
    // A request that the API server had taken before may still be answered.
    let hangs = wait::until("no answer within the time-out", LIMIT, || async {
        let reading = ask(&operator, &key).await;
        matches!(reading, Reading::Failed { .. }).then_some(reading)
    });
    assert_eq!(failure(hangs.await.unwrap(), "metrics.k8s.io"), QueryError::Timeout);
    cluster.stop(Component::MetricsServer);
    let away = wait::until("the API to be away", LIMIT, || async {
        match ask(&operator, &key).await {
            Reading::Failed {
                error: QueryError::Unreachable,
                message,
            } => Some(message),
            _ => None,
        }
    });
    assert!(away.await.unwrap().contains("is metrics-server up?"));
}

#[tokio::test(flavor = "multi_thread")]
async fn custom_and_external_metrics_in_every_version_that_is_served() {
    let (cluster, client) = cluster(false).await;
    let operator = apis(&cluster, "homeostat-system", "homeostat").await;
    let rps = QueryKey::Pods {
        target: web(),
        metric: named("rps", ""),
    };
    let front = of_object(ObjectRef::new("v1", "Service", "default", "front"), "queued");
    let usage = QueryKey::Resources { target: web() };
    for (key, install) in [
        (&usage, "metrics-server"),
        (&rps, "prometheus-adapter"),
        (&lag(""), "an adapter"),
    ] {
        assert_eq!(failure(ask(&operator, key).await, install), QueryError::NoMetricsApi);
    }

    for versions in [&["v1beta1"][..], &["v1beta1", "v1beta2"]] {
        let adapter = Adapter::start(&client, versions).await.unwrap();
        assert_eq!(ask(&operator, &rps).await, Reading::Empty);
        assert_eq!(ask(&operator, &front).await, Reading::Empty);
        assert_eq!(ask(&operator, &lag("")).await, Reading::Empty);
        let pods = pods(&client).await;
        adapter.set_pod("default", &pods[0].name_any(), "rps", Some("1500m"));
        adapter.set_pod("default", "of-somebody-else", "rps", Some("7"));
        adapter.set_object("default", "services", "front", "queued", Some("42"));
        adapter.set_object("default", "deployments.apps", "web", "queued", Some("43"));
        adapter.set_object("", "nodes", "n1", "queued", Some("44"));
        adapter.set_object("", "namespaces", "default", "queued", Some("45"));
        adapter.set_external("default", "lag", &[("topic", "orders")], Some("30"));
        adapter.set_external("default", "lag", &[("topic", "returns")], Some("12"));
        let Reading::PodValues { pods: values } = ask(&operator, &rps).await else {
            panic!("no values");
        };
        assert_eq!(values.len(), 1);
        assert_eq!(
            (&values[0].pod, values[0].value),
            (&pods[0].name_any(), Milli::new(1500))
        );
        assert_eq!(values[0].window, Span::from_secs(60));
        let objects = [
            (ObjectRef::new("v1", "Service", "default", "front"), 42_000),
            (web(), 43_000),
            (ObjectRef::new("v1", "Node", "default", "n1"), 44_000),
            (ObjectRef::new("v1", "Namespace", "default", "default"), 45_000),
        ];
        for (object, expected) in objects {
            assert_eq!(value(&ask(&operator, &of_object(object, "queued")).await), expected);
        }
        assert_eq!(value(&ask(&operator, &lag("")).await), 42_000);
        assert_eq!(value(&ask(&operator, &lag("topic=orders")).await), 30_000);
        adapter.fail(Some(500));
        for key in [&rps, &front, &lag("")] {
            assert_eq!(failure(ask(&operator, key).await, "made to fail"), QueryError::Status);
        }
    }

    let unknown = of_object(ObjectRef::new("example.com/v1", "Thing", "default", "x"), "queued");
    assert_eq!(
        failure(ask(&operator, &unknown).await, "describedObject"),
        QueryError::BadQuery
    );
    let stranger = apis(&cluster, "default", "default").await;
    for (key, right) in [
        (&rps, "API group custom.metrics.k8s.io"),
        (&lag(""), "API group external.metrics.k8s.io"),
    ] {
        assert_eq!(failure(ask(&stranger, key).await, right), QueryError::Forbidden);
    }
}
