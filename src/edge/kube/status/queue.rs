//! Which report is written when: of several on one policy only the latest, a bounded number at once, and later again what could not
//! be written.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{End, Job, QUEUE, Writer};
use crate::core::names::PolicyKey;
use crate::core::report::Report;
use crate::core::world::Status;
use crate::edge::retry::Backoff;

/// How many statuses are written at once.
const AT_ONCE: usize = 12;
/// The longest wait before a write that failed is tried again.
const LAST_DELAY: Duration = Duration::from_secs(30);
/// The wait before a write that the API server refused is tried again. It refuses any status, whatever it says, of an object
/// whose spec has a value of another type than one of the definition's rules reads: then Events and metrics must do.
const REFUSED_DELAY: Duration = Duration::from_mins(5);
/// A policy that is still looking around mostly knows more very soon: what it says is written only when that takes longer than this.
const LOOKING_DELAY: Duration = Duration::from_secs(2);

/// Reports that are not stored yet. At most one a policy waits, and at most one a policy is being written.
#[derive(Default)]
pub(super) struct Queue {
    waiting: BTreeMap<PolicyKey, Waiting>,
    /// Those of the waiting that may be written, and when.
    order: BTreeSet<(Instant, PolicyKey)>,
    /// Policies whose status is being written.
    busy: BTreeSet<PolicyKey>,
}

/// The latest report on one policy, until it is stored.
struct Waiting {
    report: Report,
    done: Vec<oneshot::Sender<bool>>,
    backoff: Backoff,
    /// The last try failed.
    failed: bool,
    next: Instant,
}

impl Queue {
    /// Writes until shutdown. What cannot be written, since the API server is away, say, is written later, unless there is
    /// something newer to say.
    pub(super) async fn run(mut self, writer: Writer, mut receiver: mpsc::Receiver<Job>, shutdown: CancellationToken) {
        let mut jobs: Vec<Job> = Vec::new();
        let mut running: JoinSet<(Waiting, End)> = JoinSet::new();
        loop {
            while running.len() < AT_ONCE
                && let Some(job) = self.pop(Instant::now())
            {
                let writer = writer.clone();
                running.spawn(async move {
                    let end = writer.store(&job.report).await;
                    (job, end)
                });
            }
            let next = self
                .order
                .first()
                .map(|(at, _)| *at)
                .filter(|_| running.len() < AT_ONCE);
            tokio::select! {
                () = shutdown.cancelled() => return,
                count = receiver.recv_many(&mut jobs, QUEUE) => {
                    if count == 0 { return; }
                    let now = Instant::now();
                    for (report, done) in jobs.drain(..) {
                        self.push(now, report, done);
                    }
                }
                Some(Ok((job, end))) = running.join_next() => self.ended(Instant::now(), job, end),
                () = tokio::time::sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {}
            }
        }
    }

    fn push(&mut self, now: Instant, report: Report, done: Option<oneshot::Sender<bool>>) {
        let delay = if done.is_none() && looks_around(&report) {
            LOOKING_DELAY
        } else {
            Duration::ZERO
        };
        let key = report.policy.clone();
        if let Some(old) = self.waiting.get_mut(&key) {
            self.order.remove(&(old.next, key.clone()));
            // What could not be written is tried no earlier for what is new in it, unless the object is another one now.
            if !old.failed || old.report.generation != report.generation {
                old.next = old.next.min(now + delay);
            }
            old.report = report;
            old.done.extend(done);
        } else {
            let new = Waiting {
                report,
                done: done.into_iter().collect(),
                backoff: Backoff::new(Duration::from_millis(200), LAST_DELAY),
                failed: false,
                next: now + delay,
            };
            self.waiting.insert(key.clone(), new);
        }
        self.line_up(key);
    }

    /// A policy whose status is being written must wait for the end of that.
    fn line_up(&mut self, key: PolicyKey) {
        if !self.busy.contains(&key)
            && let Some(waiting) = self.waiting.get(&key)
        {
            self.order.insert((waiting.next, key));
        }
    }

