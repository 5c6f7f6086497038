//! The journal: every event and every plan as JSON lines, so that any decision can be explained and replayed.
//!
//! A segment is a gzip file and begins with a snapshot of the engine's state: older segments can be dropped. What is written
//! is bounded per hour; when the budget is used up the journal says so, pauses, and goes on with a new segment.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};

use crate::core::event::Event;
use crate::core::plan::Plan;
use crate::core::state::State;
use crate::core::time::{Span, Time};
use crate::telemetry::metrics::Metrics;

/// The format's version; a reader refuses others.
pub const VERSION: u32 = 1;

/// One line of the journal.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Line {
    /// The first line of a segment: the state before anything that follows.
    Snapshot {
        /// [`VERSION`].
        version: u32,
        /// When.
        at: Time,
        /// All that the engine remembers.
        state: Box<State>,
    },
    /// Something was seen.
    Event {
        /// When.
        at: Time,
        /// What.
        event: Box<Event>,
    },
    /// Something was decided.
    Plan(Box<Plan>),
    /// There was nothing to decide and nothing to say.
    Step {
        /// When.
        at: Time,
    },
    /// The budget was used up: what happened until the next segment is not recorded.
    Gap {
        /// Since when.
        at: Time,
    },
}

/// A [`Line`] as it is written, without a copy of what it says.
#[derive(Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
enum Said<'a> {
    Snapshot { version: u32, at: Time, state: &'a State },
    Event { at: Time, event: &'a Event },
    Plan(&'a Plan),
    Step { at: Time },
    Gap { at: Time },
}

/// Counts the bytes that are written.
struct Counted<W> {
    inner: W,
    bytes: Arc<AtomicU64>,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.bytes.fetch_add(written as u64, Ordering::Relaxed);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Where the journal goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Nowhere.
    None,
    /// Standard output, beside the logs.
    Stdout,
    /// A folder, one file a segment.
    Folder(PathBuf),
}

/// How much is written and kept, in bytes as they are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes an hour; one turn of the engine may go beyond.
    pub bytes_per_hour: u64,
    /// Bytes of a segment, after which a new one begins.
    pub segment_bytes: u64,
    /// Bytes of all segments together; the oldest are dropped.
    pub kept_bytes: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            bytes_per_hour: 256 << 20,
            segment_bytes: 8 << 20,
            kept_bytes: 1 << 30,
        }
    }
}

/// Why the journal could not be opened or read.
#[derive(Debug, thiserror::Error)]
#[error("journal {path}: {source}")]
pub struct JournalError {
    /// Which file or folder.
    pub path: PathBuf,
    /// What happened.
    pub source: io::Error,
}

/// After a write failed (the disk is full, say), another segment is begun after this time.
const TRY_AGAIN: Span = Span::from_secs(30);

/// Writes the journal.
pub struct Journal {
    destination: Destination,
    bounds: Bounds,
    metrics: Metrics,
    out: Option<BufWriter<Box<dyn Write + Send>>>,
    /// What has been stored since it was last counted.
    stored: Arc<AtomicU64>,
    written: u64,
    hour: Time,
    this_hour: u64,
    paused: bool,
    failed_at: Option<Time>,
}

