//! OperatorConfigs that are missing, or cannot be used as a whole.

use homeostat_cluster::port;

use super::{HELD, Scene, stored};
use crate::fake::{Answer, Fake};
use crate::stage::Stage;

/// The real Prometheus, the fake one, one that is down, and one whose Secret is missing.
pub fn servers(stage: &Stage, fake: &Fake) -> String {
    let (real, fake, down) = (stage.prometheus.url(), fake.url(), port::free().unwrap());
    format!(
        "apiVersion: homeostat.dev/v1alpha1
kind: OperatorConfig
metadata: {{name: default}}
spec:
  prometheus:
  - {{name: default, url: '{real}', timeout: 2s}}
  - {{name: fake, url: '{fake}', timeout: 1s}}
  - {{name: down, url: 'http://127.0.0.1:{down}', timeout: 1s}}
  - {{name: locked, url: '{fake}', auth: {{bearerTokenSecretRef: {{name: prom, key: token}}}}}}
"
    )
}

pub async fn with_a_secret_that_comes_later(scene: &Scene) {
    let stage = &scene.stage;
    let found = stage
        .condition("OperatorConfig", "default", "Ready", "False", "InvalidPolicy")
        .await;
    let message = found["message"].as_str().unwrap_or_default();
    for word in [
        "spec.prometheus[3].auth",
        "no Secret homeostat-system/prom",
        "everything else is in use",
    ] {
        assert!(message.contains(word), "no `{word}` in: {message}");
    }
    stage.event("default", "InvalidPolicy").await;
    let series = r#"homeostat_policy_ready{kind="OperatorConfig",namespace="",name="default",status="False",reason="InvalidPolicy"}"#;
    assert_eq!(scene.operator.metric(series).await, Some(1.0));

    scene.fake.set("x", Answer::Value(200.0));
    stage
        .apply("{apiVersion: v1, kind: Secret, metadata: {name: prom, namespace: homeostat-system}, stringData: {token: t}}")
        .await;
    stage.wants("locked", 2).await;
    stage
        .condition("OperatorConfig", "default", "Ready", "True", "Accepted")
        .await;
}

pub async fn that_is_gone_or_cannot_be_used(scene: &Scene) {
    let Scene { stage, fake, .. } = scene;
    let before = stage
        .read("homeostat.dev/v1alpha1", "OperatorConfig", "", "default")
        .await;
    stored::relax(stage, "operatorconfigs").await;
    stage
        .apply("{apiVersion: homeostat.dev/v1alpha1, kind: OperatorConfig, metadata: {name: default}, spec: {prometheus: 5}}")
        .await;
    let found = stage
        .condition("OperatorConfig", "default", "Ready", "False", "InvalidPolicy")
        .await;
    let message = found["message"].as_str().unwrap_or_default();
    assert!(message.contains("what was in use before stays in use"), "{message}");
    fake.set("fine", Answer::Value(700.0));
    stage.wants("fine", 7).await;
    stage
        .delete("homeostat.dev/v1alpha1", "OperatorConfig", "default")
        .await;
    stored::restore(stage, "operatorconfigs").await;

    let words = ["no OperatorConfig named default: create it"];
    scene.told("fine", "MetricsAvailable", "QueryFailed", &words).await;
    assert_eq!(stage.replicas("fine").await, 7, "held without a server");
    assert_eq!(stage.replicas("down").await, HELD);

    fake.set("fine", Answer::Value(500.0));
    stage.apply(&serde_json::to_string(&reduced(&before)).unwrap()).await;
    stage.wants("fine", 5).await;
}

/// What can be applied again.
fn reduced(object: &serde_json::Value) -> serde_json::Value {
    serde_json::json!({"apiVersion": object["apiVersion"], "kind": object["kind"],
        "metadata": {"name": object["metadata"]["name"]}, "spec": object["spec"]})
}
