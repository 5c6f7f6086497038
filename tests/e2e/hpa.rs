//! Beside the real HorizontalPodAutoscaler: the same metric, the same rules, the same sizes one after the other.

use std::time::Duration;

use homeostat_cluster::{Adapter, Options, wait};

use crate::stage::{LIMIT, Stage, deployment};

const RULES: &str = "{scaleUp: {policies: [{type: Pods, value: 3, periodSeconds: 20}]},
    scaleDown: {stabilizationWindowSeconds: 0, policies: [{type: Percent, value: 50, periodSeconds: 20}]}}";

fn autoscaler() -> String {
    format!(
        "{{apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, metadata: {{name: theirs, namespace: default}}, spec: {{
  scaleTargetRef: {{apiVersion: apps/v1, kind: Deployment, name: theirs}}, minReplicas: 2, maxReplicas: 12, behavior: {RULES},
  metrics: [{{type: External, external: {{metric: {{name: lag}}, target: {{type: AverageValue, averageValue: 10}}}}}}]}}}}"
    )
}

fn policy() -> String {
    format!(
        "{{apiVersion: homeostat.dev/v1alpha1, kind: ScalingPolicy, metadata: {{name: ours, namespace: default}}, spec: {{
  compat: HPAv2, interval: 1s, scaleTargetRef: {{kind: Deployment, name: ours}}, minReplicas: 2, maxReplicas: 12,
  behavior: {RULES}, triggers: [{{name: lag, external: {{metric: {{name: lag}}}}, target: {{averageValue: 10}}}}]}}}}"
    )
}

/// Waits until both have come to so many replicas, and notes every size on the way.
async fn follow(stage: &Stage, sizes: &mut [Vec<i64>; 2], last: i64) {
    let waited = tokio::time::Instant::now();
    loop {
        for (name, seen) in ["theirs", "ours"].into_iter().zip(sizes.iter_mut()) {
            let size = stage.replicas(name).await;
            if seen.last() != Some(&size) {
                seen.push(size);
            }
        }
        if sizes.iter().all(|seen| seen.last() == Some(&last)) {
            return;
        }
        assert!(
            waited.elapsed() < 2 * LIMIT,
            "{last} replicas of both; seen so far: {sizes:?}"
        );
        // The steps are 20 seconds apart: none is missed.
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_sizes_as_the_real_autoscaler_one_after_the_other() {
    let stage = Stage::with(Options {
        controller_manager: vec!["--horizontal-pod-autoscaler-sync-period=1s".into()],
        ..Options::default()
    })
    .await;
    let adapter = Adapter::start(&stage.client, &["v1beta1", "v1beta2"]).await.unwrap();
    adapter.set_external("default", "lag", &[("topic", "orders")], Some("20"));
    for name in ["theirs", "ours"] {
        stage.apply(&deployment(name, 2, "100m")).await;
    }
    let mut operator = stage.operator("beside").await;
    stage.apply(&autoscaler()).await;
    stage.apply(&policy()).await;
    stage
        .condition("ScalingPolicy", "ours", "ScalingActive", "True", "Accepted")
        .await;
    let active = wait::until("the autoscaler to be active", LIMIT, || async {
        let seen = stage
            .read("autoscaling/v2", "HorizontalPodAutoscaler", "default", "theirs")
            .await;
        let conditions = seen["status"]["conditions"].as_array()?.clone();
        let active = |c: &serde_json::Value| c["type"] == "ScalingActive" && c["status"] == "True";
        conditions.iter().any(active).then_some(())
    });
    active.await.unwrap();

    let mut sizes = [Vec::new(), Vec::new()];
    follow(&stage, &mut sizes, 2).await;
    adapter.set_external("default", "lag", &[("topic", "orders")], Some("90"));
    follow(&stage, &mut sizes, 9).await;
    adapter.set_external("default", "lag", &[("topic", "orders")], Some("1"));
    follow(&stage, &mut sizes, 2).await;
    assert_eq!(sizes[0], sizes[1], "theirs, then ours");
    assert_eq!(sizes[0], [2, 5, 8, 9, 4, 2]);
    assert!(operator.process.is_running());
}
