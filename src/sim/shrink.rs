//! The shortest story with the same end: what does not matter to a broken promise is left out, until nothing more can be.

use super::check::Invariant;
use super::run::{Options, run};
use super::scenario::{Scenario, Trouble};
use crate::core::time::Span;

/// Leaves out troubles and cuts the end of a story, as long as the same promise is broken. Tells it at most `tries` times.
#[must_use]
pub fn shrink(scenario: &Scenario, options: &Options, broken: Invariant, tries: u32) -> Scenario {
    let quick = Options {
        story: false,
        ..options.clone()
    };
    let mut attempt = Attempt {
        options: &quick,
        broken,
        left: tries,
    };
    let mut best = scenario.clone();
    attempt.cut_end(&mut best);
    let mut part = best.troubles.len().div_ceil(2).max(1);
    loop {
        let before = best.troubles.len();
        let mut from = 0;
        while from < best.troubles.len() && attempt.left > 0 {
            let to = (from + part).min(best.troubles.len());
            let shorter = Scenario {
                troubles: without(&best.troubles, from, to),
                ..best.clone()
            };
            if attempt.breaks(&shorter).is_some() {
                best = shorter;
            } else {
                from = to;
            }
        }
        if attempt.left == 0 || part == 1 && best.troubles.len() == before {
            break;
        }
        part = part.div_ceil(2).min(best.troubles.len().max(1));
    }
    attempt.cut_end(&mut best);
    best
}

struct Attempt<'a> {
    options: &'a Options,
    broken: Invariant,
    left: u32,
}

impl Attempt<'_> {
    /// When the story breaks the same promise, if it does.
    fn breaks(&mut self, scenario: &Scenario) -> Option<Span> {
        self.left = self.left.saturating_sub(1);
        let violation = run(scenario, self.options).violation?;
        let after = violation.at.since(super::scenario::START);
        (violation.invariant == self.broken).then_some(after)
    }

    /// What comes after the broken promise is left out.
    fn cut_end(&mut self, best: &mut Scenario) {
        let Some(end) = self.breaks(best) else { return };
        let shorter = Scenario {
            length: Span::from_millis(end.as_millis() + 1000).min(best.length),
            troubles: best.troubles.iter().filter(|t| t.at <= end).cloned().collect(),
            ..best.clone()
        };
        if self.breaks(&shorter).is_some() {
            *best = shorter;
        }
    }
}

fn without(troubles: &[Trouble], from: usize, to: usize) -> Vec<Trouble> {
    let kept = troubles.iter().enumerate().filter(|(i, _)| !(from..to).contains(i));
    kept.map(|(_, t)| t.clone()).collect()
}
