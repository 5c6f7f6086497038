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
use homeostat::core::time::{Span, Time};

use figures::Figure;
use worlds::{START, pods, policies, query, sample, targets, usage};

fn main() {
    let mut figures = Vec::new();
    scaling(&mut figures, 100_000);
    by_pods(&mut figures, 1_000);
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
    // What was spent is brought up to date when a thread gives way; otherwise at ticks of several milliseconds.
    std::thread::yield_now();
    let spent = fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanoseconds: Option<f64> = spent.and_then(|text| text.split(' ').next()?.parse().ok());
    nanoseconds.map_or(wall, |ns| ns / 1_000_000.0)
}

fn step(engine: &mut Engine, at: Time) -> f64 {
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

fn observe(engine: &mut Engine, at: Time, events: Vec<Event>) -> f64 {
    let began = cpu_ms();
    for event in events {
        engine.observe(at, event);
    }
    cpu_ms() - began
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
        now = now + Span::from_secs(10);
        for i in 0..count {
            engine.observe(now, sample(query(i), 400 + round, now));
        }
        all.push(step(&mut engine, now));
        for second in 0..5 {
            now = now + Span::from_secs(1);
            let changed = (0..count / 100).map(|i| query(i * 100 + second * 17));
            let samples: Vec<_> = changed.map(|query| sample(query, 410 + round, now)).collect();
            few.push(observe(&mut engine, now, samples) + step(&mut engine, now));
        }
    }
    let memories = engine.state().all_scaling();
    let state: usize = memories.map(|(_, m)| serde_json::to_vec(m).unwrap().len()).sum();
    let pod = observe(&mut engine, now, pods(1_000).collect()) / 1_000.0;
    figures.push(Figure {
        name: "step, 100,000 scaling policies all due",
        value: median(all),
        unit: "ms",
        goal: Some(250.0),
    });
    figures.push(Figure {
        name: "1,000 samples and the step, 1 % of 100,000 policies",
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
    figures.push(Figure {
        name: "a pod is seen beside 100,000 scaling policies",
        value: pod * 1_000.0,
        unit: "us",
        goal: None,
    });
}

/// Policies that look at each of their ten pods, all in one namespace.
fn by_pods(figures: &mut Vec<Figure>, count: usize) {
    let mut engine = Engine::new(START);
    worlds::see(&mut engine);
    for event in targets(count)
        .chain(worlds::resource_policies(count))
        .chain(pods(count * 10))
    {
        engine.observe(START, event);
    }
    let mut runs = Vec::new();
    let mut now = START;
    for round in 0..7 {
        now = now + Span::from_secs(15);
        for i in 0..count {
            engine.observe(now, usage(i, 500 + round, now));
        }
        runs.push(step(&mut engine, now));
    }
    figures.push(Figure {
        name: "step, 1,000 policies on what 10,000 pods use, all due",
        value: median(runs),
        unit: "ms",
        goal: None,
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
