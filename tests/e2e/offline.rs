//! A live cluster as a snapshot: what is decided from the file is what the operator decided.

use homeostat_cluster::wait;
use serde_json::Value;

use crate::stage::{LIMIT, Stage, deployment, scaling};

#[tokio::test(flavor = "multi_thread")]
async fn a_captured_cluster_is_decided_upon_as_the_operator_does() {
    let stage = Stage::set().await;
    stage.apply(&deployment("web", 1, "100m")).await;
    stage.gauges.set("load", 430.0);
    stage.apply(&scaling("web", "sum(load)", "")).await;
    let operator = stage.operator("one").await;
    stage.wants("web", 5).await;
    stage
        .condition("ScalingPolicy", "web", "Ready", "True", "Accepted")
        .await;
    drop(operator);
    // Nobody acts any more; the load goes on.
    stage.gauges.set("load", 770.0);
    let file = stage.dir.path().join("snapshot.yaml");
    let decided = wait::until("a snapshot that holds the new load", LIMIT, || async {
        let (code, snapshot, said) = stage.homeostat(&["capture", "--policy", "web"]);
        assert_eq!(code, Some(0), "{said}");
        assert!(snapshot.contains("kind: Pod\n"), "{snapshot}");
        std::fs::write(&file, &snapshot).unwrap();
        let (code, answer, said) = stage.homeostat(&["plan", "--snapshot", &file.display().to_string(), "-o", "json"]);
        assert_eq!(code, Some(0), "{said}\n{answer}\n{snapshot}");
        let answer: Value = serde_json::from_str(&answer).unwrap();
        (answer["policies"][0]["recommendation"] == 8).then_some(answer)
    });
    let answer = decided.await.unwrap();
    assert_eq!(answer["policies"][0]["current"], 5, "{answer:#}");
    assert!(
        answer["notes"].is_null(),
        "everything that was captured is looked at: {answer:#}"
    );

    let (code, _, said) = stage.homeostat(&["capture", "--policy", "nobody"]);
    assert_eq!(code, Some(1));
    assert!(said.contains("there is no ScalingPolicy"), "{said}");
}
