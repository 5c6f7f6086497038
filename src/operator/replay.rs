//! Replays a journal: the recorded events go through the engine again, and every plan must come out byte for byte as it was
//! recorded. Acts on nothing.

use std::io::{BufRead, ErrorKind};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::journal::{JournalError, Line, VERSION, open_segment, segments};
use crate::core::engine::Engine;
use crate::core::plan::Plan;
use crate::core::time::Time;

/// What a replay went through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Replayed {
    /// Segments.
    pub segments: usize,
    /// Events.
    pub events: usize,
    /// Steps, those without a plan included.
    pub steps: usize,
    /// Steps that gave a plan.
    pub plans: usize,
    /// Times that the journal was not written.
    pub gaps: usize,
    /// Segments whose last line was cut off.
    pub torn: usize,
}

/// Why a journal cannot be read, or how a replay went another way.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// Its folder or a file cannot be read.
    #[error(transparent)]
    Io(#[from] JournalError),
    /// It was written by another version.
    #[error("{}: format version {found}; this program reads version {VERSION}", path.display())]
    Version {
        /// Which file.
        path: PathBuf,
        /// The version that it has.
        found: u64,
    },
    /// A line is none of the journal's.
    #[error("{}:{line}: not a line of a journal: {problem}", path.display())]
    Line {
        /// Which file.
        path: PathBuf,
        /// Which line, counted from 1.
        line: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// There is nothing to replay.
    #[error("{}: no journal segment (journal-*.jsonl.gz)", .0.display())]
    Empty(PathBuf),
    /// The engine decided otherwise than it did when the journal was written.
    #[error("{}:{line}: the plan of {at} came out otherwise\nrecorded: {recorded}\nreplayed: {replayed}", path.display())]
    Differs {
        /// Which file.
        path: PathBuf,
        /// Which line, counted from 1.
        line: usize,
        /// When the plan was made.
        at: Time,
        /// As it was recorded.
        recorded: String,
        /// As it came out.
        replayed: String,
    },
}

/// Reads a segment line by line. A last line that is cut off (the operator was killed) ends it; `each` is told the number of
/// each line, counted from 1.
///
/// # Errors
/// The file cannot be read, another version wrote it, or a line within it is none of the journal's. Says whether the last
/// line was cut off.
pub fn read_segment<E: From<ReplayError>>(
    path: &Path,
    mut each: impl FnMut(usize, &str, Line) -> Result<(), E>,
) -> Result<bool, E> {
    let io = |source| {
        ReplayError::from(JournalError {
            path: path.to_owned(),
            source,
        })
    };
    let mut reader = open_segment(path).map_err(ReplayError::from)?;
    let mut bytes = Vec::new();
    for number in 1.. {
        bytes.clear();
        match reader.read_until(b'\n', &mut bytes) {
            // It is still being written, or the operator was killed.
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => {}
            other => drop(other.map_err(io)?),
        }
        if bytes.is_empty() {
            return Ok(false);
        }
        let text = String::from_utf8_lossy(&bytes);
        let text = text.trim_end_matches('\n');
        match serde_json::from_str::<Line>(text) {
            Ok(Line::Snapshot { version, .. }) if version != VERSION => {
                return Err(other_version(path, version.into()).into());
            }
            Ok(line) => each(number, text, line)?,
            Err(problem) => {
                if let Some(found) = version_of(text).filter(|v| *v != u64::from(VERSION)) {
                    return Err(other_version(path, found).into());
                }
                if bytes.last() != Some(&b'\n') {
                    return Ok(true);
                }
                return Err(ReplayError::Line {
                    path: path.to_owned(),
                    line: number,
                    problem: problem.to_string(),
                }
                .into());
            }
        }
    }
    Ok(false)
}

fn other_version(path: &Path, found: u64) -> ReplayError {
    ReplayError::Version {
        path: path.to_owned(),
        found,
    }
}

fn version_of(line: &str) -> Option<u64> {
    let value: Value = serde_json::from_str(line).ok()?;
    value.pointer("/snapshot/version")?.as_u64()
}

/// Replays every segment of a folder.
///
/// # Errors
/// See [`ReplayError`].
pub fn replay(folder: &Path) -> Result<Replayed, ReplayError> {
    let mut seen = Replayed::default();
    let found = segments(folder)?;
    if found.is_empty() {
        return Err(ReplayError::Empty(folder.to_owned()));
    }
    for path in found {
        seen.segments += 1;
        let mut engine: Option<Engine> = None;
        let torn = read_segment::<ReplayError>(&path, |number, text, line| {
            let began = engine.is_some();
            match (line, &mut engine) {
                (Line::Snapshot { state, .. }, engine) if !began => *engine = Some(Engine::resume(*state)),
                (Line::Event { at, event }, Some(engine)) => {
                    seen.events += 1;
                    engine.observe(at, *event);
                }
                (Line::Step { at }, Some(engine)) => {
                    seen.steps += 1;
                    let plan = engine.step(at);
                    if !plan.is_empty() {
                        return Err(differs(&path, number, text, &plan));
                    }
                }
                (Line::Plan(recorded), Some(engine)) => {
                    (seen.steps, seen.plans) = (seen.steps + 1, seen.plans + 1);
                    let plan = engine.step(recorded.at);
                    if as_recorded(&plan) != text {
                        return Err(differs(&path, number, text, &plan));
                    }
                }
                (Line::Gap { .. }, Some(_)) => seen.gaps += 1,
                _ => {
                    return Err(ReplayError::Line {
                        path: path.clone(),
                        line: number,
                        problem: "a segment begins with its one snapshot".into(),
                    });
                }
            }
            Ok(())
        })?;
        seen.torn += usize::from(torn);
    }
    Ok(seen)
}

fn as_recorded(plan: &Plan) -> String {
    serde_json::to_string(&Line::Plan(Box::new(plan.clone()))).unwrap_or_default()
}

fn differs(path: &Path, line: usize, recorded: &str, plan: &Plan) -> ReplayError {
    ReplayError::Differs {
        path: path.to_owned(),
        line,
        at: plan.at,
        recorded: recorded.to_owned(),
        replayed: as_recorded(plan),
    }
}
