//! A test bench: one engine, a toy cluster that carries out scale actions, and short forms for policies and samples.

use std::collections::BTreeMap;

use homeostat::core::engine::Engine;
use homeostat::core::event::{Event, Outcome};
use homeostat::core::guard::Safeguard;
use homeostat::core::names::{ObjectKey, ObjectRef, PolicyKey, PolicyKind, QueryKey, Uid};
use homeostat::core::plan::{Action, Deed, Plan};
use homeostat::core::policy::{
    Direction, Meta, MetricTarget, Mode, RateKind, RatePolicy, ScalingPolicy, ScalingRules, SelectPolicy, Trigger,
};
use homeostat::core::quantity::{Milli, Replicas};
use homeostat::core::report::{Detail, Report, ScalingHistory, ScalingReport};
use homeostat::core::sample::{QueryError, Reading};
use homeostat::core::time::{Span, Time};
use homeostat::core::world::{Condition, LabelSelector, Pod, PodPhase, Status, Target, View, ViewState};

pub const START: Time = Time::from_secs(1_800_000_000);

pub fn object() -> ObjectRef {
    ObjectRef::new("apps/v1", "Deployment", "shop", "web")
}

pub fn policy_key(name: &str) -> PolicyKey {
    PolicyKey::new(PolicyKind::ScalingPolicy, "shop", name)
}

pub fn query(trigger: &str) -> QueryKey {
    QueryKey::prometheus("main", trigger)
}

pub fn span(text: &str) -> Span {
    text.parse().unwrap_or_else(|e| panic!("{e}"))
}

/// A policy from 1 to 100 with one trigger `rps` of 100 per replica and the default behaviour.
pub fn policy(name: &str) -> ScalingPolicy {
    let meta = Meta {
        key: policy_key(name),
        uid: Uid(format!("uid-{name}")),
        generation: 1,
        created: START,
        suspend: false,
        mode: Mode::Enforce,
    };
    let triggers = vec![trigger("rps", MetricTarget::AverageValue(Milli::from_units(100)))];
    let bounds = (Replicas::new(1), Replicas::new(100));
    ScalingPolicy::new(meta, object(), bounds, triggers, Span::from_secs(15))
}

pub fn trigger(name: &str, target: MetricTarget) -> Trigger {
    Trigger::new(name, query(name), target, Span::from_mins(2))
}

/// Changes a policy by short forms such as `max=10`, `up=Max:4/15s,100%/15s`, `down-window=0s`, `trigger=rps:avg:100`.
pub fn change(policy: &mut ScalingPolicy, word: &str) {
    let (name, value) = word.split_once('=').unwrap_or((word, "true"));
    match name {
        "min" => policy.min = Replicas::new(value.parse().unwrap()),
        "max" => policy.max = Replicas::new(value.parse().unwrap()),
        "interval" => policy.interval = span(value),
        "created" => policy.meta.created = START + span(value),
        "suspend" => policy.meta.suspend = value == "true",
        "mode" => policy.meta.mode = if value == "DryRun" { Mode::DryRun } else { Mode::Enforce },
        "uid" => policy.meta.uid = Uid(value.into()),
        "direction" => {
            policy.direction = match value {
                "UpOnly" => Direction::UpOnly,
                "DownOnly" => Direction::DownOnly,
                _ => Direction::Both,
            }
        }
        "tolerance" => {
            policy.behavior.up.tolerance = value.parse().unwrap();
            policy.behavior.down.tolerance = value.parse().unwrap();
        }
        "up-window" => policy.behavior.up.stabilization = span(value),
        "down-window" => policy.behavior.down.stabilization = span(value),
        "up" => rates(&mut policy.behavior.up, value),
        "down" => rates(&mut policy.behavior.down, value),
        "triggers" => policy.triggers = value.split(',').map(trigger_from).collect(),
        other => panic!("unknown policy setting {other}"),
    }
}

