//! Asks the engine about a snapshot, and tells what it says of every policy.

use serde::Serialize;

use super::events::{Case, case};
use super::policies::Folder;
use super::snapshot::Snapshot;
use crate::core::engine::Engine;
use crate::core::event::Event;
use crate::core::names::{ObjectRef, PolicyKey, QueryKey};
use crate::core::plan::{Action, Deed, Refusal};
use crate::core::policy::Mode;
use crate::core::quantity::Replicas;
use crate::core::reason::Reason;
use crate::core::report::{ConditionReport, Detail, Report};
use crate::core::sample::QueryError;
use crate::core::state::State;
use crate::core::time::Time;

/// The answer to one snapshot.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// homeostat.dev/v1alpha1.
    pub api_version: &'static str,
    /// Plan.
    pub kind: &'static str,
    /// What the snapshot is called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Time>,
    /// What is said of every policy, in the order of kind, namespace and name.
    pub policies: Vec<Told>,
    /// What was not looked at, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// What cannot be read; there are no policies then.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
}

/// What is said of one policy.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Told {
    /// Its kind.
    pub kind: &'static str,
    /// Its namespace; absent where it has none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The file that it stands in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Whether it can be used.
    pub valid: bool,
    /// What it scales.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<Named>,
    /// `spec.replicas` of the target now; null where there is no such target.
    pub current: Option<Replicas>,
    /// What its triggers recommend together, before stabilization and limits; null where they recommend nothing.
    pub recommendation: Option<Replicas>,
    /// After stabilization, before limits.
    pub stabilized: Option<Replicas>,
    /// What is wanted; the current size where nothing is decided.
    pub desired: Option<Replicas>,
    /// Which limit bit.
    pub limited_by: Option<Reason>,
    /// Whether anything would be done (in dry-run mode: shown).
    pub would_act: bool,
    /// What would be done.
    pub actions: Vec<Act>,
    /// What is wanted and would not be done.
    pub refusals: Vec<Refused>,
    /// What each trigger says, in the policy's order.
    pub triggers: Vec<TriggerTold>,
    /// As they would be in its status.
    pub conditions: Vec<ConditionReport>,
    /// The whole of it in a sentence.
    pub message: String,
    /// When it decides again at the latest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_at: Option<Time>,
}

/// An object.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Named {
    /// Group and version.
    pub api_version: String,
    /// Kind.
    pub kind: String,
    /// Namespace.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl From<&ObjectRef> for Named {
    fn from(object: &ObjectRef) -> Self {
        Self {
            api_version: object.api_version.clone(),
            kind: object.kind.clone(),
            namespace: object.namespace.clone(),
            name: object.name.clone(),
        }
    }
}

/// Something that would be done.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Act {
    /// What, such as Scale.
    pub verb: &'static str,
    /// To which object.
    pub subject: Named,
    /// Of Scale: from how many replicas.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Replicas>,
    /// Of Scale: to how many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<Replicas>,
    /// It would only be shown.
    pub dry_run: bool,
    /// Stable code.
    pub reason: Reason,
    /// In a sentence.
    pub message: String,
}

/// Something that is wanted and would not be done.
#[derive(Clone, Debug, Serialize)]
pub struct Refused {
    /// What, such as Scale.
    pub verb: String,
    /// To which object.
    pub subject: Named,
    /// Stable code.
    pub reason: Reason,
    /// In a sentence.
    pub message: String,
}

/// What a trigger says.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TriggerTold {
    /// Its name.
    pub name: String,
    /// Its value, as a quantity; null where it has none.
    pub value: Option<String>,
    /// The sample's own time.
    pub sampled_at: Option<Time>,
    /// The replicas that it asks for; null where it asks for none.
    pub proposal: Option<Replicas>,
    /// How it fared.
    pub reason: Reason,
    /// How its query failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<&'static str>,
    /// In a sentence.
    pub message: String,
}

impl Answer {
    /// An answer that says only what is wrong.
    #[must_use]
    pub fn unreadable(problems: Vec<String>) -> Self {
        Self {
            api_version: "homeostat.dev/v1alpha1",
            kind: "Plan",
            name: None,
            at: None,
            policies: Vec::new(),
            notes: Vec::new(),
            problems,
        }
    }

    /// Whether everything could be read, policies included.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.problems.is_empty() && self.policies.iter().all(|policy| policy.valid)
    }
}

