//! Tables of cases: the files of `tests/cases/`, whose formats are told in the README beside them.

use std::path::Path;

/// Runs every table of a folder; `run_file` gets the file's name and text, adds failures, and says how many cases it found.
/// Fewer than `least` cases in all mean that they were not found.
pub fn run(folder: &str, least: usize, run_file: impl Fn(&str, &str, &mut String) -> usize) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases").join(folder);
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries
        .filter(|path| path.extension().is_some_and(|e| e == "txt"))
        .collect();
    files.sort();
    let (mut count, mut failures) = (0, String::new());
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        count += run_file(&name, &text, &mut failures);
    }
    assert!(failures.is_empty(), "\n{failures}");
    assert!(count >= least, "only {count} cases were found");
}
