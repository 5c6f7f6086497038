//! Asks many questions at once. One that is wrong, too heavy or that brings warnings must not spoil the others: then the
//! batch is halved until it is alone.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use super::answer::{failed, parse, read};
use super::client::PrometheusClient;
use super::fuse::{Part, fuse};
use super::question::Question;
use crate::core::sample::{QueryError, Reading};

/// Several questions must be answered within this time: one of them may be too heavy. A single one has the server's own
/// time-out.
const TOGETHER: Duration = Duration::from_secs(2);
/// After so many requests without any useful answer it is the server's fault and not a question's.
const STRIKES: u32 = 6;

/// With how many others a question can be asked next time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Company {
    /// With so many, itself included: that went well.
    Good(usize),
    /// With at most so many: more of them failed together.
    AtMost(usize),
    /// With none, and as it was written: only so does the server answer it.
    Never,
    /// Nothing was learnt.
    Unknown,
}

/// What a question was answered.
pub struct Answered {
    /// Its index in the batch.
    pub index: usize,
    /// The answer.
    pub part: Part,
    /// What was learnt about asking it.
    pub company: Company,
}

/// Asks the questions of a batch, all of which can be read here. At most three requests a question, most often one for all.
pub async fn ask(client: &PrometheusClient, batch: &[Arc<Question>]) -> Vec<Answered> {
    let whole = 0..batch.len();
    let mut open = VecDeque::from([whole]);
    let mut answered = Vec::with_capacity(batch.len());
    let (mut strikes, mut useful) = (0, false);
    while let Some(range) = open.pop_front() {
        let failure = match fused(client, &batch[range.clone()]).await {
            Ok(parts) => {
                useful = true;
                let company = Company::Good(range.len());
                answered.extend(range.zip(parts).map(|(index, part)| Answered { index, part, company }));
                continue;
            }
            Err(failure) => failure,
        };
        match blame(&failure) {
            Blame::Server => strikes = STRIKES,
            Blame::Either => strikes += 1,
            Blame::Question => {}
        }
        if strikes >= STRIKES && !useful {
            open.push_back(range);
            answered.extend(open.drain(..).flatten().map(|index| Answered {
                index,
                part: unseen(failure.clone()),
                company: Company::Unknown,
            }));
        } else if range.len() > 1 {
            open.extend(halves(range));
        } else {
            let single = single(client, &batch[range.start].expr, failure).await;
            useful |= !matches!(single.0, Reading::Failed { .. });
            answered.push(Answered {
                index: range.start,
                part: unseen(single.0),
                company: single.1,
            });
        }
    }
    blame_size(&mut answered, batch.len());
    answered
}

fn halves(range: Range<usize>) -> [Range<usize>; 2] {
    let middle = range.start + range.len() / 2;
    [range.start..middle, middle..range.end]
}

/// A question that failed without others: it may be answered as it was written.
async fn single(client: &PrometheusClient, expr: &str, failure: Reading) -> (Reading, Company) {
    if !matches!(blame(&failure), Blame::Question) {
        return (failure, Company::AtMost(1));
    }
    match alone(client, expr).await {
        failure @ Reading::Failed { .. } => (failure, Company::AtMost(1)),
        reading => (reading, Company::Never),
    }
}

fn unseen(reading: Reading) -> Part {
    Part { reading, seen: None }
}

/// Where only parts of the batch were answered, and nobody in it is to blame, it was too long.
fn blame_size(answered: &mut [Answered], batch: usize) {
    if answered.iter().any(|a| !matches!(a.company, Company::Good(_))) {
        return;
    }
    for answered in answered {
        if let Company::Good(part) = answered.company
            && part < batch
        {
            answered.company = Company::AtMost(part);
        }
    }
}

/// Asks a query as it was written.
pub async fn alone(client: &PrometheusClient, expr: &str) -> Reading {
    match client.raw(expr).await {
        Ok((status, body)) => read(status, &body),
        Err(failure) => failure,
    }
}

async fn fused(client: &PrometheusClient, questions: &[Arc<Question>]) -> Result<Vec<Part>, Reading> {
    let questions: Vec<&Question> = questions.iter().map(AsRef::as_ref).collect();
    let fused = fuse(&questions);
    let asked = client.raw(&fused.expr);
    let (status, body) = if questions.len() > 1 {
        let in_time = tokio::time::timeout(TOGETHER, asked).await;
        in_time.unwrap_or_else(|_| Err(failed(QueryError::Timeout, "several queries together are too heavy")))?
    } else {
        asked.await?
    };
    let answer = parse(status, &body).map_err(|failure| rejected(status, failure))?;
    // A warning about an expression, and not about stores that are away, is one question's own.
    let own = answer.warnings.iter().find(|warning| warning.starts_with("PromQL"));
    if let Some(warning) = own.filter(|_| questions.len() > 1) {
        return Err(failed(QueryError::BadQuery, warning));
    }
    let parts = fused.parts(answer);
    parts.ok_or_else(|| failed(QueryError::BadQuery, "the server does not answer what it was asked"))
}

/// Servers that limit the length of a query, or of a request, say so in ways of their own.
fn rejected(status: u16, failure: Reading) -> Reading {
    match failure {
        Reading::Failed { message, .. } if matches!(status, 400 | 413 | 414 | 422) => Reading::Failed {
            error: QueryError::BadQuery,
            message,
        },
        failure => failure,
    }
}

/// Who is the reason of a failure.
enum Blame {
    /// One of the questions, or all together.
    Question,
    /// A question, or the server.
    Either,
    /// The server, whatever it is asked.
    Server,
}

fn blame(failure: &Reading) -> Blame {
    match failure {
        Reading::Failed {
            error: QueryError::BadQuery | QueryError::TooLarge,
            ..
        } => Blame::Question,
        Reading::Failed {
            error: QueryError::Timeout | QueryError::Malformed | QueryError::Status,
            ..
        } => Blame::Either,
        _ => Blame::Server,
    }
}
