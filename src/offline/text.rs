//! An answer for people: a table, then a sentence or more on each policy.

use std::fmt::Write as _;

use super::plan::{Answer, Told};
use crate::columns::columns;
use crate::core::quantity::Replicas;
use crate::core::world::Status;

/// Bold, red, yellow, green; nothing where the reader is no terminal.
#[derive(Clone, Copy, Debug)]
pub struct Paint(pub bool);

impl Paint {
    fn wrap(self, code: &str, text: &str) -> String {
        if self.0 {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }
}

/// The whole answer.
#[must_use]
pub fn text(answer: &Answer, paint: Paint) -> String {
    let mut out = String::new();
    let name = answer.name.as_ref().map(|n| format!("{n}, ")).unwrap_or_default();
    if let Some(at) = answer.at {
        let _ = writeln!(out, "{name}at {at}");
    }
    for problem in &answer.problems {
        let _ = writeln!(out, "{} {problem}", paint.wrap("31", "cannot be read:"));
    }
    if !answer.policies.is_empty() {
        out.push('\n');
        table(&mut out, answer);
    }
    for policy in &answer.policies {
        out.push('\n');
        sentences(&mut out, policy, paint);
    }
    if !answer.notes.is_empty() {
        out.push('\n');
    }
    for note in &answer.notes {
        let _ = writeln!(out, "note: {note}");
    }
    out
}

fn id(policy: &Told) -> String {
    if policy.namespace.is_empty() {
        policy.name.clone()
    } else {
        format!("{}/{}", policy.namespace, policy.name)
    }
}

fn table(out: &mut String, answer: &Answer) {
    let number = |n: Option<Replicas>| n.map_or("-".to_owned(), |n| n.to_string());
    let head = ["KIND", "POLICY", "TARGET", "NOW", "WANTED", "LIMITED BY", "READY"].map(str::to_owned);
    let mut rows = vec![head];
    for policy in &answer.policies {
        let target = policy.target.as_ref();
        let target = target.map_or("-".to_owned(), |t| format!("{} {}", t.kind, t.name));
        let ready = policy.conditions.iter().find(|c| c.kind == "Ready");
        let ready = ready.map_or("-".to_owned(), |c| match c.status {
            Status::True => "True".to_owned(),
            Status::False | Status::Unknown => format!("False ({})", c.reason.as_str()),
        });
        rows.push([
            policy.kind.to_owned(),
            id(policy),
            target,
            number(policy.current),
            number(policy.desired),
            policy.limited_by.map_or("-".to_owned(), |r| r.as_str().to_owned()),
            ready,
        ]);
    }
    out.push_str(&columns(&rows));
}

fn sentences(out: &mut String, policy: &Told, paint: Paint) {
    let name = paint.wrap("1", &format!("{} {}", policy.kind, id(policy)));
    let file = policy.file.as_ref().map(|f| format!(" ({f})")).unwrap_or_default();
    let message = if policy.valid {
        policy.message.clone()
    } else {
        format!("{} {}", paint.wrap("31", "cannot be used:"), policy.message)
    };
    let _ = writeln!(out, "{name}{file}: {message}");
    for act in &policy.actions {
        let would = if act.dry_run { "would show" } else { "would" };
        let what = match (act.from, act.to) {
            (Some(from), Some(to)) => format!("scale {} {} from {from} to {to}", act.subject.kind, act.subject.name),
            _ => format!("{} {} {}", act.verb, act.subject.kind, act.subject.name),
        };
        let told = if act.message == policy.message {
            String::new()
        } else {
            format!(": {}", act.message)
        };
        let line = paint.wrap("32", &format!("{would} {what}"));
        let _ = writeln!(out, "  {line} ({}){told}", act.reason.as_str());
    }
    for refusal in &policy.refusals {
        let line = paint.wrap("33", &format!("would not {}", refusal.verb));
        let subject = &refusal.subject;
        let told = if refusal.message == policy.message {
            String::new()
        } else {
            format!(": {}", refusal.message)
        };
        let _ = writeln!(
            out,
            "  {line} {} {} ({}){told}",
            subject.kind,
            subject.name,
            refusal.reason.as_str()
        );
    }
    for trigger in &policy.triggers {
        let sampled = trigger
            .sampled_at
            .map(|at| format!(" (sample of {at})"))
            .unwrap_or_default();
        let _ = writeln!(
            out,
            "  trigger {}: {}: {}{sampled}",
            trigger.name,
            trigger.reason.as_str(),
            trigger.message
        );
    }
}