/// `rps:avg:100` or `queue:value:5`.
fn trigger_from(text: &str) -> Trigger {
    let parts: Vec<&str> = text.split(':').collect();
    let aim: Milli = parts[2].parse().unwrap();
    trigger(
        parts[0],
        if parts[1] == "value" {
            MetricTarget::Value(aim)
        } else {
            MetricTarget::AverageValue(aim)
        },
    )
}

/// `Max:4/15s,100%/15s`, `Disabled`.
fn rates(rules: &mut ScalingRules, text: &str) {
    let (select, list) = text.split_once(':').unwrap_or((text, ""));
    rules.select = match select {
        "Max" => SelectPolicy::Max,
        "Min" => SelectPolicy::Min,
        "Disabled" => SelectPolicy::Disabled,
        other => panic!("unknown select {other}"),
    };
    if !list.is_empty() {
        rules.policies = list.split(',').map(rate).collect();
    }
}

fn rate(text: &str) -> RatePolicy {
    let (value, period) = text.split_once('/').unwrap();
    RatePolicy {
        kind: if value.ends_with('%') {
            RateKind::Percent
        } else {
            RateKind::Pods
        },
        value: value.trim_end_matches('%').parse().unwrap(),
        period: span(period),
    }
}

/// `400`, `400@10m` (taken 10 minutes ago), `partial:400`, `NaN`, `empty`, `many`, `failed`.
pub fn reading(text: &str, now: Time) -> Reading {
    match text {
        "empty" => Reading::Empty,
        "many" => Reading::Many {
            series: 3,
            sum: Milli::from_units(900),
            highest: Milli::from_units(500),
            sampled_at: now,
            warning: None,
        },
        "NaN" => Reading::NotFinite { text: "NaN".into() },
        "failed" => Reading::Failed {
            error: QueryError::Timeout,
            message: "no answer within 10s".into(),
        },
        _ => {
            let (text, age) = text.split_once('@').unwrap_or((text, "0s"));
            let sampled_at = match age.strip_prefix('+') {
                Some(ahead) => now + span(ahead),
                None => now - span(age),
            };
            match text.strip_prefix("partial:") {
                None => Reading::Value {
                    value: text.parse().unwrap(),
                    sampled_at,
                },
                Some(text) => Reading::Partial {
                    value: text.parse().unwrap(),
                    sampled_at,
                    warning: "a store did not answer".into(),
                },
            }
        }
    }
}

pub fn pod(index: u32, ready: bool) -> Pod {
    Pod {
        key: ObjectKey::new("shop", format!("web-{index}")),
        uid: Uid(format!("pod-{index}")),
        labels: BTreeMap::from([("app".to_owned(), "web".to_owned())]),
        phase: PodPhase::Running,
        ready: Some(Condition {
            status: if ready { Status::True } else { Status::False },
            since: START,
            reason: String::new(),
        }),
        ..Pod::default()
    }
}

/// How the toy cluster answers the next action.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// With this outcome.
    With(Outcome),
    /// Unknown, though it was done.
    UnknownButDone,
    /// It is done, and the watch lags.
    DoneUnseen,
    /// Not at all.
    Never,
}

pub struct Bench {
    pub engine: Engine,
    /// The cluster's truth.
    pub target: Option<Target>,
    pub now: Time,
    pub next: Option<Answer>,
    /// Set while the cluster does what it is told.
    pub plans: Vec<Plan>,
}

impl Bench {
    pub fn new(replicas: u32) -> Self {
        Self::without(replicas, &[])
    }

    pub fn without(replicas: u32, off: &[Safeguard]) -> Self {
        let mut bench = Self {
            engine: Engine::without(START, off),
            target: Some(Target {
                uid: Uid("target".into()),
                replicas: Replicas::new(replicas),
                status_replicas: Replicas::new(replicas),
                selector: LabelSelector {
                    match_labels: BTreeMap::from([("app".to_owned(), "web".to_owned())]),
                    match_expressions: Vec::new(),
                },
                writer: None,
                deleting: false,
                other_scaler: None,
            }),
            now: START,
            next: None,
            plans: Vec::new(),
        };
        bench.views(ViewState::Current);
        bench
    }

