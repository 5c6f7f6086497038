//! A test bench: one engine, a toy cluster that carries out scale actions, and short forms for policies and samples.

use std::collections::BTreeMap;

use homeostat::core::engine::Engine;
use homeostat::core::event::{Event, Outcome};
use homeostat::core::guard::Safeguard;
use homeostat::core::names::{MetricName, ObjectKey, ObjectRef, PolicyKey, PolicyKind, QueryKey, Uid};
use homeostat::core::plan::{Action, Deed, Plan};
use homeostat::core::policy::{
    Combine, Direction, Fallback, Hold, Idle, InsideTolerance, Meta, MetricTarget, Mode, OnDelete, OnMissing, RateKind,
    RatePolicy, ResourceName, ScalingPolicy, ScalingRules, Schedule, SelectPolicy, Trigger,
};
use homeostat::core::quantity::{Milli, Replicas};
use homeostat::core::report::{Detail, Report, ScalingHistory, ScalingReport};
use homeostat::core::sample::{Contributors, PodUsage, PodValue, QueryError, Reading};
use homeostat::core::scaling::formula::Formula;
use homeostat::core::schedule::Window;
use homeostat::core::time::{Span, Time};
use homeostat::core::world::{Ask, Condition, LabelSelector, Owner, Pod, PodPhase, Status, Target, View, ViewState};

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
        "up-tolerance" => policy.behavior.up.tolerance = value.parse().unwrap(),
        "down-tolerance" => policy.behavior.down.tolerance = value.parse().unwrap(),
        "up-window" => policy.behavior.up.stabilization = span(value),
        "down-window" => policy.behavior.down.stabilization = span(value),
        "up" => rates(&mut policy.behavior.up, value),
        "down" => rates(&mut policy.behavior.down, value),
        "idle" => {
            let (replicas, cooldown) = value.split_once('/').unwrap();
            policy.idle = Some(Idle {
                replicas: Replicas::new(replicas.parse().unwrap()),
                cooldown: span(cooldown),
            });
        }
        "step" => policy.step = value.parse().unwrap(),
        "hold" => {
            let (replicas, until) = value.split_once('/').unwrap_or((value, ""));
            policy.hold = Some(Hold {
                replicas: replicas.parse().ok().map(Replicas::new),
                reason: "INC-4711".into(),
                until: (!until.is_empty()).then(|| START + span(until)),
            });
        }
        "on-delete" if value == "Keep" => policy.on_delete = OnDelete::Keep,
        "on-delete" => policy.on_delete = OnDelete::RestoreReplicas,
        "release" => policy.hold = None,
        "min-ready" => policy.behavior.min_ready_percent = value.parse().unwrap(),
        "converge" => policy.behavior.inside_tolerance = InsideTolerance::Converge,
        "formula" => {
            let names: Vec<String> = policy.triggers.iter().map(|t| t.name.clone()).collect();
            policy.formula = Some(Formula::parse(value, &names).unwrap_or_else(|e| panic!("{e}")));
        }
        "schedule" => policy.schedules.push(schedule(value)),
        "no-triggers" => policy.triggers.clear(),
        "missing" => policy.triggers[0].on_missing = on_missing(value),
        "activation" => policy.triggers[0].activation = value.parse().unwrap(),
        "combine" => {
            policy.triggers[0].combine = match value {
                "Sum" => Combine::Sum,
                "Max" => Combine::Max,
                "Avg" => Combine::Avg,
                _ => Combine::Error,
            }
        }
        "triggers" => policy.triggers = value.split(',').map(trigger_from).collect(),
        other => panic!("unknown policy setting {other}"),
    }
}

