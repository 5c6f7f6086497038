//! The operator has exactly the rights that it uses: a story uses everything, and the API server's audit log is compared with
//! what `manifests/base/rbac.yaml` grants.

use std::collections::BTreeSet;
use std::time::Duration;

use homeostat_cluster::{Adapter, Options, objects, wait};
use kube::api::{Api, DeleteParams, DynamicObject};
use serde_json::Value;

use crate::contract;
use crate::repo::Repo;
use crate::stage::{LIMIT, Operator, Stage, deployment, scaling};
use crate::ward::{Ward, healing};

/// `group/resource verb`, a subresource as `resource/subresource`.
type Right = String;

/// Used only after a write that the API server refused, since somebody else wrote in the same moment; and for a target that is
/// named after the first list of its kind.
const NOT_ALWAYS: &[&str] = &[
    "apps/deployments get",
    "apps/statefulsets get",
    "apps/replicasets get",
    "apps/deployments/scale get",
    "apps/statefulsets/scale get",
    "apps/replicasets/scale get",
    "homeostat.dev/scalingpolicies get",
    "homeostat.dev/nodepoolpolicies get",
    "homeostat.dev/healingpolicies get",
    "homeostat.dev/gitsources get",
    "homeostat.dev/operatorconfigs get",
];

#[tokio::test(flavor = "multi_thread")]
async fn it_may_do_what_it_does_and_nothing_more() {
    let stage = Stage::with(Options {
        metrics: true,
        ..Options::default()
    })
    .await;
    let adapter = Adapter::start(&stage.client, &["v1beta2"]).await.unwrap();
    stage.apply("{apiVersion: v1, kind: Secret, metadata: {name: prom, namespace: homeostat-system}, stringData: {token: t}}").await;
    let config = format!(
        "{{apiVersion: homeostat.dev/v1alpha1, kind: OperatorConfig, metadata: {{name: default}}, spec: {{prometheus: [
  {{name: default, url: '{}', timeout: 2s, auth: {{bearerTokenSecretRef: {{name: prom, key: token}}}}}}]}}}}",
        stage.prometheus.url()
    );
    stage.apply(&config).await;
    let mut one = stage.operator("one").await;
    let _two = stage.operator("two").await;
    tokio::join!(scales(&stage), heals(&stage), sizes_pools(&stage), syncs(&stage));
    asks_metrics_apis(&stage, &adapter, &one).await;
    let metrics = one.get("/metrics").await.unwrap();
    let missing = contract::missing(&metrics);
    assert!(
        missing.is_empty(),
        "boards and rules ask for what there is not: {missing:#?}"
    );
    one.process.terminate(Duration::from_secs(8));

    let granted = granted();
    let used = used(&stage);
    let superfluous: Vec<&Right> = granted
        .difference(&used)
        .filter(|right| !NOT_ALWAYS.contains(&right.as_str()))
        .collect();
    assert!(
        superfluous.is_empty(),
        "granted and not used: {superfluous:?}\nused: {used:#?}"
    );
    let missing: Vec<&Right> = used.difference(&granted).collect();
    assert!(missing.is_empty(), "used and not granted: {missing:?}");
    assert_eq!(refused(&stage), BTreeSet::new(), "refused by the API server");
}

/// A Deployment, a StatefulSet and a ReplicaSet; and one that an HPA scales is left alone.
async fn scales(stage: &Stage) {
    stage.gauges.set("load", 250.0);
    stage.apply(&deployment("web", 1, "10m")).await;
    for kind in ["StatefulSet", "ReplicaSet"] {
        let name = kind.to_lowercase();
        let yaml = deployment(&name, 1, "10m").replace("kind: Deployment", &format!("kind: {kind}"));
        stage.apply(&yaml).await;
        let policy = scaling(&name, "sum(load)", "");
        stage
            .apply(&policy.replace("kind: Deployment", &format!("kind: {kind}")))
            .await;
    }
    stage.apply(&deployment("other", 1, "10m")).await;
    let hpa = "{apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, metadata: {name: other, namespace: default},
  spec: {scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: other}, minReplicas: 1, maxReplicas: 1,
    metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 70}}}]}}";
    stage.apply(hpa).await;
    stage.apply(&scaling("web", "sum(load)", "")).await;
    stage.apply(&scaling("other", "sum(load)", "")).await;
    stage.wants("web", 3).await;
    for kind in ["StatefulSet", "ReplicaSet"] {
        wait::until(format!("the {kind} to be scaled"), LIMIT, || async {
            let object = stage.read("apps/v1", kind, "default", &kind.to_lowercase()).await;
            (object["spec"]["replicas"] == 3).then_some(())
        })
        .await
        .unwrap();
    }
    stage.event("other", "OtherAutoscaler").await;
}

