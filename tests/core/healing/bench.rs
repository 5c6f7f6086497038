//! A test bench: one engine, a toy cluster whose controllers make evicted pods again, and short forms for what happens.

use std::collections::BTreeMap;

use homeostat::core::engine::Engine;
use homeostat::core::event::{Event, Outcome};
use homeostat::core::guard::Safeguard;
use homeostat::core::names::{ObjectKey, ObjectRef, PolicyKey, PolicyKind, Uid};
use homeostat::core::plan::{Action, Deed, Plan};
use homeostat::core::policy::{
    Budget, Cause, HealingPolicy, HealingRule, Limits, Meta, Mode, PodSymptom, Remedy, RemedyAction, Share,
};
use homeostat::core::report::{Detail, Incident, Report};
use homeostat::core::time::{Span, Time};
use homeostat::core::world::{
    Condition, Container, DeclaredSet, DeclaredState, Exit, LabelSelector, Node, OwnIdentity, Owner, Pod, PodPhase,
    Status, View, ViewState,
};

pub const START: Time = Time::from_secs(1_800_000_000);

pub fn span(text: &str) -> Span {
    text.parse().unwrap_or_else(|e| panic!("{text}: {e}"))
}

pub fn key(name: &str) -> PolicyKey {
    PolicyKey::new(PolicyKind::HealingPolicy, "shop", name)
}

pub fn source() -> PolicyKey {
    PolicyKey::new(PolicyKind::GitSource, "shop", "deploy")
}

/// `Service/web` in namespace shop.
pub fn object(text: &str) -> ObjectRef {
    let (kind, name) = text.split_once('/').unwrap_or(("Service", text));
    ObjectRef::new("v1", kind, "shop", name)
}

fn remedy(action: RemedyAction) -> Remedy {
    Remedy {
        name: "fix".into(),
        action,
        attempts: 2,
        wait: Span::from_mins(5),
    }
}

/// Heals crash loops after 3 m, pods that are not Ready after 5 m; with `drift` declared objects at once.
pub fn policy(name: &str) -> HealingPolicy {
    let rule = |name: &str, when, lasting| HealingRule {
        name: name.into(),
        when,
        lasting: Span::from_mins(lasting),
        remedies: vec![remedy(RemedyAction::Evict)],
    };
    HealingPolicy {
        meta: Meta {
            key: key(name),
            uid: Uid(format!("uid-{name}")),
            generation: 1,
            created: START,
            suspend: false,
            mode: Mode::Enforce,
        },
        selector: LabelSelector::default(),
        budget: Budget {
            in_flight: 1,
            per_hour: 10,
            max_unhealthy: Share::Percent(40),
        },
        rules: vec![
            rule("crashing", Cause::Pod(PodSymptom::CrashLoopBackOff), 3),
            rule("unready", Cause::Pod(PodSymptom::NotReady), 5),
        ],
    }
}

/// Changes a policy by short forms such as `attempts=1`, `inFlight=3`, `mode=DryRun`, `drift`.
pub fn change(policy: &mut HealingPolicy, word: &str) {
    let (name, value) = word.split_once('=').unwrap_or((word, ""));
    let count = || value.parse().unwrap();
    let remedies = policy.rules.iter_mut().flat_map(|r| &mut r.remedies);
    match name {
        "attempts" => remedies.for_each(|r| r.attempts = count()),
        "wait" => remedies.for_each(|r| r.wait = span(value)),
        "for" => policy.rules.iter_mut().for_each(|r| r.lasting = span(value)),
        "inFlight" => policy.budget.in_flight = count(),
        "perHour" => policy.budget.per_hour = count(),
        "maxUnhealthy" => policy.budget.max_unhealthy = Share::Percent(count()),
        "mode" => policy.meta.mode = if value == "DryRun" { Mode::DryRun } else { Mode::Enforce },
        "suspend" => policy.meta.suspend = value != "false",
        "rung" => policy.rules.iter_mut().for_each(|r| {
            let mut more = remedy(RemedyAction::Evict);
            value.clone_into(&mut more.name);
            more.attempts = 1;
            r.remedies.push(more);
        }),
        "select" => {
            policy.selector.match_labels = BTreeMap::from([("app".to_owned(), value.to_owned())]);
        }
        "drift" => policy.rules.push(HealingRule {
            name: "declared".into(),
            when: Cause::Drift,
            lasting: Span::ZERO,
            remedies: vec![remedy(RemedyAction::Restore)],
        }),
        other => panic!("unknown setting {other}"),
    }
}

