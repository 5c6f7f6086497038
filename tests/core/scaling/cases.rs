//! Tables of cases: `tests/cases/scaling/*.txt`. The format is told in `tests/cases/scaling/README.md`.

use std::fmt::Write as _;

use homeostat::core::event::{Event, Outcome};
use homeostat::core::plan::{Action, Plan};
use homeostat::core::policy::ScalingPolicy;
use homeostat::core::quantity::Replicas;
use homeostat::core::report::{Original, ScaleEvent, ScalingHistory, TriggerReport};
use homeostat::core::world::ViewState;

use super::bench::{Answer, Bench, START, arrow, change, pod, policy, policy_key, span};
use crate::tables;

struct Runner {
    bench: Bench,
    policies: Vec<ScalingPolicy>,
    last: &'static str,
}

#[test]
fn cases() {
    tables::run("scaling", 60, run_file);
}

fn run_file(file: &str, text: &str, failures: &mut String) -> usize {
    let (mut count, mut title, mut runner) = (0, "", None::<Runner>);
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (first, rest) = line.split_once(' ').unwrap_or((line, ""));
        if first == "case" {
            (count, title, runner) = (count + 1, rest, None);
            continue;
        }
        let place = format!("{file}:{} ({title})", index + 1);
        if first == "target" {
            let mut new = Runner {
                bench: Bench::new(0),
                policies: Vec::new(),
                last: "",
            };
            new.events(rest);
            runner = Some(new);
            continue;
        }
        let runner = runner.get_or_insert_with(|| panic!("{place}: no target yet"));
        if let Some(name) = first.strip_prefix("policy") {
            runner.policy(if name.is_empty() { "p" } else { &name[1..] }, rest);
        } else {
            runner.step(first, rest, &place, failures);
        }
    }
    count
}

impl Runner {
    fn policy(&mut self, name: &str, words: &str) {
        let mut new = policy(name);
        let mut history = ScalingHistory::default();
        for word in words.split_whitespace() {
            match word.split_once('=') {
                Some(("history", list)) => history.scale_events = list.split(',').map(scale_event).collect(),
                Some(("original", size)) => history.original = self.original(size),
                _ => change(&mut new, word),
            }
        }
        self.policies.push(new.clone());
        self.bench.observe(Event::ScalingPolicy {
            policy: Box::new(new),
            history,
        });
    }

    /// What the target that is there had once.
    fn original(&self, size: &str) -> Option<Original> {
        let uid = self.bench.target.as_ref()?.uid.clone();
        let replicas = Replicas::new(size.parse().unwrap());
        Some(Original { replicas, uid })
    }

    fn step(&mut self, at: &str, line: &str, place: &str, failures: &mut String) {
        let (events, expected) = line.split_once("=>").unwrap_or((line, ""));
        self.bench.now = START + span(at);
        self.events(events);
        let first_plan = self.bench.plans.len();
        let mut actions = self.bench.step();
        // What the cluster answered may change things at once.
        for _ in 0..3 {
            actions.extend(self.bench.step());
        }
        let plans = &self.bench.plans[first_plan..];
        for word in expected.split_whitespace() {
            if let Err(actual) = self.check(word, &actions, plans) {
                let _ = writeln!(
                    failures,
                    "{place}\n    expected {word}\n    actual   {actual}\n{}",
                    self.picture(&actions)
                );
            }
        }
    }

    fn events(&mut self, words: &str) {
        for word in words.split_whitespace() {
            let (name, value) = word.split_once('=').unwrap_or((word, ""));
            match name {
                "replicas" => self
                    .bench
                    .set(value.parse().unwrap(), (!self.last.is_empty()).then_some(self.last)),
                "writer" => {
                    self.last = match value {
                        "argocd" => "argocd-controller",
                        "homeostat" => "homeostat",
                        _ => "kubectl",
                    }
                }
                "unseen" => {}
                "sneak" => {
                    if let Some(target) = &mut self.bench.target {
                        target.replicas = Replicas::new(value.parse().unwrap());
                    }
                }
                "lag" => {
                    let truth = self.bench.replicas();
                    self.bench.set(value.parse().unwrap(), None);
                    if let Some(target) = &mut self.bench.target {
                        target.replicas = Replicas::new(truth);
                    }
                }
                "gone" => {
                    self.bench.target = None;
                    self.bench.show_target();
                }
                "see" => self.bench.show_target(),
                "hpa" | "deleting" | "uid" | "status" => {
                    if let Some(target) = &mut self.bench.target {
                        match name {
                            "hpa" => target.other_scaler = (value != "none").then(|| value.to_owned()),
                            "uid" => value.clone_into(&mut target.uid.0),
                            "status" => target.status_replicas = Replicas::new(value.parse().unwrap()),
                            _ => target.deleting = true,
                        }
                    }
                    self.bench.show_target();
                }
                "pods" => self.pods(value),
                "views" => self.bench.views(if value == "stale" {
                    ViewState::Stale
                } else {
                    ViewState::Current
                }),
                "next" => self.bench.next = Some(answer(value)),
                "delete" => self.bench.observe(Event::PolicyGone(policy_key(value))),
                "set" => {
                    let mut changed = self.policies.remove(0);
                    change(&mut changed, value);
                    changed.meta.generation += 1;
                    self.policies.insert(0, changed.clone());
                    self.bench.add(changed);
                }
                trigger => self.bench.sample(trigger, value),
            }
        }
    }

