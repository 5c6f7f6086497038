//! One term: watches, engine and executor, from a fresh look at the cluster until leadership is lost or the process ends.
//! As a follower the engine only observes; as a leader it steps, and what it decides is carried out.

mod act;
mod tell;

use std::path::PathBuf;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::Api;
use kube::runtime::watcher;
use kube::{Client, Config};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::http::Probes;
use super::journal::{Bounds, Destination, Journal, JournalError};
use super::observe::{Publisher, StatusEcho};
use crate::core::engine::Engine;
use crate::core::event::{Event, Outcome};
use crate::core::plan::Plan;
use crate::core::policy::Mode;
use crate::core::world::{OwnIdentity, View};
use crate::edge::clock;
use crate::edge::kube::events::Notices;
use crate::edge::kube::execute::Executor;
use crate::edge::kube::feed::{Feed, Observed};
use crate::edge::kube::lease::Leadership;
use crate::edge::kube::status::{KnownStatuses, StatusWriter};
use crate::edge::kube::watch::{ViewPart, Watching};
use crate::edge::kube::{config, convert, health, policies, targets, watch as watching};
use crate::edge::metrics::client::MetricsApis;
use crate::edge::poll;
use crate::edge::sync;
use crate::telemetry::metrics::Metrics;
use act::Actor;

/// Events that may wait for the engine; the watches wait when there are more.
const QUEUE: usize = 8192;
/// Events taken in before the next step.
const BATCH: usize = 2048;
/// Between two steps: what changes together is decided together.
const PAUSE: Duration = Duration::from_millis(20);

/// After the end of a term, syncs of GitSources that are under way get this long.
const SYNCING: Duration = Duration::from_secs(2);

/// What a term needs from the process.
pub(super) struct Surroundings {
    pub config: Config,
    pub client: Client,
    pub leadership: Leadership,
    pub metrics: Metrics,
    pub probes: Probes,
    pub notices: Notices,
    pub own: OwnIdentity,
    pub namespace: String,
    pub journal: Destination,
    pub journal_bounds: Bounds,
    pub work_dir: PathBuf,
}

/// Why a term ended.
pub(super) enum End {
    Shutdown,
    LostLeadership,
}

pub(super) async fn run(around: &Surroundings, shutdown: CancellationToken) -> Result<End, JournalError> {
    around.metrics.begin_term();
    let stop = shutdown.child_token();
    let (feed, events) = Feed::new(QUEUE);
    let started = start(around, &feed, &stop);
    let journal = Journal::open(around.journal.clone(), around.journal_bounds, around.metrics.clone())?;
    let mut engine = Engine::new(clock::now());
    let own = Event::Own(around.own.clone());
    engine.observe(clock::now(), own);
    let mut turn = Term {
        around,
        engine,
        journal,
        publisher: started.publisher,
        actor: started.actor,
        known: started.known,
        echo: StatusEcho::default(),
        events,
        led: false,
        stepped: Instant::now(),
        next_step: Instant::now(),
    };
    let end = turn.drive(&shutdown).await;
    turn.finish().await;
    stop.cancel();
    if tokio::time::timeout(SYNCING, started.syncing).await.is_err() {
        tracing::warn!("GitSources were still being synced at the end; they are looked at anew next time");
    }
    Ok(end)
}

/// Starts everything that observes and acts.
fn start(around: &Surroundings, feed: &Feed, stop: &CancellationToken) -> Started {
    let client = &around.client;
    let watching = Watching {
        feed: feed.clone(),
        api_healthy: health::spawn(client.clone(), stop.clone()),
        shutdown: stop.clone(),
    };
    let part = |view| ViewPart::split(view, 1).pop();
    tokio::spawn(watching::run(
        Api::<Pod>::all(client.clone()),
        watcher::Config::default(),
        part(View::Pods),
        watching.clone(),
        |pod: Pod| Some(Event::Pod(Box::new(convert::pod(&pod)))),
        |key| Some(Event::PodGone(key)),
    ));
    tokio::spawn(watching::run(
        Api::<Node>::all(client.clone()),
        watcher::Config::default(),
        part(View::Nodes),
        watching.clone(),
        |node: Node| Some(Event::Node(Box::new(convert::node(&node)))),
        |key| Some(Event::NodeGone(key.name)),
    ));
    let known = KnownStatuses::default();
    policies::spawn(client, &known, &watching);
    let (publisher, needed) = Publisher::new();
    let (again, unclear) = mpsc::channel(256);
    tokio::spawn(targets::run(client.clone(), needed.targets, unclear, watching.clone()));
    let (servers, known_servers) = watch::channel(None);
    let (metrics, leadership) = (around.metrics.clone(), around.leadership.clone());
    tokio::spawn(poll::run(
        needed.queries,
        known_servers,
        needed.selectors,
        MetricsApis::new(client.clone()),
        feed.clone(),
        metrics.clone(),
        stop.clone(),
    ));
    let status = StatusWriter::spawn(
        client.clone(),
        leadership.clone(),
        metrics.clone(),
        known.clone(),
        stop.clone(),
    );
    let (orders, restores) = mpsc::channel(64);
    let syncing = sync::Surroundings {
        config: around.config.clone(),
        client: client.clone(),
        leadership: leadership.clone(),
        feed: feed.clone(),
        notices: around.notices.clone(),
        metrics: metrics.clone(),
        owned: needed.owned,
        work_dir: around.work_dir.clone(),
        shutdown: stop.clone(),
    };
    let syncing = tokio::spawn(sync::run(syncing, watching.clone(), restores));
    tokio::spawn(config::run(client.clone(), around.namespace.clone(), servers, watching));
    let executor = Executor::new(client.clone(), leadership, feed.clone(), orders);
    let actor = Actor::new(executor, status, around.notices.clone(), feed.clone(), again, metrics);
    Started {
        publisher,
        actor,
        known,
        syncing,
    }
}

