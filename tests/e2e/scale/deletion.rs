//! A policy is deleted: its target keeps its size, or gets back the one that it had. The deletion waits for nobody.

use homeostat_cluster::wait;
use serde_json::Value;

use super::{Scene, policy};
use crate::fake::Answer;
use crate::stage::{LIMIT, deployment};

const KIND: (&str, &str) = ("homeostat.dev/v1alpha1", "ScalingPolicy");

pub async fn leaves_the_size_or_gives_the_former_one_back(scene: &Scene) {
    let Scene { stage, fake, .. } = scene;
    for (name, more) in [("kept", ""), ("restored", "  onDelete: RestoreReplicas")] {
        fake.set(name, Answer::Value(500.0));
        stage.apply(&deployment(name, 2, "10m")).await;
        stage.apply(&policy(name, more)).await;
        stage.wants(name, 5).await;
    }
    let status = stage.status("ScalingPolicy", "restored").await;
    assert_eq!(status["original"]["replicas"], 2, "{status:#}");
    let status = stage.status("ScalingPolicy", "kept").await;
    assert_eq!(status["original"], Value::Null, "{status:#}");

    for name in ["kept", "restored"] {
        stage.delete(KIND.0, KIND.1, name).await;
        // No finalizer holds it up.
        wait::until(format!("policy {name} to be gone"), LIMIT, || async {
            stage
                .read(KIND.0, KIND.1, "default", name)
                .await
                .is_null()
                .then_some(())
        })
        .await
        .unwrap();
    }
    stage.wants("restored", 2).await;
    stage.event("restored", "Restored").await;
    assert_eq!(stage.replicas("kept").await, 5, "it keeps its size");
}
