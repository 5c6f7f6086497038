//! What happened, for people: one line a happening, with its time since the start.

use super::scenario::START;
use crate::core::plan::Plan;
use crate::core::time::Time;

/// The lines of a story; none where nobody listens.
#[derive(Clone, Debug, Default)]
pub struct Story {
    /// So far.
    pub lines: Vec<String>,
    told: bool,
}

impl Story {
    /// A story that is written down only if it is `told`.
    #[must_use]
    pub fn new(told: bool) -> Self {
        Self {
            lines: Vec::new(),
            told,
        }
    }

    /// Adds a line.
    pub fn line(&mut self, at: Time, text: impl FnOnce() -> String) {
        if self.told {
            let line = format!("{}  {}", clock(at), text());
            self.lines.push(line);
        }
    }

    /// Adds what a plan does and refuses.
    pub fn plan(&mut self, plan: &Plan) {
        for action in &plan.actions {
            self.line(plan.at, || {
                let (what, mode) = (&action.what, action.mode);
                format!(
                    "{} {} {} ({mode:?}): {}: {}",
                    action.id,
                    what.verb(),
                    what.subject(),
                    action.reason,
                    action.message
                )
            });
        }
        for refusal in &plan.refusals {
            self.line(plan.at, || {
                format!(
                    "refused {} {}: {}: {}",
                    refusal.verb, refusal.subject, refusal.reason, refusal.message
                )
            });
        }
    }
}

/// `03:07:12.345` since the start.
fn clock(at: Time) -> String {
    let millis = at.since(START).as_millis().max(0);
    let (seconds, rest) = (millis / 1000, millis % 1000);
    format!(
        "{:02}:{:02}:{:02}.{rest:03}",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60
    )
}
