//! Tables of cases: `tests/cases/nodes/*.txt`. The format is told in `tests/cases/nodes/README.md`.

use std::fmt::Write as _;

use homeostat::core::event::{Event, Outcome};
use homeostat::core::names::ObjectKey;
use homeostat::core::plan::{Action, Plan};
use homeostat::core::world::{OwnIdentity, ViewState};

use super::bench::{Answer, Bench, short};
use super::forms::{START, change, condition, key, pod, policy, span};
use crate::tables;

#[test]
fn cases() {
    tables::run("nodes", 60, run_file);
}

fn run_file(file: &str, text: &str, failures: &mut String) -> usize {
    let (mut count, mut title, mut bench) = (0, "", Bench::new());
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (first, rest) = line.split_once(' ').unwrap_or((line, ""));
        let place = format!("{file}:{} ({title})", index + 1);
        if first == "case" {
            (count, title, bench) = (count + 1, rest, Bench::new());
        } else if let Some(name) = first.strip_prefix("policy") {
            let mut new = policy(name.strip_prefix(':').unwrap_or("general"));
            rest.split_whitespace().for_each(|word| change(&mut new, word));
            bench.add(new);
        } else {
            step(&mut bench, first, rest, &place, failures);
        }
    }
    count
}

fn step(bench: &mut Bench, at: &str, line: &str, place: &str, failures: &mut String) {
    let (events, expected) = line.split_once("=>").unwrap_or((line, ""));
    bench.now = START + span(at);
    events.split_whitespace().for_each(|word| event(bench, word));
    let first_plan = bench.plans.len();
    let actions = bench.settle();
    for word in expected.split_whitespace() {
        if let Err(actual) = check(bench, word, &actions, &bench.plans[first_plan..]) {
            let _ = writeln!(
                failures,
                "{place}\n    expected {word}\n    actual   {actual}\n{}",
                picture(bench, &actions)
            );
        }
    }
    let (now, reports) = (bench.now, bench.engine.state().reports.clone());
    let rest = bench.engine.step(now);
    if !rest.is_empty() || bench.engine.state().reports != reports {
        let _ = writeln!(failures, "{place}\n    a step when nothing changed gives {rest:?}");
    }
}

/// `web*3` stands for `web-0`, `web-1` and `web-2`.
fn each(text: &str) -> Vec<String> {
    let (head, tail) = text.split_at(text.find(['/', '@']).unwrap_or(text.len()));
    match head.split_once('*') {
        None => vec![text.to_owned()],
        Some((name, count)) => {
            let count: u32 = count.parse().unwrap();
            (0..count).map(|n| format!("{name}-{n}{tail}")).collect()
        }
    }
}

fn event(bench: &mut Bench, word: &str) {
    let (name, value) = word.split_once('=').unwrap_or((word, ""));
    let now = bench.now;
    match name {
        "pod" => each(value).iter().for_each(|text| bench.put_pod(pod(text, now))),
        "bind" => {
            for text in each(value) {
                let (pod, node) = text.split_once('@').unwrap();
                bench.bind(pod, node);
            }
        }
        "podgone" => each(value).iter().for_each(|name| bench.drop_pod(name)),
        "schedule" => bench.schedule(),
        "node" => each(value).iter().for_each(|text| bench.put_node(text)),
        "nodegone" => each(value).iter().for_each(|name| bench.drop_node(name)),
        "come" => bench.come(value == "ready"),
        "lost" => bench.ordered.clear(),
        "ready" => each(value).iter().for_each(|name| bench.ready(name)),
        "unready" => bench.change_node(value, |n| n.ready = condition(false, now)),
        "cordon" => bench.change_node(value, |n| n.unschedulable = true),
        "protect" => bench.change_node(value, |n| n.do_not_remove = true),
        "unmarked" => bench.change_node(value, |n| n.taints.clear()),
        "deleting" => bench.change_node(value, |n| n.deleting = Some(now)),
        "own" => bench.observe(Event::Own(OwnIdentity {
            pod: ObjectKey::new("homeostat", "homeostat-0"),
            node: Some(value.into()),
        })),
        "failed" => bench.observe(Event::NodeFailed {
            node: value.into(),
            message: "out of stock".into(),
        }),
        "views" => bench.views(if value == "stale" {
            ViewState::Stale
        } else {
            ViewState::Current
        }),
        "next" => bench.next = Some(answer(value)),
        "restart" => bench.restart(),
        "delete" => {
            bench.policies.retain(|p| p.meta.key != key(value));
            bench.observe(Event::PolicyGone(key(value)));
        }
        "set" => {
            let mut changed = bench.policies[0].clone();
            change(&mut changed, value);
            changed.meta.generation += 1;
            bench.add(changed);
        }
        other => panic!("unknown event {other}"),
    }
}

