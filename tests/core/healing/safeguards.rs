//! Every safeguard is needed: the same story keeps its promise with it and breaks it without.

use homeostat::core::event::{Event, Outcome};
use homeostat::core::guard::Safeguard;
use homeostat::core::names::ObjectKey;
use homeostat::core::plan::Action;
use homeostat::core::time::Span;
use homeostat::core::world::{OwnIdentity, ViewState};

use super::bench::{Bench, change, pod, policy, sick};

/// Tells the story with and without the safeguard; the promise must hold with it only.
fn needed(safeguard: Safeguard, story: impl Fn(&mut Bench) -> bool) {
    assert!(story(&mut Bench::new(&[])), "{safeguard:?} on: the promise is broken");
    assert!(
        !story(&mut Bench::new(&[safeguard])),
        "{safeguard:?} off: nothing breaks, so it does nothing"
    );
}

fn begin(bench: &mut Bench, settings: &str, well: &[&str], crashing: &[&str]) {
    let mut new = policy("p");
    settings.split_whitespace().for_each(|word| change(&mut new, word));
    bench.add(new, Vec::new());
    for name in well {
        bench.show(pod(name, bench.now));
    }
    for name in crashing {
        let new = sick(pod(name, bench.now), "crash", bench.now);
        bench.show(new);
    }
}

fn minutes(bench: &mut Bench, minutes: i64) -> Vec<Action> {
    bench.run(bench.now + Span::from_mins(minutes))
}

#[test]
fn attempts_end() {
    needed(Safeguard::AttemptLimit, |bench| {
        begin(bench, "", &["web-1", "web-2"], &["web-3"]);
        bench.replacement = "crash".into();
        minutes(bench, 55).len() == 2
    });
}

#[test]
fn budgets_hold() {
    needed(Safeguard::HealingBudget, |bench| {
        bench.limits(|limits| limits.healing_per_window = 1);
        begin(
            bench,
            "inFlight=9",
            &["a-1", "a-2", "b-1", "b-2", "c-1"],
            &["a-3", "b-3"],
        );
        minutes(bench, 10).len() == 1
    });
}

#[test]
fn siblings_are_looked_at() {
    needed(Safeguard::HealthySiblings, |bench| {
        begin(bench, "", &[], &["web-1", "web-2"]);
        minutes(bench, 10).is_empty()
    });
}

#[test]
fn storms_brake() {
    needed(Safeguard::StormBrake, |bench| {
        begin(
            bench,
            "maxUnhealthy=100 inFlight=9",
            &["a-1", "a-2", "b-1", "b-2", "c-1", "c-2", "d-1", "d-2", "e-1", "e-2"],
            &["a-3", "b-3", "c-3", "d-3", "e-3"],
        );
        minutes(bench, 10).is_empty()
    });
}

#[test]
fn suspended_acts_not_at_all() {
    needed(Safeguard::Suspend, |bench| {
        begin(bench, "suspend", &["web-1", "web-2"], &["web-3"]);
        minutes(bench, 10).is_empty()
    });
}

#[test]
fn whole_picture_first() {
    needed(Safeguard::CompleteView, |bench| {
        bench.views(ViewState::Stale);
        begin(bench, "", &["web-1", "web-2"], &["web-3"]);
        minutes(bench, 10).is_empty()
    });
}

#[test]
fn never_the_operator_itself() {
    needed(Safeguard::OwnIdentity, |bench| {
        bench.observe(Event::Own(OwnIdentity {
            pod: ObjectKey::new("shop", "web-3"),
            node: None,
        }));
        begin(bench, "", &["web-1", "web-2"], &["web-3"]);
        minutes(bench, 10).is_empty()
    });
}

#[test]
fn one_at_a_time() {
    needed(Safeguard::OneAtATime, |bench| {
        begin(bench, "wait=1s", &["web-1", "web-2"], &["web-3"]);
        bench.limits(|limits| limits.action_timeout = Span::from_mins(60));
        bench.never_answer();
        minutes(bench, 10).len() == 1
    });
}

#[test]
fn only_the_current_revision() {
    needed(Safeguard::CurrentRevisionOnly, |bench| {
        bench.declare("r1", true, &["Service/web"]);
        bench.step();
        bench.declare("r2", true, &["Service/api"]);
        bench.drift("Service/web", "missing");
        bench.step().is_empty()
    });
}

#[test]
fn fights_are_backed_off_from() {
    needed(Safeguard::FightBackOff, |bench| {
        bench.declare("r1", true, &["Service/web"]);
        let mut times = 0;
        for _ in 0..30 {
            bench.drift("Service/web", "changed");
            times += bench.step().len();
            bench.now = bench.now + Span::from_secs(1);
        }
        times == 5
    });
}

#[test]
fn an_attempt_that_was_not_made_costs_nothing() {
    let mut bench = Bench::new(&[]);
    begin(&mut bench, "perHour=1", &["web-1", "web-2"], &["web-3"]);
    bench.answers.push(Outcome::Skipped {
        message: "not the leader".into(),
    });
    assert_eq!(minutes(&mut bench, 4).len(), 2);
    assert_eq!(bench.incidents("p")[0].attempts, 1);
}
