//! A plan in the making: collects what the subsystems decide, passes every action through the guard, and leaves out what
//! was said before.

use std::collections::{BTreeMap, BTreeSet};

use crate::core::guard::{self, InFlight};
use crate::core::names::{ActionId, ObjectRef, PolicyKey};
use crate::core::plan::{Action, Deed, Lifted, Plan, Refusal};
use crate::core::policy::Mode;
use crate::core::reason::Reason;
use crate::core::report::Report;
use crate::core::state::State;
use crate::core::time::Time;

/// A plan in the making.
#[derive(Debug)]
pub struct Draft {
    seq: u64,
    now: Time,
    epoch: Time,
    actions: Vec<Action>,
    refusals: BTreeMap<PolicyKey, Vec<Refusal>>,
    evaluated: BTreeSet<PolicyKey>,
    reports: Vec<Report>,
}

impl Draft {
    pub(super) fn new(seq: u64, now: Time, epoch: Time) -> Self {
        Self {
            seq,
            now,
            epoch,
            actions: Vec::new(),
            refusals: BTreeMap::new(),
            evaluated: BTreeSet::new(),
            reports: Vec::new(),
        }
    }

    /// This policy is evaluated in this step: refusals of it that are not repeated have ended.
    pub fn begin(&mut self, state: &State, policy: &PolicyKey) {
        if state.refusals.contains_key(policy) {
            self.evaluated.insert(policy.clone());
        }
    }

    /// Adds an action after the guard's last check, and remembers it as under way (in dry-run mode nothing is under way).
    ///
    /// # Errors
    /// The guard's reason; the refusal is recorded already.
    pub fn act(
        &mut self,
        state: &mut State,
        policy: &PolicyKey,
        mode: Mode,
        what: Deed,
        why: (Reason, String),
    ) -> Result<ActionId, Reason> {
        let subject = what.subject();
        if let Err((reason, message)) = guard::check(state, &what) {
            self.refuse(policy, &subject, what.verb(), reason, message);
            return Err(reason);
        }
        let id = ActionId::new(self.epoch, self.seq, self.actions.len());
        let (reason, message) = why;
        let action = Action {
            id: id.clone(),
            policy: policy.clone(),
            mode,
            what,
            reason,
            message,
        };
        if mode == Mode::Enforce {
            state.guard.busy.insert(subject, id.clone());
            state.guard.in_flight.insert(
                id.clone(),
                InFlight {
                    action: action.clone(),
                    since: self.now,
                },
            );
        }
        self.actions.push(action);
        Ok(id)
    }

    /// Records that something was wanted and is not done.
    pub fn refuse(&mut self, policy: &PolicyKey, subject: &ObjectRef, verb: &str, reason: Reason, message: String) {
        self.evaluated.insert(policy.clone());
        let list = self.refusals.entry(policy.clone()).or_default();
        if list.iter().any(|r| r.subject == *subject && r.verb == verb) {
            return;
        }
        list.push(Refusal {
            policy: policy.clone(),
            subject: subject.clone(),
            verb: verb.into(),
            reason,
            message,
        });
    }

    /// What the policy should say of itself now. `means_the_same` tells whether the old report already says it.
    pub fn report(&mut self, state: &mut State, report: Report, means_the_same: impl Fn(&Report, &Report) -> bool) {
        if state
            .reports
            .get(&report.policy)
            .is_some_and(|old| means_the_same(old, &report))
        {
            return;
        }
        state.reports.insert(report.policy.clone(), report.clone());
        self.reports.push(report);
    }

    /// The finished plan: refusals only where they begin, change their reason, or end.
    pub(super) fn finish(mut self, state: &mut State) -> Plan {
        let mut begun = Vec::new();
        let mut lifted = Vec::new();
        for policy in &self.evaluated {
            let new = self.refusals.remove(policy).unwrap_or_default();
            let old = state.refusals.remove(policy).unwrap_or_default();
            let same = |a: &Refusal, b: &Refusal| a.subject == b.subject && a.verb == b.verb;
            begun.extend(
                new.iter()
                    .filter(|n| !old.iter().any(|o| same(o, n) && o.reason == n.reason))
                    .cloned(),
            );
            lifted.extend(old.iter().filter(|o| !new.iter().any(|n| same(o, n))).map(|o| Lifted {
                policy: o.policy.clone(),
                subject: o.subject.clone(),
                verb: o.verb.clone(),
            }));
            if !new.is_empty() {
                state.refusals.insert(policy.clone(), new);
            }
        }
        Plan {
            seq: self.seq,
            at: self.now,
            actions: self.actions,
            refusals: begun,
            lifted,
            reports: self.reports,
            wake_at: next_wake(state),
        }
    }
}

/// When something comes due, or an action that is under way runs out of time.
fn next_wake(state: &State) -> Option<Time> {
    let expiry = state
        .guard
        .in_flight
        .values()
        .map(|flight| flight.since + state.limits.action_timeout)
        .min();
    state.agenda.next().into_iter().chain(expiry).min()
}
