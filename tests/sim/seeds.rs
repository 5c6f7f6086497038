//! Many stories with every guard on: no promise is broken.

use homeostat::sim::{Options, Scenario, run};

use super::support::{all, hours, minimal_story, setting};

/// How long one story is.
const LENGTH: i64 = 20;

#[test]
fn promises_hold() {
    let length = hours(LENGTH);
    let options = Options::default();
    if let Some(seed) = setting("HOMEOSTAT_SIM_SEED") {
        let story = Options { story: true, ..options };
        let ending = run(&Scenario::random(seed, length), &story);
        println!("{}\n{:?}", ending.story.join("\n"), ending.stats);
        assert!(
            ending.violation.is_none(),
            "{}",
            minimal_story(&Scenario::random(seed, length), &Options::default())
        );
        return;
    }
    let wanted = setting("HOMEOSTAT_SIM_HOURS").unwrap_or(200);
    let seeds = wanted.div_ceil(LENGTH.unsigned_abs()).max(1);
    let began = std::time::Instant::now();
    let (stats, failed) = all(0..seeds, |seed| run(&Scenario::random(seed, length), &options));
    println!(
        "{:.0} cluster-hours of at least {} nodes and {} pods: {seeds} seeds, {} events, {} steps, {} actions, {} \
         refusals, {} troubles ({:.1} an hour), in {:.1?}",
        stats.hours(),
        stats.fewest_nodes,
        stats.fewest_pods,
        stats.events,
        stats.steps,
        stats.actions,
        stats.refusals,
        stats.troubles,
        stats.troubles as f64 / stats.hours(),
        began.elapsed(),
    );
    for (seed, ending) in &failed {
        println!("seed {seed}: {}", ending.violation.as_ref().unwrap());
    }
    if let Some((seed, _)) = failed.first() {
        let seed = *seed;
        panic!("{}", minimal_story(&Scenario::random(seed, length), &options));
    }
    assert!(stats.fewest_nodes >= 20 && stats.fewest_pods >= 200, "{stats:?}");
    assert!(stats.troubles as f64 >= 5.0 * stats.hours(), "{stats:?}");
}
