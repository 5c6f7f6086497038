//! The objects of `tests/cases/crds`: `<kind>/good-*.yaml` must be accepted, `<kind>/bad-*.yaml` rejected with the text that
//! their first line names. The same files can be given to a real API server, whose message must contain that text too.

use std::path::{Path, PathBuf};

use serde_json::Value;

/// One object and what should become of it.
#[derive(Debug)]
pub struct Case {
    /// `<kind>/<file>`.
    pub name: String,
    /// The object.
    pub object: Value,
    /// What should become of it.
    pub expect: Expect,
}

/// What should become of an object.
#[derive(Debug, PartialEq, Eq)]
pub enum Expect {
    /// It is accepted, with strict checking of unknown fields too.
    Accepted,
    /// It is rejected, and the message contains this.
    Rejected(String),
}

/// Every case, in the order of the names.
pub fn load() -> Vec<Case> {
    let dir = homeostat_cluster::root().join("tests/cases/crds");
    let mut cases: Vec<Case> = entries(&dir)
        .iter()
        .flat_map(|kind| entries(kind))
        .map(|path| read(&dir, &path))
        .collect();
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    cases
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    entries.map(|entry| entry.unwrap().path()).collect()
}

fn read(dir: &Path, path: &Path) -> Case {
    let name = path.strip_prefix(dir).unwrap().display().to_string();
    let text = std::fs::read_to_string(path).unwrap();
    let first = text.lines().next().unwrap_or_default();
    let expect = match first.strip_prefix("# rejected: ") {
        Some(text) => Expect::Rejected(text.to_owned()),
        None => Expect::Accepted,
    };
    let says_good = path.file_name().unwrap().to_string_lossy().starts_with("good-");
    assert_eq!(
        says_good,
        expect == Expect::Accepted,
        "{name}: a bad-*.yaml begins with `# rejected: <text>`, a good-*.yaml does not"
    );
    let object = serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
    Case { name, object, expect }
}
