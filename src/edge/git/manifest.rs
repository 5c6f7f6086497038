//! What files turn into: objects, and errors that say what to do.

use std::fmt;

use serde_json::Value;

use crate::core::names::ObjectRef;

/// A file of the repository.
#[derive(Clone, PartialEq, Eq)]
pub struct RepoFile {
    /// From the repository's root, without a leading slash.
    pub path: String,
    /// Its bytes.
    pub content: Vec<u8>,
}

/// Without the content, which may hold secrets.
impl fmt::Debug for RepoFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RepoFile({}, {} bytes)", self.path, self.content.len())
    }
}

/// One object that a file declares.
#[derive(Clone, PartialEq)]
pub struct Manifest {
    /// The file.
    pub path: String,
    /// Which document of the file, from 0.
    pub document: usize,
    /// Where the document starts, from 1.
    pub line: usize,
    /// `apiVersion`.
    pub api_version: String,
    /// `kind`.
    pub kind: String,
    /// `metadata.namespace`, where the file says one.
    pub namespace: Option<String>,
    /// `metadata.name`.
    pub name: String,
    /// The whole object.
    pub object: Value,
}

/// Without the object itself, which may hold secrets.
impl fmt::Debug for Manifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Manifest({}:{} {} {})",
            self.path,
            self.line,
            self.api_version,
            self.object_ref()
        )
    }
}

impl Manifest {
    /// The object it declares; an empty namespace where the file says none.
    #[must_use]
    pub fn object_ref(&self) -> ObjectRef {
        let namespace = self.namespace.as_deref().unwrap_or_default();
        ObjectRef::new(&self.api_version, &self.kind, namespace, &self.name)
    }
}

/// Everything that a set of files declares.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Parsed {
    /// The objects, in the order of files and documents.
    pub manifests: Vec<Manifest>,
    /// What is wrong; empty when all is well. A revision with any should not be applied.
    pub errors: Vec<ManifestError>,
}

impl Parsed {
    /// Keeps the first `max` errors and says how many more there are.
    pub(super) fn bound(&mut self, max: usize) {
        let Some(more) = self.errors.len().checked_sub(max).filter(|more| *more > 0) else {
            return;
        };
        self.errors.truncate(max);
        let path = self.errors.last().map(|e| e.path.clone()).unwrap_or_default();
        self.errors
            .push(ManifestError::in_file(&path, ManifestErrorKind::More { count: more }));
    }
}

/// What is wrong with one document or file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {kind}", self.place())]
pub struct ManifestError {
    /// The file.
    pub path: String,
    /// Which document of the file, from 0; 0 where it is about the whole file.
    pub document: usize,
    /// The line, from 1, where it is known.
    pub line: Option<usize>,
    /// What is wrong, and in its text what to do.
    pub kind: ManifestErrorKind,
}

impl ManifestError {
    pub(super) fn in_file(path: &str, kind: ManifestErrorKind) -> Self {
        Self {
            path: path.to_owned(),
            document: 0,
            line: None,
            kind,
        }
    }

    fn place(&self) -> String {
        match (self.line, self.document) {
            (Some(line), _) => format!("{}:{line}", self.path),
            (None, 0) => self.path.clone(),
            (None, document) => format!("{} (document {})", self.path, document + 1),
        }
    }

    /// The sentence without the place.
    #[must_use]
    pub fn message(&self) -> String {
        self.kind.to_string()
    }
}

