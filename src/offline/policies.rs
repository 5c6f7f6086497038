//! Policies of a folder, as files hold them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use kube::api::DynamicObject;
use serde_json::Value;

use super::fields;
use super::read::{ReadError, limits, typed};
use crate::api::convert;
use crate::api::{GROUP, VERSION};
use crate::core::event::Event;
use crate::core::names::{PolicyKey, PolicyKind, Uid};
use crate::edge::git::{ManifestErrorKind, RepoFile, parse};

/// One of Homeostat's own objects.
#[derive(Clone, Debug)]
pub struct Declared {
    /// What it is called.
    pub key: PolicyKey,
    /// Where it stands.
    pub from: String,
    /// The object.
    pub object: DynamicObject,
    /// What is wrong with its fields, if something is.
    pub wrong: Option<String>,
}

/// What a folder holds.
#[derive(Clone, Debug, Default)]
pub struct Folder {
    /// Homeostat's own objects.
    pub declared: Vec<Declared>,
    /// What was passed over, and why.
    pub notes: Vec<String>,
    /// What cannot be read.
    pub problems: Vec<String>,
}

impl Declared {
    /// An object of Homeostat's group, or `None` where it is of another one. Objects without a namespace are in `namespace`.
    ///
    /// # Errors
    /// It is of this group and cannot be told what it is.
    pub fn read(object: &Value, from: &str, namespace: &str) -> Result<Option<Self>, String> {
        let text = |name: &str| object.get(name).and_then(Value::as_str).unwrap_or_default();
        let (version, kind_text) = (text("apiVersion"), text("kind"));
        if !version.strip_prefix(GROUP).is_some_and(|rest| rest.starts_with('/')) {
            return Ok(None);
        }
        let known = PolicyKind::ALL.into_iter().find(|k| k.as_str() == kind_text);
        let Some(kind) = known.filter(|_| version == format!("{GROUP}/{VERSION}")) else {
            let kinds = PolicyKind::ALL.map(PolicyKind::as_str).join(", ");
            return Err(format!(
                "kind: {version} {kind_text} is no kind of Homeostat: there are {kinds}, all of {GROUP}/{VERSION}"
            ));
        };
        let wrong = fields::unknown(version, kind_text, object);
        let mut object: DynamicObject = typed(object.clone())?;
        if object.metadata.name.is_none() {
            return Err("metadata.name: must be there".into());
        }
        object.metadata.namespace = match kind {
            PolicyKind::NodePoolPolicy | PolicyKind::OperatorConfig => None,
            _ => Some(object.metadata.namespace.take().unwrap_or_else(|| namespace.to_owned())),
        };
        let in_namespace = object.metadata.namespace.clone().unwrap_or_default();
        Ok(Some(Self {
            key: PolicyKey::new(kind, in_namespace, object.metadata.name.clone().unwrap_or_default()),
            from: from.to_owned(),
            object,
            wrong,
        }))
    }

    /// The same object as it is in the cluster: what only the cluster knows is taken from there, and the rest is as here.
    pub fn adopt(&mut self, live: &DynamicObject) {
        let (mine, theirs) = (&mut self.object.metadata, &live.metadata);
        mine.uid = mine.uid.take().or_else(|| theirs.uid.clone());
        mine.generation = mine.generation.or(theirs.generation);
        mine.creation_timestamp = mine
            .creation_timestamp
            .take()
            .or_else(|| theirs.creation_timestamp.clone());
        if let (Some(fields), Some(status)) = (self.object.data.as_object_mut(), live.data.get("status")) {
            fields.entry("status").or_insert_with(|| status.clone());
        }
    }

    /// The policy, or why it cannot be used.
    #[must_use]
    pub fn event(&self) -> Event {
        match &self.wrong {
            None => convert::event(self.key.kind, self.object.clone()),
            Some(problem) => Event::PolicyInvalid {
                key: self.key.clone(),
                generation: self.object.metadata.generation.unwrap_or(0),
                message: problem.clone(),
                uid: Uid(self.object.metadata.uid.clone().unwrap_or_default()),
                target: None,
            },
        }
    }
}

/// Reads every `.yaml`, `.yml` and `.json` file below a folder; it may be a single file too.
///
/// # Errors
/// A folder or a file cannot be read at all.
pub fn read(folder: &Path, namespace: &str) -> Result<Folder, ReadError> {
    let mut files = Vec::new();
    collect(folder, &mut files)?;
    files.sort();
    let mut contents = Vec::new();
    for path in files {
        contents.push(RepoFile {
            content: fs::read(&path).map_err(cannot(&path))?,
            path: path.display().to_string(),
        });
    }
    let parsed = parse(&contents, &limits());
    let mut found = Folder::default();
    for error in parsed.errors {
        match error.kind {
            ManifestErrorKind::Kustomization => found
                .notes
                .push(format!("{}: passed over: it is for kustomize", error.path)),
            ManifestErrorKind::Encrypted => found
                .notes
                .push(format!("{}: passed over: it is encrypted", error.path)),
            ManifestErrorKind::MissingField {
                field: "apiVersion" | "kind",
            }
            | ManifestErrorKind::NotAnObject { .. } => {
                found
                    .notes
                    .push(format!("{}: passed over: it holds no Kubernetes object", error.path));
            }
            _ => found.problems.push(error.to_string()),
        }
    }
    for manifest in parsed.manifests {
        let from = format!("{}:{}", manifest.path, manifest.line);
        match Declared::read(&manifest.object, &from, namespace) {
            Ok(Some(declared)) => match found.declared.iter().find(|d| d.key == declared.key) {
                None => found.declared.push(declared),
                Some(other) => {
                    let problem = format!(
                        "{from}: {} is in {} already; keep one of them",
                        declared.key, other.from
                    );
                    found.problems.push(problem);
                }
            },
            Ok(None) => {
                let what = manifest.object_ref();
                found.notes.push(format!("{from}: passed over: {what} is no policy"));
            }
            Err(problem) => found.problems.push(format!("{from}: {problem}")),
        }
    }
    Ok(found)
}

fn collect(path: &Path, files: &mut Vec<PathBuf>) -> Result<(), ReadError> {
    if !path.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    for entry in fs::read_dir(path).map_err(cannot(path))? {
        let below = entry.map_err(cannot(path))?.path();
        let extension = below.extension().and_then(|e| e.to_str()).unwrap_or_default();
        let hidden = below
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if !hidden && (below.is_dir() || matches!(extension, "yaml" | "yml" | "json")) {
            collect(&below, files)?;
        }
    }
    Ok(())
}

fn cannot(path: &Path) -> impl Fn(io::Error) -> ReadError {
    let what = path.display().to_string();
    move |source| ReadError {
        what: what.clone(),
        source,
    }
}
