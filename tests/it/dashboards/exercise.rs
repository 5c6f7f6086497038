//! A run of the real engine with everything that records metrics beside it, as in the operator.

#[allow(dead_code)]
#[path = "../../core/healing/bench.rs"]
mod healing;
#[allow(dead_code)]
#[path = "../../core/scaling/bench.rs"]
mod scaling;

use std::collections::BTreeMap;

use homeostat::core::engine::Engine;
use homeostat::core::event::{Event, Outcome};
use homeostat::core::names::{PolicyKey, PolicyKind, Uid};
use homeostat::core::plan::{Action, Deed};
use homeostat::core::policy::{
    Consolidation, Meta, Mode, NodePool, NodePoolPolicy, NodeTemplate, ProviderKind, ScalingPolicy,
};
use homeostat::core::quantity::{Milli, Replicas};
use homeostat::core::report::ScalingHistory;
use homeostat::core::sample::Reading;
use homeostat::core::time::{Span, Time};
use homeostat::core::world::{Condition, LabelSelector, Node, POOL_LABEL, Status, Target, View, ViewState};
use homeostat::operator::journal::{Bounds, Destination, Journal};
use homeostat::telemetry::metrics::{BuildLabels, Metrics, QueryLabels, WriteLabels};

/// What `/metrics` says after a run with every kind of policy.
pub fn exposition() -> String {
    let mut exercise = Exercise::new();
    exercise.scaling();
    exercise.rival();
    exercise.healing();
    // Meanwhile the last sample has become stale, and a policy without data recommends nothing.
    exercise.sample(430, 0);
    exercise.nodes();
    exercise.git();
    exercise.surroundings();
    exercise.metrics.encode().unwrap()
}

pub struct Exercise {
    pub metrics: Metrics,
    engine: Engine,
    now: Time,
    replicas: Replicas,
    generation: i64,
}

impl Exercise {
    pub fn new() -> Self {
        let mut exercise = Self {
            metrics: Metrics::default(),
            engine: Engine::new(scaling::START),
            now: scaling::START,
            replicas: Replicas::new(1),
            generation: 1,
        };
        exercise.metrics.begin_term();
        for view in [View::Pods, View::Nodes, View::Policies] {
            exercise.observe(Event::View {
                view,
                state: ViewState::Current,
            });
            exercise.metrics.sees(view, true);
        }
        exercise.observe(Event::Node(Box::new(node("n1"))));
        exercise
    }

    /// A policy whose target grows from 1 to 5.
    pub fn scaling(&mut self) {
        self.observe_policy(scaling::policy("web"));
        self.show_target();
        self.sample(430, 0);
        assert_eq!(self.replicas, Replicas::new(5));
    }

    /// A second policy on the same target is refused.
    fn rival(&mut self) {
        let mut rival = scaling::policy("rival");
        rival.meta.created = self.now;
        self.observe_policy(rival);
        self.run(Span::ZERO);
    }

    pub fn sample(&mut self, value: i64, later: i64) {
        self.now = self.now + Span::from_secs(later);
        let (value, sampled_at) = (Milli::from_units(value), self.now);
        self.observe(Event::Sample {
            query: scaling::query("rps"),
            reading: Reading::Value {
                value,
                sampled_at,
                contributors: None,
            },
        });
        self.run(Span::ZERO);
    }

    pub fn suspend(&mut self, suspend: bool) {
        self.generation += 1;
        let mut policy = scaling::policy("web");
        policy.meta.generation = self.generation;
        policy.meta.suspend = suspend;
        self.observe_policy(policy);
        self.run(Span::ZERO);
    }

    pub fn gone(&mut self) {
        self.observe(Event::PolicyGone(scaling::policy_key("web")));
        self.run(Span::ZERO);
    }

    /// One of three pods crashes, is evicted, and its successor is well.
    fn healing(&mut self) {
        self.observe(Event::HealingPolicy {
            policy: Box::new(healing::policy("shop")),
            incidents: Vec::new(),
        });
        for name in ["api-0", "api-1", "api-2"] {
            self.observe(Event::Pod(Box::new(healing::pod(name, self.now))));
        }
        let sick = healing::sick(healing::pod("api-0", self.now), "crash", self.now);
        self.observe(Event::Pod(Box::new(sick)));
        self.run(Span::from_mins(20));
    }

    /// A pool that must have a node and has none: it is asked for, and comes.
    fn nodes(&mut self) {
        let key = PolicyKey::new(PolicyKind::NodePoolPolicy, "", "general");
        self.observe(Event::NodePoolPolicy(Box::new(node_pools(&key, self.now))));
        self.run(Span::ZERO);
    }

