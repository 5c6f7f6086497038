//! What the demo saw: the load and the cluster over time, what Homeostat did and why, and how each act went. Written by
//! those who watch, read by the view and the report.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use homeostat::core::time::Time;
use tokio::time::Instant;

use crate::eyes::short;

/// One look at everything.
#[derive(Clone, Copy, Debug, Default)]
pub struct Point {
    /// Seconds since the demo began.
    pub at: f64,
    /// Minutes since midnight of the recorded day; `None` before the replay begins.
    pub minute: Option<f64>,
    /// Requests a second.
    pub load: f64,
    /// Requests that wait.
    pub waiting: f64,
    /// What each pod serves in a second.
    pub per_pod: f64,
    /// Replicas that Homeostat set.
    pub wanted: u32,
    /// Pods that are Ready.
    pub ready: u32,
    /// Nodes that are Ready.
    pub nodes: u32,
}

/// What was done, refused or said.
#[derive(Clone, Debug)]
pub struct Deed {
    /// Id in the journal; refusals and syncs have none.
    pub id: Option<String>,
    /// When.
    pub at: Time,
    /// Seconds since the demo began.
    pub seconds: f64,
    /// As in `ScalingPolicy shop/checkout`.
    pub policy: String,
    /// As in `Scale 3 → 5`.
    pub what: String,
    /// What it was done to.
    pub subject: String,
    /// Stable code.
    pub reason: String,
    /// Why, with the numbers.
    pub message: String,
    /// What became of it.
    pub outcome: String,
    /// Of Git, in force at that time.
    pub revision: String,
    /// Names and values behind it.
    pub numbers: Vec<(String, String)>,
    /// What kind of thing it is.
    pub kind: DeedKind,
}

/// What kind of thing was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeedKind {
    /// Replicas.
    Scaling,
    /// Nodes.
    Nodes,
    /// Healing.
    Healing,
    /// Git.
    Git,
    /// Something that was not done.
    Refusal,
}

/// How an act stands.
#[derive(Clone, Debug, PartialEq)]
pub enum Standing {
    /// Its time has not come.
    Ahead,
    /// Under way since so many seconds after the beginning.
    Running(f64),
    /// It happened.
    Happened {
        /// What was seen.
        observed: String,
        /// How long it took.
        seconds: f64,
        /// It took longer than promised.
        late: bool,
    },
    /// It did not.
    Failed {
        /// What was seen instead.
        observed: String,
        /// How long it was awaited.
        seconds: f64,
    },
}

/// One act of the story.
#[derive(Clone, Debug)]
pub struct Act {
    /// In a few words.
    pub name: &'static str,
    /// What should be seen.
    pub expected: String,
    /// When it began, seconds after the beginning.
    pub began: Option<f64>,
    /// How it stands.
    pub standing: Standing,
}

/// All of it.
#[derive(Clone, Debug, Default)]
pub struct Book {
    /// In order of time.
    pub points: Vec<Point>,
    /// In order of time.
    pub deeds: Vec<Deed>,
    /// In the story's order.
    pub acts: Vec<Act>,
    /// Revision and state of the GitSource.
    pub source: String,
    /// Requests that came in, and those whose customers gave up.
    pub served: (f64, f64),
    /// Lines that were not shown yet, for those who want every line.
    pub news: Vec<String>,
}

/// The book, for all who write and read.
#[derive(Clone, Default)]
pub struct Record {
    began: Arc<OnceLock<Instant>>,
    book: Arc<Mutex<Book>>,
}

impl Record {
    /// The curtain rises: time begins.
    pub fn start(&self) {
        self.began.get_or_init(Instant::now);
    }

    /// Seconds since the beginning.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.began.get().map_or(0.0, |began| began.elapsed().as_secs_f64())
    }

    /// Reads or writes.
    pub fn with<T>(&self, f: impl FnOnce(&mut Book) -> T) -> T {
        f(&mut self.book.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Adds an act that is still ahead; its number.
    pub fn announce(&self, name: &'static str, expected: impl Into<String>) -> usize {
        let act = Act {
            name,
            expected: expected.into(),
            began: None,
            standing: Standing::Ahead,
        };
        self.with(|book| {
            book.acts.push(act);
            book.acts.len() - 1
        })
    }

    /// An act begins.
    pub fn begin(&self, act: usize) {
        let now = self.seconds();
        self.with(|book| {
            let Some(act) = book.acts.get_mut(act) else { return };
            act.began = Some(now);
            act.standing = Standing::Running(now);
            let line = format!("{} …", act.name);
            book.news.push(line);
        });
    }

    /// An act ended well, after so long.
    pub fn happened(&self, act: usize, observed: String, took: Duration, promised: Option<Duration>) {
        let seconds = took.as_secs_f64();
        let late = promised.is_some_and(|limit| took > limit);
        self.end(act, |_| Standing::Happened {
            observed,
            seconds,
            late,
        });
    }

    /// An act did not happen.
    pub fn failed(&self, act: usize, observed: String) {
        let now = self.seconds();
        self.end(act, |began| Standing::Failed {
            observed,
            seconds: began.map_or(0.0, |began| now - began),
        });
    }

    fn end(&self, act: usize, standing: impl FnOnce(Option<f64>) -> Standing) {
        self.with(|book| {
            let Some(act) = book.acts.get_mut(act) else { return };
            act.standing = standing(act.began);
            let line = match &act.standing {
                Standing::Happened { observed, seconds, .. } => format!("✓ {}: {observed} ({seconds:.1} s)", act.name),
                Standing::Failed { observed, .. } => format!("✗ {}: {observed}", act.name),
                _ => return,
            };
            book.news.push(line);
        });
    }

    /// Something was done, refused or said.
    pub fn tell(&self, deed: Deed) {
        self.with(|book| {
            book.news
                .push(format!("  {} {}: {}", deed.what, deed.subject, short(&deed.message)));
            book.deeds.push(deed);
        });
    }
}
