//! Two replicas: one acts, the other takes over when it goes, and who wakes late changes nothing.

use std::io::Read as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use homeostat::operator::journal::{open_segment, segments};
use homeostat_cluster::wait;
use k8s_openapi::api::events::v1::Event;
use kube::api::{Api, DeleteParams, ListParams};
use rustix::process::Signal;
use serde_json::Value;

use crate::stage::{LIMIT, Operator, Stage, deployment, scaling};

const JSON: &[&str] = &["--log-format", "json"];
const TOKEN: &str = "s3cr3t-of-the-metrics-server";

#[tokio::test(flavor = "multi_thread")]
async fn one_acts_and_the_other_takes_over() {
    let stage = Stage::set().await;
    with_a_token(&stage).await;
    let mut one = not_ready_before_it_sees(&stage).await;
    leads(&one).await;
    let mut two = stage.operator_with("two", JSON);
    ready(&two).await;
    assert_eq!(
        two.metric("homeostat_leader ").await,
        Some(0.0),
        "a follower is ready too"
    );
    let watch = Watch::begin(&[&one, &two]);

    stage.apply(&deployment("web", 1, "10m")).await;
    stage.gauges.set("load", 250.0);
    stage.apply(&scaling("web", "sum(load)", "")).await;
    stage.wants("web", 3).await;
    a_paused_leader_wakes_late(&stage, &one, &two).await;

    // The leader is killed: its Lease has to run out first.
    let killed = Instant::now();
    two.process.kill();
    leads(&one).await;
    assert!(killed.elapsed() > Duration::from_secs(3), "the Lease lasts 4 s");
    stage.gauges.set("load", 650.0);
    stage.wants("web", 7).await;
    watch.end().await;

    // The leader is asked to end: it gives the Lease back.
    two = stage.operator_with("two", JSON);
    ready(&two).await;
    ends_well(&mut one);
    let holder = lease(&stage).await["holderIdentity"].as_str().unwrap().to_owned();
    assert!(holder.is_empty() || holder.starts_with("two_"), "held by {holder}");
    leads(&two).await;
    stage.gauges.set("load", 150.0);
    stage.wants("web", 2).await;
    told_once_and_traced(&stage, &two).await;
    ends_well(&mut two);
    assert_eq!(lease(&stage).await["holderIdentity"], "");
    logs_are_json_without_secrets(&stage);
}

async fn ready(operator: &Operator) {
    wait::until("the replica to be ready", LIMIT, || operator.get("/readyz"))
        .await
        .unwrap();
}

async fn leads(operator: &Operator) {
    let leads = wait::until("the replica to lead", LIMIT, || async {
        (operator.metric("homeostat_leader ").await == Some(1.0)).then_some(())
    });
    leads.await.unwrap();
}

/// Exit code 0 within seconds.
fn ends_well(operator: &mut Operator) {
    let code = operator.process.terminate(Duration::from_secs(8));
    assert_eq!(code, Some(0), "{}", operator.process.log_tail());
}

async fn lease(stage: &Stage) -> Value {
    stage
        .read("coordination.k8s.io/v1", "Lease", "homeostat-system", "homeostat")
        .await["spec"]
        .clone()
}

/// The metrics server asks for a token (and Prometheus does not mind one).
async fn with_a_token(stage: &Stage) {
    let yaml = format!(
        "{{apiVersion: v1, kind: Secret, metadata: {{name: prom, namespace: homeostat-system}}, stringData: {{token: {TOKEN}}}}}
---
{{apiVersion: homeostat.dev/v1alpha1, kind: OperatorConfig, metadata: {{name: default}}, spec: {{prometheus: [
  {{name: default, url: '{}', timeout: 2s, auth: {{bearerTokenSecretRef: {{name: prom, key: token}}}}}}]}}}}",
        stage.prometheus.url()
    );
    stage.apply(&yaml).await;
}