/// `sale:+10m/1h:min=20,max=30,ramp=10m,rps=50`: ten minutes after the start, for an hour.
fn schedule(text: &str) -> Schedule {
    let parts: Vec<&str> = text.splitn(3, ':').collect();
    let (after, length) = parts[1].split_once('/').unwrap();
    let minute = (START + span(after.trim_start_matches('+'))).as_millis() / 60_000;
    let cron = format!("{} {} * * *", minute % 60, minute / 60 % 24);
    let window = Window::cron(cron.parse().unwrap(), span(length), "UTC".parse().unwrap()).unwrap();
    let mut made = Schedule {
        name: parts[0].into(),
        window,
        min: None,
        max: None,
        targets: Vec::new(),
        ramp: Span::ZERO,
    };
    for word in parts[2].split(',') {
        let (name, value) = word.split_once('=').unwrap();
        let count = || Some(Replicas::new(value.parse().unwrap()));
        match name {
            "min" => made.min = count(),
            "max" => made.max = count(),
            "replicas" => (made.min, made.max) = (count(), count()),
            "ramp" => made.ramp = span(value),
            trigger => {
                let target = MetricTarget::AverageValue(value.parse().unwrap());
                made.targets.push((trigger.into(), target));
            }
        }
    }
    made
}

/// `Fallback:6/3`, `Fallback-CurrentReplicasIfHigher:6/3`, `Ignore/3`, `Zero/1`.
fn on_missing(text: &str) -> OnMissing {
    let (what, after) = text.split_once('/').unwrap();
    let after = after.parse().unwrap();
    let (action, replicas) = what.split_once(':').unwrap_or((what, "0"));
    let against = match action.split_once('-').map_or("", |(_, against)| against) {
        "CurrentReplicas" => Fallback::CurrentReplicas,
        "CurrentReplicasIfHigher" => Fallback::CurrentReplicasIfHigher,
        "CurrentReplicasIfLower" => Fallback::CurrentReplicasIfLower,
        _ => Fallback::Static,
    };
    match action {
        "Ignore" => OnMissing::Ignore { after },
        "Zero" => OnMissing::Zero { after },
        _ => OnMissing::Fallback {
            replicas: Replicas::new(replicas.parse().unwrap()),
            against,
            after,
        },
    }
}

/// `rps:avg:100`, `queue:value:5`, `busy:share:70`, of the pods' processor time `cpu:usage:70` (percent of the request) or
/// `cpu:cores:500m`, of their container `app` `cpu:container:70`, of a metric of theirs `depth:pods:10`, of an object
/// `hits:object:10`, of something outside `orders:external:10`.
fn trigger_from(text: &str) -> Trigger {
    let parts: Vec<&str> = text.split(':').collect();
    let aim: Milli = parts[2].parse().unwrap();
    let percent = || MetricTarget::Utilization(u32::try_from(aim.ceil_units()).unwrap());
    let target = match parts[1] {
        "value" | "object" => MetricTarget::Value(aim),
        "share" | "usage" | "container" => percent(),
        _ => MetricTarget::AverageValue(aim),
    };
    let mut made = trigger(parts[0], target);
    if matches!(
        parts[1],
        "usage" | "cores" | "container" | "pods" | "object" | "external"
    ) {
        made.query = api_query(parts[1]);
    }
    if matches!(parts[1], "usage" | "cores" | "container") {
        made.resource = Some(ResourceName {
            name: "cpu".into(),
            container: (parts[1] == "container").then(|| "app".into()),
        });
    }
    made
}

/// What is asked of a metrics API.
fn api_query(kind: &str) -> QueryKey {
    match kind {
        "object" => QueryKey::Object {
            object: object(),
            metric: MetricName::default(),
        },
        "external" => QueryKey::External {
            namespace: "shop".into(),
            metric: MetricName::default(),
        },
        "pods" => QueryKey::Pods {
            target: object(),
            metric: MetricName::default(),
        },
        _ => QueryKey::Resources { target: object() },
    }
}

/// `object/40` is the metric of an object, `external/20,30` are the series of one outside, and the rest is about pods.
fn api_reading(kind: &str, list: &str, now: Time) -> Reading {
    match kind {
        "object" => reading(list, now),
        "external" => Reading::Series {
            values: list.split(',').map(|text| text.parse().unwrap()).collect(),
            sampled_at: now,
        },
        _ => per_pod_reading(kind, list, now),
    }
}

