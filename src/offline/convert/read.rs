//! Files, folders and standard input → objects. A document that cannot be read does not stop the others.

use std::io::Read;
use std::path::{Path, PathBuf};

use super::Source;
use super::report::Problem;
use crate::edge::git::{Limits, ManifestErrorKind, RepoFile, parse};

/// What was read, and what could not be.
#[derive(Debug, Default)]
pub struct Input {
    /// The objects, in the order of arguments, files and documents.
    pub sources: Vec<Source>,
    /// What could not be read.
    pub problems: Vec<Problem>,
}

/// A list of all objects of a large cluster is one file.
fn limits() -> Limits {
    Limits {
        max_file_bytes: 64 * 1024 * 1024,
        max_documents: 100_000,
        max_nodes: 10_000_000,
        ..Limits::default()
    }
}

/// Folders below one another that are looked into.
const MOST_DEPTH: usize = 32;

/// Reads each argument: a file, a folder with all YAML and JSON files below it, or `-` for standard input.
#[must_use]
pub fn read(arguments: &[String]) -> Input {
    let mut input = Input::default();
    for argument in arguments {
        if argument == "-" {
            let mut content = Vec::new();
            match std::io::stdin().lock().read_to_end(&mut content) {
                Ok(_) => input.content("standard input", content),
                Err(error) => input.problem("standard input", format!("cannot be read: {error}")),
            }
            continue;
        }
        let path = Path::new(argument);
        if path.is_dir() {
            input.folder(path, 0);
        } else {
            input.file(path, false);
        }
    }
    input
}

impl Input {
    fn problem(&mut self, place: impl Into<String>, message: impl Into<String>) {
        self.problems.push(Problem {
            place: place.into(),
            message: message.into(),
        });
    }

    fn folder(&mut self, folder: &Path, depth: usize) {
        let place = folder.display().to_string();
        if depth > MOST_DEPTH {
            return self.problem(
                place,
                format!("is more than {MOST_DEPTH} folders deep: not looked into"),
            );
        }
        let entries = std::fs::read_dir(folder).and_then(|entries| {
            let paths: Result<Vec<PathBuf>, _> = entries.map(|entry| entry.map(|e| e.path())).collect();
            paths
        });
        let mut paths = match entries {
            Ok(paths) => paths,
            Err(error) => return self.problem(place, format!("cannot be read: {error}")),
        };
        paths.sort();
        for path in paths {
            let hidden = path
                .file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with('.'));
            let manifest = path
                .extension()
                .is_some_and(|e| e == "yaml" || e == "yml" || e == "json");
            if hidden {
                continue;
            }
            if path.is_dir() {
                self.folder(&path, depth + 1);
            } else if manifest {
                self.file(&path, true);
            }
        }
    }

    /// In a folder other files are to be expected: settings of tools, encrypted Secrets.
    fn file(&mut self, path: &Path, in_folder: bool) {
        let place = path.display().to_string();
        let content = match std::fs::read(path) {
            Ok(content) => content,
            Err(error) => return self.problem(place, format!("cannot be read: {error}")),
        };
        let strangers = self.parsed(&place, content);
        if !in_folder {
            self.problems.extend(strangers);
        }
    }

    fn content(&mut self, place: &str, content: Vec<u8>) {
        let strangers = self.parsed(place, content);
        self.problems.extend(strangers);
    }

    /// Takes what a file has; gives back the documents that are well written and no objects.
    fn parsed(&mut self, path: &str, content: Vec<u8>) -> Vec<Problem> {
        let file = RepoFile {
            path: path.to_owned(),
            content,
        };
        let parsed = parse(std::slice::from_ref(&file), &limits());
        let text = String::from_utf8_lossy(&file.content);
        self.sources.extend(parsed.manifests.into_iter().map(|manifest| Source {
            place: format!("{path}, document {}, line {}", manifest.document + 1, manifest.line),
            api_version: manifest.api_version,
            kind: manifest.kind,
            namespace: manifest.namespace,
            name: manifest.name,
            object: manifest.object,
            comments: comments(&text, manifest.line),
        }));
        let mut strangers = Vec::new();
        for error in parsed.errors {
            let line = error.line.map_or_else(String::new, |line| format!(", line {line}"));
            let problem = Problem {
                place: format!("{path}, document {}{line}", error.document + 1),
                message: error.message(),
            };
            match error.kind {
                ManifestErrorKind::NotAnObject { .. }
                | ManifestErrorKind::MissingField { .. }
                | ManifestErrorKind::GenerateName
                | ManifestErrorKind::Kustomization
                | ManifestErrorKind::HelmChart
                | ManifestErrorKind::Encrypted => strangers.push(problem),
                _ => self.problems.push(problem),
            }
        }
        strangers
    }
}

/// Lines of nothing but a comment, from this line of a file to the end of the document.
fn comments(text: &str, line: usize) -> usize {
    let lines = text.lines().skip(line.saturating_sub(1));
    // The first line of a document may hold its marker.
    let document = lines
        .enumerate()
        .take_while(|(i, line)| *i == 0 || !line.starts_with("---"));
    document.filter(|(_, line)| line.trim_start().starts_with('#')).count()
}
