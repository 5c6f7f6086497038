//! The simulated Prometheus: it is scraped every 15 seconds, so that samples have an age of their own, and it fails in every
//! way that a real one does.

use super::cluster::WorkloadId;
use super::load::{Load, noise};
use super::scenario::START;
use crate::core::names::QueryKey;
use crate::core::quantity::Milli;
use crate::core::sample::{QueryError, Reading};
use crate::core::time::{Span, Time};

/// Between two scrapes.
const SCRAPE: Span = Span::from_secs(15);
/// In the last part of a story the load does not change, so that it shows whether the replicas come to rest.
const STEADY: Span = Span::from_mins(40);

/// One query, and where its answer comes from.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    /// The query.
    pub key: QueryKey,
    /// The workload whose load it measures.
    pub workload: WorkloadId,
    /// The load per Ready pod instead of the whole load.
    pub per_pod: bool,
    /// How the load goes.
    pub load: Load,
}

/// How a query fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricFault {
    /// The series is gone.
    Empty,
    /// Scrapes have stopped: the last sample is shown again and again.
    Frozen,
    /// A division by zero.
    NotANumber,
    /// A part of the data is missing, and the server says so.
    Partial,
    /// Several series where there was one.
    Many,
    /// The server answers with an error.
    Error(QueryError),
    /// The server does not answer.
    Hangs,
}

impl MetricFault {
    /// Every way.
    pub const ALL: [Self; 8] = [
        Self::Empty,
        Self::Frozen,
        Self::NotANumber,
        Self::Partial,
        Self::Many,
        Self::Error(QueryError::Status),
        Self::Error(QueryError::Unreachable),
        Self::Hangs,
    ];
}

/// A fault under way.
#[derive(Clone, Copy, Debug)]
struct Active {
    fault: usize,
    question: Option<usize>,
    how: MetricFault,
    since: Time,
}

/// The server.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// What can be asked.
    pub questions: Vec<Question>,
    /// How much the load of each question is multiplied, by what.
    pub factors: Vec<f64>,
    /// From then on the load stays as it is.
    steady_from: Span,
    seed: u64,
    active: Vec<Active>,
}

impl Metrics {
    /// A server that works, for a story of this length.
    #[must_use]
    pub fn new(questions: Vec<Question>, seed: u64, length: Span) -> Self {
        Self {
            factors: vec![1.0; questions.len()],
            questions,
            steady_from: Span::from_millis((length.as_millis() - STEADY.as_millis()).max(0)),
            seed,
            active: Vec::new(),
        }
    }

    /// A fault begins, for one question or for all.
    pub fn break_down(&mut self, fault: usize, question: Option<usize>, how: MetricFault, since: Time) {
        self.active.push(Active {
            fault,
            question,
            how,
            since,
        });
    }

    /// A fault ends.
    pub fn repair(&mut self, fault: usize) {
        self.active.retain(|a| a.fault != fault);
    }

    /// The true load behind a question.
    #[must_use]
    pub fn load(&self, question: usize, at: Time) -> f64 {
        let factor = self.factors.get(question).copied().unwrap_or(1.0);
        self.questions
            .get(question)
            .map_or(0.0, |q| q.load.at(at.since(START).min(self.steady_from)) * factor)
    }

    /// The answer to a question; `None`: none comes.
    #[must_use]
    pub fn ask(&self, question: usize, now: Time, ready: u32) -> Option<Reading> {
        let fault = self
            .active
            .iter()
            .rev()
            .find(|a| a.question.is_none_or(|q| q == question));
        let scrape = SCRAPE.as_millis();
        let last_scrape = |at: Time| Time::from_millis(at.as_millis() - at.as_millis().rem_euclid(scrape));
        let sampled_at = last_scrape(now);
        let value = |at| Milli::from_f64(self.value(question, at, ready)).unwrap_or_default();
        Some(match fault.map(|a| (a.how, a.since)) {
            None => Reading::Value {
                value: value(sampled_at),
                sampled_at,
                contributors: None,
            },
            Some((MetricFault::Empty, _)) => Reading::Empty,
            Some((MetricFault::Frozen, since)) => Reading::Value {
                value: value(last_scrape(since)),
                sampled_at: last_scrape(since),
                contributors: None,
            },
            Some((MetricFault::NotANumber, _)) => Reading::NotFinite { text: "NaN".into() },
            Some((MetricFault::Many, _)) => Reading::Many {
                series: 2,
                sum: Milli::default(),
                highest: Milli::default(),
                sampled_at: now,
                warning: None,
                contributors: None,
            },
            Some((MetricFault::Partial, _)) => Reading::Partial {
                value: Milli::new(value(sampled_at).thousandths() / 3),
                sampled_at,
                warning: "a store did not answer".into(),
            },
            Some((MetricFault::Error(error), _)) => Reading::Failed {
                error,
                message: "the server is out of order".into(),
            },
            Some((MetricFault::Hangs, _)) => return None,
        })
    }

    fn value(&self, question: usize, at: Time, ready: u32) -> f64 {
        let wobble = 1.0 + noise(self.seed ^ question as u64, at) / 50.0;
        let load = self.load(question, at) * wobble;
        let per_pod = self.questions.get(question).is_some_and(|q| q.per_pod);
        if per_pod { load / f64::from(ready.max(1)) } else { load }
    }
}