/// Without rights it is alive and not ready; with them it is. What it serves is OpenMetrics.
async fn not_ready_before_it_sees(stage: &Stage) -> Operator {
    type Binding = k8s_openapi::api::rbac::v1::ClusterRoleBinding;
    let bindings: Api<Binding> = Api::all(stage.client.clone());
    let mut binding = bindings.get("homeostat").await.unwrap();
    bindings.delete("homeostat", &DeleteParams::default()).await.unwrap();
    let one = stage.operator_with("one", JSON);
    wait::until("a refused watch", LIMIT, || async {
        let log = std::fs::read_to_string(one.process.log()).unwrap();
        log.contains("is forbidden").then_some(())
    })
    .await
    .unwrap();
    assert!(one.get("/healthz").await.is_some());
    assert_eq!(one.get("/readyz").await, None);
    binding.metadata.resource_version = None;
    bindings
        .create(&kube::api::PostParams::default(), &binding)
        .await
        .unwrap();
    ready(&one).await;

    let answer = reqwest::get(format!("http://127.0.0.1:{}/metrics", one.port))
        .await
        .unwrap();
    let kind = answer.headers()["content-type"].to_str().unwrap().to_owned();
    assert_eq!(kind, "application/openmetrics-text; version=1.0.0; charset=utf-8");
    let text = answer.text().await.unwrap();
    assert!(text.ends_with("# EOF\n"), "{text}");
    assert!(text.contains("homeostat_view_current{view=\"Pods\"} 1\n"), "{text}");
    one
}

/// The leader stops in its tracks for longer than its Lease lasts; what it wakes up to is not its business any more.
async fn a_paused_leader_wakes_late(stage: &Stage, one: &Operator, two: &Operator) {
    let before = acts(one).await;
    one.process.signal(Signal::STOP);
    leads(two).await;
    stage.gauges.set("load", 850.0);
    stage.wants("web", 9).await;
    // What would be right by the last leader's lights: the replicas that it set and the load that it will see.
    stage.gauges.set("load", 450.0);
    stage.wants("web", 5).await;
    let log = std::fs::read_to_string(one.process.log()).unwrap().len();
    let told = events(stage).await.len();
    one.process.signal(Signal::CONT);
    wait::until("the woken replica to notice", LIMIT, || async {
        let woken = std::fs::read_to_string(one.process.log()).unwrap();
        woken[log..].contains("leadership was lost").then_some(())
    })
    .await
    .unwrap();
    ready(one).await;
    assert_eq!(one.metric("homeostat_leader ").await, Some(0.0));
    assert_eq!(acts(one).await, before, "it did nothing more");
    let woken = std::fs::read_to_string(one.process.log()).unwrap()[log..].to_owned();
    for line in woken.lines() {
        assert!(!line.contains("\"decided\"") && !line.contains("\"acted\""), "{line}");
    }
    assert_eq!(stage.replicas("web").await, 5);
    for event in events(stage).await.into_iter().skip(told) {
        assert_eq!(event.reporting_instance.as_deref(), Some("two"), "{event:?}");
    }
}

/// How many actions a replica has tried, by kind and outcome.
async fn acts(operator: &Operator) -> Vec<String> {
    let text = operator.get("/metrics").await.unwrap();
    let tried = text.lines().filter(|line| line.starts_with("homeostat_actions_total{"));
    tried.map(str::to_owned).collect()
}

async fn events(stage: &Stage) -> Vec<Event> {
    let api: Api<Event> = Api::all(stage.client.clone());
    let mut list = api.list(&ListParams::default()).await.unwrap().items;
    list.retain(|e| e.reporting_controller.as_deref() == Some("homeostat.dev/homeostat"));
    list.sort_by_key(|e| e.event_time.clone());
    list
}