impl Journal {
    /// A journal to this destination; the folder is made where it is missing.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn open(destination: Destination, bounds: Bounds, metrics: Metrics) -> Result<Self, JournalError> {
        if let Destination::Folder(path) = &destination {
            fs::create_dir_all(path).map_err(|source| JournalError {
                path: path.clone(),
                source,
            })?;
        }
        Ok(Self {
            destination,
            bounds,
            metrics,
            out: None,
            stored: Arc::default(),
            written: 0,
            hour: Time::default(),
            this_hour: 0,
            paused: false,
            failed_at: None,
        })
    }

    /// Makes sure that a segment is open before anything of this turn is recorded; `state` is the engine's state now.
    pub fn begin(&mut self, at: Time, state: &State) {
        if self.destination == Destination::None {
            return;
        }
        let in_hour = (Span::ZERO..Span::from_mins(60)).contains(&at.since(self.hour));
        if !in_hour {
            (self.hour, self.this_hour, self.paused) = (at, 0, false);
        }
        self.keep_within_budget(at);
        let waits = self.failed_at.is_some_and(|failed| {
            // A clock that was set back must not keep the journal closed.
            (Span::ZERO..TRY_AGAIN).contains(&at.since(failed))
        });
        if self.paused || waits || self.out.is_some() && self.written < self.bounds.segment_bytes {
            return;
        }
        if let Err(error) = self.open_segment(at) {
            return self.fail(at, &error);
        }
        self.write(
            at,
            &Said::Snapshot {
                version: VERSION,
                at,
                state,
            },
        );
        // The snapshot's own size, however large the cluster, does not end the segment.
        self.flush(at);
        self.written = 0;
    }

    /// Nothing is written for a while; what runs goes on without a journal.
    fn fail(&mut self, at: Time, error: &dyn std::fmt::Display) {
        tracing::error!(%error, "the journal cannot be written; trying again in {TRY_AGAIN}");
        self.metrics.journal_gaps.inc();
        self.out = None;
        self.failed_at = Some(at);
    }

    /// Records an event.
    pub fn event(&mut self, at: Time, event: &Event) {
        if self.out.is_some() {
            self.write(at, &Said::Event { at, event });
        }
    }

    /// Records a plan, and sees to it that all of it is on its way.
    pub fn plan(&mut self, plan: &Plan) {
        if self.out.is_some() && plan.is_empty() {
            self.write(plan.at, &Said::Step { at: plan.at });
        } else if self.out.is_some() {
            self.write(plan.at, &Said::Plan(plan));
        }
        self.flush(plan.at);
        self.keep_within_budget(plan.at);
    }

    fn flush(&mut self, at: Time) {
        if let Some(out) = &mut self.out
            && let Err(error) = out.flush()
        {
            self.fail(at, &error);
        }
        let stored = self.stored.swap(0, Ordering::Relaxed);
        self.written += stored;
        self.this_hour += stored;
        self.metrics.journal_bytes.inc_by(stored);
    }

    /// Ends the segment when the budget of the hour is used up.
    fn keep_within_budget(&mut self, at: Time) {
        let stored = self.stored.load(Ordering::Relaxed);
        if self.out.is_none() || self.this_hour + stored <= self.bounds.bytes_per_hour {
            return;
        }
        tracing::warn!(
            budget = self.bounds.bytes_per_hour,
            "the journal's budget of this hour is used up"
        );
        self.metrics.journal_gaps.inc();
        self.write(at, &Said::Gap { at });
        self.flush(at);
        self.out = None;
        self.paused = true;
    }

    fn open_segment(&mut self, at: Time) -> Result<(), JournalError> {
        self.written = 0;
        let sink: Box<dyn Write + Send> = match &self.destination {
            Destination::None => return Ok(()),
            Destination::Stdout => Box::new(Counted {
                inner: io::stdout(),
                bytes: Arc::clone(&self.stored),
            }),
            Destination::Folder(folder) => {
                let path = folder.join(format!("journal-{:014}.jsonl.gz", at.as_millis()));
                let inner = File::create(&path).map_err(|source| JournalError { path, source })?;
                drop_old_segments(folder, self.bounds.kept_bytes);
                let bytes = Arc::clone(&self.stored);
                Box::new(GzEncoder::new(Counted { inner, bytes }, Compression::fast()))
            }
        };
        self.out = Some(BufWriter::new(sink));
        Ok(())
    }

    /// Straight to where it goes, since a snapshot is as large as the state.
    fn write(&mut self, at: Time, line: &Said<'_>) {
        let Some(out) = &mut self.out else { return };
        let written = serde_json::to_writer(&mut *out, line).map_err(io::Error::from);
        if let Err(error) = written.and_then(|()| out.write_all(b"\n")) {
            self.fail(at, &error);
        }
    }
}

