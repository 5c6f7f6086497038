//! Replicas follow the load that Prometheus sees.

use crate::stage::{Stage, deployment, scaling};

#[tokio::test(flavor = "multi_thread")]
async fn replicas_follow_the_load_and_missing_data_never_scale_down() {
    let mut stage = Stage::set().await;
    stage.apply(&deployment("web", 1, "100m")).await;
    stage.gauges.set("load", 430.0);
    stage.apply(&scaling("web", "sum(load)", "")).await;
    let operator = stage.operator("one").await;
    stage.wants("web", 5).await;
    stage
        .condition("ScalingPolicy", "web", "Ready", "True", "Accepted")
        .await;
    stage.event("web", "ScaleUp").await;
    let status = stage.status("ScalingPolicy", "web").await;
    assert_eq!(status["decision"]["triggers"][0]["name"], "load", "{status:#}");

    stage.gauges.set("load", 120.0);
    stage.wants("web", 2).await;

    stage.gauges.set("load", 10_000.0);
    stage.wants("web", 10).await;
    stage
        .condition("ScalingPolicy", "web", "Limited", "True", "TooManyReplicas")
        .await;

    stage.gauges.remove("load");
    stage
        .condition("ScalingPolicy", "web", "MetricsAvailable", "False", "NoData")
        .await;
    stage.prometheus.stop();
    stage
        .condition("ScalingPolicy", "web", "MetricsAvailable", "False", "QueryFailed")
        .await;
    assert_eq!(stage.replicas("web").await, 10, "held without data");
    stage.gauges.set("load", 150.0);
    stage.prometheus.start_again().await.unwrap();
    stage.wants("web", 2).await;
    assert_eq!(operator.metric("homeostat_leader ").await, Some(1.0));
}
