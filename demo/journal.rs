//! Reads the operator's journal while it is being written: what was done, why, and what became of it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::path::PathBuf;

use homeostat::core::event::Event;
use homeostat::core::names::PolicyKey;
use homeostat::core::plan::{Action, Deed as What, Plan, Refusal};
use homeostat::core::report::{Decision, Detail};
use homeostat::core::time::Time;
use homeostat::operator::explain::describe;
use homeostat::operator::journal::{Line, segments};

use crate::record::{Deed, DeedKind, Record};

/// Follows a journal.
pub struct Follower {
    folder: PathBuf,
    read: BTreeMap<PathBuf, u64>,
    decisions: BTreeMap<PolicyKey, Decision>,
    record: Record,
    /// Wall-clock time of the record's beginning.
    began: Time,
}

impl Follower {
    /// Follows the journal in a folder, which need not exist yet.
    pub fn new(folder: PathBuf, record: Record, began: Time) -> Self {
        Self {
            folder,
            read: BTreeMap::new(),
            decisions: BTreeMap::new(),
            record,
            began,
        }
    }

    /// Reads what is new; `revision` is what Git has in force now.
    pub fn read(&mut self, revision: &str) {
        for path in segments(&self.folder).unwrap_or_default() {
            let mut offset = self.read.get(&path).copied().unwrap_or(0);
            let Ok(mut file) = File::open(&path) else { continue };
            if file.seek(SeekFrom::Start(offset)).is_err() {
                continue;
            }
            let mut reader = BufReader::new(file);
            let mut line = String::new();
            // A line without its end is still being written.
            while reader.read_line(&mut line).is_ok_and(|_| line.ends_with('\n')) {
                offset += line.len() as u64;
                self.take(&line, revision);
                line.clear();
            }
            self.read.insert(path, offset);
        }
    }

    fn take(&mut self, line: &str, revision: &str) {
        // Most lines are observations: the cheap look first.
        if !line.starts_with(r#"{"plan""#) && !line.contains(r#""outcome""#) {
            return;
        }
        match serde_json::from_str(line) {
            Ok(Line::Plan(plan)) => self.plan(&plan, revision),
            Ok(Line::Event { event, .. }) => {
                if let Event::Outcome { action, outcome } = *event {
                    let said = describe(&outcome);
                    self.record.with(|book| {
                        let mut latest = book.deeds.iter_mut().rev();
                        if let Some(deed) = latest.find(|deed| deed.id.as_ref() == Some(&action.0)) {
                            deed.outcome = said;
                        }
                    });
                }
            }
            _ => {}
        }
    }

    fn plan(&mut self, plan: &Plan, revision: &str) {
        for report in &plan.reports {
            if let Detail::Scaling(scaling) = &report.detail
                && let Some(decision) = &scaling.decision
            {
                self.decisions.insert(report.policy.clone(), decision.clone());
            }
        }
        let seconds = plan.at.since(self.began).as_secs_f64();
        for action in &plan.actions {
            let deed = self.of_action(action, plan.at, seconds, revision);
            self.record.tell(deed);
        }
        for refusal in &plan.refusals {
            self.record.tell(of_refusal(refusal, plan.at, seconds, revision));
        }
    }

    fn of_action(&self, action: &Action, at: Time, seconds: f64, revision: &str) -> Deed {
        let pair = |name: &str, value: String| (name.to_owned(), value);
        let verb = action.what.verb();
        let mut revision = revision.to_owned();
        let (kind, what, numbers) = match &action.what {
            What::Scale { from, to, .. } => {
                let mut numbers = vec![pair("replicas", format!("{from} → {to}"))];
                if let Some(decision) = self.decisions.get(&action.policy) {
                    numbers.extend(of_decision(decision));
                }
                (DeedKind::Scaling, format!("{verb} {from} → {to}"), numbers)
            }
            What::AddNode { pool, template, .. } => {
                let size = format!(
                    "{}m cpu, {} MiB",
                    template.allocatable.cpu_milli,
                    template.allocatable.memory_bytes >> 20
                );
                (
                    DeedKind::Nodes,
                    verb.to_owned(),
                    vec![pair("pool", pool.clone()), pair("size", size)],
                )
            }
            What::RemoveNode { pool, .. } => (DeedKind::Nodes, verb.to_owned(), vec![pair("pool", pool.clone())]),
            What::MarkNode { .. } | What::UnmarkNode { .. } => (DeedKind::Nodes, verb.to_owned(), Vec::new()),
            What::Evict { incident, .. } => (
                DeedKind::Healing,
                verb.to_owned(),
                vec![pair("incident", incident.clone())],
            ),
            What::Restore {
                revision: declared,
                uid,
                ..
            } => {
                revision.clone_from(declared);
                let found = if uid.is_some() { "changed" } else { "missing" };
                (
                    DeedKind::Healing,
                    verb.to_owned(),
                    vec![pair("found", found.to_owned())],
                )
            }
        };
        Deed {
            id: Some(action.id.0.clone()),
            at,
            seconds,
            policy: action.policy.to_string(),
            what,
            subject: action.what.subject().to_string(),
            reason: action.reason.to_string(),
            message: action.message.clone(),
            outcome: "under way".into(),
            revision,
            numbers,
            kind,
        }
    }
}

fn of_refusal(refusal: &Refusal, at: Time, seconds: f64, revision: &str) -> Deed {
    Deed {
        id: None,
        at,
        seconds,
        policy: refusal.policy.to_string(),
        what: format!("Not: {}", refusal.verb),
        subject: refusal.subject.to_string(),
        reason: refusal.reason.to_string(),
        message: refusal.message.clone(),
        outcome: "refused".into(),
        revision: revision.to_owned(),
        numbers: Vec::new(),
        kind: DeedKind::Refusal,
    }
}

fn of_decision(decision: &Decision) -> Vec<(String, String)> {
    let mut numbers = Vec::new();
    for trigger in &decision.triggers {
        let mut parts = Vec::new();
        if let Some(value) = trigger.value {
            parts.push(value.to_string());
        }
        if let Some(proposal) = trigger.proposal {
            parts.push(format!("proposes {proposal}"));
        }
        parts.push(trigger.reason.to_string());
        numbers.push((format!("trigger {}", trigger.name), parts.join(", ")));
    }
    if let Some(proposed) = decision.proposed {
        numbers.push(("proposed".into(), proposed.to_string()));
    }
    numbers.push(("after stabilization".into(), decision.stabilized.to_string()));
    let limit = decision.limited_by.map_or_else(String::new, |by| format!(", by {by}"));
    numbers.push(("after limits".into(), format!("{}{limit}", decision.desired)));
    numbers
}