/// What can be wrong. Shown as a sentence that says what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ManifestErrorKind {
    /// The text is not YAML or JSON, or goes beyond a limit on aliases, nesting or size.
    NotYaml {
        /// What the parser says.
        reason: String,
    },
    /// The text is not UTF-8.
    NotUtf8,
    /// The file's name is not UTF-8.
    NameNotUtf8,
    /// The document is a list, a number or a text.
    NotAnObject {
        /// What it is.
        found: &'static str,
    },
    /// A field that every object needs is missing.
    MissingField {
        /// `apiVersion`, `kind` or `metadata.name`.
        field: &'static str,
    },
    /// A field that names something is not a text: YAML reads `no`, `on` and `7` as other things.
    NotText {
        /// `apiVersion`, `kind`, `metadata.name` or `metadata.namespace`.
        field: &'static str,
        /// What it reads as.
        found: String,
    },
    /// The object has `generateName`: it would be another one with every sync.
    GenerateName,
    /// The same object is declared twice.
    DuplicateObject {
        /// The object.
        object: String,
        /// Where it was first: path and line.
        other: String,
    },
    /// A `List` in a `List`.
    NestedList,
    /// It needs kustomize.
    Kustomization,
    /// It needs Helm.
    HelmChart,
    /// It is encrypted with SOPS.
    Encrypted,
    /// The file is larger than is read.
    TooLarge {
        /// Its bytes.
        size: u64,
        /// What is read.
        limit: u64,
    },
    /// More documents in one file than are read.
    TooManyDocuments {
        /// How many are read.
        limit: usize,
    },
    /// Directories too far below one another.
    TooDeep {
        /// How many are read.
        limit: usize,
    },
    /// A symbolic link.
    Symlink,
    /// A submodule.
    Submodule,
    /// More errors than are kept.
    More {
        /// How many more.
        count: usize,
    },
}

impl ManifestErrorKind {
    /// A stable word for conditions, events and metrics.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::NotYaml { .. } => "NotYAML",
            Self::NotUtf8 => "NotUTF8",
            Self::NameNotUtf8 => "NameNotUTF8",
            Self::NotAnObject { .. } => "NotAnObject",
            Self::MissingField { .. } => "MissingField",
            Self::NotText { .. } => "NotText",
            Self::GenerateName => "GenerateName",
            Self::DuplicateObject { .. } => "DuplicateObject",
            Self::NestedList => "NestedList",
            Self::Kustomization => "Kustomization",
            Self::HelmChart => "HelmChart",
            Self::Encrypted => "Encrypted",
            Self::TooLarge { .. } => "TooLarge",
            Self::TooManyDocuments { .. } => "TooManyDocuments",
            Self::TooDeep { .. } => "TooDeep",
            Self::Symlink => "Symlink",
            Self::Submodule => "Submodule",
            Self::More { .. } => "More",
        }
    }
}

impl fmt::Display for ManifestErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotYaml { reason } => write!(f, "cannot be read: {reason}"),
            Self::NotUtf8 => f.write_str("is not UTF-8 text; save it as UTF-8"),
            Self::NameNotUtf8 => f.write_str("has a name that is not UTF-8; rename it"),
            Self::NotAnObject { found } => {
                write!(f, "is {found}, not a Kubernetes object; start it with apiVersion, kind and metadata")
            }
            Self::MissingField { field } => write!(f, "has no {field}; every object needs one"),
            Self::NotText { field, found } => {
                write!(f, "{field} reads as {found}, not as a text; put it in quotes if it is meant as one")
            }
            Self::GenerateName => f.write_str(
                "has metadata.generateName, which would make another object with every sync; give it a metadata.name",
            ),
            Self::DuplicateObject { object, other } => {
                write!(f, "{object} is already declared in {other}; keep one of them")
            }
            Self::NestedList => f.write_str("is a List in a List; write the objects as documents of their own"),
            Self::Kustomization => f.write_str(
                "needs kustomize, which is not run here; render it in CI and commit the result, or use Flux or Argo CD",
            ),
            Self::HelmChart => f.write_str(
                "is a Helm chart, which is not rendered here; render it in CI and commit the result, or use Flux or Argo CD",
            ),
            Self::Encrypted => f.write_str(
                "is encrypted with SOPS, which is not decrypted here; use Flux, or keep the Secret out of this path",
            ),
            Self::TooLarge { size, limit } => {
                write!(f, "has {size} bytes, more than the {limit} that are read; split it, or move it elsewhere")
            }
            Self::TooManyDocuments { limit } => {
                write!(f, "holds more than {limit} objects; split it into several files")
            }
            Self::TooDeep { limit } => write!(f, "lies more than {limit} directories deep; move it up"),
            Self::Symlink => f.write_str("is a symbolic link, which is not followed: put the file itself there"),
            Self::Submodule => f.write_str("is a submodule, which is not read: put the files themselves there"),
            Self::More { count } => write!(f, "this and later files have {count} more errors, which are not shown"),
        }
    }
}
