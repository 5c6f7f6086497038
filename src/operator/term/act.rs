//! Carries out a plan: reports first, since an intent must be on record before the act; then actions, a bounded number
//! at once; outcomes go back to the engine.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use std::sync::Arc;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::tell::{Teller, announced, done};
use crate::core::event::{Event, Outcome};
use crate::core::names::{ObjectRef, PolicyKey};
use crate::core::plan::{Action, Deed, Plan};
use crate::core::policy::Mode;
use crate::core::report::{Detail, Report};
use crate::core::state::State;
use crate::edge::kube::events::{Notice, Notices};
use crate::edge::kube::execute::Executor;
use crate::edge::kube::feed::Feed;
use crate::edge::kube::status::StatusWriter;
use crate::operator::explain::describe;
use crate::telemetry::metrics::Metrics;

/// Actions under way at once.
const AT_ONCE: usize = 16;
/// After the signal, actions that are under way get this long.
const GRACE: Duration = Duration::from_secs(8);
/// After that, what was learnt from them is stored within this time.
const LAST_REPORTS: Duration = Duration::from_secs(3);

/// Carries out plans.
pub(super) struct Actor {
    executor: Executor,
    status: StatusWriter,
    teller: Teller,
    feed: Feed,
    again: mpsc::Sender<ObjectRef>,
    metrics: Metrics,
    permits: Arc<Semaphore>,
    running: JoinSet<()>,
}

impl Actor {
    pub(super) fn new(
        executor: Executor,
        status: StatusWriter,
        notices: Notices,
        feed: Feed,
        again: mpsc::Sender<ObjectRef>,
        metrics: Metrics,
    ) -> Self {
        let permits = Arc::new(Semaphore::new(AT_ONCE));
        Self {
            executor,
            status,
            teller: Teller::new(notices),
            feed,
            again,
            metrics,
            permits,
            running: JoinSet::new(),
        }
    }

    /// Starts what the plan says; does not wait for it. The state is the engine's, after the step.
    pub(super) async fn carry_out(&mut self, plan: &Plan, state: &State) {
        while self.running.try_join_next().is_some() {}
        for refusal in &plan.refusals {
            tracing::info!(policy = %refusal.policy, verb = refusal.verb, subject = %refusal.subject,
                reason = %refusal.reason, because = refusal.message, "refused");
        }
        self.teller.plan(plan, state);
        let mut intents: BTreeMap<&PolicyKey, &Report> = BTreeMap::new();
        let intending = intending(plan);
        for report in &plan.reports {
            if intending.contains(&report.policy) {
                intents.insert(&report.policy, report);
            } else {
                self.status.send(report.clone()).await;
            }
        }
        for action in &plan.actions {
            let notice = announced(action, plan.at, state);
            let verb = action.what.verb();
            let decision = if action.mode == Mode::DryRun {
                "would act"
            } else {
                "decided"
            };
            tracing::info!(trace_id = %action.id, policy = %action.policy, verb, subject = %action.what.subject(),
                reason = %action.reason, because = action.message, "{decision}");
            if action.mode == Mode::DryRun {
                self.teller.notices().send(notice);
                continue;
            }
            let intent = intents.get(&action.policy).map(|r| (*r).clone());
            self.start(action.clone(), intent, notice);
        }
    }

    fn start(&mut self, action: Action, intent: Option<Report>, notice: Notice) {
        let (executor, status, notices) = (self.executor.clone(), self.status.clone(), self.teller.notices());
        let (feed, again, metrics) = (self.feed.clone(), self.again.clone(), self.metrics.clone());
        let permits = Arc::clone(&self.permits);
        self.running.spawn(async move {
            let _permit = permits.acquire_owned().await;
            let began = Instant::now();
            let recorded = match intent {
                Some(report) => status.store(report).await,
                None => true,
            };
            let outcome = if recorded {
                executor.execute(&action).await
            } else {
                Outcome::Skipped {
                    message: "the intent could not be recorded".into(),
                }
            };
            metrics.acted(&action, &outcome, began.elapsed().as_secs_f64());
            log(&action, &outcome);
            if !matches!(outcome, Outcome::Skipped { .. }) {
                notices.send(done(notice, &action, &outcome));
            }
            let unclear = !matches!(outcome, Outcome::Done | Outcome::Skipped { .. });
            feed.send(Event::Outcome {
                action: action.id.clone(),
                outcome,
            })
            .await;
            if let Deed::Scale { target, .. } = &action.what
                && unclear
            {
                let _ = again.send(target.clone()).await;
            }
        });
    }

    /// Waits for what is under way, within bounds.
    pub(super) async fn finish(&mut self) {
        let all = async { while self.running.join_next().await.is_some() {} };
        if tokio::time::timeout(GRACE, all).await.is_err() {
            tracing::warn!("actions were still under way at the end; their objects are looked at anew next time");
        }
    }

    /// Stores what a last plan reports; its actions are left to whoever leads next, and so are reports that speak of them.
    pub(super) async fn last_reports(&self, plan: &Plan) {
        let intending = intending(plan);
        let reports = plan.reports.iter().filter(|r| !intending.contains(&r.policy));
        let stored = futures::future::join_all(reports.map(|report| self.status.store(report.clone())));
        if tokio::time::timeout(LAST_REPORTS, stored).await.is_err() {
            tracing::warn!("the last statuses were not all written in time");
        }
    }
}

/// The policies whose reports must be stored before an action of this plan: they record the intent of an eviction, or the size
/// that a target had before it was scaled and will get back.
fn intending(plan: &Plan) -> BTreeSet<&PolicyKey> {
    let remembers = |r: &&Report| matches!(&r.detail, Detail::Scaling(scaling) if scaling.history.original.is_some());
    let remembering: BTreeSet<_> = plan.reports.iter().filter(remembers).map(|r| &r.policy).collect();
    let needs = |a: &&Action| match a.what {
        Deed::Evict { .. } => true,
        Deed::Scale { .. } => remembering.contains(&a.policy),
        _ => false,
    };
    let enforced = plan.actions.iter().filter(|a| a.mode == Mode::Enforce);
    enforced.filter(needs).map(|a| &a.policy).collect()
}

fn log(action: &Action, outcome: &Outcome) {
    let (verb, subject, result) = (action.what.verb(), action.what.subject(), describe(outcome));
    if *outcome == Outcome::Done {
        tracing::info!(trace_id = %action.id, policy = %action.policy, verb, %subject, reason = %action.reason,
            because = action.message, outcome = result, "acted");
    } else {
        tracing::warn!(trace_id = %action.id, policy = %action.policy, verb, %subject, reason = %action.reason,
            because = action.message, outcome = result, "not done");
    }
}