/// Answers a snapshot, with the policies of a folder; `clock` overrides the snapshot's.
#[must_use]
pub fn answer(snapshot: &Snapshot, folder: Option<&Folder>, clock: Option<Time>) -> Answer {
    let name = snapshot.metadata.as_ref().map(|m| m.name.clone());
    match case(snapshot, folder, clock) {
        Ok(case) => Answer { name, ..decide(&case) },
        Err(problems) => Answer {
            name,
            at: clock.or(snapshot.at),
            ..Answer::unreadable(problems)
        },
    }
}

/// Lets the engine decide.
#[must_use]
pub fn decide(case: &Case) -> Answer {
    let mut engine = Engine::new(case.at);
    for (at, event) in &case.events {
        engine.observe(*at, event.clone());
    }
    let plan = engine.step(case.at);
    let keys = case.events.iter().filter_map(|(_, event)| match event {
        Event::ScalingPolicy { policy, .. } => Some(&policy.meta.key),
        Event::NodePoolPolicy(policy) => Some(&policy.meta.key),
        Event::HealingPolicy { policy, .. } => Some(&policy.meta.key),
        Event::PolicyInvalid { key, .. } => Some(key),
        _ => None,
    });
    let mut policies: Vec<(&PolicyKey, Told)> = keys
        .map(|key| {
            let actions = plan.actions.iter().filter(|a| a.policy == *key).map(act).collect();
            let refusals = plan.refusals.iter().filter(|r| r.policy == *key).map(refused).collect();
            let told = told(engine.state(), key, actions, refusals);
            let file = case.files.get(key).cloned();
            (key, Told { file, ..told })
        })
        .collect();
    policies.sort_by(|a, b| a.0.cmp(b.0));
    Answer {
        at: Some(case.at),
        policies: policies.into_iter().map(|(_, told)| told).collect(),
        notes: case.notes.clone(),
        ..Answer::unreadable(Vec::new())
    }
}

fn told(state: &State, key: &PolicyKey, actions: Vec<Act>, refusals: Vec<Refused>) -> Told {
    let target = state.scaling(key).map(|memory| &memory.policy.target);
    let live = target.and_then(|t| state.world.targets.get(t));
    let report = state.reports.get(key);
    let decision = report.and_then(|r| match &r.detail {
        Detail::Scaling(detail) => detail.decision.as_ref(),
        _ => None,
    });
    let current = live.map(|t| t.replicas);
    let triggers = decision.into_iter().flat_map(|d| &d.triggers).map(|t| TriggerTold {
        name: t.name.clone(),
        value: t.value_in_words(),
        sampled_at: t.sampled_at,
        proposal: t.proposal,
        reason: t.reason,
        error: t.error.map(QueryError::as_str),
        message: t.message.clone(),
    });
    Told {
        kind: key.kind.as_str(),
        namespace: key.namespace.clone(),
        name: key.name.clone(),
        file: None,
        valid: !state.invalid.contains_key(key),
        target: target.map(Named::from),
        current,
        recommendation: decision.and_then(|d| d.proposed),
        stabilized: decision.map(|d| d.stabilized),
        desired: decision.map(|d| d.desired).or(current),
        limited_by: decision.and_then(|d| d.limited_by),
        would_act: !actions.is_empty(),
        actions,
        refusals,
        triggers: triggers.collect(),
        conditions: report.map(|r| r.conditions.clone()).unwrap_or_default(),
        message: decision.map_or_else(|| sentence(report), |d| d.message.clone()),
        next_at: state.due(key),
    }
}

/// What the condition Ready says, where nothing was decided.
fn sentence(report: Option<&Report>) -> String {
    let ready = report.and_then(|r| r.condition("Ready"));
    ready.map(|c| c.message.clone()).unwrap_or_default()
}

fn act(action: &Action) -> Act {
    let (from, to) = match &action.what {
        Deed::Scale { from, to, .. } => (Some(*from), Some(*to)),
        _ => (None, None),
    };
    Act {
        verb: action.what.verb(),
        subject: Named::from(&action.what.subject()),
        from,
        to,
        dry_run: action.mode == Mode::DryRun,
        reason: action.reason,
        message: action.message.clone(),
    }
}

fn refused(refusal: &Refusal) -> Refused {
    Refused {
        verb: refusal.verb.clone(),
        subject: Named::from(&refusal.subject),
        reason: refusal.reason,
        message: refusal.message.clone(),
    }
}

/// Every question that the policies of a case would ask.
#[must_use]
pub fn questions(case: &Case) -> Vec<QueryKey> {
    let mut engine = Engine::new(case.at);
    for (at, event) in &case.events {
        engine.observe(*at, event.clone());
    }
    engine.queries().into_iter().map(|(query, _)| query).collect()
}
