//! A workload kind of another project, found by discovery: only its own pods count, and whoever else sets its size is noticed,
//! even where the API server does not note who wrote.

use homeostat_cluster::{objects, wait};
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use serde_json::json;

use super::{Scene, policy};
use crate::fake::Answer;
use crate::stage::{LIMIT, Stage, deployment};

const VERSION: &str = "argoproj.io/v1alpha1";

pub async fn of_another_project(scene: &Scene) {
    for yaml in [DEFINITION, RIGHTS] {
        scene.stage.apply(yaml).await;
    }
    tokio::join!(counts_only_its_own_pods(scene), is_left_to_whoever_sets_it_back(scene));
}

/// More of them are wanted only once half of them are Ready. A stranger with the same labels is.
async fn counts_only_its_own_pods(scene: &Scene) {
    let Scene { stage, fake, .. } = scene;
    fake.set("canary", Answer::Value(600.0));
    let stranger = deployment("stranger", 4, "10m").replace("app: stranger", "app: canary");
    stage.apply(&stranger).await;
    stage.apply(&rollout("canary", 2)).await;
    select(stage, "canary").await;
    wait::until("the stranger's pods to be Ready", LIMIT, || async {
        let object = stage.read("apps/v1", "Deployment", "default", "stranger").await;
        (object["status"]["readyReplicas"] == 4).then_some(())
    })
    .await
    .unwrap();
    stage
        .apply(&of_rollout("canary").replace("  behavior:\n", "  behavior:\n    minReadyPercent: 50\n"))
        .await;
    stage
        .condition("ScalingPolicy", "canary", "Limited", "True", "RolloutNotReady")
        .await;
    fake.asked_more("canary", 3).await;
    assert_eq!(replicas(stage, "canary").await, 2, "strangers' pods do not count");

    stage.apply(&own_pods(stage, "canary", 2).await).await;
    wants(stage, "canary", 6).await;
}

async fn is_left_to_whoever_sets_it_back(scene: &Scene) {
    let Scene { stage, fake, .. } = scene;
    fake.set("rolled", Answer::Value(500.0));
    stage.apply(&rollout("rolled", 2)).await;
    let unlimited = of_rollout("rolled").replace("value: 10,", "value: 1000,");
    stage.apply(&unlimited).await;
    for _ in 0..3 {
        wants(stage, "rolled", 5).await;
        set(stage, "rolled", 2).await;
    }
    wants(stage, "rolled", 5).await;
    let found = stage
        .condition("ScalingPolicy", "rolled", "FieldConflict", "True", "FieldConflict")
        .await;
    let message = found["message"].as_str().unwrap_or_default();
    for word in [
        "keeps changing spec.replicas of Rollout default/rolled",
        "it is left alone until",
    ] {
        assert!(message.contains(word), "no `{word}` in: {message}");
    }
    set(stage, "rolled", 2).await;
    stage
        .condition("ScalingPolicy", "rolled", "Ready", "False", "FieldConflict")
        .await;
    fake.asked_more("rolled", 5).await;
    assert_eq!(replicas(stage, "rolled").await, 2, "it is left alone");
}

fn of_rollout(name: &str) -> String {
    policy(name, "").replace(
        "{kind: Deployment,",
        &format!("{{apiVersion: {VERSION}, kind: Rollout,"),
    )
}

fn rollout(name: &str, replicas: u32) -> String {
    format!(
        "{{apiVersion: {VERSION}, kind: Rollout, metadata: {{name: {name}, namespace: default}}, spec: {{replicas: {replicas}}}}}"
    )
}

async fn api(stage: &Stage, name: &str) -> Api<DynamicObject> {
    let object = objects::parse(&rollout(name, 1)).unwrap().remove(0);
    objects::api_of(&stage.client, &object).await.unwrap()
}

/// As its controller does: says which labels its pods have.
async fn select(stage: &Stage, name: &str) {
    let patch = Patch::Merge(json!({"status": {"selector": format!("app={name}"), "replicas": 2}}));
    let api = api(stage, name).await;
    api.patch_status(name, &PatchParams::default(), &patch).await.unwrap();
}

/// As its controller does: a ReplicaSet of its own.
async fn own_pods(stage: &Stage, name: &str, replicas: u32) -> String {
    let uid = stage.read(VERSION, "Rollout", "default", name).await["metadata"]["uid"].clone();
    let owner = format!("[{{apiVersion: {VERSION}, kind: Rollout, name: {name}, uid: {uid}, controller: true}}]");
    deployment(name, replicas, "10m")
        .replace("kind: Deployment", "kind: ReplicaSet")
        .replace(
            &format!("metadata: {{name: {name},"),
            &format!("metadata: {{name: {name}-5f9c8d, ownerReferences: {owner},"),
        )
}

/// Sets the replicas through `/scale`, as somebody else.
async fn set(stage: &Stage, name: &str, replicas: u32) {
    let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
    let api = api(stage, name).await;
    api.patch_scale(name, &PatchParams::default(), &patch).await.unwrap();
}

async fn replicas(stage: &Stage, name: &str) -> i64 {
    let object = stage.read(VERSION, "Rollout", "default", name).await;
    object["spec"]["replicas"].as_i64().unwrap_or(-1)
}

async fn wants(stage: &Stage, name: &str, wanted: i64) {
    let found = wait::until(format!("Rollout {name} to want {wanted}"), LIMIT, || async {
        (replicas(stage, name).await == wanted).then_some(())
    });
    if let Err(error) = found.await {
        panic!("{error}; {:#}", stage.status("ScalingPolicy", name).await);
    }
}

const DEFINITION: &str = "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: rollouts.argoproj.io}
spec:
  group: argoproj.io
  scope: Namespaced
  names: {kind: Rollout, plural: rollouts, singular: rollout}
  versions:
  - name: v1alpha1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec: {type: object, properties: {replicas: {type: integer}}}
          status: {type: object, properties: {replicas: {type: integer}, selector: {type: string}}}
    subresources:
      status: {}
      scale: {specReplicasPath: .spec.replicas, statusReplicasPath: .status.replicas, labelSelectorPath: .status.selector}
";

const RIGHTS: &str = "
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: rollouts}
rules:
- {apiGroups: [argoproj.io], resources: [rollouts], verbs: [get, list, watch]}
- {apiGroups: [argoproj.io], resources: [rollouts/scale], verbs: [get, patch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: rollouts}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: rollouts}
subjects: [{kind: ServiceAccount, name: homeostat, namespace: homeostat-system}]
";
