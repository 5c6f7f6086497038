//! Reads the manifest files of a commit straight from its objects: nothing is written, no link is followed.

use std::io;

use gix::ObjectId;
use gix::objs::tree::EntryKind;
use gix::objs::{Kind, TreeRefIter};

use super::error::GitError;
use super::guard::Meter;
use super::manifest::{ManifestError, ManifestErrorKind, RepoFile};
use super::request::{Limits, Target, printable};
use crate::core::time::Time;

/// What was found.
pub(super) struct Content {
    pub committed_at: Option<Time>,
    pub subject: String,
    pub files: Vec<RepoFile>,
    pub problems: Vec<ManifestError>,
}

/// Why nothing was.
pub(super) enum Problem {
    Git(gix::Error),
    Known(GitError),
    Interrupted(io::Error),
}

impl From<gix::Error> for Problem {
    fn from(err: gix::Error) -> Self {
        Self::Git(err)
    }
}

/// Reads what lies below the target's path in the commit `id`.
pub(super) fn read(
    repo: &gix::Repository,
    id: ObjectId,
    target: &Target,
    limits: &Limits,
    meter: &Meter,
) -> Result<Content, Problem> {
    let data = object(repo, id, Kind::Commit)?;
    let commit = gix::objs::CommitRef::from_bytes(&data, id.kind())?;
    let subject = commit.message().title.to_string();
    let committed_at = commit.committer().ok().and_then(|who| who.time().ok());
    let mut walk = Walk {
        repo,
        target,
        limits,
        meter,
        entries: 0,
        bytes: 0,
        files: Vec::new(),
        problems: Vec::new(),
    };
    let root = walk.descend(commit.tree(), id)?;
    walk.directory(root, &target.path.join("/"), 0)?;
    walk.files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(Content {
        committed_at: committed_at.map(|time| Time::from_secs(time.seconds)),
        subject: printable(subject.trim(), 200),
        files: walk.files,
        problems: walk.problems,
    })
}

/// An object whose bytes have been checked against its id.
fn object(repo: &gix::Repository, id: ObjectId, kind: Kind) -> Result<Vec<u8>, Problem> {
    let mut object = repo.find_object(id)?;
    if object.kind != kind {
        return Err(Problem::Git(gix::Error::from_error(gix::error::corruption(format!(
            "{id} is a {}, not a {kind}",
            object.kind
        )))));
    }
    gix::objs::Data::new(&object.data, kind, id.kind()).verify_checksum(&id)?;
    Ok(std::mem::take(&mut object.data))
}

/// How a directory is turned into something else by a file in it.
fn rendered_by(name: &str) -> Option<ManifestErrorKind> {
    match name {
        "kustomization.yaml" | "kustomization.yml" | "Kustomization" => Some(ManifestErrorKind::Kustomization),
        "Chart.yaml" => Some(ManifestErrorKind::HelmChart),
        _ => None,
    }
}

fn is_manifest(name: &str) -> bool {
    name.rsplit_once('.')
        .is_some_and(|(_, extension)| matches!(extension, "yaml" | "yml" | "json"))
}

struct Walk<'a> {
    repo: &'a gix::Repository,
    target: &'a Target,
    limits: &'a Limits,
    meter: &'a Meter,
    entries: usize,
    bytes: u64,
    files: Vec<RepoFile>,
    problems: Vec<ManifestError>,
}

