//! Policies → YAML: one document each on a stream, or one file each in a folder.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::names::Unique;
use crate::api::ScalingPolicy;

/// Policies could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// A policy could not be rendered.
    #[error("cannot write {name} as YAML: {source}")]
    Render {
        /// Which.
        name: String,
        /// Why.
        #[source]
        source: serde_saphyr::SerializeError,
    },
    /// A file or folder could not be written.
    #[error("cannot write {}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The stream could not be written.
    #[error("cannot write to standard output: {0}")]
    Output(#[source] io::Error),
}

/// One policy as a YAML document.
///
/// # Errors
/// When the serializer refuses it, which would be a bug.
pub fn yaml(policy: &ScalingPolicy) -> Result<String, WriteError> {
    let text = serde_saphyr::to_string(policy).map_err(|source| WriteError::Render {
        name: policy.metadata.name.clone().unwrap_or_default(),
        source,
    })?;
    Ok(text.trim_end().to_owned() + "\n")
}

/// All policies as one text of documents.
///
/// # Errors
/// See [`yaml`].
pub fn documents(policies: &[ScalingPolicy]) -> Result<String, WriteError> {
    let texts: Result<Vec<String>, _> = policies.iter().map(yaml).collect();
    Ok(texts?.join("---\n"))
}

/// Prints all policies.
///
/// # Errors
/// When the stream cannot be written.
pub fn print(policies: &[ScalingPolicy], out: &mut impl Write) -> Result<(), WriteError> {
    let text = documents(policies)?;
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(WriteError::Output)
}

/// Writes `NAMESPACE.NAME.yaml` for each policy into the folder, which is made where it is missing.
///
/// # Errors
/// When something cannot be written.
pub fn files(policies: &[ScalingPolicy], folder: &Path) -> Result<(), WriteError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| WriteError::File { path, source }
    };
    std::fs::create_dir_all(folder).map_err(failed(folder))?;
    let mut names = Unique::default();
    for policy in policies {
        let meta = &policy.metadata;
        let parts = [meta.namespace.as_deref(), meta.name.as_deref()];
        let stem = parts.into_iter().flatten().collect::<Vec<_>>().join(".");
        // The longest name of a file on common file systems is 255 bytes.
        let stem: String = stem.chars().take(240).collect();
        let path = folder.join(format!("{}.yaml", names.take(&stem, 240)));
        std::fs::write(&path, yaml(policy)?).map_err(failed(&path))?;
    }
    Ok(())
}
