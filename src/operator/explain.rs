//! Explains a policy from its status, its Events and, where it is at hand, the journal.

mod history;
mod text;

use kube::api::DynamicObject;
use serde::Serialize;
use serde_json::Value;

use crate::core::names::PolicyKey;
use crate::core::time::Time;

pub use history::describe;
pub use history::{Entry, from_events, read_journal};

/// What is known of a policy's decisions.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// Which policy.
    pub policy: PolicyKey,
    /// When this was asked.
    pub asked_at: Time,
    /// The answer in one sentence.
    pub answer: String,
    /// What the reader should know before believing the rest: an old status, a suspended policy, nobody who acts.
    pub notes: Vec<String>,
    /// The decision or the state in force, in sentences.
    pub now: Vec<String>,
    /// Its conditions: type, status, reason, since, message.
    pub conditions: Vec<Stated>,
    /// Where the history comes from.
    pub history_from: String,
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

/// What was done and refused, and who says so.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// Such as `Events of the last hour`.
    pub from: String,
    /// Oldest first.
    pub entries: Vec<Entry>,
}

/// Explains a policy from its object and its history. `operator` says who acts, where that is known.
#[must_use]
pub fn explain(
    policy: &PolicyKey,
    object: &DynamicObject,
    operator: Option<String>,
    history: History,
    now: Time,
) -> Explanation {
    let conditions: Vec<Stated> = list(object, "/status/conditions")
        .iter()
        .map(|c| Stated {
            kind: text(c, "type"),
            status: text(c, "status"),
            reason: text(c, "reason"),
            since: text(c, "lastTransitionTime"),
            message: text(c, "message"),
        })
        .collect();
    let mut said = scaling(object);
    said.extend(pools(object));
    said.extend(incidents(object));
    if let Some(revision) = at(object, "/status/lastAppliedRevision").and_then(Value::as_str) {
        said.push(format!("applied revision: {revision}"));
    }
    let mut notes = notes(object);
    notes.extend(operator);
    Explanation {
        policy: policy.clone(),
        asked_at: now,
        answer: answer(object, &conditions),
        notes,
        now: said,
        conditions,
        history_from: history.from,
        history: history.entries,
    }
}

fn at<'a>(object: &'a DynamicObject, pointer: &str) -> Option<&'a Value> {
    object.data.pointer(pointer)
}

