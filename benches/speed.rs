//! Speeds of the engine, without the world around it.

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark")]

mod figures;
mod worlds;

use std::fs;
use std::path::Path;
use std::sync::OnceLock;
use std::time::Instant;

use homeostat::core::engine::Engine;
use homeostat::core::event::{Event, Outcome};
use homeostat::core::time::Span;

use figures::Figure;
use worlds::{START, pods, policies, query, sample, targets};

fn main() {
    let mut figures = Vec::new();
    scaling(&mut figures, 100_000);
    healing(&mut figures, 10_000);
    figures::publish(Path::new(env!("CARGO_MANIFEST_DIR")), &figures);
}

/// The median of several runs, in milliseconds.
fn median(mut runs: Vec<f64>) -> f64 {
    runs.sort_by(f64::total_cmp);
    runs[runs.len() / 2]
}

/// What this thread has spent on a processor, in milliseconds: other load on the machine does not count. Wall time where the
/// kernel does not tell.
fn cpu_ms() -> f64 {
    static START: OnceLock<Instant> = OnceLock::new();
    let wall = START.get_or_init(Instant::now).elapsed().as_secs_f64() * 1000.0;
    let spent = fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanoseconds: Option<f64> = spent.and_then(|text| text.split(' ').next()?.parse().ok());
    nanoseconds.map_or(wall, |ns| ns / 1_000_000.0)
}

fn step(engine: &mut Engine, at: homeostat::core::time::Time) -> f64 {
    let began = cpu_ms();
    let plan = engine.step(at);
    let took = cpu_ms() - began;
    for action in &plan.actions {
        let outcome = Outcome::Done;
        engine.observe(
            at,
            Event::Outcome {
                action: action.id.clone(),
                outcome,
            },
        );
    }
    took
}

fn scaling(figures: &mut Vec<Figure>, count: usize) {
    let mut engine = Engine::new(START);
    worlds::see(&mut engine);
    for event in targets(count).chain(policies(count)) {
        engine.observe(START, event);
    }
    let mut now = START;
    let (mut all, mut few) = (Vec::new(), Vec::new());
    for round in 0..7 {
        now = now + Span::from_secs(15);
        for i in 0..count {
            engine.observe(now, sample(query(i), 400 + round, now));
        }
        all.push(step(&mut engine, now));
        now = now + Span::from_secs(1);
        for i in 0..count / 100 {
            engine.observe(now, sample(query(i * 100), 410 + round, now));
        }
        few.push(step(&mut engine, now));
    }
    let state = serde_json::to_value(engine.state()).unwrap()["scaling"]
        .to_string()
        .len();
    figures.push(Figure {
        name: "step, 100,000 scaling policies all due",
        value: median(all),
        unit: "ms",
        goal: Some(250.0),
    });
    figures.push(Figure {
        name: "step, 1 % of 100,000 scaling policies changed",
        value: median(few),
        unit: "ms",
        goal: Some(5.0),
    });
    figures.push(Figure {
        name: "decision state of a scaling policy, as JSON",
        value: state as f64 / count as f64,
        unit: "B",
        goal: Some(2048.0),
    });
}

fn healing(figures: &mut Vec<Figure>, count: usize) {
    let mut engine = Engine::new(START);
    worlds::see(&mut engine);
    engine.observe(START, worlds::healing_policy());
    for pod in pods(count) {
        engine.observe(START, pod);
    }
    let mut runs = Vec::new();
    let mut now = START;
    step(&mut engine, now);
    for round in 0..7 {
        now = now + Span::from_secs(60);
        engine.observe(now, worlds::restarted_pod(round, now));
        runs.push(step(&mut engine, now));
    }
    figures.push(Figure {
        name: "step, one of 10,000 pods changed under a healing policy",
        value: median(runs),
        unit: "ms",
        goal: None,
    });
}
