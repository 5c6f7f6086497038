//! The explanation for people: the answer first, then what it rests on.

use std::fmt;

use super::{Entry, Explanation};
use crate::core::time::{Span, Time};

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n  {}", self.policy, self.answer)?;
        for note in &self.notes {
            writeln!(f, "  note: {note}")?;
        }
        if !self.now.is_empty() {
            writeln!(f, "\nNow")?;
            for line in &self.now {
                writeln!(f, "  {line}")?;
            }
        }
        if !self.conditions.is_empty() {
            writeln!(f, "\nConditions")?;
            let widest = |of: fn(&super::Stated) -> usize| self.conditions.iter().map(of).max().unwrap_or(0);
            let (kind, status) = (widest(|c| c.kind.len()), widest(|c| c.status.len()));
            for c in &self.conditions {
                let ago = c.since.parse().map_or_else(|_| String::new(), |at| self.ago(at));
                writeln!(
                    f,
                    "  {:kind$} {:status$} since {} ({ago}), {}: {}",
                    c.kind, c.status, c.since, c.reason, c.message
                )?;
            }
        }
        writeln!(f, "\nDone and refused ({})", self.history_from)?;
        if self.history.is_empty() {
            writeln!(f, "  nothing")?;
        }
        self.history.iter().try_for_each(|entry| self.entry(f, entry))
    }
}

impl Explanation {
    fn entry(&self, f: &mut fmt::Formatter<'_>, entry: &Entry) -> fmt::Result {
        let outcome = entry.outcome.as_ref().map(|o| format!(" → {o}")).unwrap_or_default();
        let trace = entry
            .trace_id
            .as_ref()
            .map(|id| format!(" [trace {id}]"))
            .unwrap_or_default();
        writeln!(
            f,
            "  {} ({}) {}, {}: {}{outcome}{trace}",
            entry.at,
            self.ago(entry.at),
            entry.what,
            entry.reason,
            entry.message
        )
    }

    /// How long ago that was, in whole seconds, and in minutes only when it is long ago.
    fn ago(&self, at: Time) -> String {
        let millis = self.asked_at.since(at).as_millis().max(0);
        let unit = if millis < 3_600_000 { 1000 } else { 60_000 };
        format!("{} ago", Span::from_millis(millis / unit * unit))
    }
}
