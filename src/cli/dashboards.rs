//! `homeostat dashboards`: writes Grafana boards and Prometheus rules.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::telemetry::dashboards::{RenderError, files};

/// The files could not be written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be rendered.
    #[error(transparent)]
    Render(#[from] RenderError),
    /// A file could not be written.
    #[error("cannot write {}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Standard output could not be written.
    #[error("cannot write to standard output: {0}")]
    Output(#[source] io::Error),
}

/// Writes every file into the folder, which is made where it is missing; without one, prints their names.
///
/// # Errors
/// See [`Error`].
pub fn run(dir: Option<&Path>) -> Result<(), Error> {
    let files = files()?;
    let Some(dir) = dir else {
        let mut out = io::stdout().lock();
        for (name, _) in &files {
            writeln!(out, "{name}").map_err(Error::Output)?;
        }
        return out.flush().map_err(Error::Output);
    };
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::File { path, source }
    };
    std::fs::create_dir_all(dir).map_err(failed(dir))?;
    for (name, text) in files {
        let path = dir.join(name);
        std::fs::write(&path, text).map_err(failed(&path))?;
    }
    Ok(())
}
