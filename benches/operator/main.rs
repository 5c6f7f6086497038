//! The whole operator as it is released, beside a real API server and a real Prometheus: how long many policies take from a cold
//! start, what they cost while nothing changes, and how fast a change of load becomes a change of replicas.
//!
//! `POLICIES` says how many (10,000), `ROUNDS` how often the load changes (50), `SECONDS` how long the quiet is measured (60),
//! `OPERATOR` names another build to be measured instead of this one.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark"
)]

#[path = "../figures.rs"]
mod figures;
mod objects;
mod reaction;
mod ready;
mod scene;
mod usage;

use std::time::{Duration, Instant};

use figures::Figure;
use homeostat_cluster::wait;
use ready::Watch;
use scene::Scene;
use usage::Usage;

/// No policy may take longer than this from a cold start.
const LIMIT: Duration = Duration::from_mins(5);

#[tokio::main]
async fn main() {
    // A run by `cargo test --benches` is none.
    if std::env::args().all(|arg| arg != "--bench") {
        return;
    }
    let count = number("POLICIES", 10_000);
    let scene = Scene::set(count).await;
    let mut figures = Vec::new();
    println!("{count} policies");
    let operator = cold_start(&scene, &mut figures).await;
    quiet(&scene, &operator, &mut figures).await;
    reaction::measure(&scene, number("ROUNDS", 50), &mut figures).await;
    figures::publish(&homeostat_cluster::root(), &figures);
}

fn number(variable: &str, default: usize) -> usize {
    let text = std::env::var(variable).ok();
    text.map_or(default, |text| text.parse().expect(variable))
}

/// From the start of the process until every status says how its policy fares.
async fn cold_start(scene: &Scene, figures: &mut Vec<Figure>) -> scene::Operator {
    let mut watch = Watch::open(&scene.client).await;
    let began = Instant::now();
    let operator = scene.operator();
    let waited = tokio::time::timeout(LIMIT, watch.until(|rows| scene.all_settled(rows))).await;
    if waited.is_err() {
        let rows = watch.rows();
        let log = operator.process.log_tail();
        panic!(
            "not all policies are settled after {LIMIT:?}: {:?}\n{log}",
            scene.unsettled(rows)
        );
    }
    let took = began.elapsed().as_secs_f64();
    let usage = Usage::of(&operator);
    let writes = operator.counter("homeostat_status_writes_total").await;
    let mut note = |name, value, unit, goal| {
        figures.push(Figure {
            name,
            value,
            unit,
            goal,
        });
    };
    note("cold start, until all policies are settled", took, "s", Some(30.0));
    note("cold start, processor time", usage.cpu, "s", None);
    note("cold start, peak resident", usage.peak_mib, "MiB", None);
    let share = writes / scene.count as f64;
    note("cold start, status writes a policy", share, "", None);
    operator
}

/// While nothing changes but values within the tolerance.
async fn quiet(scene: &Scene, operator: &scene::Operator, figures: &mut Vec<Figure>) {
    let pause = Duration::from_secs(2);
    let calm = wait::until("writes to end", Duration::from_mins(2), || async {
        let before = scene.api_writes().await;
        tokio::time::sleep(pause).await;
        (scene.api_writes().await == before).then_some(())
    });
    if let Err(error) = calm.await {
        println!("{error}");
    }
    let window = Duration::from_secs(number("SECONDS", 60) as u64);
    let answers = operator.counter("homeostat_queries_total").await;
    let steps = operator.counter("homeostat_steps_total").await;
    let asked = scene.prometheus_requests().await;
    let writes = scene.api_writes().await;
    let before = Usage::of(operator);
    let began = Instant::now();
    tokio::time::sleep(window).await;
    let seconds = began.elapsed().as_secs_f64();
    let after = Usage::of(operator);
    let written = scene.api_writes().await - writes;
    let asked = scene.prometheus_requests().await - asked;
    let answers = operator.counter("homeostat_queries_total").await - answers;
    let steps = operator.counter("homeostat_steps_total").await - steps;
    let busy = (after.cpu - before.cpu) / seconds * 100.0;
    let mut note = |name, value, unit, goal| {
        figures.push(Figure {
            name,
            value,
            unit,
            goal,
        });
    };
    note("nothing changes, of one processor", busy, "%", Some(5.0));
    note(
        "nothing changes, peak resident so far",
        after.peak_mib,
        "MiB",
        Some(150.0),
    );
    note("nothing changes, resident", after.now_mib, "MiB", None);
    note(
        "nothing changes, requests to Prometheus a second",
        asked / seconds,
        "",
        Some(10.0),
    );
    note("nothing changes, answers a second", answers / seconds, "", None);
    note("nothing changes, steps a second", steps / seconds, "", None);
    note("nothing changes, writes to the API server", written, "", Some(0.0));
}
