//! Killed at any moment, the operator repeats nothing and keeps every bound; and its journal tells it all again.

use std::io::BufRead as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use homeostat::operator::journal::open_segment;
use homeostat_cluster::wait;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{Api, ListParams, PostParams};
use serde_json::{Value, json};

use crate::stage::{Gauges, LIMIT, Operator, Stage, deployment, scaling};
use crate::ward::{Ward, evictions, healing, is_ready, limits, time};

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_moment_it_repeats_nothing_and_keeps_every_bound() {
    let stage = Stage::set().await;
    limits(&stage, 1000, "{brakeAt: 100%, atLeast: 1000}").await;
    killed_between_intent_and_outcome(&stage).await;
    killed_after_the_act(&stage).await;
    killed_at_random(&stage).await;
    the_journal_tells_it_again(&stage);
}

async fn leading(stage: &Stage, name: &str) -> Operator {
    let operator = stage.operator(name).await;
    wait::until(format!("{name} to lead"), LIMIT, || async {
        (operator.metric("homeostat_leader ").await == Some(1.0)).then_some(())
    })
    .await
    .unwrap();
    operator
}

/// The intent is on record and the eviction hangs in the API server: whoever comes next waits for its effect.
async fn killed_between_intent_and_outcome(stage: &Stage) {
    let ward = Ward::open(stage, "intent").await;
    ward.deploy("app", 3).await;
    hang_evictions(stage, &ward).await;
    stage
        .apply(&healing("shop", "intent", 2, "").replace("wait: 4s", "wait: 12s"))
        .await;
    let mut operator = leading(stage, "one").await;
    let pod = ward.crash("app").await;
    let intended = ward.incident("shop", "Intended").await;
    operator.process.kill();
    assert_eq!(ward.evicted(), Vec::<String>::new());
    assert_eq!(intended["object"]["name"], pod.as_str(), "{intended:#}");
    assert_eq!(intended["attempts"], 1, "{intended:#}");
    delete_webhook(stage).await;

    let mut operator = leading(stage, "one").await;
    ward.gone(&pod).await;
    assert_eq!(ward.evicted(), std::slice::from_ref(&pod));
    let second = stage
        .audit()
        .into_iter()
        .rfind(|e| e["objectRef"]["subresource"] == "eviction" && e["objectRef"]["namespace"] == "intent");
    let waited = time(&second.unwrap()["requestReceivedTimestamp"]).duration_since(time(&intended["lastAttemptAt"]));
    assert!(waited.as_secs() >= 12, "tried again after {waited:?} already");
    let recovered = ward.incident("shop", "Recovered").await;
    assert_eq!(recovered["attempts"], 2, "{recovered:#}");
    operator.process.kill();
}

/// Evictions in this namespace take ten seconds: a webhook is asked that never answers, and whose answer does not matter.
async fn hang_evictions(stage: &Stage, ward: &Ward<'_>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&asked);
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((socket, _)) = listener.accept().await {
            seen.store(true, Ordering::Relaxed);
            held.push(socket);
        }
    });
    let hook = format!(
        "apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {{name: slow}}
webhooks:
- name: slow.example.com
  clientConfig: {{url: 'https://127.0.0.1:{port}/'}}
  rules: [{{apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [pods/eviction]}}]
  namespaceSelector: {{matchLabels: {{kubernetes.io/metadata.name: intent}}}}
  failurePolicy: Ignore
  sideEffects: None
  timeoutSeconds: 10
  admissionReviewVersions: [v1]"
    );
    stage.apply(&hook).await;
    let pod = ward.pods("app").await[0].name_any();
    let api: Api<Pod> = Api::namespaced(stage.client.clone(), "intent");
    let body = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": "intent"}});
    let dry = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    wait::until("the webhook to be asked", LIMIT, || async {
        let tried = api.create_subresource::<Value, Value>("eviction", &pod, &dry, &body);
        let _ = tokio::time::timeout(Duration::from_millis(300), tried).await;
        asked.load(Ordering::Relaxed).then_some(())
    })
    .await
    .unwrap();
}

async fn delete_webhook(stage: &Stage) {
    type Hook = k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
    let api: Api<Hook> = Api::all(stage.client.clone());
    api.delete("slow", &kube::api::DeleteParams::default()).await.unwrap();
}

/// The eviction is done and its outcome perhaps not on record: the attempt counts.
async fn killed_after_the_act(stage: &Stage) {
    let ward = Ward::open(stage, "act").await;
    ward.deploy("app", 3).await;
    stage.apply(&healing("shop", "act", 2, "")).await;
    let mut evicted = Vec::new();
    for _ in 0..2 {
        let mut operator = leading(stage, "one").await;
        let pod = ward.crash("app").await;
        ward.gone(&pod).await;
        operator.process.kill();
        evicted.push(pod);
        ward.all_ready("app", 3).await;
    }
    let mut operator = leading(stage, "one").await;
    let third = ward.crash("app").await;
    ward.condition("shop", "Limited", "True", "LadderExhausted").await;
    assert_eq!(ward.evicted(), evicted);
    ward.sim(&third, None).await;
    operator.process.kill();
}

