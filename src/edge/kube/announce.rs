//! What of a plan becomes a Kubernetes Event: what was refused, and conditions that turned bad or good again. Never repeats
//! itself: what goes back and forth is told once in a while.

use std::collections::{BTreeMap, BTreeSet};

use super::events::Notice;
use crate::api::{GROUP, VERSION};
use crate::core::engine::Engine;
use crate::core::names::{ObjectRef, PolicyKey};
use crate::core::plan::{Plan, Refusal};
use crate::core::reason::Reason;
use crate::core::report::{ConditionReport, Report};
use crate::core::time::{Span, Time};
use crate::core::world::Status;

/// The same is not told again within this time.
const QUIET: Span = Span::from_mins(5);

/// The policy as an object.
#[must_use]
pub fn object_of(policy: &PolicyKey) -> ObjectRef {
    let version = format!("{GROUP}/{VERSION}");
    ObjectRef::new(&version, policy.kind.as_str(), &policy.namespace, &policy.name)
}

/// Remembers what was told.
#[derive(Debug, Default)]
pub struct Announcer {
    bad: BTreeMap<PolicyKey, BTreeSet<Reason>>,
    /// By policy and reason: about what, and when.
    told: BTreeMap<(PolicyKey, Reason), BTreeMap<String, Time>>,
}

impl Announcer {
    /// The Events of a plan, those of its actions aside.
    pub fn notices(&mut self, plan: &Plan, engine: &Engine) -> Vec<Notice> {
        self.told.retain(|_, subjects| {
            subjects.retain(|_, at| plan.at.since(*at) < QUIET);
            !subjects.is_empty()
        });
        self.bad.retain(|policy, _| engine.state().reports.contains_key(policy));
        let mut notices = Vec::new();
        for refusal in &plan.refusals {
            let told = self.told.entry((refusal.policy.clone(), refusal.reason)).or_default();
            if told.insert(refusal.subject.to_string(), plan.at).is_none() {
                notices.push(refused(refusal, plan.at, engine));
            }
        }
        for report in &plan.reports {
            self.conditions(report, plan.at, engine, &mut notices);
        }
        notices
    }

    /// Whether nothing was told of a policy for this reason.
    fn is_new(&mut self, policy: &PolicyKey, reason: Reason, at: Time) -> bool {
        let told = self.told.entry((policy.clone(), reason)).or_default();
        let is_new = told.is_empty();
        told.insert(String::new(), at);
        is_new
    }

    fn conditions(&mut self, report: &Report, at: Time, engine: &Engine, notices: &mut Vec<Notice>) {
        let policy = &report.policy;
        let bad: BTreeMap<Reason, &ConditionReport> = report
            .conditions
            .iter()
            .filter(|c| is_bad(c))
            .map(|c| (c.reason, c))
            .collect();
        let now: BTreeSet<Reason> = bad.keys().copied().collect();
        let before = self.bad.insert(policy.clone(), now.clone()).unwrap_or_default();
        for (reason, condition) in bad.iter().filter(|(reason, _)| !before.contains(*reason)) {
            if self.is_new(policy, *reason, at) {
                notices.push(changed(policy, condition, true, at, engine));
            }
        }
        if now.is_empty() {
            self.bad.remove(policy);
            let ready = report.condition("Ready").filter(|c| c.status == Status::True);
            if let Some(ready) = ready.filter(|_| !before.is_empty())
                && self.is_new(policy, ready.reason, at)
            {
                notices.push(changed(policy, ready, false, at, engine));
            }
        }
    }
}

/// Whether a person should hear of it. That the operator has just begun to look is no news.
fn is_bad(condition: &ConditionReport) -> bool {
    let wrong = match condition.kind.as_str() {
        "Ready" | "MetricsAvailable" | "ScalingActive" => condition.status == Status::False,
        "Stalled" | "FieldConflict" => condition.status == Status::True,
        _ => false,
    };
    wrong
        && !matches!(
            condition.reason,
            Reason::NotSampledYet | Reason::ViewIncomplete | Reason::Suspended
        )
}

fn changed(policy: &PolicyKey, condition: &ConditionReport, warning: bool, at: Time, engine: &Engine) -> Notice {
    Notice {
        regarding: object_of(policy),
        uid: engine.uid_of(policy).cloned(),
        related: None,
        warning,
        reason: condition.reason.as_str().into(),
        action: "Evaluate".into(),
        note: condition.message.clone(),
        at,
    }
}

fn refused(refusal: &Refusal, at: Time, engine: &Engine) -> Notice {
    Notice {
        regarding: object_of(&refusal.policy),
        uid: engine.uid_of(&refusal.policy).cloned(),
        related: Some(refusal.subject.clone()),
        warning: true,
        reason: refusal.reason.as_str().into(),
        action: format!("Refuse{}", refusal.verb),
        note: refusal.message.clone(),
        at,
    }
}
