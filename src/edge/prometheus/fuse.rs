//! Many questions in one. Each is a branch of one union, marked by a label of its own, so that the answer can be taken
//! apart again; with them is asked, once for every selector, from how many series and how fresh ones the answers are made.
//!
//! An instant query's result always carries the time of the evaluation, and a scrape that failed only makes a sum smaller:
//! what an answer is made from has to be asked for, and of the same server at the same time.

use std::fmt::Write as _;

use super::answer::{Answer, Element, number};
use super::probe::{Probed, Probes};
use super::question::{Parts, Question};
use crate::core::sample::{Contributors, Reading};
use crate::core::time::Time;

/// The label that marks a branch.
pub(super) const LABEL: &str = "homeostat_query";

/// Several questions as one expression.
pub(super) struct Fused<'a> {
    /// The expression.
    pub expr: String,
    questions: Vec<(&'a Question, &'a Parts)>,
    probes: Probes<'a>,
}

/// Fuses questions; those that can't be read here are left out.
pub(super) fn fuse<'a>(questions: &[&'a Question]) -> Fused<'a> {
    let questions: Vec<_> = questions
        .iter()
        .filter_map(|question| Some((*question, question.parts.as_ref()?)))
        .collect();
    let mut branches = Vec::with_capacity(questions.len());
    for (index, (question, parts)) in questions.iter().enumerate() {
        // On lines of its own, since it may end with a comment.
        let expr = &question.expr;
        let branch = if parts.scalar {
            format!("vector(\n{expr}\n)")
        } else {
            format!("\n{expr}\n")
        };
        branches.push(marked(&branch, "q", index));
    }
    let probes = Probes::of(questions.iter().flat_map(|(_, parts)| &parts.selectors));
    branches.extend(probes.branches());
    let mut expr = String::with_capacity(branches.iter().map(|b| b.len() + 8).sum());
    unite(&branches, &mut expr);
    Fused {
        expr,
        questions,
        probes,
    }
}

pub(super) fn marked(expr: &str, kind: &str, index: usize) -> String {
    format!(r#"label_replace({expr},"{LABEL}","{kind}{index}","","")"#)
}

/// A balanced tree: a union looks at everything to its left.
fn unite(branches: &[String], into: &mut String) {
    match branches {
        [] => {}
        [one] => into.push_str(one),
        many => {
            let (left, right) = many.split_at(many.len() / 2);
            into.push('(');
            unite(left, into);
            let _ = into.write_str(" or ");
            unite(right, into);
            into.push(')');
        }
    }
}

/// The answer to one of several questions.
pub struct Part {
    /// The answer.
    pub reading: Reading,
    /// When the newest of the samples that it was made from was taken, and when the server looked.
    pub seen: Option<(Time, Time)>,
}

impl Fused<'_> {
    /// What each question was answered, in their order; `None`: none of it answers what was asked.
    pub(super) fn parts(&self, answer: Answer) -> Option<Vec<Part>> {
        let is_marked = |element: &Element| element.metric.homeostat_query.is_some();
        if !answer.elements.is_empty() && !answer.elements.iter().any(is_marked) {
            return None;
        }
        let mut queries: Vec<Vec<Element>> = self.questions.iter().map(|_| Vec::new()).collect();
        let mut probed = self.probes.unknown();
        for element in answer.elements {
            let Some(label) = element.metric.homeostat_query.as_deref() else {
                continue;
            };
            match label.split_at_checked(1) {
                Some(("q", index)) => {
                    let index = index.parse::<usize>().ok();
                    if let Some(of) = index.and_then(|index| queries.get_mut(index)) {
                        of.push(element);
                    }
                }
                Some((kind, mark)) => {
                    if let Some(pair) = element.pair() {
                        self.probes.note(&mut probed, kind, mark, pair);
                    }
                }
                None => {}
            }
        }
        let warnings = &answer.warnings;
        let reading = |((_, parts), elements): (&(&Question, &Parts), Vec<Element>)| {
            let from = parts.selectors.iter();
            let from = from.filter_map(|selector| self.probes.known(&probed, selector));
            with_contributors(number(&elements, warnings), from)
        };
        Some(self.questions.iter().zip(queries).map(reading).collect())
    }
}

/// Adds what an answer was made from. Its time is that of the newest sample, of the selector where that is the oldest.
fn with_contributors<'a>(mut reading: Reading, from: impl Iterator<Item = &'a Probed>) -> Part {
    let mut all: Option<Contributors> = None;
    let mut newest: Option<Time> = None;
    for probed in from {
        let sum = all.get_or_insert_default();
        sum.series = sum.series.saturating_add(probed.series);
        sum.targets = sum.targets.saturating_add(probed.targets);
        sum.down = sum.down.max(probed.down);
        sum.oldest = [sum.oldest, probed.oldest].into_iter().flatten().min();
        newest = [newest, probed.newest].into_iter().flatten().min();
    }
    let looked = reading.made_from(all, newest);
    let seen = newest.zip(looked);
    Part { reading, seen }
}