/// Every question to a metrics API is answered by a number.
async fn asks_metrics_apis(stage: &Stage, adapter: &Adapter, one: &Operator) {
    stage.apply(&deployment("shop", 1, "10m")).await;
    adapter.set_object("default", "services", "front", "queued", Some("5"));
    adapter.set_external("default", "lag", &[("topic", "orders")], Some("5"));
    let trigger = |name: &str, source: &str, target: &str| format!("{{name: {name}, {source}, target: {target}}}");
    let triggers = [
        trigger("cpu", "resource: {name: cpu}", "{averageUtilization: 70}"),
        trigger("rps", "pods: {metric: {name: rps}}", "{averageValue: '100'}"),
        trigger(
            "queued",
            "object: {describedObject: {kind: Service, name: front}, metric: {name: queued}}",
            "{value: '100'}",
        ),
        trigger(
            "lag",
            "external: {metric: {name: lag, selector: {matchLabels: {topic: orders}}}}",
            "{averageValue: '100'}",
        ),
    ];
    let policy = format!(
        "{{apiVersion: homeostat.dev/v1alpha1, kind: ScalingPolicy, metadata: {{name: shop, namespace: default}}, spec: {{
  scaleTargetRef: {{kind: Deployment, name: shop}}, minReplicas: 1, maxReplicas: 5, interval: 1s, triggers: [{}]}}}}",
        triggers.join(", ")
    );
    stage.apply(&policy).await;
    for api in ["metrics.k8s.io", "custom.metrics.k8s.io", "external.metrics.k8s.io"] {
        let series = format!("homeostat_queries_total{{server=\"{api}\",outcome=\"Value\"}}");
        let answered = wait::until(format!("an answer of {api}"), LIMIT, || one.metric(&series));
        if let Err(error) = answered.await {
            panic!("{error}; {:#}", stage.status("ScalingPolicy", "shop").await);
        }
    }
}

async fn heals(stage: &Stage) {
    let ward = Ward::open(stage, "rights").await;
    ward.deploy("app", 3).await;
    stage.apply(&healing("shop", "rights", 2, "")).await;
    let pod = ward.crash("app").await;
    ward.gone(&pod).await;
}

/// A node comes for a pod without room, is marked and goes when it is empty and a minute old. Nothing else may land on it.
async fn sizes_pools(stage: &Stage) {
    let policy = "apiVersion: homeostat.dev/v1alpha1
kind: NodePoolPolicy
metadata: {name: general}
spec:
  provider: {kwok: {}}
  pools:
  - {name: big, minNodes: 0, maxNodes: 2, template: {taints: [{key: large, effect: NoSchedule}], capacity: {cpu: '16', memory: 32Gi, pods: '110'}}}
  scaleDown: {unneededFor: 3s}";
    stage.apply(policy).await;
    let large = |replicas| {
        deployment("large", replicas, "12")
            .replace("spec: {containers", "spec: {tolerations: [{key: large}], containers")
    };
    stage.apply(&large(1)).await;
    let nodes = || async {
        let api: Api<k8s_openapi::api::core::v1::Node> = Api::all(stage.client.clone());
        let list = api
            .list(&kube::api::ListParams::default().labels("homeostat.dev/pool=general.big"))
            .await;
        list.unwrap().items.len()
    };
    let arrived = wait::until("a node to come", LIMIT, || async { (nodes().await > 0).then_some(()) });
    if let Err(error) = arrived.await {
        panic!("{error}; {:#}", stage.status("NodePoolPolicy", "general").await);
    }
    stage.apply(&large(0)).await;
    let emptied = wait::until("the node to go", 2 * LIMIT, || async {
        (nodes().await == 0).then_some(())
    });
    if let Err(error) = emptied.await {
        panic!("{error}; {:#}", stage.status("NodePoolPolicy", "general").await);
    }
    let (code, text, error) = stage.homeostat(&["explain", "nodepoolpolicy/general"]);
    assert_eq!(code, Some(0), "{error}");
    for words in [
        "NodePoolPolicy/general",
        "pool big: 0 nodes",
        "PodsUnschedulable",
        "NodeEmpty",
    ] {
        assert!(text.contains(words), "{words} is missing in:\n{text}");
    }
}