/// `usage/500m,250m,-` is what pods 0, 1, … use (`usage/500m+2`: 2 of it a second container), and `pods/3,5` a metric of theirs;
/// `-` of one is missing.
fn per_pod_reading(kind: &str, list: &str, now: Time) -> Reading {
    let window = Span::from_secs(15);
    let values = list.split(',').enumerate().filter(|(_, text)| *text != "-");
    let values = values.map(|(i, text)| (format!("web-{i}"), text));
    if kind == "pods" {
        let pods = values.map(|(pod, text)| PodValue {
            pod,
            at: now,
            window,
            value: text.parse().unwrap(),
        });
        return Reading::PodValues { pods: pods.collect() };
    }
    let cpu = |text: &str| BTreeMap::from([("cpu".to_owned(), text.parse::<Milli>().unwrap())]);
    let pods = values.map(|(pod, text)| PodUsage {
        pod,
        at: now,
        window,
        containers: ["app", "proxy"]
            .into_iter()
            .zip(text.split('+'))
            .map(|(container, used)| (container.to_owned(), cpu(used)))
            .collect(),
    });
    Reading::PodUsage { pods: pods.collect() }
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

/// `400`, `400@10m` (taken 10 minutes ago), `400~7:down=3` (made from 7 scrape targets, while 3 are down), `partial:400`, `NaN`, `empty`, `many`, `failed`.
pub fn reading(text: &str, now: Time) -> Reading {
    match text {
        "empty" => Reading::Empty,
        "many" => Reading::Many {
            series: 3,
            sum: Milli::from_units(900),
            highest: Milli::from_units(500),
            sampled_at: now,
            warning: None,
            contributors: None,
        },
        "NaN" => Reading::NotFinite { text: "NaN".into() },
        "failed" => Reading::Failed {
            error: QueryError::Timeout,
            message: "no answer within 10s".into(),
        },
        _ => {
            let (text, contributors) = match text.split_once('~') {
                Some((text, from)) => (text, Some(contributors(from, now))),
                None => (text, None),
            };
            let (text, age) = text.split_once('@').unwrap_or((text, "0s"));
            let sampled_at = match age.strip_prefix('+') {
                Some(ahead) => now + span(ahead),
                None => now - span(age),
            };
            match text.strip_prefix("partial:") {
                None => Reading::Value {
                    value: text.parse().unwrap(),
                    sampled_at,
                    contributors,
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

/// `10`, `7:down=3`, `7:series=70:oldest=5m`: from so many scrape targets, four series each.
fn contributors(text: &str, now: Time) -> Contributors {
    let mut parts = text.split(':');
    let targets = parts.next().unwrap().parse().unwrap();
    let mut contributors = Contributors {
        targets,
        series: targets * 4,
        ..Contributors::default()
    };
    for part in parts {
        match part.split_once('=').unwrap() {
            ("down", n) => contributors.down = n.parse().unwrap(),
            ("series", n) => contributors.series = n.parse().unwrap(),
            ("oldest", age) => contributors.oldest = Some(now - span(age)),
            (other, _) => panic!("unknown part {other}"),
        }
    }
    contributors
}

pub fn pod(index: u32, ready: bool) -> Pod {
    Pod {
        key: ObjectKey::new("shop", format!("web-{index}")),
        uid: Uid(format!("pod-{index}")),
        labels: BTreeMap::from([("app".to_owned(), "web".to_owned())]),
        owner: Some(Owner {
            api_version: "apps/v1".into(),
            kind: "ReplicaSet".into(),
            name: "web-5d4f8c7b9".into(),
            uid: Uid("replicaset".into()),
        }),
        started: Some(START - Span::from_mins(60)),
        asks: vec![Ask {
            container: "app".into(),
            init: false,
            sidecar: false,
            requests: BTreeMap::from([("cpu".to_owned(), Milli::from_units(1))]),
        }],
        phase: PodPhase::Running,
        ready: Some(Condition {
            status: if ready { Status::True } else { Status::False },
            since: START - Span::from_mins(60),
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
        let (query, reading) = match text.split_once('/') {
            Some((kind, list)) => (api_query(kind), api_reading(kind, list, self.now)),
            None => (query(trigger), reading(text, self.now)),
        };
        self.observe(Event::Sample { query, reading });
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