    fn git(&mut self) {
        let source = PolicyKey::new(PolicyKind::GitSource, "shop", "deploy");
        self.metrics.synced(&source, "Unreachable", None);
        self.metrics.synced(&source, "Applied", Some(3));
        self.observe(Event::ConfigAccepted {
            key: PolicyKey::new(PolicyKind::OperatorConfig, "", "default"),
            uid: Uid("config".into()),
            generation: 1,
        });
        self.run(Span::ZERO);
    }

    /// What the process around the engine records.
    fn surroundings(&mut self) {
        let metrics = &self.metrics;
        let version = "0.1.0".into();
        metrics.build_info.get_or_create(&BuildLabels { version }).set(1);
        metrics.leader.set(1);
        metrics.events_waiting.set(0);
        let (server, outcome) = ("default".into(), "Value".into());
        metrics.queries.get_or_create(&QueryLabels { server, outcome }).inc();
        metrics.query_seconds.observe(0.02);
        let outcome = "Written".into();
        let labels = WriteLabels { outcome };
        metrics.status_writes.get_or_create(&labels).inc();
        metrics.notices.get_or_create(&labels).inc();
        let dir = tempfile::tempdir().unwrap();
        let bounds = Bounds {
            bytes_per_hour: 1,
            ..Bounds::default()
        };
        let folder = Destination::Folder(dir.path().to_owned());
        let mut journal = Journal::open(folder, bounds, metrics.clone()).unwrap();
        journal.begin(self.now, self.engine.state());
        journal.plan(&self.engine.step(self.now));
    }

    fn observe_policy(&mut self, policy: ScalingPolicy) {
        self.observe(Event::ScalingPolicy {
            policy: Box::new(policy),
            history: ScalingHistory::default(),
        });
    }

    fn observe(&mut self, event: Event) {
        self.metrics.observed(&event);
        self.engine.observe(self.now, event);
    }

    fn show_target(&mut self) {
        let target = Target {
            uid: Uid("target".into()),
            replicas: self.replicas,
            status_replicas: self.replicas,
            selector: LabelSelector {
                match_labels: BTreeMap::from([("app".to_owned(), "web".to_owned())]),
                match_expressions: Vec::new(),
            },
            writer: Some("homeostat".into()),
            deleting: false,
            other_scaler: None,
        };
        self.observe(Event::Target {
            object: scaling::object(),
            target: Some(Box::new(target)),
        });
    }

    /// Steps at every time that the engine asks for.
    fn run(&mut self, length: Span) {
        let until = self.now + length;
        for _ in 0..10_000 {
            let plan = self.engine.step(self.now);
            self.metrics.steps.inc();
            self.metrics.step_seconds.observe(0.001);
            self.metrics.decided(&plan, &self.engine);
            for action in &plan.actions {
                self.carry_out(action);
            }
            if self.engine.is_dirty() {
                continue;
            }
            match plan.wake_at.filter(|at| *at <= until) {
                Some(at) => self.now = self.now.max(at),
                None => break,
            }
        }
        self.now = until;
    }

    fn carry_out(&mut self, action: &Action) {
        self.metrics.acted(action, &Outcome::Done, 0.01);
        self.observe(Event::Outcome {
            action: action.id.clone(),
            outcome: Outcome::Done,
        });
        match &action.what {
            Deed::Scale { to, .. } => {
                self.replicas = *to;
                self.show_target();
            }
            Deed::Evict { pod, .. } => {
                self.observe(Event::PodGone(pod.clone()));
                self.observe(Event::Pod(Box::new(healing::pod(&format!("{}x", pod.name), self.now))));
            }
            Deed::AddNode { node: name, pool, .. } => {
                let mut node = node(name);
                node.labels.insert(POOL_LABEL.into(), pool.clone());
                self.observe(Event::Node(Box::new(node)));
            }
            other => panic!("{other:?}"),
        }
    }
}

fn node(name: &str) -> Node {
    let ready = Condition {
        status: Status::True,
        since: scaling::START,
        reason: String::new(),
    };
    Node {
        name: name.into(),
        uid: Uid(name.into()),
        ready: Some(ready),
        ..Node::default()
    }
}

fn node_pools(key: &PolicyKey, created: Time) -> NodePoolPolicy {
    NodePoolPolicy {
        meta: Meta {
            key: key.clone(),
            uid: Uid("general".into()),
            generation: 1,
            created,
            suspend: false,
            mode: Mode::Enforce,
        },
        provider: ProviderKind::Kwok {
            registration_delay: Span::ZERO,
        },
        pools: vec![NodePool {
            name: "small".into(),
            min: Replicas::new(1),
            max: Replicas::new(10),
            weight: 0,
            template: NodeTemplate::default(),
        }],
        provision_timeout: Span::from_mins(10),
        consolidation: Consolidation::None,
        unneeded_for: Span::from_mins(10),
    }
}
