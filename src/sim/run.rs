//! Tells a story: jumps from one happening to the next, carries changes to the operator and its actions to the cluster, and
//! has every event and every plan checked. Ends at the first broken promise.

mod act;
mod feed;
mod trouble;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::check::{Checker, Invariant, Violation};
use super::clock::Queue;
use super::cluster::{Cluster, PodId, Timer, size};
use super::declared::Source;
use super::metrics::Metrics;
use super::policies::{Policies, Spec};
use super::random::Random;
use super::scenario::{NODE_CPU_MILLI, NODE_PODS, OPERATOR_STARTS, START, Scenario};
use super::score::Score;
use super::story::Story;
use super::wires::{Wire, Wires};
use crate::core::engine::Engine;
use crate::core::event::{Event, Outcome};
use crate::core::guard::Safeguard;
use crate::core::names::{ActionId, ObjectKey, ObjectRef, PolicyKey, Uid};
use crate::core::plan::Action;
use crate::core::report::Report;
use crate::core::sample::Reading;
use crate::core::time::{Span, Time};

/// What changes together is decided together: between the first change and the step.
const PAUSE: Span = Span::from_millis(20);
/// One step in so many is done twice: the second must do nothing.
const IDLE_STEPS: u64 = 32;
/// What one pod serves, in units of load.
const UNITS: f64 = super::scenario::UNITS as f64;

/// How a story is told.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Safeguards that are off.
    pub off: Vec<Safeguard>,
    /// Write down what happens.
    pub story: bool,
    /// Let a second engine see the same events, independent ones in another order: it must decide the same.
    pub twin: bool,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Ending {
    /// The first broken promise.
    pub violation: Option<Violation>,
    /// What there was to see.
    pub stats: Stats,
    /// Of every scaled workload.
    pub scores: BTreeMap<String, Score>,
    /// What happened, line by line, if it was asked for.
    pub story: Vec<String>,
    /// A digest of every plan.
    pub digest: u64,
}

/// What there was to see.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Simulated milliseconds.
    pub millis: i64,
    /// Events that the engine took in.
    pub events: u64,
    /// Steps of the engine.
    pub steps: u64,
    /// Actions that it wanted.
    pub actions: u64,
    /// Refusals.
    pub refusals: u64,
    /// Troubles that began.
    pub troubles: u64,
    /// The fewest nodes at any minute after the start.
    pub fewest_nodes: u64,
    /// The fewest pods at any minute after the start.
    pub fewest_pods: u64,
}

impl Stats {
    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let fewest = |a: u64, b: u64| if a == 0 { b } else { a.min(b) };
        Self {
            millis: self.millis + other.millis,
            events: self.events + other.events,
            steps: self.steps + other.steps,
            actions: self.actions + other.actions,
            refusals: self.refusals + other.refusals,
            troubles: self.troubles + other.troubles,
            fewest_nodes: fewest(self.fewest_nodes, other.fewest_nodes),
            fewest_pods: fewest(self.fewest_pods, other.fewest_pods),
        }
    }

    /// Simulated hours.
    #[must_use]
    pub fn hours(self) -> f64 {
        self.millis as f64 / 3_600_000.0
    }
}

/// What happens.
#[derive(Clone, Debug)]
enum Happening {
    Cluster(Timer),
    Begin(u32),
    Connect(Wire, u32),
    Arrive {
        wire: Wire,
        connection: u32,
        event: Box<Event>,
    },
    Poll(usize, u32),
    Sample(usize, u32, Reading),
    Execute {
        term: u32,
        action: Box<Action>,
        /// Of which step it is part, and what is stored before it.
        intent: Option<(u64, Box<Report>)>,
    },
    Reply {
        term: u32,
        action: ActionId,
        outcome: Outcome,
    },
    Status {
        written: (u32, u64),
        report: Box<Report>,
    },
    ReadAgain(u32, ObjectRef),
    Trouble(usize),
    TroubleAgain(usize),
    TroubleEnds(usize),
    Disturb(usize, ObjectRef),
    Minute,
}