impl Walk<'_> {
    /// The tree at the target's path.
    fn descend(&self, root: ObjectId, commit: ObjectId) -> Result<ObjectId, Problem> {
        let mut at = root;
        for part in &self.target.path {
            let tree = object(self.repo, at, Kind::Tree)?;
            let mut found = None;
            for entry in TreeRefIter::from_bytes(&tree, at.kind()) {
                let entry = entry?;
                if entry.filename == part.as_str() {
                    found = Some((entry.mode.kind(), entry.oid.to_owned()));
                    break;
                }
            }
            let (url, path, revision) = (
                self.target.shown.clone(),
                self.target.path.join("/"),
                commit.to_string(),
            );
            let what = match found {
                Some((EntryKind::Tree, id)) => {
                    at = id;
                    continue;
                }
                None => return Err(Problem::Known(GitError::MissingPath { url, path, revision })),
                Some((EntryKind::Link, _)) => "a symbolic link or below one",
                Some((EntryKind::Commit, _)) => "a submodule or below one",
                Some(_) => "a file or below one",
            };
            return Err(Problem::Known(GitError::NotADirectory {
                url,
                path,
                revision,
                what,
            }));
        }
        Ok(at)
    }

    fn too_large<T>(&self, what: &'static str, limit: u64) -> Result<T, Problem> {
        Err(Problem::Known(GitError::TooLarge {
            url: self.target.shown.clone(),
            what,
            limit,
        }))
    }

    fn problem(&mut self, path: &str, kind: ManifestErrorKind) {
        if self.problems.len() <= self.limits.max_errors {
            self.problems.push(ManifestError::in_file(path, kind));
        }
    }

    fn directory(&mut self, id: ObjectId, path: &str, depth: usize) -> Result<(), Problem> {
        self.meter.check().map_err(Problem::Interrupted)?;
        let tree = object(self.repo, id, Kind::Tree)?;
        let entries = TreeRefIter::from_bytes(&tree, id.kind()).collect::<Result<Vec<_>, _>>()?;
        self.entries += entries.len();
        if self.entries > self.limits.max_entries {
            return self.too_large("files and directories below the path", self.limits.max_entries as u64);
        }
        let rendered = entries.iter().find_map(|entry| {
            let name = entry.filename.to_string();
            rendered_by(&name).map(|kind| (name, kind))
        });
        if let Some((name, kind)) = rendered {
            // Its other files are patches and templates: errors about them would only hide this one.
            self.problem(&join(path, &name), kind);
            return Ok(());
        }
        for entry in entries {
            let Ok(name) = std::str::from_utf8(entry.filename) else {
                self.problem(&join(path, &entry.filename.to_string()), ManifestErrorKind::NameNotUtf8);
                continue;
            };
            if name.starts_with('.') {
                continue;
            }
            let at = join(path, name);
            match entry.mode.kind() {
                EntryKind::Tree if depth >= self.limits.max_depth => {
                    let limit = self.limits.max_depth;
                    self.problem(&at, ManifestErrorKind::TooDeep { limit });
                }
                EntryKind::Tree => self.directory(entry.oid.to_owned(), &at, depth + 1)?,
                EntryKind::Blob | EntryKind::BlobExecutable if is_manifest(name) => {
                    self.file(entry.oid.to_owned(), at)?;
                }
                EntryKind::Link if is_manifest(name) => self.problem(&at, ManifestErrorKind::Symlink),
                EntryKind::Commit => self.problem(&at, ManifestErrorKind::Submodule),
                EntryKind::Blob | EntryKind::BlobExecutable | EntryKind::Link => {}
            }
        }
        Ok(())
    }

    fn file(&mut self, id: ObjectId, path: String) -> Result<(), Problem> {
        let size = self.repo.find_header(id)?.size();
        let limit = self.limits.max_file_bytes;
        if size > limit {
            self.problem(&path, ManifestErrorKind::TooLarge { size, limit });
            return Ok(());
        }
        if self.files.len() >= self.limits.max_files {
            return self.too_large("manifest files", self.limits.max_files as u64);
        }
        self.bytes = self.bytes.saturating_add(size);
        if self.bytes > self.limits.max_total_bytes {
            return self.too_large("bytes of manifest files", self.limits.max_total_bytes);
        }
        let content = object(self.repo, id, Kind::Blob)?;
        self.files.push(RepoFile { path, content });
        Ok(())
    }
}

/// A path fit for a message: names may hold anything but a slash.
fn join(directory: &str, name: &str) -> String {
    let name = printable(name, 255);
    if directory.is_empty() {
        name
    } else {
        format!("{directory}/{name}")
    }
}
