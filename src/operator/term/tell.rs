//! What is told as Events: actions, refusals, and policies that got into trouble or out of it. Decides nothing.

use std::collections::{BTreeMap, BTreeSet};

use crate::api::{GROUP, VERSION};
use crate::core::event::Outcome;
use crate::core::names::{ObjectRef, PolicyKey, Uid};
use crate::core::plan::{Action, Plan, Refusal};
use crate::core::reason::Reason;
use crate::core::report::{ConditionReport, Report};
use crate::core::state::State;
use crate::core::time::Time;
use crate::core::world::Status;
use crate::edge::kube::events::{Notice, Notices};

/// Tells.
pub(super) struct Teller {
    notices: Notices,
    troubles: BTreeMap<PolicyKey, BTreeSet<Reason>>,
}

impl Teller {
    pub(super) fn new(notices: Notices) -> Self {
        Self {
            notices,
            troubles: BTreeMap::new(),
        }
    }

    pub(super) fn notices(&self) -> Notices {
        self.notices.clone()
    }

    /// Tells of the plan's refusals, and of policies whose trouble begins or ends.
    pub(super) fn plan(&mut self, plan: &Plan, state: &State) {
        for refusal in &plan.refusals {
            self.notices.send(refused(refusal, plan.at, state));
        }
        for report in &plan.reports {
            let refused = plan.refusals.iter().filter(|r| r.policy == report.policy);
            self.report(report, plan.at, state, &refused.map(|r| r.reason).collect());
        }
    }

    fn report(&mut self, report: &Report, at: Time, state: &State, told: &BTreeSet<Reason>) {
        let bad: Vec<&ConditionReport> = report.conditions.iter().filter(|c| is_trouble(c)).collect();
        let now: BTreeSet<Reason> = bad.iter().map(|c| c.reason).collect();
        let before = self.troubles.remove(&report.policy).unwrap_or_default();
        let mut said = told.clone();
        for condition in bad {
            if !before.contains(&condition.reason) && said.insert(condition.reason) {
                let mut notice = about(&report.policy, at, state);
                (notice.warning, notice.action) = (true, "Decide".into());
                notice.reason = condition.reason.as_str().into();
                notice.note.clone_from(&condition.message);
                self.notices.send(notice);
            }
        }
        if now.is_empty() {
            if let Some(ready) = report.condition("Ready").filter(|_| !before.is_empty()) {
                let mut notice = about(&report.policy, at, state);
                notice.action = "Decide".into();
                notice.reason = ready.reason.as_str().into();
                let ended: Vec<&str> = before.iter().map(|r| r.as_str()).collect();
                notice.note = format!("{}; ended: {}", ready.message, ended.join(", "));
                self.notices.send(notice);
            }
        } else {
            self.troubles.insert(report.policy.clone(), now);
        }
    }
}

/// A condition that a person should hear of. What only lasts until the operator has looked around is none.
fn is_trouble(condition: &ConditionReport) -> bool {
    let bad = match condition.kind.as_str() {
        "Ready" | "MetricsAvailable" | "ScalingActive" => condition.status == Status::False,
        "Stalled" | "FieldConflict" => condition.status == Status::True,
        _ => false,
    };
    let starting = [Reason::ViewIncomplete, Reason::NotSampledYet, Reason::Suspended];
    bad && !starting.contains(&condition.reason)
}

/// A notice on a policy and its target, to be filled in.
fn about(policy: &PolicyKey, at: Time, state: &State) -> Notice {
    let target = state.scaling(policy).map(|memory| memory.policy.target.clone());
    Notice {
        regarding: object_of(policy),
        uid: state.uid_of(policy).cloned(),
        related_uid: target.as_ref().and_then(|t| uid_of(state, t)),
        related: target,
        warning: false,
        reason: String::new(),
        action: String::new(),
        note: String::new(),
        at,
        trace: None,
    }
}

fn refused(refusal: &Refusal, at: Time, state: &State) -> Notice {
    Notice {
        related: Some(refusal.subject.clone()),
        related_uid: uid_of(state, &refusal.subject),
        // To wait for an effect is nothing to worry about.
        warning: refusal.reason != Reason::AwaitingOutcome,
        reason: refusal.reason.as_str().into(),
        action: format!("Refuse{}", refusal.verb),
        note: refusal.message.clone(),
        ..about(&refusal.policy, at, state)
    }
}

/// What is about to be done, or in dry-run mode would be.
pub(super) fn announced(action: &Action, at: Time, state: &State) -> Notice {
    let subject = action.what.subject();
    let uid = action.what.uid().cloned();
    Notice {
        related_uid: uid.or_else(|| uid_of(state, &subject)),
        related: Some(subject),
        reason: action.reason.as_str().into(),
        action: action.what.verb().into(),
        note: format!("would: {}", action.message),
        trace: Some(action.id.clone()),
        ..about(&action.policy, at, state)
    }
}

/// The same after it was tried.
pub(super) fn done(announced: Notice, action: &Action, outcome: &Outcome) -> Notice {
    let (warning, note) = match outcome {
        Outcome::Done => (false, action.message.clone()),
        Outcome::Unknown { message } => (
            true,
            format!("{}: it is not known whether it was done: {message}", action.message),
        ),
        Outcome::Conflict { message, .. }
        | Outcome::Blocked { message }
        | Outcome::Failed { message }
        | Outcome::Skipped { message } => (true, format!("{}: not done: {message}", action.message)),
    };
    Notice {
        warning,
        note,
        ..announced
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

/// The identity of an object that is in the picture.
fn uid_of(state: &State, object: &ObjectRef) -> Option<Uid> {
    let world = &state.world;
    match (object.api_version.as_str(), object.kind.as_str()) {
        ("v1", "Pod") => world.pod(&object.key()).map(|pod| pod.uid.clone()),
        ("v1", "Node") => world.nodes.get(&object.name).map(|node| node.uid.clone()),
        _ => world.targets.get(object).map(|target| target.uid.clone()),
    }
}
