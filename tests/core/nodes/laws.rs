//! Laws over random stories.

use std::collections::BTreeSet;

use homeostat::core::engine::Engine;
use homeostat::core::event::{Event, Outcome};
use homeostat::core::plan::Deed;
use homeostat::core::state::State;
use proptest::prelude::*;

use super::bench::{Answer, Bench};
use super::forms::{START, change, condition, pod, policy, span};

/// What happens in a story.
#[derive(Clone, Debug)]
enum Turn {
    /// So many pods of this size come, and wait.
    Pods(u32, u32),
    /// Every n-th pod goes.
    Leave(usize),
    /// What was asked for comes.
    Come(bool),
    /// All nodes become Ready.
    Ready,
    /// The scheduler places what it can.
    Schedule,
    /// The next action is answered so.
    Next(u8),
    /// A node breaks.
    Break(usize),
    /// A new engine looks at the same world.
    Restart,
    /// Seconds pass.
    Wait(i64),
}

fn turns(with_failures: bool) -> impl Strategy<Value = Turn> {
    let rare = u32::from(with_failures);
    prop_oneof![
        4 => (1..8_u32, 1..40_u32).prop_map(|(n, size)| Turn::Pods(n, size)),
        3 => (1..4_usize).prop_map(Turn::Leave),
        3 => any::<bool>().prop_map(Turn::Come),
        2 => Just(Turn::Ready),
        4 => Just(Turn::Schedule),
        2 * rare => (0..6_u8).prop_map(Turn::Next),
        rare => (0..9_usize).prop_map(Turn::Break),
        rare => Just(Turn::Restart),
        8 => (1..400_i64).prop_map(Turn::Wait),
    ]
}

fn answer(kind: u8) -> Answer {
    let message = || "as the law says".to_owned();
    match kind {
        0 => Answer::With(Outcome::Failed { message: message() }),
        1 => Answer::With(Outcome::Unknown { message: message() }),
        2 => Answer::UnknownButDone,
        3 => Answer::Never,
        4 => Answer::With(Outcome::Skipped { message: message() }),
        _ => Answer::With(Outcome::Conflict {
            message: message(),
            found: None,
        }),
    }
}

fn live(bench: &mut Bench, turn: &Turn, count: &mut u32) {
    match turn {
        Turn::Pods(pods, size) => {
            for _ in 0..*pods {
                *count += 1;
                let text = format!("p{count}/{}m/{size}00Mi", u64::from(*size) * 100);
                bench.put_pod(pod(&text, bench.now));
            }
        }
        Turn::Leave(nth) => {
            let names: Vec<String> = bench.pods.keys().step_by(*nth).map(|k| k.name.clone()).collect();
            for name in &names {
                bench.drop_pod(name);
            }
        }
        Turn::Come(ready) => bench.come(*ready),
        Turn::Ready => {
            let names: Vec<String> = bench.nodes.keys().cloned().collect();
            for name in &names {
                bench.ready(name);
            }
        }
        Turn::Schedule => bench.schedule(),
        Turn::Next(kind) => bench.next = Some(answer(*kind)),
        Turn::Break(index) => {
            if let Some(name) = bench.nodes.keys().nth(*index).cloned() {
                let now = bench.now;
                bench.change_node(&name, |n| n.ready = condition(false, now));
            }
        }
        Turn::Restart => bench.restart(),
        Turn::Wait(seconds) => bench.now = bench.now + span(&format!("{seconds}s")),
    }
}

fn setup(words: &str) -> Bench {
    let mut bench = Bench::new();
    let mut new = policy("general");
    words.split_whitespace().for_each(|word| change(&mut new, word));
    bench.add(new);
    bench
}