    /// `3/5`: five pods, three of them Ready.
    fn pods(&mut self, value: &str) {
        let (ready, all) = value.split_once('/').unwrap();
        let (ready, all): (u32, u32) = (ready.parse().unwrap(), all.parse().unwrap());
        for index in 0..all {
            self.bench.observe(Event::Pod(Box::new(pod(index, index < ready))));
        }
    }

    fn check(&self, word: &str, actions: &[Action], plans: &[Plan]) -> Result<(), String> {
        let equal = |actual: String, expected: &str| if actual == expected { Ok(()) } else { Err(actual) };
        let (name, expected) = word.split_once('=').unwrap_or((word, ""));
        let (name, policy) = name.split_once('@').unwrap_or((name, "p"));
        let decision = self.bench.scaling(policy).and_then(|s| s.decision.as_ref());
        let shown: Vec<String> = actions.iter().map(arrow).collect();
        match name {
            "-" => equal(shown.join(","), ""),
            _ if name.contains("->") => equal(shown.join(","), name),
            "replicas" => equal(self.bench.replicas().to_string(), expected),
            "why" => {
                let reasons: Vec<_> = actions.iter().map(|a| a.reason.to_string()).collect();
                equal(reasons.join(","), expected)
            }
            "refused" => {
                let refusals = self.bench.engine.state().refusals.get(&policy_key(policy));
                let reasons: Vec<_> = refusals.into_iter().flatten().map(|r| r.reason.to_string()).collect();
                equal(reasons.join(","), expected)
            }
            "limited" => equal(
                decision
                    .and_then(|d| d.limited_by)
                    .map_or("none".into(), |r| r.to_string()),
                expected,
            ),
            "desired" => equal(decision.map_or("none".into(), |d| d.desired.to_string()), expected),
            "proposed" => equal(
                decision
                    .and_then(|d| d.proposed)
                    .map_or("none".into(), |n| n.to_string()),
                expected,
            ),
            "reports" => equal(
                plans.iter().map(|p| p.reports.len()).sum::<usize>().to_string(),
                expected,
            ),
            "asked" => {
                let asked = self.bench.engine.queries();
                let every: Vec<_> = asked.iter().map(|(_, interval)| interval.to_string()).collect();
                equal(every.join(","), expected)
            }
            "original" => {
                let original = self.bench.scaling(policy).and_then(|s| s.history.original.as_ref());
                equal(original.map_or("none".into(), |o| o.replicas.to_string()), expected)
            }
            "history" => equal(
                self.bench
                    .scaling(policy)
                    .map_or(0, |s| s.history.scale_events.len())
                    .to_string(),
                expected,
            ),
            "says" => {
                let text = self.picture(actions).replace(' ', "_");
                if text.contains(expected) { Ok(()) } else { Err(text) }
            }
            kind if kind.starts_with(char::is_uppercase) => {
                let condition = self.bench.report(policy).and_then(|r| r.condition(kind));
                equal(
                    condition.map_or("none".into(), |c| format!("{:?}/{}", c.status, c.reason)),
                    expected,
                )
            }
            trigger => {
                let said = decision.and_then(|d| d.triggers.iter().find(|t| t.name == trigger));
                equal(said.map_or("none".into(), |said| in_words(said, expected)), expected)
            }
        }
    }

    /// All that can be seen, for whoever reads a failure.
    fn picture(&self, actions: &[Action]) -> String {
        let mut text = format!("    replicas {}\n", self.bench.replicas());
        for action in actions {
            let _ = writeln!(
                text,
                "    action   {} {} {}",
                arrow(action),
                action.reason,
                action.message
            );
        }
        for policy in &self.policies {
            let name = &policy.meta.key.name;
            for c in self.bench.report(name).into_iter().flat_map(|r| &r.conditions) {
                let _ = writeln!(
                    text,
                    "    {name}        {}={:?}/{} {}",
                    c.kind, c.status, c.reason, c.message
                );
            }
            if let Some(d) = self.bench.scaling(name).and_then(|s| s.decision.as_ref()) {
                let _ = writeln!(
                    text,
                    "    {name}        {} proposed {:?} stabilized {} desired {} limited {:?}: {}",
                    d.from, d.proposed, d.stabilized, d.desired, d.limited_by, d.message
                );
            }
        }
        text
    }
}

/// `3->9@-10s`: a change ten seconds before the start.
fn scale_event(text: &str) -> ScaleEvent {
    let (change, ago) = text.split_once("@-").unwrap();
    let (from, to) = change.split_once("->").unwrap();
    ScaleEvent {
        at: START - span(ago),
        from: Replicas::new(from.parse().unwrap()),
        to: Replicas::new(to.parse().unwrap()),
    }
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

/// `ScaleUp`, or with the value and the proposal `ScaleUp/61%/12`, as much of it as is expected.
fn in_words(said: &TriggerReport, expected: &str) -> String {
    let shown = [
        Some(said.reason.to_string()),
        said.value_in_words(),
        said.proposal.map(|n| n.to_string()),
    ];
    let shown = shown.map(|part| part.unwrap_or_else(|| "-".into()));
    shown[..expected.split('/').count().min(3)].join("/")
}
