//! Many questions in one. Each is a branch of one union, marked by a label of its own, so that the answer can be taken
//! apart again; with them is asked, once for every selector, from how many series and how fresh ones the answers are made.
//!
//! An instant query's result always carries the time of the evaluation, and a scrape that failed only makes a sum smaller:
//! what an answer is made from has to be asked for, and of the same server at the same time.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::answer::{Answer, Element, Pair, number};
use super::question::{Parts, Question};
use crate::core::sample::{Contributors, Reading};
use crate::core::time::Time;

/// The label that marks a branch.
const LABEL: &str = "homeostat_query";

/// Several questions as one expression.
pub(super) struct Fused<'a> {
    /// The expression.
    pub expr: String,
    questions: Vec<(&'a Question, &'a Parts)>,
    /// Selector → its number.
    selectors: BTreeMap<&'a str, usize>,
}

/// Fuses questions; those that can't be read here are left out.
pub(super) fn fuse<'a>(questions: &[&'a Question]) -> Fused<'a> {
    let questions: Vec<_> = questions
        .iter()
        .filter_map(|question| Some((*question, question.parts.as_ref()?)))
        .collect();
    let mut selectors = BTreeMap::new();
    let mut branches = Vec::new();
    for (index, (question, parts)) in questions.iter().enumerate() {
        // On lines of its own, since it may end with a comment.
        let expr = &question.expr;
        let branch = if parts.scalar {
            format!("vector(\n{expr}\n)")
        } else {
            format!("\n{expr}\n")
        };
        branches.push(marked(&branch, "q", index));
        for selector in &parts.selectors {
            let next = selectors.len();
            if let std::collections::btree_map::Entry::Vacant(new) = selectors.entry(selector.as_str()) {
                new.insert(next);
                branches.extend(probes(selector).map(|(kind, probe)| marked(&probe, kind, next)));
            }
        }
    }
    let mut expr = String::with_capacity(branches.iter().map(|b| b.len() + 8).sum());
    unite(&branches, &mut expr);
    Fused {
        expr,
        questions,
        selectors,
    }
}

/// What is asked of a selector's series: how many there are and from how many targets, when the newest and the oldest sample
/// were taken, and how many of their targets can't be scraped.
fn probes(selector: &str) -> [(&'static str, String); 5] {
    [
        ("s", format!("count({selector})")),
        ("t", format!("count(group by(job,instance)({selector}))")),
        ("n", format!("max(timestamp({selector}))")),
        ("o", format!("min(timestamp({selector}))")),
        (
            "d",
            format!("count(group by(job,instance)(last_over_time({selector}[10m]))and on(job,instance)(up==0))"),
        ),
    ]
}

fn marked(expr: &str, kind: &str, index: usize) -> String {
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
        let mut probed = vec![Probed::default(); self.selectors.len()];
        for element in answer.elements {
            let Some(label) = element.metric.homeostat_query.as_deref() else {
                continue;
            };
            let Some((kind, index)) = label.split_at_checked(1) else {
                continue;
            };
            let Ok(index) = index.parse::<usize>() else { continue };
            match (queries.get_mut(index), probed.get_mut(index), element.pair()) {
                (Some(of), _, _) if kind == "q" => of.push(element),
                (_, Some(probed), Some(pair)) => probed.note(kind, pair),
                _ => {}
            }
        }
        let warnings = &answer.warnings;
        let reading = |((_, parts), elements): (&(&Question, &Parts), Vec<Element>)| {
            let from = parts.selectors.iter().filter_map(|s| self.selectors.get(s.as_str()));
            let from = from.filter_map(|index| probed.get(*index));
            with_contributors(number(&elements, warnings), from)
        };
        Some(self.questions.iter().zip(queries).map(reading).collect())
    }
}

/// What is known of the series of a selector.
#[derive(Clone, Debug, Default)]
struct Probed {
    series: u32,
    targets: u32,
    newest: Option<Time>,
    oldest: Option<Time>,
    down: u32,
}

impl Probed {
    fn note(&mut self, kind: &str, pair: &Pair) {
        let number = pair.number().unwrap_or_default();
        let count = number.clamp(0.0, f64::from(u32::MAX)) as u32;
        let time = Some(Time::from_millis((number * 1000.0).round() as i64));
        match kind {
            "s" => self.series = count,
            "t" => self.targets = count,
            "n" => self.newest = time,
            "o" => self.oldest = time,
            "d" => self.down = count,
            _ => {}
        }
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
    let mut seen = None;
    let mut set = |sampled_at: &mut Time| {
        if let Some(newest) = newest {
            seen = Some((newest, std::mem::replace(sampled_at, newest)));
        }
    };
    match &mut reading {
        Reading::Value {
            sampled_at,
            contributors,
            ..
        }
        | Reading::Many {
            sampled_at,
            contributors,
            ..
        } => {
            *contributors = all;
            set(sampled_at);
        }
        Reading::Partial { sampled_at, .. } => set(sampled_at),
        _ => {}
    }
    Part { reading, seen }
}
