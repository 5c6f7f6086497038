//! `homeostat dashboards`: writes Grafana boards and Prometheus rules.

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
        source: std::io::Error,
    },
}

/// Writes every file into the folder; without one, prints their names.
///
/// # Errors
/// See [`Error`].
pub fn run(dir: Option<&Path>) -> Result<(), Error> {
    for (name, text) in files()? {
        let Some(dir) = dir else {
            println!("{name}");
            continue;
        };
        let path = dir.join(name);
        let written = std::fs::create_dir_all(dir).and_then(|()| std::fs::write(&path, text));
        written.map_err(|source| Error::File { path, source })?;
    }
    Ok(())
}
