//! Targets that cannot be scaled.

use super::{Scene, asks, held};
use crate::fake::Answer;
use crate::stage::deployment;

pub async fn that_do_not_exist(scene: &Scene) {
    let Scene { stage, fake, .. } = scene;
    fake.set("ghosts", Answer::Value(300.0));
    stage.apply(&asks("ghost", "fake", "ghosts")).await;
    let words = [
        "Deployment default/ghost",
        "does not exist",
        "create it, or correct spec.scaleTargetRef",
    ];
    scene.told("ghost", "Stalled", "TargetNotFound", &words).await;
    scene.is_counted("ghost", "TargetNotFound").await;

    stage.apply(&deployment("ghost", 1, "10m")).await;
    stage.wants("ghost", 3).await;
    stage
        .condition("ScalingPolicy", "ghost", "Ready", "True", "Accepted")
        .await;
}

pub async fn of_unknown_kinds(scene: &Scene) {
    for (name, version, kind) in [
        ("typo", "apps/v1", "Deploiment"),
        ("rover", "space.example.com/v1", "Rover"),
        ("settings", "v1", "ConfigMap"),
    ] {
        let policy = asks(name, "fake", "unheard")
            .replace("{kind: Deployment,", &format!("{{apiVersion: {version}, kind: {kind},"));
        scene.stage.apply(&policy).await;
    }
    let config = "{apiVersion: v1, kind: ConfigMap, metadata: {name: settings, namespace: default}}";
    scene.stage.apply(config).await;
    let words = ["no kind Deploiment in apps/v1", "correct spec.scaleTargetRef"];
    scene.told("typo", "Stalled", "TargetUnusable", &words).await;
    let words = [
        "no kind Rover in space.example.com/v1",
        "install its CustomResourceDefinition",
    ];
    scene.told("rover", "Stalled", "TargetUnusable", &words).await;
    scene.is_counted("rover", "TargetUnusable").await;
    // The operator may not even look at those.
    let words = ["configmaps", "get, list and watch", "configmaps/scale"];
    scene.told("settings", "Stalled", "TargetUnusable", &words).await;
}

pub async fn that_two_policies_name(scene: &Scene) {
    let Scene { stage, fake, .. } = scene;
    fake.set("shared", Answer::Value(300.0));
    fake.set("newer", Answer::Value(800.0));
    held(stage, "shared", "fake", "shared").await;
    stage.wants("shared", 3).await;
    let newer = asks("shared", "fake", "newer").replace("metadata: {name: shared", "metadata: {name: shared-too");
    stage.apply(&newer).await;
    let words = ["default/shared is older", "delete one of the two"];
    scene.told("shared-too", "Stalled", "TargetConflict", &words).await;
    scene.is_counted("shared-too", "TargetConflict").await;
    fake.set("shared", Answer::Value(500.0));
    stage.wants("shared", 5).await;

    stage.delete("homeostat.dev/v1alpha1", "ScalingPolicy", "shared").await;
    stage.wants("shared", 8).await;
    stage
        .condition("ScalingPolicy", "shared-too", "Ready", "True", "Accepted")
        .await;
}