/// The process of the operator, and what its edge remembers.
struct Operator {
    engine: Engine,
    term: u32,
    up: bool,
    next_step: Option<Time>,
    own: ObjectKey,
    /// What its watches have told, to tell what is gone after a new list.
    pods: BTreeSet<ObjectKey>,
    nodes: BTreeSet<String>,
    policies: BTreeMap<PolicyKey, (Uid, i64, bool)>,
    /// What it watches and asks.
    targets: BTreeSet<ObjectRef>,
    asked: BTreeMap<usize, Span>,
    polling: BTreeSet<usize>,
    /// Its policies changed: what it watches and asks may have too.
    republish: bool,
    twin: Option<Engine>,
    /// What the twin has not seen yet.
    unseen: Vec<(Time, Event)>,
}

/// A story being told.
struct Sim<'a> {
    scenario: &'a Scenario,
    options: &'a Options,
    now: Time,
    queue: Queue<Happening>,
    cluster: Cluster,
    metrics: Metrics,
    policies: Policies,
    sources: Vec<Source>,
    wires: Wires,
    operator: Operator,
    check: Checker,
    story: Story,
    scores: BTreeMap<String, Score>,
    stats: Stats,
    random: Random,
    digest: u64,
    /// Faults that keep the API server away.
    api_down: u32,
    /// Writes take so much longer.
    slow: Span,
    /// The next writes: whether each is done, and whether it is answered.
    odd: VecDeque<(bool, bool)>,
    /// Which pods a trouble has fallen upon.
    afflicted: BTreeMap<usize, Vec<PodId>>,
}

/// Tells a story.
#[must_use]
pub fn run(scenario: &Scenario, options: &Options) -> Ending {
    let mut sim = Sim::new(scenario, options);
    sim.run();
    if sim.check.violation.is_none() {
        let violation = sim.check.at_the_end(sim.now, &sim.cluster, &sim.metrics, scenario);
        sim.check.violation = violation;
    }
    if let Some(violation) = &sim.check.violation {
        sim.story.line(violation.at, || format!("BROKEN {violation}"));
    }
    sim.stats.millis = sim.now.since(START).as_millis();
    Ending {
        violation: sim.check.violation,
        stats: sim.stats,
        scores: sim.scores,
        story: sim.story.lines,
        digest: sim.digest,
    }
}

impl<'a> Sim<'a> {
    fn new(scenario: &'a Scenario, options: &'a Options) -> Self {
        let random = Random::new(scenario.seed);
        let mut cluster = Cluster::new(random.fork("cluster"));
        for node in 0..scenario.nodes {
            cluster.add_node(START, &format!("n{node}"), size(NODE_CPU_MILLI, NODE_PODS));
        }
        for w in &scenario.workloads {
            let id = cluster.add_workload(&w.namespace, &w.name, w.replicas, w.cpu_milli);
            cluster.workloads[id].min_available = w.min_available;
            cluster.workloads[id].daemon = w.daemon;
        }
        cluster.start(START);
        let mut policies = Policies::default();
        for spec in &scenario.policies {
            policies.apply(spec.clone());
        }
        let mut sim = Self {
            scenario,
            options,
            now: START,
            queue: Queue::default(),
            cluster,
            metrics: Metrics::new(scenario.questions.clone(), scenario.seed, scenario.length),
            policies,
            sources: scenario
                .sources
                .iter()
                .map(|(key, enforce, objects)| Source::new(key.clone(), *enforce, objects))
                .collect(),
            wires: Wires::default(),
            operator: Operator::new(),
            check: Checker::default(),
            story: Story::new(options.story),
            scores: BTreeMap::new(),
            stats: Stats::default(),
            random: random.fork("run"),
            digest: 0xcbf2_9ce4_8422_2325,
            api_down: 0,
            slow: Span::ZERO,
            odd: VecDeque::new(),
            afflicted: BTreeMap::new(),
        };
        sim.queue.push(START + OPERATOR_STARTS, Happening::Begin(1));
        sim.queue.push(START + OPERATOR_STARTS, Happening::Minute);
        for (index, trouble) in scenario.troubles.iter().enumerate() {
            sim.queue.push(START + trouble.at, Happening::Trouble(index));
        }
        sim
    }