/// What a segment says, line by line: as it is written, or unpacked already.
///
/// # Errors
/// The file cannot be read.
pub fn open_segment(path: &Path) -> Result<Box<dyn BufRead>, JournalError> {
    let err = |source| JournalError {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(err)?;
    Ok(if path.extension().is_some_and(|e| e == "gz") {
        Box::new(BufReader::new(GzDecoder::new(file)))
    } else {
        Box::new(BufReader::new(file))
    })
}

/// The segments of a folder, oldest first.
///
/// # Errors
/// The folder cannot be read.
pub fn segments(folder: &Path) -> Result<Vec<PathBuf>, JournalError> {
    let err = |source| JournalError {
        path: folder.to_owned(),
        source,
    };
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(err)? {
        let path = entry.map_err(err)?.path();
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        if name.starts_with("journal-") && [".jsonl.gz", ".jsonl"].iter().any(|end| name.ends_with(end)) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Drops the oldest segments, until the rest takes no more than its share. The newest stays in any case.
fn drop_old_segments(folder: &Path, kept_bytes: u64) {
    let Ok(found) = segments(folder) else { return };
    let mut bytes = 0;
    for path in found.iter().rev() {
        bytes += fs::metadata(path).map_or(0, |m| m.len());
        if bytes <= kept_bytes || found.last() == Some(path) {
            continue;
        }
        if let Err(error) = fs::remove_file(path) {
            tracing::warn!(path = %path.display(), %error, "an old journal segment stays");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::world::{View, ViewState};

    fn at(second: i64) -> Time {
        Time::from_secs(1_700_000_000 + second)
    }

    fn journal(folder: &Path, bounds: Bounds) -> (Journal, Metrics) {
        let metrics = Metrics::default();
        let opened = Journal::open(Destination::Folder(folder.to_owned()), bounds, metrics.clone());
        (opened.unwrap(), metrics)
    }

    fn seen() -> Event {
        Event::View {
            view: View::Pods,
            state: ViewState::Current,
        }
    }

    fn size(folder: &Path) -> u64 {
        let found = segments(folder).unwrap();
        found.iter().map(|path| fs::metadata(path).unwrap().len()).sum()
    }

    fn lines(path: &Path) -> Vec<String> {
        open_segment(path).unwrap().lines().map_while(Result::ok).collect()
    }

    #[test]
    fn old_segments_go_and_each_that_stays_begins_with_a_snapshot() {
        let dir = tempfile::tempdir().unwrap();
        let bounds = Bounds {
            segment_bytes: 2_000,
            kept_bytes: 10_000,
            ..Bounds::default()
        };
        let (mut journal, _) = journal(dir.path(), bounds);
        for second in 0..1_000 {
            journal.begin(at(second), &State::default());
            journal.event(at(second), &seen());
            journal.plan(&Plan {
                at: at(second),
                ..Plan::default()
            });
        }
        let found = segments(dir.path()).unwrap();
        assert!(found.len() > 2, "{found:?}");
        assert!(size(dir.path()) < 15_000);
        for path in found {
            let lines = lines(&path);
            assert!(lines[0].starts_with(r#"{"snapshot":{"version":1,"#), "{lines:?}");
            assert!(lines.len() > 1, "{lines:?}");
        }
    }

    #[test]
    fn an_hour_has_its_budget_and_the_gap_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let bounds = Bounds {
            bytes_per_hour: 5_000,
            ..Bounds::default()
        };
        let (mut journal, metrics) = journal(dir.path(), bounds);
        for second in 0..3_599 {
            journal.begin(at(second), &State::default());
            journal.event(at(second), &seen());
            journal.plan(&Plan {
                at: at(second),
                ..Plan::default()
            });
        }
        assert!(size(dir.path()) < 5_200, "{}", size(dir.path()));
        assert_eq!(metrics.journal_gaps.get(), 1);
        let only = segments(dir.path()).unwrap().remove(0);
        let said = lines(&only);
        assert!(said.last().unwrap().starts_with(r#"{"gap":"#), "{said:?}");
        journal.begin(at(3_600), &State::default());
        assert_eq!(segments(dir.path()).unwrap().len(), 2, "the next hour has a segment");
    }

    #[test]
    fn a_full_disk_is_said_once_and_tried_again_later() {
        let dir = tempfile::tempdir().unwrap();
        let (mut journal, metrics) = journal(dir.path(), Bounds::default());
        let full = dir.path().join(format!("journal-{:014}.jsonl.gz", at(0).as_millis()));
        std::os::unix::fs::symlink("/dev/full", full).unwrap();
        let plan = |second| Plan {
            at: at(second),
            ..Plan::default()
        };
        for second in 0..30 {
            journal.begin(at(second), &State::default());
            journal.plan(&plan(second));
        }
        assert_eq!(metrics.journal_gaps.get(), 1);
        assert_eq!(segments(dir.path()).unwrap().len(), 1, "no heap of empty files");
        journal.begin(at(30), &State::default());
        journal.plan(&plan(30));
        let found = segments(dir.path()).unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!(lines(&found[1]).len(), 2, "what was decided is on its way");
    }
}
