//! `homeostat crds`: writes the custom resource definitions.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::api::{RenderError, all_crds, file_name, render};

/// The definitions could not be written.
#[derive(Debug, thiserror::Error)]
pub enum CrdsError {
    /// A definition could not be rendered.
    #[error(transparent)]
    Render(#[from] RenderError),
    /// A file or directory could not be written.
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

/// Writes one file a kind into the directory, which is made where it is missing; without one, prints all of them.
///
/// # Errors
/// When something cannot be written.
pub fn run(dir: Option<&Path>) -> Result<(), CrdsError> {
    match dir {
        Some(dir) => write_files(dir),
        None => print(&mut io::stdout().lock()),
    }
}

fn write_files(dir: &Path) -> Result<(), CrdsError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| CrdsError::File { path, source }
    };
    std::fs::create_dir_all(dir).map_err(failed(dir))?;
    for crd in all_crds() {
        let path = dir.join(file_name(&crd));
        std::fs::write(&path, render(&crd)?).map_err(failed(&path))?;
    }
    Ok(())
}

fn print(out: &mut impl Write) -> Result<(), CrdsError> {
    for crd in all_crds() {
        write!(out, "---\n{}", render(&crd)?).map_err(CrdsError::Output)?;
    }
    out.flush().map_err(CrdsError::Output)
}