/// A pod `web-3` of ReplicaSet `web`, Ready since long ago, on node n1.
pub fn pod(name: &str, at: Time) -> Pod {
    let owner = name.split_once('-').map_or(name, |(owner, _)| owner);
    Pod {
        key: ObjectKey::new("shop", name),
        uid: Uid(format!("uid-{name}")),
        labels: BTreeMap::from([("app".to_owned(), owner.to_owned())]),
        owner: (owner != "alone").then(|| Owner {
            api_version: "apps/v1".into(),
            kind: "ReplicaSet".into(),
            name: owner.into(),
            uid: Uid(format!("uid-{owner}")),
        }),
        template_hash: Some("abc".into()),
        phase: PodPhase::Running,
        created: at - Span::from_mins(60),
        node: Some("n1".into()),
        ready: Some(Condition {
            status: Status::True,
            since: at - Span::from_mins(59),
            reason: String::new(),
        }),
        containers: vec![Container {
            name: "app".into(),
            ..Container::default()
        }],
        ..Pod::default()
    }
}

pub fn sick(mut pod: Pod, how: &str, since: Time) -> Pod {
    pod.ready = Some(Condition {
        status: Status::False,
        since,
        reason: "ContainersNotReady".into(),
    });
    if how == "crash" {
        pod.containers[0].waiting = Some("CrashLoopBackOff".into());
        pod.containers[0].restarts = 4;
        pod.containers[0].last_exit = Some(Exit {
            reason: "Error".into(),
            code: 1,
            finished: Some(since),
        });
    }
    pod
}

pub struct Bench {
    pub now: Time,
    pub engine: Engine,
    pub pods: BTreeMap<String, Pod>,
    /// How the next actions are answered; otherwise they are done.
    pub answers: Vec<Outcome>,
    /// What comes in place of an evicted pod: `ready` or `crash`.
    pub replacement: String,
    /// Every plan.
    pub plans: Vec<Plan>,
    /// The last report of each policy.
    pub reports: BTreeMap<PolicyKey, Report>,
    silent: bool,
}

impl Bench {
    pub fn new(off: &[Safeguard]) -> Self {
        Self::at(START, off)
    }

    /// A bench whose operator starts at this time.
    pub fn at(now: Time, off: &[Safeguard]) -> Self {
        let mut bench = Self {
            now,
            engine: Engine::without(now, off),
            pods: BTreeMap::new(),
            answers: Vec::new(),
            replacement: "ready".into(),
            plans: Vec::new(),
            reports: BTreeMap::new(),
            silent: false,
        };
        bench.observe(Event::Own(OwnIdentity {
            pod: ObjectKey::new("homeostat", "homeostat-0"),
            node: None,
        }));
        bench.node("n1", true);
        bench.views(ViewState::Current);
        bench
    }

    pub fn observe(&mut self, event: Event) {
        self.engine.observe(self.now, event);
    }

    pub fn views(&mut self, state: ViewState) {
        for view in [View::Pods, View::Nodes, View::Policies] {
            self.observe(Event::View { view, state });
        }
    }

    pub fn node(&mut self, name: &str, ready: bool) {
        self.observe(Event::Node(Box::new(Node {
            name: name.into(),
            uid: Uid(name.into()),
            ready: Some(Condition {
                status: if ready { Status::True } else { Status::Unknown },
                since: self.now,
                reason: String::new(),
            }),
            ..Node::default()
        })));
    }

