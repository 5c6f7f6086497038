//! The simulator itself: it repeats itself, finds the shortest story, and measures.

use homeostat::core::guard::Safeguard;
use homeostat::core::policy::Direction;
use homeostat::core::quantity::Milli;
use homeostat::core::time::Span;
use homeostat::sim::check::Invariant;
use homeostat::sim::load::Load;
use homeostat::sim::policies::Spec;
use homeostat::sim::{Options, Scenario, run};

use super::support::{all, hours, minimal_story};

#[test]
fn the_order_of_independent_events_means_nothing() {
    let twin = Options {
        twin: true,
        ..Options::default()
    };
    let (_, failed) = all(1000..1012, |seed| run(&Scenario::random(seed, hours(5)), &twin));
    if let Some((seed, _)) = failed.first() {
        panic!("{}", minimal_story(&Scenario::random(*seed, hours(5)), &twin));
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let options = Options {
        twin: true,
        story: true,
        ..Options::default()
    };
    let once = |seed| run(&Scenario::random(seed, hours(4)), &options);
    let (first, again, other) = (once(7), once(7), once(8));
    assert_eq!((first.digest, first.stats), (again.digest, again.stats));
    assert_eq!(first.story, again.story);
    assert_ne!(first.digest, other.digest);
}

#[test]
fn the_shortest_story_has_only_what_matters() {
    let off = Options {
        off: vec![Safeguard::Suspend],
        ..Options::default()
    };
    let broken = |seed| run(&Scenario::random(seed, hours(6)), &off).violation;
    let seed = (0..60).find(|seed| broken(*seed).is_some()).unwrap();
    let scenario = Scenario::random(seed, hours(6));
    let story = minimal_story(&scenario, &off);
    println!("{story}");
    assert!(
        story.contains("BROKEN SuspendedActsNot") && story.contains("is suspended"),
        "{story}"
    );
    let troubles = story.matches("TROUBLE").count();
    assert!(troubles < scenario.troubles.len() / 2, "{story}");
}

#[test]
fn without_trouble_supply_follows_demand() {
    let wave = Load::Diurnal {
        low: 300.0,
        high: 900.0,
        day: Span::from_mins(300),
    };
    let mut scenario = Scenario::calm(3, hours(12)).with_load(&wave);
    for spec in &mut scenario.policies {
        if let Spec::Scaling(policy) = spec {
            // Neither held back nor at rest: all of it follows the load.
            (policy.direction, policy.step) = (Direction::Both, 1);
            (policy.idle, policy.formula) = (None, None);
            policy.schedules.clear();
            for trigger in &mut policy.triggers {
                trigger.activation = Milli::default();
            }
        }
    }
    let ending = run(&scenario, &Options::default());
    assert_eq!(ending.violation, None);
    assert!(ending.scores.len() >= 6);
    for (workload, score) in &ending.scores {
        println!("{workload}: {score}");
        assert!(score.unserved_percent() < 10.0, "{workload}: {score}");
        assert!(score.over_percent() < 60.0, "{workload}: {score}");
        assert!(score.changes_per_day() < 400.0, "{workload}: {score}");
    }
}

#[test]
fn a_story_without_trouble_breaks_nothing_and_heals_nobody() {
    let ending = run(
        &Scenario::calm(11, hours(6)),
        &Options {
            story: true,
            ..Options::default()
        },
    );
    assert_eq!(ending.violation, None);
    let healed = ending
        .story
        .iter()
        .find(|line| line.contains(" Evict ") || line.contains(" Restore "));
    assert_eq!(healed, None);
    assert!(Invariant::ALL.iter().all(|i| !i.promise().is_empty()));
}
