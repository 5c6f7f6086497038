//! When nothing changes nothing is written, however many policies there are; and when the API server goes away and comes
//! back the operator goes on where it was.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use homeostat_cluster::cluster::Component;
use homeostat_cluster::wait;
use kube::api::{Api, DynamicObject, ListParams};

use crate::fake::{Answer, Fake};
use crate::stage::{LIMIT, Operator, Stage, deployment, scaling};

/// So many policies ask the same query …
const SHARING: usize = 20;
/// … and so many each another one.
const ALONE: usize = 10;

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_written_while_nothing_changes_and_an_outage_of_the_api_server_is_survived() {
    let mut stage = Stage::set().await;
    let fake = Fake::serve().await;
    let config = format!(
        "{{apiVersion: homeostat.dev/v1alpha1, kind: OperatorConfig, metadata: {{name: default}},
  spec: {{prometheus: [{{name: default, url: '{}', timeout: 2s}}]}}}}",
        fake.url()
    );
    stage.apply(&config).await;
    fake.set("same", Answer::Value(200.0));
    let mut names = Vec::new();
    for i in 0..SHARING + ALONE {
        let name = format!("app-{i}");
        let query = if i < SHARING {
            "same".to_owned()
        } else {
            format!("own{i}")
        };
        fake.set(&query, Answer::Value(200.0));
        stage.apply(&deployment(&name, 2, "10m")).await;
        stage.apply(&scaling(&name, &query, "")).await;
        names.push(name);
    }
    let operator = stage.operator("one").await;
    for name in &names {
        stage
            .condition("ScalingPolicy", name, "Ready", "True", "Accepted")
            .await;
        stage
            .condition("ScalingPolicy", name, "MetricsAvailable", "True", "Accepted")
            .await;
    }
    queries_are_shared_and_spread(&fake).await;
    nothing_is_written(&stage, &fake, &operator).await;
    the_api_server_restarts(&mut stage, &fake, &operator).await;
}

async fn queries_are_shared_and_spread(fake: &Fake) {
    fake.asked_more("same", 6).await;
    let asked = fake.asked("same");
    let last = &asked[asked.len() - 6..];
    let took = last[5] - last[0];
    assert!(
        took > Duration::from_secs(4),
        "{SHARING} policies ask once a second: 5 intervals took {took:?}"
    );
    // Within an interval each query has its own time.
    let phases: BTreeSet<u128> = (SHARING..SHARING + ALONE)
        .filter_map(|i| {
            fake.asked(&format!("own{i}"))
                .last()
                .map(|at| (*at - last[0]).as_millis() % 1000 / 100)
        })
        .collect();
    assert!(phases.len() >= 4, "{phases:?}");
}

async fn nothing_is_written(stage: &Stage, fake: &Fake, operator: &Operator) {
    let before = (versions(stage).await, writes(stage).await);
    let steps = operator.metric("homeostat_steps_total").await.unwrap();
    fake.asked_more("same", 12).await;
    let after = (versions(stage).await, writes(stage).await);
    assert_eq!(before.0, after.0, "resourceVersions move");
    assert_eq!(before.1, after.1, "somebody writes");
    assert!(operator.metric("homeostat_steps_total").await.unwrap() >= steps + 12.0);
}

/// The policies' resourceVersions.
async fn versions(stage: &Stage) -> BTreeMap<String, String> {
    let resource = homeostat::edge::kube::status::resource_of(homeostat::core::names::PolicyKind::ScalingPolicy);
    let api: Api<DynamicObject> = Api::all_with(stage.client.clone(), &resource);
    let list = api.list(&ListParams::default()).await.unwrap();
    list.into_iter()
        .map(|o| {
            (
                o.metadata.name.unwrap_or_default(),
                o.metadata.resource_version.unwrap_or_default(),
            )
        })
        .collect()
}

/// Requests that write what the operator writes, as the API server counts them; the Lease is not among them.
async fn writes(stage: &Stage) -> BTreeMap<String, String> {
    let request = http::Request::get("/metrics").body(Vec::new()).unwrap();
    let text = stage.client.request_text(request).await.unwrap();
    let written = |line: &&str| {
        let of_ours = [
            r#"group="homeostat.dev""#,
            r#"resource="events""#,
            r#"subresource="scale""#,
            r#"resource="pods""#,
        ];
        let reads = [r#"verb="GET""#, r#"verb="LIST""#, r#"verb="WATCH""#];
        line.starts_with("apiserver_request_total{")
            && of_ours.iter().any(|part| line.contains(part))
            && !reads.iter().any(|part| line.contains(part))
    };
    text.lines()
        .filter(written)
        .filter_map(|line| line.rsplit_once(' '))
        .map(|(series, value)| (series.to_owned(), value.to_owned()))
        .collect()
}

async fn the_api_server_restarts(stage: &mut Stage, fake: &Fake, operator: &Operator) {
    let done = r#"homeostat_actions_total{action="Scale",reason="ScaleUp",outcome="Done"}"#;
    assert_eq!(operator.metric(done).await, None, "nothing was scaled so far");
    stage.cluster.stop(Component::ApiServer);
    wait::until("the operator to notice", LIMIT, || async {
        (operator.metric("homeostat_leader ").await == Some(0.0)).then_some(())
    })
    .await
    .unwrap();
    // The load moves meanwhile.
    fake.set("own25", Answer::Value(500.0));
    stage.cluster.start_again(Component::ApiServer).await.unwrap();
    stage.delete("homeostat.dev/v1alpha1", "ScalingPolicy", "app-0").await;
    stage.wants("app-25", 5).await;
    stage
        .condition("ScalingPolicy", "app-25", "Ready", "True", "Accepted")
        .await;
    let scaled = stage.status("ScalingPolicy", "app-25").await;
    let events = scaled["scaleEvents"].as_array().map_or(0, Vec::len);
    assert!(events <= 1, "{scaled:#}");
    assert_eq!(operator.metric(done).await, Some(1.0), "once, and nothing else");
    fake.set("same", Answer::Value(300.0));
    stage.wants("app-1", 3).await;
    assert_eq!(stage.replicas("app-0").await, 2, "its policy is gone");
    let log = std::fs::read_to_string(operator.process.log()).unwrap();
    assert!(!log.contains("panicked"), "{log}");
}