fn text(value: &Value, key: &str) -> String {
    value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn list(object: &DynamicObject, pointer: &str) -> Vec<Value> {
    at(object, pointer)
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default()
}

/// What is wrong comes first; then the decision; then that all is well.
fn answer(object: &DynamicObject, conditions: &[Stated]) -> String {
    let holds = |kind: &str, status: &str| conditions.iter().find(|c| c.kind == kind && c.status == status);
    let wrong = holds("Stalled", "True")
        .or_else(|| holds("Ready", "False"))
        .or_else(|| holds("FieldConflict", "True"))
        .or_else(|| holds("MetricsAvailable", "False"))
        .or_else(|| holds("Healthy", "False"));
    let limited = holds("Limited", "True");
    let decision = at(object, "/status/decision").map(|d| text(d, "message"));
    match (wrong, limited, decision.filter(|d| !d.is_empty())) {
        (Some(wrong), Some(limited), _) if wrong.message != limited.message && wrong.kind == "Healthy" => {
            format!(
                "{} ({}); held back: {} ({})",
                wrong.message, wrong.reason, limited.message, limited.reason
            )
        }
        (Some(wrong), ..) => format!("{} ({})", wrong.message, wrong.reason),
        (None, _, Some(decision)) => decision,
        (None, Some(limited), None) => format!("{} ({})", limited.message, limited.reason),
        (None, None, None) => match holds("Ready", "True") {
            Some(ready) => format!("{} ({})", ready.message, ready.reason),
            None => "no status yet: no operator has looked at it".into(),
        },
    }
}

fn notes(object: &DynamicObject) -> Vec<String> {
    let mut notes = Vec::new();
    let generation = object.metadata.generation.unwrap_or(0);
    let observed = at(object, "/status/observedGeneration").and_then(Value::as_i64);
    if let Some(observed) = observed.filter(|o| *o < generation) {
        notes.push(format!(
            "the status speaks of generation {observed} and the policy is at {generation}: its last change has not been looked at yet"
        ));
    }
    if at(object, "/spec/suspend").and_then(Value::as_bool) == Some(true) {
        notes.push("spec.suspend is true: it decides nothing and does nothing".into());
    }
    if at(object, "/spec/mode").and_then(Value::as_str) == Some("DryRun") {
        notes.push("spec.mode is DryRun: it shows what it would do and does nothing".into());
    }
    notes
}

fn scaling(object: &DynamicObject) -> Vec<String> {
    let Some(decision) = at(object, "/status/decision") else {
        return Vec::new();
    };
    let count = |value: &Value, key: &str| value.get(key).and_then(Value::as_i64);
    let number = |value: Option<i64>| value.map_or("nothing".to_owned(), |n| n.to_string());
    let limited = match text(decision, "limitedBy") {
        reason if reason.is_empty() => String::new(),
        reason => format!(", limited by {reason}"),
    };
    let mut said = vec![
        format!("decided at {}: {}", text(decision, "at"), text(decision, "message")),
        format!(
            "replicas: {} then; the triggers asked for {}; after stabilization {}; wanted {}{limited} (bounds {} to {})",
            number(count(decision, "from")),
            number(count(decision, "proposed")),
            number(count(decision, "stabilized")),
            number(count(decision, "desired")),
            at(object, "/spec/minReplicas").and_then(Value::as_i64).unwrap_or(1),
            number(at(object, "/spec/maxReplicas").and_then(Value::as_i64)),
        ),
    ];
    for trigger in list(object, "/status/decision/triggers") {
        let sampled = match text(&trigger, "sampledAt") {
            at if at.is_empty() => String::new(),
            at => format!(" (sample of {at})"),
        };
        let (name, state) = (text(&trigger, "name"), text(&trigger, "state"));
        said.push(format!(
            "trigger {name}: {state}: {}{sampled}",
            text(&trigger, "message")
        ));
    }
    if let Some(last) = list(object, "/status/scaleEvents").last() {
        said.push(format!(
            "last own change: from {} to {} at {}",
            number(count(last, "from")),
            number(count(last, "to")),
            text(last, "at")
        ));
    }
    said
}

fn pools(object: &DynamicObject) -> Vec<String> {
    let one = |pool: &Value| {
        let count = |key: &str| pool.get(key).and_then(Value::as_i64).unwrap_or(0);
        let wait = match count("pendingPods") {
            0 => String::new(),
            1 => "; 1 pod waits that it cannot help".into(),
            many => format!("; {many} pods wait that it cannot help"),
        };
        format!(
            "pool {}: {} nodes, {} on their way, {} wanted{wait}",
            text(pool, "name"),
            count("nodes"),
            count("incoming"),
            count("target"),
        )
    };
    list(object, "/status/pools").iter().map(one).collect()
}

/// Open incidents first, those that have ended after them.
fn incidents(object: &DynamicObject) -> Vec<String> {
    let mut found = list(object, "/status/incidents");
    found.sort_by_key(|incident| text(incident, "phase") == "Recovered");
    let one = |incident: &Value| {
        let attempts = incident.get("attempts").and_then(Value::as_i64).unwrap_or(0);
        let last = match text(incident, "lastAttemptAt") {
            at if at.is_empty() => String::new(),
            at => format!(", last at {at}"),
        };
        format!(
            "incident {} ({}, since {}, {attempts} attempts{last}): {}",
            text(incident, "id"),
            text(incident, "phase"),
            text(incident, "since"),
            text(incident, "message"),
        )
    };
    found.iter().map(one).collect()
}
