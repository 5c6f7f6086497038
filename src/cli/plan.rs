//! `homeostat plan`: what policies would do, from a snapshot file and without a cluster.

use std::io::{self, IsTerminal};
use std::path::PathBuf;

use clap::{Args as ClapArgs, ValueEnum};

use crate::core::time::Time;
use crate::offline::policies;
use crate::offline::print::{Form, print};
use crate::offline::read::{ReadError, open};
use crate::offline::text::Paint;

/// Say what policies would do, from a snapshot file and without a cluster.
///
/// The format is docs/snapshot.md; `homeostat capture` writes such a file from a live cluster. Nothing is changed anywhere.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  homeostat plan --policies ./policies --snapshot snapshot.yaml
  homeostat capture -n shop | homeostat plan --policies ./policies --snapshot -
  homeostat plan --snapshot cases.jsonl -o json

Exit code: 0 where everything could be read, whatever was decided; 1 where a policy or a snapshot could not.")]
pub struct Args {
    /// Folder (or file) of policies. They count instead of those of the same name in the snapshot, and beside its others.
    #[arg(long, value_name = "DIR")]
    policies: Option<PathBuf>,
    /// Snapshot file, YAML or JSON, of one or more documents, answered in order; - is standard input.
    #[arg(long, value_name = "FILE")]
    snapshot: PathBuf,
    /// When it is, instead of what the snapshot says; such as 2026-11-24T09:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = time)]
    at: Option<Time>,
    /// Namespace of policies in files that say none.
    #[arg(short, long, default_value = "default")]
    namespace: String,
    /// How it is said; json is one line for each snapshot.
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// How it is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people.
    #[default]
    Text,
    /// For machines.
    Json,
    /// For machines and people.
    Yaml,
}

/// Why there is no answer, or not a whole one.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be opened.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The snapshot cannot be read, or the answer not be written.
    #[error("{}: {source}", path.display())]
    Stream {
        /// The snapshot.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Something in the files cannot be used; it has been said what.
    #[error("not everything could be read: see above")]
    Unreadable,
}

fn time(text: &str) -> Result<Time, String> {
    text.parse().map_err(|e| format!("{e}"))
}

/// Says what policies would do.
///
/// # Errors
/// See [`Error`].
pub fn run(args: &Args) -> Result<(), Error> {
    let folder = match &args.policies {
        Some(path) => Some(policies::read(path, &args.namespace)?),
        None => None,
    };
    for note in folder.iter().flat_map(|f| &f.notes) {
        eprintln!("note: {note}");
    }
    for problem in folder.iter().flat_map(|f| &f.problems) {
        eprintln!("cannot be read: {problem}");
    }
    let form = match args.output {
        Output::Text => Form::Text(Paint(
            io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none(),
        )),
        Output::Json => Form::Json,
        Output::Yaml => Form::Yaml,
    };
    let stream = open(&args.snapshot)?;
    let whole =
        print(stream, folder.as_ref(), args.at, form, &mut io::stdout().lock()).map_err(|source| Error::Stream {
            path: args.snapshot.clone(),
            source,
        })?;
    if whole && folder.is_none_or(|f| f.problems.is_empty()) {
        Ok(())
    } else {
        Err(Error::Unreadable)
    }
}
