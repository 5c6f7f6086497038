//! Tables of cases: `tests/cases/healing/*.txt`. The format is told in `tests/cases/healing/README.md`.

use std::fmt::Write as _;

use homeostat::core::event::{Event, Outcome};
use homeostat::core::plan::{Action, Deed};
use homeostat::core::policy::HealingPolicy;
use homeostat::core::world::ViewState;

use super::bench::{Bench, START, change, key, pod, policy, sick, span};
use crate::tables;

#[test]
fn cases() {
    tables::run("healing", 25, run_file);
}

struct Runner {
    bench: Bench,
    policy: HealingPolicy,
}

fn run_file(file: &str, text: &str, failures: &mut String) -> usize {
    let (mut count, mut title) = (0, "");
    let mut runner = new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        let (first, rest) = line.split_once(' ').unwrap_or((line, ""));
        match first {
            "" | "#" => {}
            "case" => (count, title, runner) = (count + 1, rest, new()),
            "policy" => {
                rest.split_whitespace().for_each(|w| change(&mut runner.policy, w));
                runner.bench.add(runner.policy.clone(), Vec::new());
            }
            "pods" => {
                for name in rest.split_whitespace() {
                    let new = pod(name, runner.bench.now);
                    runner.bench.show(new);
                }
            }
            at => runner.line(at, rest, &format!("{file}:{} ({title})", index + 1), failures),
        }
    }
    count
}

fn new() -> Runner {
    Runner {
        bench: Bench::new(&[]),
        policy: policy("p"),
    }
}

impl Runner {
    fn line(&mut self, at: &str, rest: &str, place: &str, failures: &mut String) {
        let (events, expected) = rest.split_once("=>").unwrap_or((rest, ""));
        let at = START + span(at);
        // What comes due before is decided before.
        let mut actions = if at > self.bench.now {
            self.bench.run(at)
        } else {
            Vec::new()
        };
        for word in events.split_whitespace() {
            self.event(word);
        }
        actions.extend(self.bench.run(at));
        for word in expected.split_whitespace() {
            if let Err(actual) = self.check(word, &actions) {
                let refusals = &self.bench.engine.state().refusals;
                let _ = writeln!(
                    failures,
                    "{place}\n    expected {word}\n    actual   {actual}\n    {:?}\n    {refusals:?}",
                    self.bench.incidents("p")
                );
            }
        }
    }

    #[allow(clippy::too_many_lines, reason = "a table of short forms")]
    fn event(&mut self, word: &str) {
        let (name, value) = word.split_once('=').unwrap_or((word, ""));
        let now = self.bench.now;
        let outcome = |message: &str| message.to_owned();
        match name {
            "views" => self.bench.views(if value == "stale" {
                ViewState::Stale
            } else {
                ViewState::Current
            }),
            "node" => self
                .bench
                .node(value.split(':').next().unwrap(), !value.ends_with(":down")),
            "replacement" => value.clone_into(&mut self.bench.replacement),
            "silent" => self.bench.never_answer(),
            "next" => self.bench.answers.extend(value.split(',').map(|how| match how {
                "blocked" => Outcome::Blocked {
                    message: outcome("a PodDisruptionBudget does not allow it"),
                },
                "unknown" => Outcome::Unknown {
                    message: outcome("time-out"),
                },
                "conflict" => Outcome::Conflict {
                    message: outcome("it is gone"),
                    found: None,
                },
                "failed" => Outcome::Failed {
                    message: outcome("forbidden"),
                },
                "done" => Outcome::Done,
                other => panic!("unknown outcome {other}"),
            })),
            "limit" => {
                let (name, value) = value.split_once(':').unwrap();
                self.bench.limits(|limits| match name {
                    "budget" => limits.healing_per_window = value.parse().unwrap(),
                    "stormAtLeast" => limits.storm_at_least = value.parse().unwrap(),
                    other => panic!("unknown limit {other}"),
                });
            }
            "declare" | "declare-warn" => {
                let (revision, objects) = value.split_once(':').unwrap();
                let objects: Vec<&str> = objects.split(',').filter(|o| !o.is_empty()).collect();
                self.bench.declare(revision, name == "declare", &objects);
            }
            "restart" => {
                let incidents = self.bench.incidents("p");
                let pods: Vec<_> = self.bench.pods.values().cloned().collect();
                let mut fresh = Bench::at(now, &[]);
                fresh.reports.clone_from(&self.bench.reports);
                fresh.replacement.clone_from(&self.bench.replacement);
                self.bench = fresh;
                self.bench.add(self.policy.clone(), incidents);
                for pod in pods {
                    self.bench.show(pod);
                }
            }
            "set" => {
                change(&mut self.policy, &value.replacen(':', "=", 1));
                self.policy.meta.generation += 1;
                self.bench.add(self.policy.clone(), Vec::new());
            }
            "delete" => self.bench.observe(Event::PolicyGone(key("p"))),
            object if object.contains('/') => self.bench.drift(object, value),
            names => {
                for name in names.split(',') {
                    let old = self.bench.pods.get(name).cloned();
                    let base = old.unwrap_or_else(|| {
                        let mut new = pod(name, now);
                        new.created = now;
                        new
                    });
                    match value {
                        "gone" => self.bench.gone(name),
                        "ready" => {
                            let mut well = pod(name, now);
                            well.created = base.created;
                            if let Some(ready) = &mut well.ready {
                                ready.since = now;
                            }
                            self.bench.show(well);
                        }
                        how => self.bench.show(sick(base, how, now)),
                    }
                }
            }
        }
    }

    fn check(&self, word: &str, actions: &[Action]) -> Result<(), String> {
        let equal = |actual: String, expected: &str| if actual == expected { Ok(()) } else { Err(actual) };
        let (name, expected) = word.split_once('=').unwrap_or((word, ""));
        let incidents = self.bench.incidents("p");
        let refused: Vec<_> = self.bench.engine.state().refusals.values().flatten().collect();
        match name {
            "-" => equal(shown(actions), ""),
            "acts" => equal(shown(actions), expected),
            "refused" => equal(
                refused
                    .iter()
                    .map(|r| r.reason.to_string())
                    .collect::<Vec<_>>()
                    .join(","),
                expected,
            ),
            "attempts" => equal(
                incidents.iter().map(|i| i.attempts).max().unwrap_or(0).to_string(),
                expected,
            ),
            "phase" => equal(
                incidents.first().map_or_else(String::new, |i| format!("{:?}", i.phase)),
                expected,
            ),
            "says" => {
                let all: Vec<String> = actions
                    .iter()
                    .map(|a| a.message.clone())
                    .chain(refused.iter().map(|r| r.message.clone()))
                    .chain(incidents.iter().map(|i| i.message.clone()))
                    .collect();
                let wanted = expected.replace('_', " ");
                if all.iter().any(|m| m.contains(&wanted)) {
                    Ok(())
                } else {
                    Err(all.join("; "))
                }
            }
            condition => {
                let report = self.bench.reports.get(&key("p"));
                let found = report.and_then(|r| r.condition(condition));
                equal(
                    found.map_or("none".into(), |c| format!("{:?}/{}", c.status, c.reason)),
                    expected,
                )
            }
        }
    }
}

fn shown(actions: &[Action]) -> String {
    let list: Vec<String> = actions
        .iter()
        .map(|a| match &a.what {
            Deed::Evict { pod, .. } => format!("Evict:{}", pod.name),
            Deed::Restore { object, .. } => format!("Restore:{}/{}", object.kind, object.name),
            other => other.verb().to_owned(),
        })
        .collect();
    list.join(",")
}