fn check(bench: &Bench, word: &str, actions: &[Action], plans: &[Plan]) -> Result<(), String> {
    let equal = |actual: String, expected: &str| if actual == expected { Ok(()) } else { Err(actual) };
    let shown: Vec<String> = actions.iter().map(short).collect();
    let actions_expected = ["add:", "mark:", "unmark:", "remove:"];
    if word == "-" || actions_expected.iter().any(|verb| word.starts_with(verb)) {
        return equal(if shown.is_empty() { "-".into() } else { shown.join(",") }, word);
    }
    let (name, expected) = word.split_once('=').unwrap_or((word, ""));
    let (name, policy) = name.split_once('@').unwrap_or((name, "general"));
    let state = bench.engine.state();
    let pools = bench.pools(policy);
    let numbers = |of: &dyn Fn(&homeostat::core::report::PoolReport) -> String| {
        let all = pools.into_iter().flat_map(|p| &p.pools).map(of);
        all.collect::<Vec<_>>().join(",")
    };
    match name {
        "count" => equal(shown.len().to_string(), expected),
        "why" => equal(
            actions
                .iter()
                .map(|a| a.reason.to_string())
                .collect::<Vec<_>>()
                .join(","),
            expected,
        ),
        "refused" => {
            let refusals = state.refusals.get(&key(policy)).into_iter().flatten();
            equal(
                refusals.map(|r| r.reason.to_string()).collect::<Vec<_>>().join(","),
                expected,
            )
        }
        "nodes" => equal(numbers(&|p| p.nodes.to_string()), expected),
        "incoming" => equal(numbers(&|p| p.incoming.to_string()), expected),
        "target" => equal(numbers(&|p| p.target.to_string()), expected),
        "reason" => equal(numbers(&|p| p.reason.to_string()), expected),
        "waits" => equal(numbers(&|p| p.waiting_pods.to_string()), expected),
        "waiting" => equal(pools.map_or(0, |p| p.waiting_pods).to_string(), expected),
        "reports" => equal(
            plans.iter().map(|p| p.reports.len()).sum::<usize>().to_string(),
            expected,
        ),
        "wake" => {
            let at = plans.last().and_then(|p| p.wake_at);
            equal(at.map_or("none".into(), |at| at.since(START).to_string()), expected)
        }
        "says" => {
            let text = picture(bench, actions).replace(' ', "_");
            if text.contains(expected) { Ok(()) } else { Err(text) }
        }
        kind if kind.starts_with(char::is_uppercase) => {
            let condition = bench.report(policy).and_then(|r| r.condition(kind));
            equal(
                condition.map_or("none".into(), |c| format!("{:?}/{}", c.status, c.reason)),
                expected,
            )
        }
        other => panic!("unknown expectation {other}"),
    }
}

/// All that can be seen, for whoever reads a failure.
fn picture(bench: &Bench, actions: &[Action]) -> String {
    let mut text = String::new();
    for node in bench.nodes.values() {
        let marks: Vec<_> = node.taints.iter().map(|t| t.key.as_str()).collect();
        let _ = writeln!(
            text,
            "    node     {} ready={} {}",
            node.name,
            node.is_ready(),
            marks.join(" ")
        );
    }
    for action in actions {
        let _ = writeln!(
            text,
            "    action   {} {} {}",
            short(action),
            action.reason,
            action.message
        );
    }
    for policy in &bench.policies {
        let key = &policy.meta.key;
        for c in bench.report(&key.name).into_iter().flat_map(|r| &r.conditions) {
            let _ = writeln!(text, "    {key}  {}={:?}/{} {}", c.kind, c.status, c.reason, c.message);
        }
        for r in bench.engine.state().refusals.get(key).into_iter().flatten() {
            let _ = writeln!(text, "    refused  {} {} {} {}", r.verb, r.subject, r.reason, r.message);
        }
    }
    text
}

fn answer(text: &str) -> Answer {
    let message = || "as the case says".to_owned();
    match text {
        "unknown" => Answer::With(Outcome::Unknown { message: message() }),
        "unknown-but-done" => Answer::UnknownButDone,
        "blocked" => Answer::With(Outcome::Blocked { message: message() }),
        "failed" => Answer::With(Outcome::Failed { message: message() }),
        "skipped" => Answer::With(Outcome::Skipped { message: message() }),
        "never" => Answer::Never,
        "done-unseen" => Answer::DoneUnseen,
        "conflict" => Answer::With(Outcome::Conflict {
            message: message(),
            found: None,
        }),
        other => panic!("unknown answer {other}"),
    }
}
