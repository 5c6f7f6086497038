//! Others who write the same field.

use homeostat_cluster::objects;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use serde_json::json;

use super::{Scene, policy};
use crate::fake::Answer;
use crate::stage::{Stage, deployment};

pub async fn another_autoscaler(scene: &Scene) {
    let Scene { stage, fake, .. } = scene;
    fake.set("rival", Answer::Value(500.0));
    stage.apply(&deployment("rival", 2, "10m")).await;
    stage
        .apply(
            "{apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, metadata: {name: rival, namespace: default}, spec:
  {scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: rival}, minReplicas: 2, maxReplicas: 4}}",
        )
        .await;
    stage.apply(&policy("rival", "")).await;
    let found = stage
        .condition("ScalingPolicy", "rival", "Stalled", "True", "OtherAutoscaler")
        .await;
    let message = found["message"].as_str().unwrap_or_default();
    for word in ["HorizontalPodAutoscaler default/rival", "delete it", "mode: DryRun"] {
        assert!(message.contains(word), "no `{word}` in: {message}");
    }
    stage.event("rival", "OtherAutoscaler").await;
    fake.asked_more("rival", 3).await;
    assert_eq!(stage.replicas("rival").await, 2, "left to the other autoscaler");
    stage.delete("autoscaling/v2", "HorizontalPodAutoscaler", "rival").await;
    stage.wants("rival", 5).await;
}

pub async fn somebody_who_sets_it_back(scene: &Scene) {
    let Scene { stage, fake, .. } = scene;
    fake.set("fought", Answer::Value(500.0));
    stage.apply(&deployment("fought", 2, "10m")).await;
    // However fast the fight goes, no rate limit gets between.
    let unlimited = policy("fought", "").replace("value: 10,", "value: 1000,");
    stage.apply(&unlimited).await;
    for _ in 0..3 {
        stage.wants("fought", 5).await;
        set_replicas(stage, "fought", 2).await;
    }
    stage.wants("fought", 5).await;
    let found = stage
        .condition("ScalingPolicy", "fought", "FieldConflict", "True", "FieldConflict")
        .await;
    let message = found["message"].as_str().unwrap_or_default();
    let words = [
        "some-gitops-tool keeps changing spec.replicas",
        "it is left alone until",
        "Git",
        "ignoreDifferences",
    ];
    for word in words {
        assert!(message.contains(word), "no `{word}` in: {message}");
    }
    set_replicas(stage, "fought", 2).await;
    stage
        .condition("ScalingPolicy", "fought", "Ready", "False", "FieldConflict")
        .await;
    stage.event("fought", "FieldConflict").await;
    fake.asked_more("fought", 5).await;
    assert_eq!(stage.replicas("fought").await, 2, "it is left alone");
}

pub async fn a_person_who_switches_it_off(scene: &Scene) {
    let Scene { stage, fake, .. } = scene;
    fake.set("resting", Answer::Value(300.0));
    stage.apply(&deployment("resting", 1, "10m")).await;
    stage.apply(&policy("resting", "")).await;
    stage.wants("resting", 3).await;
    set_replicas(stage, "resting", 0).await;
    let found = stage
        .condition("ScalingPolicy", "resting", "ScalingActive", "False", "ScaledToZero")
        .await;
    let message = found["message"].as_str().unwrap_or_default();
    assert!(message.contains("set to 0 replicas by some-gitops-tool"), "{message}");
    fake.asked_more("resting", 5).await;
    assert_eq!(stage.replicas("resting").await, 0, "it stays off");
    set_replicas(stage, "resting", 1).await;
    stage.wants("resting", 3).await;
}

pub async fn policies_that_must_not_write(scene: &Scene) {
    let Scene { stage, fake, operator } = scene;
    for (name, more) in [("asleep", "  suspend: true"), ("shown", "  mode: DryRun")] {
        fake.set(name, Answer::Value(700.0));
        stage.apply(&deployment(name, 2, "10m")).await;
        stage.apply(&policy(name, more)).await;
    }
    stage
        .condition("ScalingPolicy", "asleep", "Ready", "True", "Suspended")
        .await;
    let found = stage
        .condition("ScalingPolicy", "shown", "Ready", "True", "DryRun")
        .await;
    let message = found["message"].as_str().unwrap_or_default();
    assert!(message.contains("would want 7 replicas"), "{message}");
    stage.event("shown", "ScaleUp").await;
    fake.asked_more("shown", 5).await;
    for name in ["asleep", "shown"] {
        let object = stage.read("apps/v1", "Deployment", "default", name).await;
        assert_eq!(object["spec"]["replicas"], 2, "{name}");
        let marks = object["metadata"]["managedFields"].to_string();
        assert!(!marks.contains("homeostat"), "{name} was written to: {marks}");
    }
    let wanted = operator
        .metric(r#"homeostat_desired_replicas{namespace="default",name="shown"}"#)
        .await;
    assert_eq!(wanted, Some(7.0));
}

/// Sets the replicas as somebody else.
async fn set_replicas(stage: &Stage, name: &str, replicas: u32) {
    let object = objects::parse(&deployment(name, 1, "10m")).unwrap().remove(0);
    let api: Api<DynamicObject> = objects::api_of(&stage.client, &object).await.unwrap();
    let params = PatchParams {
        field_manager: Some("some-gitops-tool".into()),
        ..PatchParams::default()
    };
    let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
    api.patch(name, &params, &patch).await.unwrap();
}
