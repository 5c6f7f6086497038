//! Answers every snapshot of a stream, in order.

use std::io::{self, BufRead, Write};

use super::plan::{Answer, answer};
use super::policies::Folder;
use super::read::snapshots;
use super::text::{Paint, text};
use crate::core::time::Time;

/// How answers look.
#[derive(Clone, Copy, Debug)]
pub enum Form {
    /// For people, with or without colours.
    Text(Paint),
    /// One line of JSON for each snapshot.
    Json,
    /// One YAML document for each snapshot.
    Yaml,
}

/// Answers every snapshot of a stream, each as soon as it is read; false where something could not be read, which is said in
/// the answer's place.
///
/// # Errors
/// The stream or the output breaks.
pub fn print(
    stream: impl BufRead,
    folder: Option<&Folder>,
    clock: Option<Time>,
    form: Form,
    out: &mut impl Write,
) -> io::Result<bool> {
    let (mut whole, mut count) = (true, 0_usize);
    snapshots(stream, |snapshot| {
        let answer = match snapshot {
            Ok(snapshot) => answer(&snapshot, folder, clock),
            Err(problem) => Answer::unreadable(vec![problem]),
        };
        whole &= answer.is_whole();
        count += 1;
        match form {
            Form::Text(paint) => {
                if count > 1 {
                    writeln!(out)?;
                }
                write!(out, "{}", text(&answer, paint))?;
            }
            Form::Json => {
                serde_json::to_writer(&mut *out, &answer)?;
                writeln!(out)?;
            }
            Form::Yaml => {
                let body = serde_saphyr::to_string(&answer).map_err(io::Error::other)?;
                write!(out, "---\n{}\n", body.trim_end())?;
            }
        }
        out.flush()
    })?;
    if count == 0 {
        return Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "there is no snapshot in it",
        ));
    }
    Ok(whole)
}
