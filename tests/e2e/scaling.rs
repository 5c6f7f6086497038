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

    // A series is lost, and the query makes less of what is left: that is no reason to go down.
    stage.apply(&deployment("api", 1, "100m")).await;
    stage.gauges.set(r#"calls{pod="a"}"#, 300.0);
    stage.gauges.set(r#"calls{pod="b"}"#, 300.0);
    stage.apply(&scaling("api", "sum(calls) or vector(0)", "")).await;
    stage.wants("api", 6).await;
    stage
        .condition("ScalingPolicy", "api", "Ready", "True", "Accepted")
        .await;
    stage.gauges.remove(r#"calls{pod="b"}"#);
    stage
        .condition("ScalingPolicy", "api", "MetricsAvailable", "False", "PartialData")
        .await;
    let status = stage.status("ScalingPolicy", "api").await;
    let message = status["decision"]["message"].as_str().unwrap();
    assert!(message.contains("only 1 of 2 series are left"), "{message}");
    stage.gauges.remove(r#"calls{pod="a"}"#);
    stage.event("api", "DataMissing").await;
    assert_eq!(stage.replicas("api").await, 6, "held on partial data");
    stage.gauges.set(r#"calls{pod="a"}"#, 50.0);
    stage.gauges.set(r#"calls{pod="b"}"#, 40.0);
    stage.wants("api", 1).await;

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
