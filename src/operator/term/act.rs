//! Carries out a plan: reports first, since an intent must be on record before the act; then actions, a bounded number
//! at once; outcomes go back to the engine.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::core::engine::Engine;
use crate::core::event::{Event, Outcome};
use crate::core::names::{ObjectRef, PolicyKey, Uid};
use crate::core::plan::{Action, Deed, Plan};
use crate::core::policy::Mode;
use crate::core::report::Report;
use crate::core::time::Time;
use crate::edge::kube::announce::{Announcer, object_of};
use crate::edge::kube::events::{Notice, Notices};
use crate::edge::kube::execute::Executor;
use crate::edge::kube::feed::Feed;
use crate::edge::kube::status::StatusWriter;
use crate::telemetry::metrics::Metrics;

/// Actions under way at once.
const AT_ONCE: usize = 16;
/// After the signal, actions that are under way get this long.
const GRACE: Duration = Duration::from_secs(8);

/// Carries out plans.
pub(super) struct Actor {
    executor: Executor,
    status: StatusWriter,
    notices: Notices,
    feed: Feed,
    again: mpsc::Sender<ObjectRef>,
    metrics: Metrics,
    permits: Arc<Semaphore>,
    running: JoinSet<()>,
    announcer: Announcer,
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
            notices,
            feed,
            again,
            metrics,
            permits,
            running: JoinSet::new(),
            announcer: Announcer::default(),
        }
    }

    /// Starts what the plan says; does not wait for it.
    pub(super) async fn carry_out(&mut self, plan: Arc<Plan>, engine: &Engine) {
        while self.running.try_join_next().is_some() {}
        for refusal in &plan.refusals {
            tracing::info!(policy = %refusal.policy, subject = %refusal.subject, verb = refusal.verb,
                reason = %refusal.reason, message = refusal.message, "refused");
        }
        for notice in self.announcer.notices(&plan, engine) {
            self.notices.send(notice);
        }
        let mut intents: BTreeMap<&PolicyKey, &Report> = BTreeMap::new();
        for report in &plan.reports {
            let evicts = |a: &Action| a.policy == report.policy && matches!(a.what, Deed::Evict { .. });
            if plan.actions.iter().any(evicts) {
                intents.insert(&report.policy, report);
            } else {
                self.status.send(report.clone()).await;
            }
        }
        for action in &plan.actions {
            if action.mode == Mode::DryRun {
                tracing::info!(policy = %action.policy, verb = action.what.verb(), message = action.message, "would act");
                self.notices
                    .send(announced(action, plan.at, None, engine.uid_of(&action.policy)));
                continue;
            }
            let intent = intents.get(&action.policy).map(|r| (*r).clone());
            let uid = engine.uid_of(&action.policy).cloned();
            self.start(action.clone(), intent, plan.at, uid);
        }
    }

    fn start(&mut self, action: Action, intent: Option<Report>, at: Time, uid: Option<Uid>) {
        let (executor, status, notices) = (self.executor.clone(), self.status.clone(), self.notices.clone());
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
            tracing::info!(policy = %action.policy, id = %action.id, verb = action.what.verb(),
                subject = %action.what.subject(), reason = %action.reason, message = action.message,
                outcome = ?outcome, "acted");
            if !matches!(outcome, Outcome::Skipped { .. }) {
                let notice = announced(&action, at, Some(&outcome), uid.as_ref());
                notices.send(on_subject(&action, &notice));
                notices.send(notice);
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
}

/// What was done, or in dry-run mode would have been.
fn announced(action: &Action, at: Time, outcome: Option<&Outcome>, uid: Option<&Uid>) -> Notice {
    let (warning, note) = match outcome {
        None => (false, format!("would: {}", action.message)),
        Some(Outcome::Done) => (false, action.message.clone()),
        Some(
            Outcome::Conflict { message, .. }
            | Outcome::Blocked { message }
            | Outcome::Failed { message }
            | Outcome::Unknown { message }
            | Outcome::Skipped { message },
        ) => (true, format!("{}: not done: {message}", action.message)),
    };
    Notice {
        regarding: object_of(&action.policy),
        uid: uid.cloned(),
        related: Some(action.what.subject()),
        warning,
        reason: action.reason.as_str().into(),
        action: action.what.verb().into(),
        note,
        at,
    }
}

/// The same on the object that was acted upon, where its owner looks.
fn on_subject(action: &Action, notice: &Notice) -> Notice {
    Notice {
        regarding: action.what.subject(),
        uid: action.what.uid().cloned(),
        related: Some(notice.regarding.clone()),
        ..notice.clone()
    }
}