    pub fn add(&mut self, policy: HealingPolicy, incidents: Vec<Incident>) {
        self.observe(Event::HealingPolicy {
            policy: Box::new(policy),
            incidents,
        });
    }

    pub fn limits(&mut self, change: impl Fn(&mut Limits)) {
        let mut limits = self.engine.state().limits.clone();
        change(&mut limits);
        self.observe(Event::Limits(limits));
    }

    pub fn show(&mut self, pod: Pod) {
        self.pods.insert(pod.key.name.clone(), pod.clone());
        self.observe(Event::Pod(Box::new(pod)));
    }

    pub fn gone(&mut self, name: &str) {
        if let Some(pod) = self.pods.remove(name) {
            self.observe(Event::PodGone(pod.key));
        }
    }

    /// Actions get no answer from now on.
    pub fn never_answer(&mut self) {
        self.silent = true;
    }

    pub fn declare(&mut self, revision: &str, enforce: bool, objects: &[&str]) {
        let objects = objects.iter().map(|o| (object(o), DeclaredState::InSync)).collect();
        self.observe(Event::Declared {
            source: source(),
            set: Some(Box::new(DeclaredSet {
                revision: revision.into(),
                suspend: false,
                enforce,
                objects,
            })),
        });
    }

    pub fn drift(&mut self, name: &str, how: &str) {
        let state = match how {
            "missing" => DeclaredState::Missing { since: self.now },
            "changed" => DeclaredState::Drifted {
                since: self.now,
                uid: Uid("live".into()),
                fields: vec!["/spec/ports/0/port".into()],
                writer: Some("kubectl-edit".into()),
            },
            _ => DeclaredState::InSync,
        };
        self.observe(Event::DeclaredObject {
            source: source(),
            object: object(name),
            state,
        });
    }

    /// Steps, and carries out what the plan says.
    pub fn step(&mut self) -> Vec<Action> {
        let plan = self.engine.step(self.now);
        for report in &plan.reports {
            self.reports.insert(report.policy.clone(), report.clone());
        }
        for action in plan.actions.iter().filter(|a| a.mode == Mode::Enforce) {
            self.carry_out(action);
        }
        let actions = plan.actions.clone();
        self.plans.push(plan);
        actions
    }

    /// Steps at every time that the engine asks for, up to `until`.
    pub fn run(&mut self, until: Time) -> Vec<Action> {
        let mut actions = self.step();
        for _ in 0..10_000 {
            let wake = self.plans.last().and_then(|p| p.wake_at).filter(|at| *at <= until);
            let next = if self.engine.is_dirty() { Some(self.now) } else { wake };
            let Some(at) = next else { break };
            self.now = self.now.max(at);
            actions.extend(self.step());
        }
        self.now = until;
        actions.extend(self.step());
        actions
    }

    fn carry_out(&mut self, action: &Action) {
        if self.silent {
            return;
        }
        let outcome = if self.answers.is_empty() {
            Outcome::Done
        } else {
            self.answers.remove(0)
        };
        if let (Deed::Evict { pod, .. }, Outcome::Done) = (&action.what, &outcome) {
            self.gone(&pod.name.clone());
            let mut new = self::pod(&format!("{}x", pod.name), self.now);
            new.created = self.now;
            let new = match self.replacement.as_str() {
                "ready" => new,
                how => sick(new, how, self.now),
            };
            self.show(new);
        }
        self.observe(Event::Outcome {
            action: action.id.clone(),
            outcome,
        });
    }

    pub fn incidents(&self, policy: &str) -> Vec<Incident> {
        match self.reports.get(&key(policy)).map(|r| &r.detail) {
            Some(Detail::Healing(detail)) => detail.incidents.clone(),
            _ => Vec::new(),
        }
    }
}