/// A GitSource, one with credentials, and a declared object that somebody deletes.
async fn syncs(stage: &Stage) {
    let yaml = "
apiVersion: v1
kind: ServiceAccount
metadata: {name: deployer, namespace: default}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: deployer}
rules: [{apiGroups: [''], resources: [configmaps], verbs: ['*']}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: deployer}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: deployer}
subjects: [{kind: ServiceAccount, name: deployer, namespace: default}]
---
{apiVersion: v1, kind: Secret, metadata: {name: git, namespace: default}, stringData: {username: u, password: p}}";
    stage.apply(yaml).await;
    let repo = Repo::empty();
    repo.write(
        "one.yaml",
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: declared}, data: {a: b}}",
    );
    repo.push("first");
    let source = |name: &str, url: &str, more: &str| {
        format!(
            "{{apiVersion: homeostat.dev/v1alpha1, kind: GitSource, metadata: {{name: {name}, namespace: default}},
  spec: {{url: '{url}', ref: {{branch: main}}, interval: 5s, serviceAccountName: deployer{more},
    kinds: [{{group: '', kind: ConfigMap}}]}}}}"
        )
    };
    // Nobody is there; the credentials are read all the same.
    stage
        .apply(&source(
            "private",
            "https://127.0.0.1:1/apps.git",
            ", secretRef: {name: git}",
        ))
        .await;
    stage.apply(&source("apps", &repo.url(), "")).await;
    let there = || async { !stage.read("v1", "ConfigMap", "default", "declared").await.is_null() };
    let applied = wait::until("the object to be applied", LIMIT, || async {
        there().await.then_some(())
    });
    if let Err(error) = applied.await {
        panic!("{error}; {:#}", stage.status("GitSource", "apps").await);
    }
    stage.condition("GitSource", "apps", "Ready", "True", "Applied").await;
    let object = objects::parse("{apiVersion: v1, kind: ConfigMap, metadata: {name: declared, namespace: default}}");
    let api: Api<DynamicObject> = objects::api_of(&stage.client, &object.unwrap()[0]).await.unwrap();
    api.delete("declared", &DeleteParams::default()).await.unwrap();
    wait::until("it to come back", LIMIT, || async { there().await.then_some(()) })
        .await
        .unwrap();
}

/// What rbac.yaml grants.
fn granted() -> BTreeSet<Right> {
    let file = homeostat_cluster::root().join("manifests/base/rbac.yaml");
    let text = std::fs::read_to_string(file).unwrap();
    let mut rights = BTreeSet::new();
    for object in objects::parse(&text).unwrap() {
        for rule in object.data["rules"].as_array().into_iter().flatten() {
            let list = |key: &str| -> Vec<String> { serde_json::from_value(rule[key].clone()).unwrap_or_default() };
            for (group, resource) in list("apiGroups")
                .iter()
                .flat_map(|g| list("resources").into_iter().map(move |r| (g.clone(), r)))
            {
                rights.extend(list("verbs").iter().map(|verb| format!("{group}/{resource} {verb}")));
            }
        }
    }
    rights
}

/// What the operator asked for by its own rights. What it asked for in somebody else's name is that one's right.
fn used(stage: &Stage) -> BTreeSet<Right> {
    stage.audit().iter().filter_map(right).collect()
}

fn right(event: &Value) -> Option<Right> {
    if !event["impersonatedUser"].is_null() {
        return Some("/serviceaccounts impersonate".into());
    }
    let object = event["objectRef"].as_object()?;
    let verb = event["verb"].as_str()?;
    // There each metric is a resource of its own.
    let group = object.get("apiGroup").and_then(Value::as_str).unwrap_or_default();
    if ["custom.metrics.k8s.io", "external.metrics.k8s.io"].contains(&group) {
        return Some(format!("{group}/* {verb}"));
    }
    let text = |key: &str| object.get(key).and_then(Value::as_str).unwrap_or_default();
    let sub = match text("subresource") {
        "" => String::new(),
        sub => format!("/{sub}"),
    };
    Some(format!("{group}/{}{sub} {verb}", text("resource")))
}

fn refused(stage: &Stage) -> BTreeSet<Right> {
    let all = stage.audit();
    let forbidden = all
        .iter()
        .filter(|e| e["responseStatus"]["code"] == 403 && e["impersonatedUser"].is_null());
    forbidden.filter_map(right).collect()
}
