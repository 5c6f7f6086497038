//! Carries out a plan: reports first, since an intent must be on record before the act; then actions, a bounded number
//! at once; outcomes go back to the engine.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::api::{GROUP, VERSION};
use crate::core::event::{Event, Outcome};
use crate::core::names::{ObjectRef, PolicyKey};
use crate::core::plan::{Action, Deed, Plan, Refusal};
use crate::core::policy::Mode;
use crate::core::report::Report;
use crate::core::time::Time;
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
        }
    }

    /// Starts what the plan says; does not wait for it.
    pub(super) async fn carry_out(&mut self, plan: Arc<Plan>) {
        while self.running.try_join_next().is_some() {}
        for refusal in &plan.refusals {
            tracing::info!(policy = %refusal.policy, subject = %refusal.subject, verb = refusal.verb,
                reason = %refusal.reason, message = refusal.message, "refused");
            self.notices.send(refused(refusal, plan.at));
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
                self.notices.send(announced(action, plan.at, None));
                continue;
            }
            let intent = intents.get(&action.policy).map(|r| (*r).clone());
            self.start(action.clone(), intent, plan.at);
        }
    }

    fn start(&mut self, action: Action, intent: Option<Report>, at: Time) {
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
                notices.send(announced(&action, at, Some(&outcome)));
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

/// The policy as an object.
fn object_of(policy: &PolicyKey) -> ObjectRef {
    ObjectRef::new(
        &format!("{GROUP}/{VERSION}"),
        policy.kind.as_str(),
        &policy.namespace,
        &policy.name,
    )
}

fn refused(refusal: &Refusal, at: Time) -> Notice {
    Notice {
        regarding: object_of(&refusal.policy),
        uid: None,
        related: Some(refusal.subject.clone()),
        warning: true,
        reason: refusal.reason.as_str().into(),
        action: format!("Refuse{}", refusal.verb),
        note: refusal.message.clone(),
        at,
    }
}

/// What was done, or in dry-run mode would have been.
fn announced(action: &Action, at: Time, outcome: Option<&Outcome>) -> Notice {
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
        uid: None,
        related: Some(action.what.subject()),
        warning,
        reason: action.reason.as_str().into(),
        action: action.what.verb().into(),
        note,
        at,
    }
}
