//! Reads documents strictly: nothing twice, nothing unknown, and every mistake with its path and with what is allowed.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::snapshot::Snapshot;
use crate::edge::git::Limits;
use crate::edge::git::yaml::{Strict, from_yaml, split};

/// A file that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {what}: {source}")]
pub struct ReadError {
    /// Which.
    pub what: String,
    /// Why.
    #[source]
    pub source: io::Error,
}

/// What people may write in one file: as much as memory holds.
#[must_use]
pub fn limits() -> Limits {
    Limits {
        max_file_bytes: 1 << 30,
        max_documents: 10_000_000,
        max_nodes: 100_000_000,
        ..Limits::default()
    }
}

/// Opens a file; `-` is standard input.
///
/// # Errors
/// It cannot be opened.
pub fn open(path: &Path) -> Result<Box<dyn BufRead>, ReadError> {
    if path == Path::new("-") {
        return Ok(Box::new(BufReader::new(io::stdin())));
    }
    match File::open(path) {
        Ok(file) => Ok(Box::new(BufReader::new(file))),
        Err(source) => Err(ReadError {
            what: path.display().to_string(),
            source,
        }),
    }
}

/// Hands over every snapshot of a stream in turn, or why it is none. JSON values may follow one another, on lines of their own
/// or not, and each is handed over as soon as it is complete; YAML documents are separated by `---`.
///
/// # Errors
/// The stream breaks, or `each` fails.
pub fn snapshots<E: From<io::Error>>(
    mut stream: impl BufRead,
    mut each: impl FnMut(Result<Snapshot, String>) -> Result<(), E>,
) -> Result<(), E> {
    if first_byte(&mut stream)? == Some(b'{') {
        for value in serde_json::Deserializer::from_reader(stream).into_iter::<Strict>() {
            match value {
                Ok(Strict(value)) => each(snapshot(value))?,
                Err(error) if error.is_io() => return Err(io::Error::from(error).into()),
                // What follows broken JSON has no beginning.
                Err(error) => return each(Err(format!("not JSON: {error}"))),
            }
        }
        return Ok(());
    }
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    for document in split(&text) {
        each(match from_yaml(document.text, &limits()) {
            Ok(value) => snapshot(value),
            Err(unreadable) => {
                let line = document.line + unreadable.line.unwrap_or(1).saturating_sub(1);
                Err(format!("line {line}: not YAML: {}", unreadable.reason))
            }
        })?;
    }
    Ok(())
}

/// The first byte that is no white space, which is left in the stream.
fn first_byte(stream: &mut impl BufRead) -> io::Result<Option<u8>> {
    loop {
        let buffer = stream.fill_buf()?;
        let Some(first) = buffer.first().copied() else {
            return Ok(None);
        };
        let blank = buffer.iter().take_while(|b| b.is_ascii_whitespace()).count();
        if blank == 0 {
            return Ok(Some(first));
        }
        stream.consume(blank);
    }
}

/// A value as a snapshot.
///
/// # Errors
/// The path of the first mistake, and what is allowed there.
pub fn snapshot(value: Value) -> Result<Snapshot, String> {
    typed(value)
}

/// A value as a type. A null is as if it were not there, since many programs write one for what is absent.
///
/// # Errors
/// The path of the first mistake, and what is wrong.
pub fn typed<T: DeserializeOwned>(value: Value) -> Result<T, String> {
    serde_path_to_error::deserialize(without_nulls(value)).map_err(|error| {
        let path = error.path().to_string();
        let problem = error.into_inner();
        if path == "." {
            problem.to_string()
        } else {
            format!("{path}: {problem}")
        }
    })
}

fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let kept = map.into_iter().filter(|(_, v)| !v.is_null());
            Value::Object(kept.map(|(k, v)| (k, without_nulls(v))).collect())
        }
        Value::Array(items) => items.into_iter().map(without_nulls).collect(),
        other => other,
    }
}
