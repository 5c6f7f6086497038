//! Crash-looping pods are healed where that can help, and left alone where it cannot.

use homeostat_cluster::wait;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{Api, Patch, PatchParams};
use serde_json::{Value, json};

use crate::stage::{LIMIT, Stage};
use crate::ward::{Ward, evictions, healing, is_ready, limits, time};

#[tokio::test(flavor = "multi_thread")]
async fn what_a_restart_can_help_is_healed_and_nothing_else() {
    let stage = Stage::set().await;
    limits(&stage, 2, "{brakeAt: 60%, atLeast: 20, calmFor: 5s}").await;
    let operator = stage.operator("one").await;
    let suspended = Ward::open(&stage, "suspended").await;
    suspend(&suspended).await;
    tokio::join!(
        lone_crasher(&stage),
        sick_template(&stage),
        last_replica(&stage),
        disruption_budget(&stage),
        namespace_budget(&stage),
    );
    // Its pod has been sick all the while.
    assert_eq!(suspended.evicted(), Vec::<String>::new());
    suspended
        .stage
        .apply(&healing("shop", "suspended", 2, "  suspend: false"))
        .await;
    wait::until("the policy to act again", LIMIT, || async {
        (suspended.evicted().len() == 1).then_some(())
    })
    .await
    .unwrap();

    // All is well again before the storm.
    for namespace in ["template", "last", "pdb", "budget"] {
        let ward = Ward {
            stage: &stage,
            namespace: namespace.into(),
        };
        for pod in all_pods(&ward).await {
            ward.sim(&pod.name_any(), None).await;
        }
    }
    storm(&stage).await;
    let acted = operator
        .metric("homeostat_heal_actions_total{namespace=\"crash\",action=\"Evict\",outcome=\"Done\"}")
        .await;
    assert_eq!(acted, Some(2.0));
}

async fn all_pods(ward: &Ward<'_>) -> Vec<Pod> {
    let api: Api<Pod> = Api::namespaced(ward.stage.client.clone(), &ward.namespace);
    api.list(&kube::api::ListParams::default()).await.unwrap().items
}

async fn suspend(ward: &Ward<'_>) {
    ward.stage
        .apply(&healing("shop", "suspended", 2, "  suspend: true"))
        .await;
    ward.deploy("app", 3).await;
    ward.condition("shop", "Ready", "True", "Suspended").await;
    ward.crash("app").await;
}

/// It is evicted, attempts are remembered by owner and have an end, and all of it is told.
async fn lone_crasher(stage: &Stage) {
    let ward = Ward::open(stage, "crash").await;
    ward.deploy("app", 3).await;
    stage.apply(&healing("shop", "crash", 2, "")).await;
    ward.condition("shop", "Healthy", "True", "Healthy").await;
    let first = ward.crash("app").await;
    ward.gone(&first).await;
    stage.event("shop", "CrashLooping").await;
    stage.event(&first, "CrashLooping").await;
    ward.all_ready("app", 3).await;

    let second = ward.crash("app").await;
    ward.gone(&second).await;
    ward.all_ready("app", 3).await;
    let incident = ward.status("shop").await["incidents"][0].clone();
    assert_eq!(incident["attempts"], 2, "counted by owner: {incident:#}");

    let third = ward.crash("app").await;
    let message = ward.condition("shop", "Limited", "True", "LadderExhausted").await;
    assert!(message.contains("2 attempts"), "{message}");
    ward.condition("shop", "Healthy", "False", "NeedsAttention").await;
    let explained = explain(stage, "healingpolicy/shop", "crash");
    for words in [
        "HealingPolicy/crash/shop",
        "a person has to look",
        "LadderExhausted",
        "is in CrashLoopBackOff after",
        "rule crashing, remedy move, attempt 1 of 2",
        "attempt 2 of 2",
        &format!("Evict Pod crash/{second}"),
    ] {
        assert!(explained.contains(words), "{words} is missing in:\n{explained}");
    }

    ward.sim(&third, None).await;
    ward.condition("shop", "Healthy", "True", "Healthy").await;
    assert_eq!(ward.evicted(), [first, second]);
}

