//! The journal: every event and every plan as JSON lines, so that any decision can be explained and replayed.
//!
//! A segment begins with a snapshot of the engine's state: older segments can be dropped. What is written is bounded per
//! hour; when the budget is used up the journal says so, pauses, and goes on with a new segment.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

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
    /// The budget was used up: what happened until the next segment is not recorded.
    Gap {
        /// Since when.
        at: Time,
    },
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

/// How much is written and kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes an hour.
    pub bytes_per_hour: u64,
    /// Bytes of a segment, after which a new one begins.
    pub segment_bytes: u64,
    /// Segments that are kept.
    pub segments: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            bytes_per_hour: 256 << 20,
            segment_bytes: 32 << 20,
            segments: 24,
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

/// Writes the journal.
pub struct Journal {
    destination: Destination,
    bounds: Bounds,
    metrics: Metrics,
    out: Option<BufWriter<Box<dyn Write + Send>>>,
    written: u64,
    hour: Time,
    this_hour: u64,
    paused: bool,
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
            written: 0,
            hour: Time::default(),
            this_hour: 0,
            paused: false,
        })
    }

    /// Makes sure that a segment is open before anything of this turn is recorded; `state` is the engine's state now.
    pub fn begin(&mut self, at: Time, state: &State) {
        if self.destination == Destination::None {
            return;
        }
        if at.since(self.hour) >= Span::from_mins(60) {
            (self.hour, self.this_hour, self.paused) = (at, 0, false);
        }
        if self.paused || self.out.is_some() && self.written < self.bounds.segment_bytes {
            return;
        }
        if let Err(error) = self.open_segment(at) {
            tracing::error!(%error, "no journal segment could be opened");
            return;
        }
        self.write(
            at,
            &Line::Snapshot {
                version: VERSION,
                at,
                state: Box::new(state.clone()),
            },
        );
    }

    /// Records an event.
    pub fn event(&mut self, at: Time, event: &Event) {
        if self.out.is_some() {
            self.write(
                at,
                &Line::Event {
                    at,
                    event: Box::new(event.clone()),
                },
            );
        }
    }

    /// Records a plan, unless it is empty, and sees to it that all of it is on its way.
    pub fn plan(&mut self, plan: &Plan) {
        if self.out.is_some() && !plan.is_empty() {
            self.write(plan.at, &Line::Plan(Box::new(plan.clone())));
        }
        if let Some(out) = &mut self.out
            && let Err(error) = out.flush()
        {
            tracing::error!(%error, "the journal cannot be written");
            self.out = None;
        }
    }

    fn open_segment(&mut self, at: Time) -> Result<(), JournalError> {
        self.written = 0;
        let sink: Box<dyn Write + Send> = match &self.destination {
            Destination::None => return Ok(()),
            Destination::Stdout => Box::new(io::stdout()),
            Destination::Folder(folder) => {
                let path = folder.join(format!("journal-{:014}.jsonl", at.as_millis()));
                let file = File::create(&path).map_err(|source| JournalError { path, source })?;
                drop_old_segments(folder, self.bounds.segments);
                Box::new(file)
            }
        };
        self.out = Some(BufWriter::new(sink));
        Ok(())
    }

    fn write(&mut self, at: Time, line: &Line) {
        let Some(out) = &mut self.out else { return };
        let mut bytes = match serde_json::to_vec(line) {
            Ok(bytes) => bytes,
            Err(error) => {
                tracing::error!(%error, "a journal line cannot be written");
                return;
            }
        };
        let over = self.this_hour + bytes.len() as u64 > self.bounds.bytes_per_hour;
        if over {
            bytes = serde_json::to_vec(&Line::Gap { at }).unwrap_or_default();
        }
        bytes.push(b'\n');
        if let Err(error) = out.write_all(&bytes) {
            tracing::error!(%error, "the journal cannot be written");
            self.out = None;
            return;
        }
        let size = bytes.len() as u64;
        self.written += size;
        self.this_hour += size;
        self.metrics.journal_bytes.inc_by(size);
        if over {
            tracing::warn!(
                budget = self.bounds.bytes_per_hour,
                "the journal's budget of this hour is used up"
            );
            self.metrics.journal_gaps.inc();
            let _ = out.flush();
            self.out = None;
            self.paused = true;
        }
    }
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
        if name.starts_with("journal-") && path.extension().is_some_and(|e| e == "jsonl") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn drop_old_segments(folder: &Path, keep: usize) {
    let Ok(found) = segments(folder) else { return };
    for path in found.iter().take(found.len().saturating_sub(keep)) {
        if let Err(error) = fs::remove_file(path) {
            tracing::warn!(path = %path.display(), %error, "an old journal segment stays");
        }
    }
}
