//! Objects that were stored under an older definition and do not fit the one that is installed.

use homeostat_cluster::{objects, wait};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};

use super::{HELD, Scene, asks};
use crate::stage::{LIMIT, Stage, deployment};

const NAMES: [&str; 4] = ["wrong-type", "lacking", "hopeless", "bad-status"];

/// Before the operator starts.
pub async fn store_what_no_longer_parses(stage: &Stage) {
    for name in NAMES {
        stage.apply(&deployment(name, HELD as u32, "10m")).await;
    }
    relax(stage, "scalingpolicies").await;
    let triggers = "triggers: [{name: load, prometheus: {query: x}, target: {averageValue: '1'}}]";
    for (name, rest) in [
        ("wrong-type", format!("maxReplicas: 10, suspend: perhaps, {triggers}")),
        ("lacking", triggers.to_owned()),
        ("hopeless", format!("minReplicas: two, maxReplicas: 10, {triggers}")),
    ] {
        let policy = format!(
            "{{apiVersion: homeostat.dev/v1alpha1, kind: ScalingPolicy, metadata: {{name: {name}, namespace: default}},
  spec: {{scaleTargetRef: {{kind: Deployment, name: {name}}}, {rest}}}}}"
        );
        stage.apply(&policy).await;
    }
    stage.apply(&asks("bad-status", "fake", "status")).await;
    let policy = objects::parse(&asks("bad-status", "fake", "status")).unwrap().remove(0);
    let api: Api<DynamicObject> = objects::api_of(&stage.client, &policy).await.unwrap();
    let status = json!({"status": {"conditions": "none yet", "decision": {"at": 17}, "scaleEvents": {"from": "x"}}});
    api.patch_status("bad-status", &PatchParams::default(), &Patch::Merge(&status))
        .await
        .unwrap();
    restore(stage, "scalingpolicies").await;
}

pub async fn objects_that_no_longer_parse(scene: &Scene) {
    let stage = &scene.stage;
    for (name, word) in [("wrong-type", "invalid type"), ("lacking", "missing field")] {
        let words = [word, "write it again as `kubectl explain` says"];
        scene.told(name, "Stalled", "InvalidPolicy", &words).await;
        scene.is_counted(name, "InvalidPolicy").await;
        assert_eq!(stage.replicas(name).await, HELD, "{name} is held");
    }
    // The API server refuses any status of an object with a value that a rule cannot read: here the Event has to do.
    stage.event("hopeless", "InvalidPolicy").await;
    scene.is_counted("hopeless", "InvalidPolicy").await;
    assert_eq!(stage.replicas("hopeless").await, HELD);
    // A status in a shape of long ago is no reason to stop.
    scene.fake.set("status", crate::fake::Answer::Value(800.0));
    stage.wants("bad-status", 8).await;
    stage
        .condition("ScalingPolicy", "bad-status", "Ready", "True", "Accepted")
        .await;

    scene.fake.set("lacking", crate::fake::Answer::Value(700.0));
    stage.apply(&asks("lacking", "fake", "lacking")).await;
    stage.wants("lacking", 7).await;
    stage
        .condition("ScalingPolicy", "lacking", "Ready", "True", "Accepted")
        .await;
    let status = stage.status("ScalingPolicy", "lacking").await;
    let stalled = |c: &Value| c["type"] == "Stalled";
    assert!(
        !status["conditions"].as_array().unwrap().iter().any(stalled),
        "{status:#}"
    );
}

/// Lets the API server store anything under a kind, as if its definition had been another one.
pub async fn relax(stage: &Stage, plural: &str) {
    let anything = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let schema = json!({"type": "object", "properties": {"spec": anything, "status": anything}});
    set_schema(stage, plural, &schema).await;
    published(stage, plural, true).await;
}

/// The definition as it is installed by people.
pub async fn restore(stage: &Stage, plural: &str) {
    let file = homeostat_cluster::root().join(format!("crds/{plural}.yaml"));
    let crd: Value = serde_saphyr::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    set_schema(stage, plural, &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]).await;
    published(stage, plural, false).await;
}

async fn set_schema(stage: &Stage, plural: &str, schema: &Value) {
    let patch = json!([{"op": "replace", "path": "/spec/versions/0/schema/openAPIV3Schema", "value": schema}]);
    let patch = Patch::Json::<()>(serde_json::from_value(patch).unwrap());
    let api: Api<CustomResourceDefinition> = Api::all(stage.client.clone());
    let name = format!("{plural}.homeostat.dev");
    api.patch(&name, &PatchParams::default(), &patch).await.unwrap();
}

/// Waits until the API server judges objects by the new definition: an empty spec passes when it is relaxed only.
async fn published(stage: &Stage, plural: &str, relaxed: bool) {
    let kind = match plural {
        "scalingpolicies" => "ScalingPolicy",
        _ => "OperatorConfig",
    };
    let namespace = if kind == "ScalingPolicy" {
        "namespaces/default/"
    } else {
        ""
    };
    let path = format!("/apis/homeostat.dev/v1alpha1/{namespace}{plural}?dryRun=All");
    let probe = json!({"apiVersion": "homeostat.dev/v1alpha1", "kind": kind, "metadata": {"name": "probe"},
        "spec": {"prometheus": 5, "triggers": 5}});
    wait::until("the definition to be in force", LIMIT, || async {
        let request = http::Request::post(&path)
            .header("content-type", "application/json")
            .body(serde_json::to_vec(&probe).unwrap())
            .unwrap();
        let passes = stage.client.request::<Value>(request).await.is_ok();
        (passes == relaxed).then_some(())
    })
    .await
    .unwrap();
}