/// Ten times, while it scales and heals.
async fn killed_at_random(stage: &Stage) {
    let ward = Ward::open(stage, "chaos").await;
    ward.deploy("app", 4).await;
    let policy = healing("shop", "chaos", 10, "  budget: {inFlight: 5}");
    stage.apply(&policy.replace("wait: 4s", "wait: 1s")).await;
    stage.apply(&deployment("web", 1, "10m")).await;
    stage.gauges.set("load", 50.0);
    let policy = scaling("web", "sum(load)", "");
    let policy = policy.replace("stabilizationWindowSeconds: 3", "stabilizationWindowSeconds: 0");
    stage.apply(&policy).await;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let over = Arc::new(AtomicBool::new(false));
    let unrest = tokio::spawn(unrest(stage.gauges.clone(), Arc::clone(&over)));
    let watching = tokio::spawn(watch_replicas(stage.client.clone(), Arc::clone(&seen)));
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    for _ in 0..10 {
        let mut operator = leading(stage, "one").await;
        if ward.pods("app").await.iter().all(is_ready) {
            ward.crash("app").await;
        }
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        tokio::time::sleep(Duration::from_millis(200 + (random >> 33) % 3_000)).await;
        operator.process.kill();
    }
    over.store(true, Ordering::Relaxed);
    unrest.await.unwrap();
    // Out of tolerance for three replicas as for five: wherever it was when the last one was killed.
    stage.gauges.set("load", 350.0);
    let _operator = leading(stage, "one").await;
    stage.wants("web", 4).await;
    for pod in ward.pods("app").await {
        ward.sim(&pod.name_any(), None).await;
    }
    ward.condition("shop", "Healthy", "True", "Healthy").await;
    watching.abort();

    let seen = seen.lock().unwrap().clone();
    assert!(seen.len() > 3, "it scaled: {seen:?}");
    assert!(
        seen.iter().all(|n| (1..=10).contains(n)),
        "never out of bounds: {seen:?}"
    );
    let mut evicted = ward.evicted();
    let attempts = ward.status("shop").await["incidents"][0]["attempts"].as_u64().unwrap();
    assert!(!evicted.is_empty(), "it healed");
    assert!(
        evicted.len() as u64 <= attempts && attempts <= 10,
        "{evicted:?}, {attempts} attempts"
    );
    let count = evicted.len();
    evicted.sort();
    evicted.dedup();
    assert_eq!(evicted.len(), count, "no pod twice");
    let failed: Vec<String> = [404, 409]
        .into_iter()
        .flat_map(|code| evictions(stage, "chaos", code))
        .collect();
    assert_eq!(failed, Vec::<String>::new(), "nor tried for a pod that was gone");
}

/// A load that never rests.
async fn unrest(gauges: Gauges, over: Arc<AtomicBool>) {
    for load in [430.0, 950.0, 250.0, 2_000.0, 50.0].into_iter().cycle() {
        if over.load(Ordering::Relaxed) {
            return;
        }
        gauges.set("load", load);
        tokio::time::sleep(Duration::from_millis(1_700)).await;
    }
}

/// Every value that the replicas had, as the watch told it.
async fn watch_replicas(client: kube::Client, seen: Arc<Mutex<Vec<i32>>>) {
    use futures::TryStreamExt;
    let api: Api<Deployment> = Api::namespaced(client, "default");
    let list = api.list(&ListParams::default()).await.unwrap();
    let from = list.metadata.resource_version.unwrap();
    let params = kube::api::WatchParams::default().timeout(290);
    let stream = api.watch(&params, &from).await.unwrap();
    let each = stream.try_for_each(|event| async {
        if let kube::api::WatchEvent::Modified(object) = event {
            let now = object.spec.and_then(|s| s.replicas).unwrap_or(-1);
            let mut seen = seen.lock().unwrap();
            if seen.last() != Some(&now) {
                seen.push(now);
            }
        }
        Ok(())
    });
    let _ = each.await;
}

/// What the killed operators left behind gives the very same plans; what is broken is said.
fn the_journal_tells_it_again(stage: &Stage) {
    let journal = stage.dir.path().join("one-journal");
    let folder = journal.display().to_string();
    let (code, text, error) = stage.homeostat(&["replay", "--journal", &folder]);
    assert_eq!(code, Some(0), "{error}");
    assert!(text.contains("plans came out as recorded"), "{text}");
    let explain = ["explain", "healingpolicy/shop", "-n", "chaos", "--journal", &folder];
    let (code, text, error) = stage.homeostat(&explain);
    assert_eq!(code, Some(0), "{error}");
    assert!(text.contains(" → done") && text.contains("[trace "), "{text}");

    let copy = stage.dir.path().join("broken");
    std::fs::create_dir(&copy).unwrap();
    let mut files: Vec<_> = std::fs::read_dir(&journal)
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    files.sort();
    let lines = |path: &Path| -> Vec<String> {
        let segment = open_segment(path).unwrap();
        // The end of one that was being written is missing.
        segment.lines().map_while(Result::ok).collect()
    };
    let longest = files.iter().map(|path| lines(path)).max_by_key(Vec::len).unwrap();
    let broken = copy.join("journal-1.jsonl");
    let replay = |text: String| {
        std::fs::write(&broken, text).unwrap();
        stage.homeostat(&["replay", "--journal", &copy.display().to_string()])
    };
    let whole = longest.join("\n");
    let (code, text, _) = replay(whole[..whole.len() - 20].to_owned());
    assert_eq!(code, Some(0));
    assert!(text.contains("1 segments cut off"), "{text}");
    let other = whole.replacen("\"version\":1", "\"version\":99", 1);
    let (code, _, error) = replay(other + "\n");
    assert_eq!(code, Some(1));
    assert!(error.contains("format version 99"), "{error}");
    // An event is missing: what was decided from it does not come out again.
    let sample = longest
        .iter()
        .position(|l| l.contains("\"pod\":") && l.starts_with("{\"event\""))
        .unwrap();
    let mut lines = longest;
    lines.retain(|line| !line.contains("\"sample\":"));
    assert!(lines.len() > sample, "the longest segment has samples and pods");
    let (code, _, error) = replay(lines.join("\n") + "\n");
    assert_eq!(code, Some(1), "samples are missing and nothing is noticed");
    assert!(error.contains("came out otherwise"), "{error}");
}