    fn run(&mut self) {
        let end = START + self.scenario.length;
        self.settle();
        while self.check.violation.is_none() {
            let step = self.operator.next_step.filter(|_| self.operator.up);
            let next = self.queue.next();
            let Some(at) = step.into_iter().chain(next).min().filter(|at| *at <= end) else {
                self.now = end;
                return;
            };
            self.now = self.now.max(at);
            if next.is_none_or(|next| step.is_some_and(|step| step < next)) {
                self.step();
            } else if let Some((_, happening)) = self.queue.pop() {
                self.happen(happening);
            }
            self.settle();
        }
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Cluster(timer) => self.cluster.fire(self.now, timer),
            Happening::Begin(term) => self.begin(term),
            Happening::Connect(wire, term) => self.connect(wire, term),
            Happening::Arrive {
                wire,
                connection,
                event,
            } => {
                if self.wires.line(wire).connection == connection {
                    self.arrive(*event);
                }
            }
            Happening::Poll(question, term) => self.poll(question, term),
            Happening::Sample(question, term, reading) => {
                if self.is_current(term) && self.operator.asked.contains_key(&question) {
                    let query = self.metrics.questions[question].key.clone();
                    self.tell(Event::Sample { query, reading });
                }
            }
            Happening::Execute { term, action, intent } => self.execute(term, *action, intent),
            Happening::Reply { term, action, outcome } => self.reply(term, action, outcome),
            Happening::Status { written, report } => self.write_status(written, *report),
            Happening::ReadAgain(term, object) => self.read_again(term, object),
            Happening::Trouble(index) => self.trouble(index),
            Happening::TroubleAgain(index) => self.trouble_again(index),
            Happening::TroubleEnds(index) => self.trouble_ends(index),
            Happening::Disturb(source, object) => self.disturb(source, &object, false, "kubectl-edit"),
            Happening::Minute => self.minute(),
        }
    }

    /// What a happening has left behind: changes to be watched, timers, a step that is due.
    fn settle(&mut self) {
        for (at, timer) in std::mem::take(&mut self.cluster.timers) {
            self.queue.push(at, Happening::Cluster(timer));
        }
        for event in std::mem::take(&mut self.cluster.events) {
            self.watch(event);
        }
        if !self.operator.up {
            return;
        }
        if std::mem::take(&mut self.operator.republish) {
            self.republish();
        }
        if self.operator.engine.is_dirty() {
            let soon = self.now + PAUSE;
            let next = self.operator.next_step.map_or(soon, |at| at.min(soon));
            self.operator.next_step = Some(next);
        }
    }

    fn later(&mut self, after: Span, happening: Happening) {
        self.queue.push(self.now + after, happening);
    }

    /// Some milliseconds between the two.
    fn millis(&mut self, low: i64, high: i64) -> Span {
        Span::from_millis(self.random.between(low, high))
    }

    /// The same for a write, which may be slow.
    fn slowly(&mut self, low: i64, high: i64) -> Span {
        let slow = self.slow.as_millis();
        self.millis(low + slow, high + slow)
    }

    fn is_current(&self, term: u32) -> bool {
        self.operator.up && self.operator.term == term
    }

    fn violate(&mut self, invariant: Invariant, message: String) {
        self.check.violate(self.now, invariant, message);
    }

    /// Looks at supply and demand.
    fn minute(&mut self) {
        let minute = Span::from_mins(1);
        let (nodes, pods) = (self.cluster.nodes.len() as u64, self.cluster.pod_count() as u64);
        self.stats = self.stats.and(Stats {
            fewest_nodes: nodes,
            fewest_pods: pods,
            ..Stats::default()
        });
        for question in 0..self.metrics.questions.len() {
            let workload = self.metrics.questions[question].workload;
            let demand = (self.metrics.load(question, self.now) / UNITS).ceil() as u32;
            let supply = self.cluster.ready(workload);
            let name = self.scenario.workload(workload);
            self.scores.entry(name).or_default().add(demand, supply, minute);
        }
        self.later(minute, Happening::Minute);
    }

    /// Whether a policy is there, and how.
    fn spec(&self, key: &PolicyKey) -> Option<&Spec> {
        self.policies.all.get(key).map(|stored| &stored.spec)
    }
}
