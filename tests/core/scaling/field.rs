//! What other autoscalers can has a case here: the table of `docs/migration.md` names cases that are there.

use std::path::Path;

const HEADING: &str = "## What the others can, and where it is here";
/// Features of the field, each a row.
const ROWS: usize = 29;

fn is_there(cases: &Path, named: &str) -> bool {
    let Some((file, title)) = named.split_once(": ") else {
        return cases.join(named).is_dir();
    };
    let text = std::fs::read_to_string(cases.join("scaling").join(file)).unwrap_or_default();
    text.lines().any(|line| line.strip_prefix("case ") == Some(title))
}

#[test]
fn every_feature_of_the_field_has_a_case() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("docs/migration.md")).unwrap();
    let (_, table) = text.split_once(HEADING).unwrap();
    let rows: Vec<Vec<&str>> = table
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| feature"))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    assert!(rows.len() >= ROWS, "only {} rows were found", rows.len());
    for row in rows {
        let [feature, _, cases] = row[..] else {
            panic!("three columns: {row:?}");
        };
        let named: Vec<&str> = cases.split('`').skip(1).step_by(2).collect();
        assert!(!named.is_empty(), "{feature}: no case is named");
        for case in named {
            assert!(
                is_there(&root.join("tests/cases"), case),
                "{feature}: there is no case `{case}`"
            );
        }
    }
}