/// What was started, as far as the term goes on with it.
struct Started {
    publisher: Publisher,
    actor: Actor,
    known: KnownStatuses,
    syncing: JoinHandle<()>,
}

struct Term<'a> {
    around: &'a Surroundings,
    engine: Engine,
    journal: Journal,
    publisher: Publisher,
    actor: Actor,
    known: KnownStatuses,
    echo: StatusEcho,
    events: mpsc::Receiver<Observed>,
    led: bool,
    stepped: Instant,
    next_step: Instant,
}

impl Term<'_> {
    async fn drive(&mut self, shutdown: &CancellationToken) -> End {
        let mut changes = self.around.leadership.changes();
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            self.around.probes.turned();
            tokio::select! {
                () = shutdown.cancelled() => return End::Shutdown,
                _ = changes.changed() => {}
                _ = self.events.recv_many(&mut batch, BATCH) => {}
                () = tokio::time::sleep_until(self.next_step) => {}
            }
            let mut leads = self.around.leadership.is_leader_now();
            if self.led && !leads {
                return End::LostLeadership;
            }
            self.journal.begin(clock::now(), self.engine.state());
            for observed in batch.drain(..) {
                self.observe(observed);
            }
            if leads && !self.led {
                leads = self.take_over().await;
                self.led = leads;
            }
            self.around
                .metrics
                .events_waiting
                .set(i64::try_from(self.events.len()).unwrap_or(i64::MAX));
            let now = Instant::now();
            if leads && self.engine.is_dirty() {
                self.next_step = self.next_step.min(self.stepped + PAUSE);
            }
            if leads && now >= self.next_step {
                self.step().await;
            } else if !leads {
                self.publisher.publish(&self.engine);
                self.next_step = now + Duration::from_secs(1);
            }
            self.set_ready();
        }
    }

    fn observe(&mut self, observed: Observed) {
        self.around.metrics.observed(&observed.event);
        for event in self.echo.filter(observed.event, self.led) {
            self.journal.event(observed.at, &event);
            self.publisher.note(&event);
            self.engine.observe(observed.at, event);
        }
    }

    /// Reads what the last leader left in the policies' statuses, from the API server itself: the watch may lag behind it, and
    /// what was tried must be known before anything more is.
    async fn take_over(&mut self) -> bool {
        let (client, known) = (self.around.client.clone(), self.known.clone());
        let listed = policies::list(&client, &known, |event| {
            self.observe(Observed {
                at: clock::now(),
                event,
            });
        });
        if let Err(error) = listed.await {
            tracing::warn!(%error, "elected, but what the last leader left cannot be read: nothing is done yet");
            return false;
        }
        tracing::info!("this replica leads");
        true
    }

    /// Waits for what is under way, and stores what is learnt from it. What a last step would do is left to the next leader.
    async fn finish(&mut self) {
        let mut late = Vec::new();
        {
            let Self { actor, events, .. } = self;
            let mut finished = std::pin::pin!(actor.finish());
            loop {
                tokio::select! {
                    () = &mut finished => break,
                    Some(observed) = events.recv() => late.push(observed),
                }
            }
            while let Ok(observed) = events.try_recv() {
                late.push(observed);
            }
        }
        if !self.led || !self.around.leadership.is_leader_now() {
            return;
        }
        for observed in late {
            self.observe(observed);
        }
        let now = clock::now();
        let plan = self.engine.step(now);
        self.journal.plan(&plan);
        for action in plan.actions.iter().filter(|a| a.mode == Mode::Enforce) {
            let outcome = Outcome::Skipped {
                message: "the operator ends".into(),
            };
            let event = Event::Outcome {
                action: action.id.clone(),
                outcome,
            };
            self.observe(Observed { at: now, event });
        }
        self.actor.last_reports(&plan).await;
    }

    async fn step(&mut self) {
        let began = Instant::now();
        self.stepped = began;
        let now = clock::now();
        let plan = self.engine.step(now);
        self.around.metrics.steps.inc();
        self.around.metrics.step_seconds.observe(began.elapsed().as_secs_f64());
        self.journal.plan(&plan);
        self.publisher.publish(&self.engine);
        self.around.metrics.decided(&plan, &self.engine);
        self.next_step = wake(&plan);
        self.actor.carry_out(&plan, self.engine.state()).await;
    }

    fn set_ready(&self) {
        let world = &self.engine.state().world;
        let sees = |view| world.sees(view);
        let views = [View::Pods, View::Nodes, View::Policies];
        self.around.probes.set_ready(views.into_iter().all(sees));
        for view in views {
            self.around.metrics.sees(view, sees(view));
        }
    }
}

/// When to step again: when something comes due, and now and then in any case.
fn wake(plan: &Plan) -> Instant {
    let idle = Duration::from_secs(10);
    let wait = plan.wake_at.map_or(idle, |at| {
        Duration::from_millis(at.since(clock::now()).as_millis().max(0).unsigned_abs()).min(idle)
    });
    Instant::now() + wait.max(PAUSE)
}