fn explain(stage: &Stage, what: &str, namespace: &str) -> String {
    let (code, text, error) = stage.homeostat(&["explain", what, "-n", namespace]);
    assert_eq!(code, Some(0), "{error}");
    text
}

/// Every pod of the template crashes: moving one cannot help.
async fn sick_template(stage: &Stage) {
    let ward = Ward::open(stage, "template").await;
    ward.deploy("app", 3).await;
    for pod in ward.pods("app").await {
        ward.sim(&pod.name_any(), Some("crashloop")).await;
    }
    // While some of them are still well, the first to crash would rightly be moved.
    let all_sick = wait::until("every pod to crash", LIMIT, || async {
        ward.pods("app").await.iter().all(|pod| !is_ready(pod)).then_some(())
    });
    all_sick.await.unwrap();
    stage
        .apply(&healing("shop", "template", 2, "  budget: {maxUnhealthy: 100%}"))
        .await;
    let message = ward.condition("shop", "Limited", "True", "LastReplica").await;
    assert!(message.contains("no other pod of ReplicaSet"), "{message}");
    let well = ward.pods("app").await[0].name_any();
    ward.sim(&well, None).await;
    let message = ward.condition("shop", "Limited", "True", "SiblingsUnhealthy").await;
    assert!(message.contains("moving one cannot help"), "{message}");
    assert_eq!(ward.evicted(), Vec::<String>::new());
}

/// The last one is not taken away.
async fn last_replica(stage: &Stage) {
    let ward = Ward::open(stage, "last").await;
    ward.deploy("app", 1).await;
    stage
        .apply(&healing("shop", "last", 2, "  budget: {maxUnhealthy: 100%}"))
        .await;
    ward.crash("app").await;
    ward.condition("shop", "Limited", "True", "LastReplica").await;
    assert_eq!(ward.evicted(), Vec::<String>::new());
}

/// A PodDisruptionBudget blocks the eviction; nothing is forced, and it is tried again later.
async fn disruption_budget(stage: &Stage) {
    let ward = Ward::open(stage, "pdb").await;
    let budget = |least: u32| {
        format!(
            "{{apiVersion: policy/v1, kind: PodDisruptionBudget, metadata: {{name: app, namespace: pdb}},
  spec: {{minAvailable: {least}, selector: {{matchLabels: {{app: app}}}}}}}}"
        )
    };
    stage.apply(&budget(3)).await;
    ward.deploy("app", 3).await;
    wait::until("the budget to be counted", LIMIT, || async {
        let stored = stage.read("policy/v1", "PodDisruptionBudget", "pdb", "app").await;
        (stored["status"]["currentHealthy"] == 3).then_some(())
    })
    .await
    .unwrap();
    stage.apply(&healing("shop", "pdb", 1, "")).await;
    let pod = ward.crash("app").await;
    let blocked = ward.incident("shop", "Blocked").await;
    assert!(
        blocked["message"].as_str().unwrap().contains("disruption budget"),
        "{blocked:#}"
    );
    assert_eq!(blocked["attempts"], 0, "what was not done is no attempt: {blocked:#}");
    ward.condition("shop", "Limited", "True", "Blocked").await;
    assert_eq!(evictions(stage, "pdb", 429), std::slice::from_ref(&pod), "not hammered");
    stage.apply(&budget(2)).await;
    ward.gone(&pod).await;
    assert_eq!(ward.evicted(), [pod]);
}

