//! Explains a policy from its status and, where it is at hand, the journal.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use kube::api::DynamicObject;
use serde::Serialize;
use serde_json::Value;

use super::journal::{JournalError, Line, VERSION, segments};
use crate::core::event::{Event, Outcome};
use crate::core::names::{ActionId, PolicyKey};
use crate::core::plan::Plan;
use crate::core::time::Time;

/// How many entries of the journal are shown, the latest ones.
const MOST: usize = 20;

/// What is known of a policy's decisions.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// Which policy.
    pub policy: PolicyKey,
    /// Its conditions: type, status, reason, since, message.
    pub conditions: Vec<Stated>,
    /// The decision or the state in force, in sentences.
    pub now: Vec<String>,
    /// What was done and refused, oldest first.
    pub history: Vec<Entry>,
}

/// A condition.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Stated {
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// True, False or Unknown.
    pub status: String,
    /// Stable code.
    pub reason: String,
    /// Since when.
    pub since: String,
    /// In a sentence.
    pub message: String,
}

/// One entry of the journal.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// When.
    pub at: Time,
    /// Id of the action; a refusal has none.
    pub id: Option<ActionId>,
    /// What was done, or `Refused …`.
    pub what: String,
    /// Stable code.
    pub reason: String,
    /// Why, with the numbers.
    pub message: String,
    /// What became of it.
    pub outcome: Option<String>,
}

/// Why a journal cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum JournalReadError {
    /// Its folder or a file cannot be read.
    #[error(transparent)]
    Io(#[from] JournalError),
    /// It was written by another version.
    #[error("{}: format version {found}; this program reads version {VERSION}", path.display())]
    Version {
        /// Which file.
        path: PathBuf,
        /// The version that it has.
        found: u64,
    },
}

/// Explains a policy from its object and the journal's entries.
#[must_use]
pub fn explain(policy: &PolicyKey, object: &DynamicObject, history: Vec<Entry>) -> Explanation {
    let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let list = |pointer: &str| {
        object
            .data
            .pointer(pointer)
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default()
    };
    let stored = list("/status/conditions");
    let conditions = stored.iter().map(|c| Stated {
        kind: text(c, "type"),
        status: text(c, "status"),
        reason: text(c, "reason"),
        since: text(c, "lastTransitionTime"),
        message: text(c, "message"),
    });
    let mut now = Vec::new();
    if let Some(decision) = object.data.pointer("/status/decision") {
        now.push(format!(
            "{} (decided at {})",
            text(decision, "message"),
            text(decision, "at")
        ));
        for trigger in list("/status/decision/triggers") {
            let name = text(&trigger, "name");
            now.push(format!(
                "trigger {name}: {}: {}",
                text(&trigger, "state"),
                text(&trigger, "message")
            ));
        }
    }
    for pool in list("/status/pools") {
        let count = |key: &str| pool.get(key).and_then(Value::as_i64).unwrap_or(0);
        now.push(format!(
            "pool {}: {} nodes, {} on their way, {} wanted, {} pods wait in vain",
            text(&pool, "name"),
            count("nodes"),
            count("incoming"),
            count("target"),
            count("pendingPods"),
        ));
    }
    for incident in list("/status/incidents") {
        let (rule, phase) = (text(&incident, "rule"), text(&incident, "phase"));
        now.push(format!("rule {rule}, {phase}: {}", text(&incident, "message")));
    }
    if let Some(revision) = object
        .data
        .pointer("/status/lastAppliedRevision")
        .and_then(Value::as_str)
    {
        now.push(format!("applied revision: {revision}"));
    }
    Explanation {
        policy: policy.clone(),
        conditions: conditions.collect(),
        now,
        history,
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.policy)?;
        if self.conditions.is_empty() {
            writeln!(f, "  no status yet: is the operator running?")?;
        }
        for c in &self.conditions {
            writeln!(
                f,
                "  {} is {} ({}) since {}: {}",
                c.kind, c.status, c.reason, c.since, c.message
            )?;
        }
        if !self.now.is_empty() {
            writeln!(f, "\nNow")?;
            for line in &self.now {
                writeln!(f, "  {line}")?;
            }
        }
        if !self.history.is_empty() {
            writeln!(f, "\nDone and refused")?;
            for entry in &self.history {
                let outcome = entry.outcome.as_ref().map(|o| format!(" → {o}")).unwrap_or_default();
                writeln!(
                    f,
                    "  {} {} ({}): {}{outcome}",
                    entry.at, entry.what, entry.reason, entry.message
                )?;
            }
        }
        Ok(())
    }
}

/// What the journal in this folder says of a policy: the latest actions and refusals, oldest first.
///
/// # Errors
/// The folder cannot be read, or another version wrote it. Lines that are cut off (the operator was killed) are passed over.
pub fn read_journal(folder: &Path, policy: &PolicyKey) -> Result<Vec<Entry>, JournalReadError> {
    let mut entries = Vec::new();
    let mut outcomes = BTreeMap::new();
    for path in segments(folder)? {
        let file = std::fs::File::open(&path).map_err(|source| JournalError {
            path: path.clone(),
            source,
        })?;
        for line in BufReader::new(file).lines() {
            let line = line.map_err(|source| JournalError {
                path: path.clone(),
                source,
            })?;
            match serde_json::from_str(&line) {
                Ok(Line::Plan(plan)) => entries.extend(of_plan(&plan, policy)),
                Ok(Line::Event { event, .. }) => {
                    if let Event::Outcome { action, outcome } = *event {
                        outcomes.insert(action, describe(&outcome));
                    }
                }
                Ok(_) => {}
                Err(_) => refuse_other_versions(&path, &line)?,
            }
        }
    }
    entries.drain(..entries.len().saturating_sub(MOST));
    for entry in &mut entries {
        entry.outcome = entry.id.as_ref().and_then(|id| outcomes.remove(id));
    }
    Ok(entries)
}

fn refuse_other_versions(path: &Path, line: &str) -> Result<(), JournalReadError> {
    let found = serde_json::from_str::<Value>(line)
        .ok()
        .and_then(|v| v.pointer("/snapshot/version")?.as_u64());
    match found {
        Some(found) if found != u64::from(VERSION) => Err(JournalReadError::Version {
            path: path.to_owned(),
            found,
        }),
        _ => Ok(()),
    }
}

fn of_plan(plan: &Plan, policy: &PolicyKey) -> Vec<Entry> {
    let actions = plan.actions.iter().filter(|a| a.policy == *policy).map(|a| Entry {
        at: plan.at,
        id: Some(a.id.clone()),
        what: format!("{} {}", a.what.verb(), a.what.subject()),
        reason: a.reason.as_str().into(),
        message: a.message.clone(),
        outcome: None,
    });
    let refusals = plan.refusals.iter().filter(|r| r.policy == *policy).map(|r| Entry {
        at: plan.at,
        id: None,
        what: format!("Refused {} {}", r.verb, r.subject),
        reason: r.reason.as_str().into(),
        message: r.message.clone(),
        outcome: None,
    });
    actions.chain(refusals).collect()
}

fn describe(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Done => "done".into(),
        Outcome::Conflict { message, .. } => format!("conflict: {message}"),
        Outcome::Blocked { message } => format!("blocked: {message}"),
        Outcome::Failed { message } => format!("failed: {message}"),
        Outcome::Unknown { message } => format!("unknown: {message}"),
        Outcome::Skipped { message } => format!("skipped: {message}"),
    }
}
