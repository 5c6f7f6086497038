//! Files to objects. Every document is judged on its own, so that one look shows all that is wrong.

use std::collections::HashMap;

use serde_json::Value;

use super::manifest::{Manifest, ManifestError, ManifestErrorKind, Parsed, RepoFile};
use super::request::{Limits, printable};
use super::yaml::{self, Unreadable};

/// Reads the manifests in `files`: every document of every file, `List`s flattened, empty documents skipped.
#[must_use]
pub fn parse(files: &[RepoFile], limits: &Limits) -> Parsed {
    let mut parser = Parser {
        limits,
        seen: HashMap::new(),
        parsed: Parsed::default(),
    };
    for file in files {
        parser.file(file);
    }
    parser.parsed.bound(limits.max_errors);
    parser.parsed
}

/// What makes two manifests declare the same object: its version does not.
type Identity = (String, String, Option<String>, String);

struct Parser<'a> {
    limits: &'a Limits,
    seen: HashMap<Identity, String>,
    parsed: Parsed,
}

/// Where something stands.
#[derive(Clone, Copy)]
struct Place<'a> {
    path: &'a str,
    document: usize,
    line: usize,
}

impl Parser<'_> {
    fn error(&mut self, place: Place<'_>, kind: ManifestErrorKind) {
        self.parsed.errors.push(ManifestError {
            path: place.path.to_owned(),
            document: place.document,
            line: Some(place.line),
            kind,
        });
    }

    fn file(&mut self, file: &RepoFile) {
        let path = file.path.as_str();
        let start = Place {
            path,
            document: 0,
            line: 1,
        };
        let size = file.content.len() as u64;
        let limit = self.limits.max_file_bytes;
        if size > limit {
            return self.parsed.errors.push(ManifestError::in_file(
                path,
                ManifestErrorKind::TooLarge { size, limit },
            ));
        }
        let Ok(text) = std::str::from_utf8(&file.content) else {
            return self
                .parsed
                .errors
                .push(ManifestError::in_file(path, ManifestErrorKind::NotUtf8));
        };
        let limit = self.limits.max_documents;
        let documents: Vec<(usize, Result<Value, Unreadable>)> = if is_json(path) {
            yaml::from_json(text, self.limits)
        } else {
            let texts = yaml::split(text);
            if texts.len() > limit {
                return self.error(start, ManifestErrorKind::TooManyDocuments { limit });
            }
            let read = texts
                .into_iter()
                .map(|d| (d.line, yaml::from_yaml(d.text, self.limits)));
            read.collect()
        };
        let mut objects = 0;
        for (document, (line, value)) in documents.into_iter().enumerate() {
            let mut place = Place { path, document, line };
            match value {
                Ok(value) => self.document(place, value, &mut objects),
                Err(Unreadable { line: inner, reason }) => {
                    place.line = line + inner.unwrap_or(1).saturating_sub(1);
                    self.error(place, ManifestErrorKind::NotYaml { reason });
                }
            }
            if objects > limit {
                return self.error(place, ManifestErrorKind::TooManyDocuments { limit });
            }
        }
    }

    /// One document: an object, a list of them, or nothing.
    fn document(&mut self, place: Place<'_>, value: Value, objects: &mut usize) {
        match value {
            Value::Null => {}
            Value::Object(mut map) if is_list(&map) => {
                let items = match map.remove("items") {
                    Some(Value::Array(items)) => items,
                    _ => Vec::new(),
                };
                *objects += items.len();
                if *objects > self.limits.max_documents {
                    return;
                }
                for item in items {
                    match item {
                        Value::Object(item) if is_list(&item) => self.error(place, ManifestErrorKind::NestedList),
                        item => self.object(place, item),
                    }
                }
            }
            value => {
                *objects += 1;
                self.object(place, value);
            }
        }
    }

    fn object(&mut self, place: Place<'_>, value: Value) {
        match manifest(place, value) {
            Err(kind) => self.error(place, kind),
            Ok(manifest) => {
                let object = manifest.object_ref();
                let identity = (
                    object.group().to_owned(),
                    manifest.kind.clone(),
                    manifest.namespace.clone(),
                    manifest.name.clone(),
                );
                if let Some(other) = self.seen.get(&identity) {
                    let (object, other) = (printable(&object.to_string(), 300), other.clone());
                    return self.error(place, ManifestErrorKind::DuplicateObject { object, other });
                }
                self.seen.insert(identity, format!("{}:{}", place.path, place.line));
                self.parsed.manifests.push(manifest);
            }
        }
    }
}

fn is_json(path: &str) -> bool {
    path.rsplit_once('.').is_some_and(|(_, extension)| extension == "json")
}

/// `kind: List`, or the list of one kind as `kubectl get -o yaml` writes it.
fn is_list(map: &serde_json::Map<String, Value>) -> bool {
    let kind = map.get("kind").and_then(Value::as_str).unwrap_or_default();
    kind.ends_with("List")
        && map
            .get("items")
            .is_some_and(|items| items.is_array() || items.is_null())
}

/// A text field; none where it is missing or empty.
fn text(value: Option<&Value>, field: &'static str) -> Result<Option<String>, ManifestErrorKind> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone()).filter(|text| !text.is_empty())),
        Some(other) => {
            let found = match other {
                Value::Array(_) => "a list".to_owned(),
                Value::Object(_) => "an object".to_owned(),
                other => format!("`{other}`"),
            };
            Err(ManifestErrorKind::NotText { field, found })
        }
    }
}

fn manifest(place: Place<'_>, value: Value) -> Result<Manifest, ManifestErrorKind> {
    let map = match &value {
        Value::Object(map) => map,
        Value::Null => return Err(ManifestErrorKind::NotAnObject { found: "empty" }),
        Value::Bool(_) => return Err(ManifestErrorKind::NotAnObject { found: "a boolean" }),
        Value::Number(_) => return Err(ManifestErrorKind::NotAnObject { found: "a number" }),
        Value::String(_) => return Err(ManifestErrorKind::NotAnObject { found: "a text" }),
        Value::Array(_) => return Err(ManifestErrorKind::NotAnObject { found: "a list" }),
    };
    if map.contains_key("sops") {
        return Err(ManifestErrorKind::Encrypted);
    }
    let missing = |field| ManifestErrorKind::MissingField { field };
    let api_version = text(map.get("apiVersion"), "apiVersion")?.ok_or_else(|| missing("apiVersion"))?;
    let kind = text(map.get("kind"), "kind")?.ok_or_else(|| missing("kind"))?;
    if api_version.starts_with("kustomize.config.k8s.io/") {
        return Err(ManifestErrorKind::Kustomization);
    }
    let metadata = map.get("metadata");
    let field = |name: &str| metadata.and_then(|metadata| metadata.get(name));
    let Some(name) = text(field("name"), "metadata.name")? else {
        return Err(match field("generateName") {
            Some(_) => ManifestErrorKind::GenerateName,
            None => missing("metadata.name"),
        });
    };
    let namespace = text(field("namespace"), "metadata.namespace")?;
    Ok(Manifest {
        path: place.path.to_owned(),
        document: place.document,
        line: place.line,
        api_version,
        kind,
        namespace,
        name,
        object: value,
    })
}
