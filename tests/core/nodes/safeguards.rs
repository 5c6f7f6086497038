//! Every safeguard is needed: the same story keeps its promise with it and breaks it without.

use homeostat::core::event::Event;
use homeostat::core::guard::Safeguard;
use homeostat::core::names::ObjectKey;
use homeostat::core::world::{OwnIdentity, ViewState};

use super::bench::{Answer, Bench};
use super::forms::{change, pod, policy, span};

/// Tells the story with and without the safeguard; the promise must hold with it only.
fn needed(safeguard: Safeguard, story: impl Fn(&mut Bench) -> bool) {
    assert!(story(&mut Bench::new()), "{safeguard:?} on: the promise is broken");
    assert!(
        !story(&mut Bench::without(&[safeguard])),
        "{safeguard:?} off: nothing breaks, so it does nothing"
    );
}

fn with(bench: &mut Bench, words: &str) {
    let mut new = policy("general");
    words.split_whitespace().for_each(|word| change(&mut new, word));
    bench.add(new);
}

fn wait(bench: &mut Bench, pods: u32) {
    for n in 0..pods {
        bench.put_pod(pod(&format!("web-{n}/4/1Gi"), bench.now));
    }
}

fn pass(bench: &mut Bench, time: &str) {
    bench.now = bench.now + span(time);
    bench.settle();
}

#[test]
fn the_maximum_holds() {
    needed(Safeguard::PoolBounds, |bench| {
        with(bench, "pools=a:0-2:4:16Gi");
        wait(bench, 5);
        bench.settle();
        bench.ordered.len() <= 2
    });
}

#[test]
fn the_minimum_holds() {
    needed(Safeguard::PoolBounds, |bench| {
        with(bench, "pools=a:1-2:4:16Gi unneeded=1m");
        bench.put_node("general.a-0/4/16Gi/pool:general.a");
        bench.settle();
        pass(bench, "1m");
        pass(bench, "5s");
        bench.nodes.len() == 1
    });
}

#[test]
fn only_empty_nodes_go() {
    needed(Safeguard::EmptyNodesOnly, |bench| {
        with(bench, "unneeded=1m");
        bench.put_node("general.a-0/4/16Gi/pool:general.a");
        bench.put_pod(pod("web-0/1/1Gi/on:general.a-0", bench.now));
        bench.settle();
        pass(bench, "1m");
        pass(bench, "5s");
        bench.harmed.is_empty()
    });
}

#[test]
fn the_whole_view_is_needed() {
    needed(Safeguard::CompleteView, |bench| {
        bench.views(ViewState::Stale);
        with(bench, "");
        wait(bench, 1);
        bench.settle().is_empty()
    });
}

#[test]
fn the_own_node_stays() {
    needed(Safeguard::OwnIdentity, |bench| {
        with(bench, "unneeded=1m");
        bench.observe(Event::Own(OwnIdentity {
            pod: ObjectKey::new("homeostat", "homeostat-0"),
            node: Some("general.a-0".into()),
        }));
        bench.put_node("general.a-0/4/16Gi/pool:general.a");
        bench.settle();
        pass(bench, "1m");
        pass(bench, "5s");
        bench.nodes.len() == 1
    });
}

#[test]
fn suspended_policies_rest() {
    needed(Safeguard::Suspend, |bench| {
        with(bench, "suspend");
        wait(bench, 1);
        bench.settle().is_empty()
    });
}

#[test]
fn one_action_at_a_time() {
    needed(Safeguard::OneAtATime, |bench| {
        with(bench, "unneeded=1m");
        bench.put_node("general.a-0/4/16Gi/pool:general.a");
        bench.settle();
        bench.now = bench.now + span("1m");
        bench.next = Some(Answer::Never);
        bench.step();
        wait(bench, 0);
        bench.put_pod(pod("job-0/1/1Gi/fresh", bench.now));
        bench.step().is_empty()
    });
}
