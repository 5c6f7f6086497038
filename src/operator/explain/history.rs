//! What was done and refused: from the journal, or else from the policy's Events.

use std::collections::BTreeMap;
use std::path::Path;

use k8s_openapi::api::events::v1::Event as Told;
use serde::Serialize;

use crate::core::event::{Event, Outcome};
use crate::core::names::{ActionId, PolicyKey};
use crate::core::plan::Plan;
use crate::core::time::Time;
use crate::edge::kube::events::TRACE_ANNOTATION;
use crate::operator::journal::{Line, segments};
use crate::operator::replay::{ReplayError, read_segment};

/// How many entries are shown, the latest ones.
const MOST: usize = 20;

/// Something that was done or refused.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// When.
    pub at: Time,
    /// Id of the action; a refusal has none.
    pub trace_id: Option<ActionId>,
    /// What was done, or `Refuse…`.
    pub what: String,
    /// Stable code.
    pub reason: String,
    /// Why, with the numbers.
    pub message: String,
    /// What became of it.
    pub outcome: Option<String>,
}

/// What the journal in this folder says of a policy: the latest actions and refusals, oldest first.
///
/// # Errors
/// The folder cannot be read, another version wrote it, or it holds lines that are none of a journal's.
pub fn read_journal(folder: &Path, policy: &PolicyKey) -> Result<Vec<Entry>, ReplayError> {
    let mut entries = Vec::new();
    let mut outcomes = BTreeMap::new();
    let found = segments(folder)?;
    if found.is_empty() {
        return Err(ReplayError::Empty(folder.to_owned()));
    }
    for path in found {
        read_segment::<ReplayError>(&path, |_, _, line| {
            match line {
                Line::Plan(plan) => entries.extend(of_plan(&plan, policy)),
                Line::Event { event, .. } => {
                    if let Event::Outcome { action, outcome } = *event {
                        outcomes.insert(action, describe(&outcome));
                    }
                }
                Line::Snapshot { .. } | Line::Step { .. } | Line::Gap { .. } => {}
            }
            Ok(())
        })?;
    }
    entries.drain(..entries.len().saturating_sub(MOST));
    for entry in &mut entries {
        entry.outcome = entry.trace_id.as_ref().and_then(|id| outcomes.remove(id));
    }
    Ok(entries)
}

fn of_plan(plan: &Plan, policy: &PolicyKey) -> Vec<Entry> {
    let actions = plan.actions.iter().filter(|a| a.policy == *policy).map(|a| Entry {
        at: plan.at,
        trace_id: Some(a.id.clone()),
        what: format!("{} {}", a.what.verb(), a.what.subject()),
        reason: a.reason.as_str().into(),
        message: a.message.clone(),
        outcome: None,
    });
    let refusals = plan.refusals.iter().filter(|r| r.policy == *policy).map(|r| Entry {
        at: plan.at,
        trace_id: None,
        what: format!("Refuse{} {}", r.verb, r.subject),
        reason: r.reason.as_str().into(),
        message: r.message.clone(),
        outcome: None,
    });
    actions.chain(refusals).collect()
}

/// What the policy's Events say, oldest first.
#[must_use]
pub fn from_events(events: Vec<Told>) -> Vec<Entry> {
    let mut entries: Vec<Entry> = events.into_iter().map(of_event).collect();
    entries.sort_by(|a, b| (a.at, &a.what).cmp(&(b.at, &b.what)));
    entries.drain(..entries.len().saturating_sub(MOST));
    entries
}

fn of_event(event: Told) -> Entry {
    let millis = event.event_time.map_or(0, |at| at.0.as_millisecond());
    let related = event.related.map_or_else(String::new, |object| {
        let (kind, name) = (object.kind.unwrap_or_default(), object.name.unwrap_or_default());
        match object.namespace {
            Some(namespace) => format!(" {kind} {namespace}/{name}"),
            None => format!(" {kind} {name}"),
        }
    });
    let trace = event.metadata.annotations.and_then(|mut a| a.remove(TRACE_ANNOTATION));
    Entry {
        at: Time::from_millis(millis),
        trace_id: trace.map(ActionId),
        what: event.action.unwrap_or_default() + &related,
        reason: event.reason.unwrap_or_default(),
        message: event.note.unwrap_or_default(),
        outcome: None,
    }
}

/// An outcome in words.
#[must_use]
pub fn describe(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Done => "done".into(),
        Outcome::Conflict { message, .. } => format!("conflict: {message}"),
        Outcome::Blocked { message } => format!("blocked: {message}"),
        Outcome::Failed { message } => format!("failed: {message}"),
        Outcome::Unknown { message } => format!("unknown: {message}"),
        Outcome::Skipped { message } => format!("skipped: {message}"),
    }
}