/// The same action in the Events on the policy and on its target, in the log and in the journal.
async fn told_once_and_traced(stage: &Stage, two: &Operator) {
    let found = wait::until("the Events of the last change", LIMIT, || async {
        let mut found = events(stage).await;
        found.retain(|e| e.note.as_deref().is_some_and(|note| note.contains("load is 150")));
        (found.len() == 2).then_some(found)
    });
    let found = found.await.unwrap();
    let kinds = |e: &Event| e.regarding.clone().and_then(|r| r.kind).unwrap();
    let mut kinds: Vec<String> = found.iter().map(kinds).collect();
    kinds.sort();
    assert_eq!(kinds, ["Deployment", "ScalingPolicy"]);
    for event in &found {
        let uid = event.regarding.as_ref().and_then(|r| r.uid.clone());
        assert!(uid.is_some(), "kubectl describe finds it by its uid: {event:?}");
    }
    let traces: Vec<String> = found
        .iter()
        .map(|e| e.metadata.annotations.as_ref().unwrap()["homeostat.dev/trace-id"].clone())
        .collect();
    assert_eq!(traces[0], traces[1]);
    assert!(
        traces[0].len() == 32 && traces[0].bytes().all(|b| b.is_ascii_hexdigit()),
        "{traces:?}"
    );
    let log = std::fs::read_to_string(two.process.log()).unwrap();
    let lines: Vec<Value> = log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let mut said = lines.iter().filter(|line| line["trace_id"] == traces[0].as_str());
    assert_eq!(said.next().unwrap()["message"], "decided");
    let acted = said.next().unwrap();
    assert_eq!(
        (&acted["message"], &acted["outcome"]),
        (&"acted".into(), &"done".into())
    );
    let journal = read_all(&stage.dir.path().join("two-journal"));
    assert!(journal.contains(&format!("\"id\":\"{}\"", traces[0])));
}

/// What the segments of a journal say; the one that is being written ends anywhere.
fn read_all(folder: &std::path::Path) -> String {
    let mut all = Vec::new();
    for path in segments(folder).unwrap() {
        let _ = open_segment(&path).unwrap().read_to_end(&mut all);
    }
    String::from_utf8_lossy(&all).into_owned()
}

fn logs_are_json_without_secrets(stage: &Stage) {
    for name in ["one", "two"] {
        let log = std::fs::read_to_string(stage.cluster.dir().join(format!("{name}.log"))).unwrap();
        for line in log.lines() {
            let parsed: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
            assert!(
                parsed["timestamp"].is_string() && parsed["message"].is_string(),
                "{line}"
            );
        }
        assert!(!log.contains(TOKEN));
        assert!(!read_all(&stage.dir.path().join(format!("{name}-journal"))).contains(TOKEN));
    }
}

/// Looks at two replicas all the time: never do both lead.
struct Watch {
    over: Arc<AtomicBool>,
    looked: Arc<AtomicU32>,
    task: tokio::task::JoinHandle<bool>,
}

impl Watch {
    fn begin(operators: &[&Operator; 2]) -> Self {
        let urls = operators.map(|o| format!("http://127.0.0.1:{}/metrics", o.port));
        let (over, looked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
        let (end, count) = (Arc::clone(&over), Arc::clone(&looked));
        let client = reqwest::Client::builder()
            .timeout(Duration::from_millis(500))
            .build()
            .unwrap();
        let task = tokio::spawn(async move {
            let mut both = false;
            while !end.load(Ordering::Relaxed) {
                // One after the other: a claim that is seen second was valid after the first was.
                let first = claims(&client, &urls[0]).await && claims(&client, &urls[1]).await;
                both |= first && claims(&client, &urls[0]).await;
                count.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            both
        });
        Self { over, looked, task }
    }

    async fn end(self) {
        self.over.store(true, Ordering::Relaxed);
        assert!(!self.task.await.unwrap(), "two leaders at once");
        assert!(self.looked.load(Ordering::Relaxed) > 20);
    }
}

async fn claims(client: &reqwest::Client, url: &str) -> bool {
    let Ok(answer) = client.get(url).send().await else {
        return false;
    };
    answer
        .text()
        .await
        .is_ok_and(|text| text.contains("\nhomeostat_leader 1\n"))
}
