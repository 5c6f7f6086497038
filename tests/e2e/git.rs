//! A repository is the state of the cluster: what is pushed is applied, what is changed by hand comes back, what is removed
//! goes, and what would do harm does not.

use serde_json::{Value, json};

use crate::repo::Repo;
use crate::source::{AT_ONCE, DEFINITION, DEPLOYER, SERVICE, config_map, source};
use crate::stage::{Operator, Stage, deployment, scaling};

/// A Deployment, its Service and its policy; a namespace and a definition, and something of each.
fn first_commit(repo: &Repo) -> String {
    repo.write("web/deployment.yaml", deployment("web", 2, "100m"));
    repo.write("web/service.yaml", SERVICE);
    repo.write("web/policy.yaml", scaling("web", "sum(load)", ""));
    repo.write("web/a.yaml", config_map("a", "1") + "---\n" + &config_map("b", "1"));
    repo.write(
        "team/namespace.yaml",
        "{apiVersion: v1, kind: Namespace, metadata: {name: team}}",
    );
    let map = "{apiVersion: v1, kind: ConfigMap, metadata: {name: c, namespace: team}, data: {value: '1'}}";
    repo.write("team/map.yaml", map);
    repo.write("widgets/definition.yaml", DEFINITION);
    let widget = "{apiVersion: example.com/v1, kind: Widget, metadata: {name: small}, spec: {size: 1}}";
    repo.write("widgets/widget.yaml", widget);
    repo.push("first")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_pushed_is_applied_and_what_is_changed_by_hand_comes_back() {
    let stage = Stage::set().await;
    stage.apply(DEPLOYER).await;
    let repo = Repo::empty();
    let first = first_commit(&repo);
    stage.gauges.set("load", 430.0);
    let operator = stage.operator("one").await;
    stage.apply(&source("deploy", &repo.url(), "")).await;
    stage.applies("deploy", &first).await;
    let status = stage.status("GitSource", "deploy").await;
    assert_eq!(
        status["inventory"]["entries"].as_array().map(Vec::len),
        Some(9),
        "{status:#}"
    );
    stage.event("deploy", "Applied").await;
    let widget = stage.read("example.com/v1", "Widget", "default", "small").await;
    assert_eq!(
        widget["spec"]["size"], 1,
        "a definition and an object of it in one commit"
    );
    let map = stage.read("v1", "ConfigMap", "team", "c").await;
    let owner = &map["metadata"]["annotations"]["homeostat.dev/source"];
    assert_eq!(owner, "default/deploy", "a namespace and an object in it in one commit");

    // The policy owns the replicas, whatever the repository says.
    stage.wants("web", 5).await;

    stage.delete("v1", "Service", "web").await;
    let took = stage
        .comes_back("v1", "Service", "web", "/spec/ports/0/port", &json!(80))
        .await;
    assert!(took < AT_ONCE, "{took:?}");
    stage.event("deploy", "ObjectDeleted").await;
    let image = json!({"spec": {"template": {"spec": {"containers": [{"name": "app", "image": "other"}]}}}});
    stage.edit("apps/v1", "Deployment", "web", image).await;
    let image = "/spec/template/spec/containers/0/image";
    let took = stage
        .comes_back("apps/v1", "Deployment", "web", image, &json!("app"))
        .await;
    assert!(took < AT_ONCE, "{took:?}");
    stage.event("deploy", "ObjectDrifted").await;
    assert_eq!(stage.replicas("web").await, 5);

    repo.write("web/a.yaml", config_map("a", "2"));
    repo.write("web/deployment.yaml", deployment("web", 3, "200m"));
    let second = repo.push("a changes, b goes");
    stage.applies("deploy", &second).await;
    assert_eq!(
        stage.read("v1", "ConfigMap", "default", "a").await["data"]["value"],
        "2"
    );
    assert_eq!(stage.read("v1", "ConfigMap", "default", "b").await, Value::Null);
    assert_eq!(stage.replicas("web").await, 5, "the policy's, not the repository's");
    let labels = "{namespace=\"default\",name=\"deploy\"}";
    assert_eq!(
        operator.metric(&format!("homeostat_git_objects{labels}")).await,
        Some(8.0)
    );
    assert_eq!(
        operator.metric(&format!("homeostat_git_ready{labels}")).await,
        Some(1.0)
    );

    let operator = goes_on_after_a_restart(&stage, operator).await;
    goes_on_after_a_restart_in_mid_way(&stage, &repo, operator).await;
}

/// What is as declared is not written again, what went meanwhile comes back, and owned replicas are left alone.
async fn goes_on_after_a_restart(stage: &Stage, mut operator: Operator) -> Operator {
    operator.process.kill();
    let version = |object: Value| object["metadata"]["resourceVersion"].clone();
    let map = version(stage.read("v1", "ConfigMap", "default", "a").await);
    let widget = version(stage.read("example.com/v1", "Widget", "default", "small").await);
    let generation = stage.read("apps/v1", "Deployment", "default", "web").await["metadata"]["generation"].clone();
    stage.delete("v1", "Service", "web").await;
    let operator = stage.operator("two").await;
    stage
        .comes_back("v1", "Service", "web", "/spec/ports/0/port", &json!(80))
        .await;
    let status = stage.status("GitSource", "deploy").await;
    let revision = status["lastAppliedRevision"].as_str().unwrap();
    stage.applies("deploy", revision).await;
    assert_eq!(version(stage.read("v1", "ConfigMap", "default", "a").await), map);
    assert_eq!(
        version(stage.read("example.com/v1", "Widget", "default", "small").await),
        widget
    );
    let web = stage.read("apps/v1", "Deployment", "default", "web").await;
    assert_eq!(web["metadata"]["generation"], generation, "{web:#}");
    assert_eq!(web["spec"]["replicas"], 5);
    operator
}

/// Killed while it applies, it applies the rest when it comes back.
async fn goes_on_after_a_restart_in_mid_way(stage: &Stage, repo: &Repo, mut operator: Operator) {
    for i in 0..60 {
        repo.write(&format!("many/{i:02}.yaml"), config_map(&format!("many-{i:02}"), "1"));
    }
    let revision = repo.push("many");
    stage.ask("deploy").await;
    stage
        .comes_back("v1", "ConfigMap", "many-00", "/data/value", &json!("1"))
        .await;
    operator.process.kill();
    let operator = stage.operator("three").await;
    stage.applies("deploy", &revision).await;
    assert_eq!(
        stage.read("v1", "ConfigMap", "default", "many-59").await["data"]["value"],
        "1"
    );
    drop(operator);
}
