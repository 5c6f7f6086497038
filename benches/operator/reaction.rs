//! From a sample that Prometheus shows to the replicas that it asks for.

use std::time::{Duration, Instant};

use futures::StreamExt;
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{Api, WatchEvent, WatchParams};
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::figures::Figure;
use crate::objects::{QUICK, QUICK_NAMESPACE};
use crate::scene::Scene;

/// Between two looks at Prometheus.
const LOOK: Duration = Duration::from_millis(5);
/// No reaction takes longer.
const LIMIT: Duration = Duration::from_mins(1);

/// Changes the load so many times, up and down by turns, and waits each time for what comes of it.
pub async fn measure(scene: &Scene, rounds: usize, figures: &mut Vec<Figure>) {
    let (mut replicas, following) = follow(scene);
    let mut took = Vec::with_capacity(rounds);
    for round in 0..rounds {
        let wanted = if round % 2 == 0 { 2 } else { 1 };
        // Not always at the same time after a scrape.
        tokio::time::sleep(Duration::from_millis(round as u64 * 137 % 1000)).await;
        let value = wanted as u64 * 100;
        scene.load.set_quick(value);
        let shown = shown(scene, value).await;
        let changed = tokio::time::timeout(LIMIT, replicas.wait_for(|(seen, _)| *seen == wanted)).await;
        let (_, at) = *changed.expect("replicas follow the load").unwrap();
        took.push(at.saturating_duration_since(shown).as_secs_f64());
    }
    following.abort();
    took.sort_by(f64::total_cmp);
    let share = |p: f64| took[((took.len() as f64 * p).ceil() as usize).clamp(1, took.len()) - 1];
    for (name, value, goal) in [
        ("reaction from sample to replicas at 1 s, median", share(0.5), None),
        ("reaction from sample to replicas at 1 s, 99 %", share(0.99), Some(0.5)),
    ] {
        figures.push(Figure {
            name,
            value,
            unit: "s",
            goal,
        });
    }
}

/// When Prometheus first showed the value.
async fn shown(scene: &Scene, value: u64) -> Instant {
    let url = format!("{}/api/v1/query?query=bench_quick", scene.prometheus.url());
    let client = reqwest::Client::new();
    let began = Instant::now();
    loop {
        assert!(began.elapsed() < LIMIT, "Prometheus does not show {value}");
        let text = client.get(&url).send().await.unwrap().text().await.unwrap();
        let answer: Value = serde_json::from_str(&text).unwrap();
        if answer["data"]["result"][0]["value"][1] == value.to_string().as_str() {
            return Instant::now();
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// The replicas that the Deployment wants, and since when.
fn follow(scene: &Scene) -> (watch::Receiver<(i32, Instant)>, JoinHandle<()>) {
    let (sender, receiver) = watch::channel((0, Instant::now()));
    let api: Api<Deployment> = Api::namespaced(scene.client.clone(), QUICK_NAMESPACE);
    let following = tokio::spawn(async move {
        let params = WatchParams::default().fields(&format!("metadata.name={QUICK}"));
        loop {
            let mut changes = api.watch(&params, "0").await.unwrap().boxed();
            while let Some(Ok(change)) = changes.next().await {
                if let WatchEvent::Added(object) | WatchEvent::Modified(object) = change {
                    let now = object.spec.and_then(|spec| spec.replicas).unwrap_or(0);
                    sender.send_if_modified(|old| {
                        let differs = old.0 != now;
                        if differs {
                            *old = (now, Instant::now());
                        }
                        differs
                    });
                }
            }
        }
    });
    (receiver, following)
}
