//! Every safeguard is needed: the same story keeps its promise with it and breaks it without.

use homeostat::core::guard::Safeguard;
use homeostat::core::names::Uid;
use homeostat::core::time::Span;
use homeostat::core::world::ViewState;

use super::bench::{Bench, change, policy, query};

/// Tells the story with and without the safeguard; the promise must hold with it only.
fn needed(safeguard: Safeguard, replicas: u32, story: impl Fn(&mut Bench) -> bool) {
    assert!(
        story(&mut Bench::new(replicas)),
        "{safeguard:?} on: the promise is broken"
    );
    assert!(
        !story(&mut Bench::without(replicas, &[safeguard])),
        "{safeguard:?} off: nothing breaks, so it does nothing"
    );
}

fn with(bench: &mut Bench, words: &str) {
    let mut new = policy("p");
    words.split_whitespace().for_each(|word| change(&mut new, word));
    bench.add(new);
    bench.show_target();
}

#[test]
fn missing_data_hold() {
    needed(Safeguard::HoldOnMissingData, 10, |bench| {
        with(bench, "down-window=0s");
        bench.sample("rps", "empty");
        bench.step();
        bench.replicas() == 10
    });
}

#[test]
fn bounds_hold() {
    needed(Safeguard::ReplicaBounds, 10, |bench| {
        with(bench, "max=12");
        bench.sample("rps", "9000");
        bench.step();
        bench.replicas() <= 12
    });
}

#[test]
fn rates_hold() {
    needed(Safeguard::RateLimits, 10, |bench| {
        with(bench, "up=Max:1/1m");
        bench.sample("rps", "9000");
        bench.step();
        bench.replicas() <= 11
    });
    needed(Safeguard::RateLimits, 10, |bench| {
        with(bench, "down-window=5m");
        bench.sample("rps", "100");
        bench.step();
        bench.replicas() == 10
    });
}

#[test]
fn one_policy_acts() {
    needed(Safeguard::OnePolicyPerTarget, 10, |bench| {
        with(bench, "");
        let mut newer = policy("a");
        change(&mut newer, "created=1m");
        change(&mut newer, "min=20");
        bench.add(newer);
        bench.sample("rps", "1000");
        bench.step();
        bench.replicas() == 10
    });
}

#[test]
fn fights_end() {
    needed(Safeguard::FightBackOff, 3, |bench| {
        with(bench, "up=Max:100/15s");
        let mut writes = 0;
        for second in 0..60 {
            bench.now = bench.now + Span::from_secs(1);
            bench.sample("rps", "900");
            writes += bench.step().len();
            if second % 2 == 0 {
                bench.set(3, Some("argocd-controller"));
            }
        }
        writes <= 5
    });
}

#[test]
fn suspended_policies_rest() {
    needed(Safeguard::Suspend, 50, |bench| {
        with(bench, "max=10 suspend");
        bench.step().is_empty()
    });
}

#[test]
fn the_whole_view_is_needed() {
    needed(Safeguard::CompleteView, 10, |bench| {
        bench.views(ViewState::Stale);
        with(bench, "");
        bench.sample("rps", "9000");
        bench.step().is_empty()
    });
}

#[test]
fn one_action_at_a_time() {
    needed(Safeguard::OneAtATime, 3, |bench| {
        with(bench, "");
        bench.sample("rps", "900");
        bench.next = Some(super::bench::Answer::Never);
        bench.step();
        bench.sample("rps", "1000");
        bench.step().is_empty()
    });
}

/// Whoever watches targets sees no difference when a policy is deleted and made again between two steps.
#[test]
fn a_policy_made_again_at_once_knows_its_target() {
    let mut bench = Bench::new(3);
    with(&mut bench, "");
    bench.step();
    bench.observe(homeostat::core::event::Event::PolicyGone(super::bench::policy_key("p")));
    let mut again = policy("p");
    again.meta.uid = Uid("again".into());
    bench.add(again);
    bench.sample("rps", "600");
    assert_eq!(bench.step().len(), 1);
}

#[test]
fn indexes_follow_policies() {
    let mut bench = Bench::new(3);
    with(&mut bench, "triggers=rps:avg:100,queue:avg:5");
    bench.sample("queue", "5");
    with(&mut bench, "triggers=rps:avg:100");
    assert_eq!(bench.engine.queries().len(), 1);
    assert!(bench.engine.state().sample(&query("queue")).is_none());
    let mut other = policy("p");
    other.meta.uid = Uid("other".into());
    other.target.name = "api".into();
    bench.add(other);
    assert_eq!(bench.engine.targets().len(), 1);
    bench.step();
    assert_eq!(bench.engine.state().world.targets.seen().count(), 0);
    bench.observe(homeostat::core::event::Event::PolicyGone(super::bench::policy_key("p")));
    assert!(bench.engine.queries().is_empty() && bench.engine.targets().is_empty());
}