/// Two policies, one namespace: together they do no more than the OperatorConfig allows.
async fn namespace_budget(stage: &Stage) {
    let ward = Ward::open(stage, "budget").await;
    let wide = "  selector: {matchLabels: {app: NAME}}\n  budget: {inFlight: 10, maxUnhealthy: 100%}";
    for app in ["a", "b", "c"] {
        ward.deploy(app, 3).await;
        stage
            .apply(&healing(app, "budget", 2, &wide.replace("NAME", app)))
            .await;
        ward.condition(app, "Healthy", "True", "Healthy").await;
    }
    let mut sick = Vec::new();
    for app in ["a", "b", "c"] {
        sick.push(ward.crash(app).await);
    }
    let refused = wait::until("the third to be refused", LIMIT, || async {
        for app in ["a", "b", "c"] {
            let status = ward.status(app).await;
            let limited = status["conditions"]
                .as_array()?
                .iter()
                .find(|c| c["type"] == "Limited")?
                .clone();
            if limited["reason"] == "BudgetExhausted" {
                return limited["message"].as_str().map(str::to_owned);
            }
        }
        None
    });
    let message = refused.await.unwrap();
    assert!(message.contains("2 of 2 healing actions within 1h"), "{message}");
    let both = wait::until("the two that the budget allows", LIMIT, || async {
        (ward.evicted().len() >= 2).then_some(())
    });
    both.await.unwrap();
    assert_eq!(ward.evicted().len(), 2, "{:?} of {sick:?}", ward.evicted());
}

/// Much breaks at once: nothing is healed until it has been calm for a while.
async fn storm(stage: &Stage) {
    let ward = Ward::open(stage, "storm").await;
    for app in ["a", "b", "c"] {
        ward.deploy(app, 4).await;
    }
    // The rule waits for longer than it takes until all of them are ill.
    let wide = "  budget: {inFlight: 10, maxUnhealthy: 100%}";
    let policy = healing("shop", "storm", 2, wide);
    assert!(policy.contains("for: 1s"));
    stage.apply(&policy.replace("for: 1s", "for: 6s")).await;
    ward.condition("shop", "Healthy", "True", "Healthy").await;
    limits(stage, 2, "{brakeAt: 10%, atLeast: 5, calmFor: 5s}").await;
    let mut sick = Vec::new();
    for app in ["a", "b", "c"] {
        for pod in ward.pods(app).await.into_iter().take(2) {
            sick.push(pod.name_any());
        }
    }
    // They fall ill together.
    let api: Api<Pod> = Api::namespaced(stage.client.clone(), "storm");
    let ill = json!({"metadata": {"annotations": {"homeostat.dev/sim": "crashloop"}}});
    let ill = Patch::Merge(ill);
    let params = PatchParams::default();
    let patches = sick.iter().map(|pod| api.patch(pod, &params, &ill));
    for patched in futures::future::join_all(patches).await {
        patched.unwrap();
    }
    let message = ward.condition("shop", "Limited", "True", "Storm").await;
    assert!(message.contains("10 %"), "{message}");
    assert_eq!(ward.evicted(), Vec::<String>::new());

    let last = sick.remove(0);
    for pod in &sick {
        ward.sim(pod, None).await;
    }
    ward.gone(&last).await;
    assert_eq!(ward.evicted(), std::slice::from_ref(&last));
    let calm = calm_since(&ward, &sick).await;
    let event = stage
        .audit()
        .into_iter()
        .find(|e| e["objectRef"]["subresource"] == "eviction" && e["objectRef"]["name"] == last.as_str());
    let at = time(&event.unwrap()["requestReceivedTimestamp"]);
    let waited = at.duration_since(calm);
    assert!(waited.as_secs() >= 5, "healed {waited:?} after it became calm");
}

/// When so few were ill that it was no storm any more.
async fn calm_since(ward: &Ward<'_>, recovered: &[String]) -> k8s_openapi::jiff::Timestamp {
    let mut since = Vec::new();
    for pod in all_pods(ward).await {
        if recovered.contains(&pod.name_any()) {
            let value = serde_json::to_value(&pod).unwrap();
            let conditions = value["status"]["conditions"].as_array().unwrap().clone();
            let ready = conditions.into_iter().find(|c: &Value| c["type"] == "Ready").unwrap();
            since.push(time(&ready["lastTransitionTime"]));
        }
    }
    since.sort_unstable();
    // Of six, five are a storm: it ended with the second recovery.
    since[1]
}