fn in_pool(names: impl Iterator<Item = String>, pool: &str) -> usize {
    names.filter(|n| n.starts_with(&format!("general.{pool}-"))).count()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Bounds, no pod harmed, no name asked for while its object may be there, and rest when nothing changes.
    #[test]
    fn any_story_keeps_the_promises(failures in any::<bool>(), story in prop::collection::vec(turns(true), 1..60)) {
        let mut bench = setup("pools=a:1-4:4:8Gi,b:0-3:8:16Gi unneeded=1m timeout=5m");
        let mut count = 0;
        for turn in story {
            if !failures && matches!(turn, Turn::Next(_) | Turn::Restart | Turn::Break(_)) {
                continue;
            }
            live(&mut bench, &turn, &mut count);
            let there: BTreeSet<String> = bench.nodes.keys().chain(bench.ordered.keys()).cloned().collect();
            let asked: Vec<String> = bench.settle().iter().filter_map(|a| match &a.what {
                Deed::AddNode { node, .. } => Some(node.clone()),
                _ => None,
            }).collect();
            for (pool, max) in [("a", 4), ("b", 3)] {
                let all: BTreeSet<String> = bench.nodes.keys().chain(bench.ordered.keys()).cloned().collect();
                prop_assert!(in_pool(all.into_iter(), pool) <= max, "pool {}", pool);
            }
            for name in &asked {
                prop_assert!(!bench.nodes.contains_key(name), "{} is there", name);
                // Only what did not come in time is asked for a second time.
                let late = bench.now.since(START) >= span("5m");
                prop_assert!(failures || late || !there.contains(name), "{} was asked for twice", name);
            }
            prop_assert!(bench.harmed.is_empty(), "{:?}", bench.harmed);
            bench.step();
            prop_assert!(bench.plans.last().is_some_and(homeostat::core::plan::Plan::is_empty));
            // The whole state goes through JSON and back, and goes on as if nothing had happened.
            let json = serde_json::to_string(bench.engine.state()).unwrap();
            let state: State = serde_json::from_str(&json).unwrap();
            prop_assert_eq!(&state, bench.engine.state());
            let mut twin = Engine::resume(state);
            prop_assert!(twin.step(bench.now).is_empty());
            // The order of independent events changes nothing.
            let events = [
                Event::Pod(Box::new(pod("x-0/1/1Gi", bench.now))),
                Event::Pod(Box::new(pod("x-1/7/1Gi", bench.now))),
                Event::NodeGone("general.a-0".into()),
                Event::Pod(Box::new(pod("x-2/1/1Gi", bench.now))),
            ];
            let mut other = twin.clone();
            for (forth, back) in events.iter().zip(events.iter().rev()) {
                twin.observe(bench.now, forth.clone());
                other.observe(bench.now, back.clone());
            }
            prop_assert_eq!(twin.step(bench.now), other.step(bench.now));
        }
    }

    /// Whoever fits gets a place; when all have gone, all nodes go.
    #[test]
    fn everybody_gets_a_place_and_nothing_is_left_over(sizes in prop::collection::vec(1..40_u32, 1..60)) {
        let mut bench = setup("pools=a:0-99:4:8Gi,b:0-99:8:16Gi unneeded=1m");
        for (n, size) in sizes.iter().enumerate() {
            let text = format!("p{n}/{}m/{size}00Mi", size * 100);
            bench.put_pod(pod(&text, bench.now));
        }
        bench.settle();
        let promised = bench.ordered.len();
        prop_assert!(promised <= sizes.len());
        bench.come(false);
        bench.settle();
        for name in bench.nodes.keys().cloned().collect::<Vec<_>>() {
            bench.ready(&name);
            bench.schedule();
            bench.settle();
        }
        // A scheduler that places otherwise may need some more.
        for _ in 0..4 {
            bench.come(true);
            bench.schedule();
            bench.settle();
        }
        prop_assert!(bench.pods.values().all(|p| p.node.is_some()));
        for name in bench.pods.keys().map(|k| k.name.clone()).collect::<Vec<_>>() {
            bench.drop_pod(&name);
        }
        for _ in 0..30 {
            bench.settle();
            bench.now = bench.now + span("31s");
        }
        prop_assert!(bench.nodes.is_empty());
    }

    /// A new engine in the middle of a request asks for the same nodes, and for no others.
    #[test]
    fn a_restart_repeats_nothing(sizes in prop::collection::vec(1..40_u32, 1..60), there in 0..5_u32) {
        let mut bench = setup("pools=a:1-99:4:8Gi,b:0-99:8:16Gi");
        for n in 0..there {
            bench.put_node(&format!("general.a-{}/4/8Gi/pool:general.a", n * 2));
        }
        for (n, size) in sizes.iter().enumerate() {
            let text = format!("p{n}/{}m/{size}00Mi", size * 100);
            bench.put_pod(pod(&text, bench.now));
        }
        bench.settle();
        let ordered: Vec<String> = bench.ordered.keys().cloned().collect();
        bench.restart();
        bench.settle();
        prop_assert_eq!(&ordered, &bench.ordered.keys().cloned().collect::<Vec<_>>());
        bench.come(false);
        bench.restart();
        prop_assert!(bench.settle().is_empty());
    }
}
