//! Many seeds at once, and what is printed of a seed that fails.

use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use homeostat::core::time::Span;
use homeostat::sim::shrink::shrink;
use homeostat::sim::{Ending, Options, Scenario, Stats, run};

/// How often a story is told at most to make it shorter.
const TRIES: u32 = 60;
/// So many lines at the end of a story are told whatever they say.
const RECENT: usize = 40;
/// So many seeds that fail are enough.
const ENOUGH: usize = 20;

pub fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

pub fn hours(hours: i64) -> Span {
    Span::from_mins(hours * 60)
}

/// Tells the stories of all seeds, on all processors, and stops after some have failed. Gives the sum of their stats and the
/// seeds that failed, in order.
pub fn all(seeds: std::ops::Range<u64>, tell: impl Fn(u64) -> Ending + Sync) -> (Stats, Vec<(u64, Ending)>) {
    let next = AtomicU64::new(seeds.start);
    let result: Mutex<(Stats, Vec<(u64, Ending)>)> = Mutex::new((Stats::default(), Vec::new()));
    let threads = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end || result.lock().unwrap().1.len() >= ENOUGH {
                        return;
                    }
                    let ending = tell(seed);
                    let mut result = result.lock().unwrap();
                    result.0 = result.0.and(ending.stats);
                    if ending.violation.is_some() {
                        result.1.push((seed, ending));
                    }
                }
            });
        }
    });
    let (stats, mut failed) = result.into_inner().unwrap();
    failed.sort_by_key(|(seed, _)| *seed);
    (stats, failed)
}

/// The shortest story in which the same promise is broken, for people.
pub fn minimal_story(scenario: &Scenario, options: &Options) -> String {
    let mut text = String::new();
    let Some(violation) = run(scenario, options).violation else {
        return "nothing is broken".into();
    };
    let shortest = shrink(scenario, options, violation.invariant, TRIES);
    let told = run(
        &shortest,
        &Options {
            story: true,
            ..options.clone()
        },
    );
    let _ = writeln!(
        text,
        "seed {}: {violation}\nThe shortest story has {} of {} troubles. Told by HOMEOSTAT_SIM_SEED={}:",
        scenario.seed,
        shortest.troubles.len(),
        scenario.troubles.len(),
        scenario.seed,
    );
    // What went wrong from the start, and what was done last.
    let recent = told.story.len().saturating_sub(RECENT);
    let matters = |line: &str| {
        ["TROUBLE", "over:", "the operator starts"]
            .iter()
            .any(|w| line.contains(w))
    };
    for (number, line) in told.story.iter().enumerate() {
        if number >= recent || matters(line) {
            let _ = writeln!(text, "  {line}");
        }
    }
    text
}