    pub fn views(&mut self, state: ViewState) {
        for view in [View::Pods, View::Nodes, View::Policies] {
            self.observe(Event::View { view, state });
        }
    }

    pub fn observe(&mut self, event: Event) {
        self.engine.observe(self.now, event);
    }

    pub fn add(&mut self, policy: ScalingPolicy) {
        self.observe(Event::ScalingPolicy {
            policy: Box::new(policy),
            history: ScalingHistory::default(),
        });
    }

    pub fn show_target(&mut self) {
        let target = self.target.clone().map(Box::new);
        self.observe(Event::Target {
            object: object(),
            target,
        });
    }

    pub fn set(&mut self, replicas: u32, writer: Option<&str>) {
        if let Some(target) = &mut self.target {
            target.replicas = Replicas::new(replicas);
            target.status_replicas = Replicas::new(replicas);
            target.writer = writer.map(str::to_owned);
        }
        self.show_target();
    }

    pub fn sample(&mut self, trigger: &str, text: &str) {
        let reading = reading(text, self.now);
        self.observe(Event::Sample {
            query: query(trigger),
            reading,
        });
    }

    pub fn replicas(&self) -> u32 {
        self.target.as_ref().map_or(0, |t| t.replicas.get())
    }

    /// Steps once; the toy cluster carries out what is wanted, and the engine sees it. Gives the actions.
    pub fn step(&mut self) -> Vec<Action> {
        let plan = self.engine.step(self.now);
        let actions = plan.actions.clone();
        self.plans.push(plan);
        for action in actions.iter().filter(|a| a.mode == Mode::Enforce) {
            self.carry_out(action);
        }
        actions
    }

    fn carry_out(&mut self, action: &Action) {
        let Deed::Scale { from, to, uid, .. } = &action.what else {
            panic!("unexpected {action:?}");
        };
        let answer = self.next.take().unwrap_or(Answer::With(Outcome::Done));
        let lags = answer == Answer::DoneUnseen;
        let found = self.target.as_ref().filter(|t| t.uid == *uid).map(|t| t.replicas);
        let outcome = match answer {
            Answer::Never => return,
            Answer::UnknownButDone => {
                self.write(to.get());
                Outcome::Unknown {
                    message: "connection reset".into(),
                }
            }
            Answer::DoneUnseen => {
                self.write(to.get());
                Outcome::Done
            }
            Answer::With(Outcome::Done) if found != Some(*from) => Outcome::Conflict {
                message: format!("found {found:?}"),
                found,
            },
            Answer::With(outcome) => {
                if outcome == Outcome::Done {
                    self.write(to.get());
                }
                outcome
            }
        };
        let seen = outcome == Outcome::Done && !lags;
        self.observe(Event::Outcome {
            action: action.id.clone(),
            outcome,
        });
        if seen {
            self.show_target();
        }
    }

    /// What our own write leaves behind.
    fn write(&mut self, to: u32) {
        if let Some(target) = &mut self.target {
            target.replicas = Replicas::new(to);
            target.status_replicas = Replicas::new(to);
            target.writer = Some("homeostat".into());
        }
    }

    pub fn report(&self, name: &str) -> Option<&Report> {
        self.engine.state().reports.get(&policy_key(name))
    }

    pub fn scaling(&self, name: &str) -> Option<&ScalingReport> {
        match &self.report(name)?.detail {
            Detail::Scaling(detail) => Some(detail),
            _ => None,
        }
    }
}

/// `3->9` of a scale action.
pub fn arrow(action: &Action) -> String {
    match &action.what {
        Deed::Scale { from, to, .. } => format!("{from}->{to}"),
        other => format!("{other:?}"),
    }
}