    /// The next that is due.
    fn pop(&mut self, now: Instant) -> Option<Waiting> {
        if self.order.first().is_none_or(|(at, _)| *at > now) {
            return None;
        }
        let (_, key) = self.order.pop_first()?;
        let waiting = self.waiting.remove(&key);
        self.busy.insert(key);
        waiting
    }

    fn ended(&mut self, now: Instant, mut job: Waiting, end: End) {
        for done in job.done.drain(..) {
            let _ = done.send(end == End::Stored);
        }
        let key = job.report.policy.clone();
        self.busy.remove(&key);
        let delay = match end {
            End::Stored | End::Pointless => return self.line_up(key),
            End::Failed => job.backoff.next_delay(),
            End::Refused => REFUSED_DELAY,
        };
        (job.failed, job.next) = (true, now + delay);
        if let Some(newer) = self.waiting.remove(&key) {
            if newer.report.generation != job.report.generation {
                job.next = newer.next;
            }
            (job.report, job.done) = (newer.report, newer.done);
        }
        self.waiting.insert(key.clone(), job);
        self.line_up(key);
    }
}

/// The report says only that nothing is known yet.
fn looks_around(report: &Report) -> bool {
    report
        .condition("Reconciling")
        .is_some_and(|condition| condition.status == Status::True)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::names::PolicyKind;
    use crate::core::reason::Reason;
    use crate::core::report::{ConditionReport, Detail};

    fn key(name: &str) -> PolicyKey {
        PolicyKey::new(PolicyKind::ScalingPolicy, "shop", name)
    }

    fn report(name: &str, kind: &str, message: &str) -> Report {
        let condition = ConditionReport {
            kind: kind.into(),
            status: Status::True,
            reason: Reason::Accepted,
            message: message.into(),
        };
        Report {
            policy: key(name),
            generation: 1,
            conditions: vec![condition],
            detail: Detail::None,
        }
    }

    fn message(job: &Waiting) -> &str {
        &job.report.conditions[0].message
    }

    #[tokio::test]
    async fn of_one_policy_the_latest_is_written_after_the_one_that_is_under_way() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        queue.push(now, report("a", "Ready", "first"), None);
        let first = queue.pop(now).unwrap();
        queue.push(now, report("a", "Ready", "second"), None);
        queue.push(now, report("a", "Ready", "third"), None);
        assert!(queue.pop(now).is_none(), "two writes on one policy at once");
        queue.ended(now, first, End::Stored);
        let next = queue.pop(now).unwrap();
        assert_eq!(message(&next), "third");
        queue.ended(now, next, End::Stored);
        assert!(queue.pop(now + LAST_DELAY).is_none());
    }

    #[tokio::test]
    async fn what_failed_is_tried_later_with_what_is_new_by_then() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        queue.push(now, report("a", "Ready", "first"), None);
        let first = queue.pop(now).unwrap();
        queue.ended(now, first, End::Failed);
        queue.push(now, report("a", "Ready", "second"), None);
        assert!(queue.pop(now).is_none(), "no back-off");
        let next = queue.pop(now + LAST_DELAY).unwrap();
        assert_eq!(message(&next), "second");
        queue.push(now, report("a", "Ready", "third"), None);
        queue.ended(now, next, End::Refused);
        assert!(queue.pop(now + LAST_DELAY).is_none(), "refused a moment ago");
        let mut changed = report("a", "Ready", "fourth");
        changed.generation = 2;
        queue.push(now, changed, None);
        assert_eq!(message(&queue.pop(now).unwrap()), "fourth");
    }

    #[tokio::test]
    async fn a_policy_that_looks_around_waits_until_it_knows_or_for_a_moment() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        queue.push(now, report("a", "Reconciling", "looks"), None);
        queue.push(now, report("b", "Reconciling", "looks"), None);
        let (intent, _stored) = oneshot::channel();
        queue.push(now, report("c", "Reconciling", "intends"), Some(intent));
        assert_eq!(message(&queue.pop(now).unwrap()), "intends");
        assert!(queue.pop(now).is_none());
        queue.push(now, report("b", "Ready", "knows"), None);
        assert_eq!(message(&queue.pop(now).unwrap()), "knows");
        assert_eq!(message(&queue.pop(now + LOOKING_DELAY).unwrap()), "looks");
    }
}
