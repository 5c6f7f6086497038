//! One query: when it is due, and how it can be asked.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::slots::{ROOM, Slot};
use crate::core::names::QueryKey;
use crate::core::sample::{QueryError, Reading};
use crate::edge::prometheus::batch::Company;
use crate::edge::prometheus::question::Question;

/// After so many answers in company it is tried in larger one.
const PROVEN: u32 = 32;
/// A query that the server refuses is asked again after at most this time; where it can't be read here either, nothing but a
/// change will help.
const REFUSED_MAX: Duration = Duration::from_mins(1);
const UNREADABLE_MAX: Duration = Duration::from_mins(5);

/// A query that some policy asks.
pub(super) struct Query {
    /// How often it is asked.
    pub interval: Duration,
    /// When in the interval.
    pub slot: Slot,
    /// When it is asked next; `None` while it is being asked, and until all is known that it needs.
    pub due: Option<Instant>,
    /// It is being asked.
    pub running: bool,
    /// Of Prometheus: what it is made of.
    pub question: Option<Arc<Question>>,
    /// With how many it can be asked at most, itself included.
    limit: usize,
    proven: u32,
    refused: u32,
}

impl Query {
    pub(super) fn new(key: &QueryKey, interval: Duration, slot: Slot) -> Self {
        let question = match key {
            QueryKey::Prometheus { expr, .. } => Some(Arc::new(Question::new(expr))),
            _ => None,
        };
        Self {
            interval,
            slot,
            due: None,
            running: false,
            limit: usize::from(question.as_ref().is_some_and(|q| q.parts.is_some())) * ROOM,
            question,
            proven: 0,
            refused: 0,
        }
    }

    /// With how many it can be asked at once, itself included; `None`: only as it was written.
    pub(super) fn company(&self) -> Option<usize> {
        (self.limit > 0).then_some(self.limit)
    }

    /// Learns from how asking it went.
    pub(super) fn learn(&mut self, company: Company) {
        match company {
            Company::Good(_) if self.limit < ROOM => {
                self.proven += 1;
                if self.proven >= PROVEN {
                    (self.limit, self.proven) = ((self.limit * 2).min(ROOM), 0);
                }
            }
            Company::AtMost(most) => (self.limit, self.proven) = (most.min(self.limit), 0),
            Company::Never => self.limit = 0,
            Company::Good(_) | Company::Unknown => {}
        }
    }

    /// How long to wait besides, after an answer: a query that is refused again and again is asked less often.
    pub(super) fn patience(&mut self, reading: &Reading) -> Duration {
        let refused = matches!(
            reading,
            Reading::Failed {
                error: QueryError::BadQuery,
                ..
            }
        );
        self.refused = if refused { self.refused.saturating_add(1) } else { 0 };
        let readable = self.question.as_ref().is_none_or(|q| q.parts.is_some());
        let most = if readable { REFUSED_MAX } else { UNREADABLE_MAX };
        let wait = self.interval.saturating_mul((1 << self.refused.min(10)) - 1);
        wait.min(most.saturating_sub(self.interval))
    }
}
