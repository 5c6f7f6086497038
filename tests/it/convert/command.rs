//! The command: where policies and report go, and what it returns.

use std::process::{Command, Output, Stdio};

use homeostat_cluster::{binaries, root};
use serde_json::Value;

fn homeostat(args: &[&str]) -> Command {
    let mut command = Command::new(binaries::operator().unwrap());
    command.arg("convert").args(args);
    command
}

fn case(name: &str) -> String {
    root().join(format!("tests/cases/convert/{name}")).display().to_string()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn run(args: &[&str]) -> Output {
    homeostat(args).output().unwrap()
}

#[test]
fn a_broken_document_is_named_and_the_rest_is_converted() {
    let output = run(&[&format!("{}/in.yaml", case("broken"))]);
    assert_eq!(output.status.code(), Some(1));
    let (policies, report) = (text(&output.stdout), text(&output.stderr));
    assert!(
        policies.contains("name: good\n") && policies.contains("name: good-too\n"),
        "{policies}"
    );
    assert!(report.contains("in.yaml, document 2, line"), "{report}");
    assert!(report.contains("3 could not be read or converted"), "{report}");
}

#[test]
fn standard_input_folders_and_files() {
    let folder = tempfile::tempdir().unwrap();
    let (out, report) = (folder.path().join("out"), folder.path().join("report.json"));
    let (out_text, report_text) = (out.display().to_string(), report.display().to_string());
    let args = [
        "-",
        "--output",
        &out_text,
        "--report",
        &report_text,
        "-o",
        "json",
        "--dry-run",
    ];
    let input = std::fs::File::open(format!("{}/in.yaml", case("hpa-v2"))).unwrap();
    let output = homeostat(&args).stdin(Stdio::from(input)).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout), "");
    let written = std::fs::read_to_string(out.join("shop.web.yaml")).unwrap();
    assert!(written.contains("mode: DryRun"), "{written}");
    let report: Value = serde_json::from_str(&std::fs::read_to_string(report).unwrap()).unwrap();
    assert_eq!(report["objects"][0]["policy"], "shop/web");
    assert_eq!(report["objects"][0]["notes"][0]["kind"], "Carried");
}

/// A folder has other things in it too: they are no errors.
#[test]
fn a_folder_is_searched_for_what_can_be_converted() {
    let folder = tempfile::tempdir().unwrap();
    let deep = folder.path().join("a/b");
    std::fs::create_dir_all(&deep).unwrap();
    std::fs::copy(format!("{}/in.yaml", case("hpa-v2")), deep.join("hpa.yml")).unwrap();
    std::fs::write(folder.path().join("values.yaml"), "replicas: 3\n").unwrap();
    std::fs::write(folder.path().join("notes.txt"), "{").unwrap();
    let path = folder.path().display().to_string();
    let output = run(&[&path]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("kind: ScalingPolicy"));
    // Somebody who names the file means it.
    let output = run(&[&format!("{path}/values.yaml")]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stderr).contains("has no apiVersion"),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn without_a_source_it_says_how_it_is_used() {
    for args in [&[][..], &["x.yaml", "--all-namespaces"]] {
        let output = run(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
    }
    let output = run(&["/nowhere.yaml"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stderr).contains("/nowhere.yaml: cannot be read"),
        "{}",
        text(&output.stderr)
    );
}
