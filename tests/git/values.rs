//! Text to objects: what is taken, what is refused, and in which words.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use homeostat::edge::git::{Limits, Parsed, RepoFile, parse};
use serde_json::json;

use crate::support::CONFIG;

fn files(files: &[(&str, &str)]) -> Parsed {
    let files: Vec<RepoFile> = files
        .iter()
        .map(|(path, content)| RepoFile {
            path: (*path).to_owned(),
            content: content.as_bytes().to_vec(),
        })
        .collect();
    parse(&files, &Limits::default())
}

fn one(text: &str) -> Parsed {
    files(&[("a.yaml", text)])
}

fn errors(parsed: &Parsed) -> Vec<String> {
    parsed.errors.iter().map(ToString::to_string).collect()
}

/// The one error of a text, by its stable word.
fn reason(text: &str) -> &'static str {
    let parsed = one(text);
    assert_eq!(parsed.errors.len(), 1, "{text:?}: {parsed:?}");
    println!("{}", parsed.errors[0]);
    parsed.errors[0].kind.reason()
}

#[test]
fn documents_lists_and_comments() {
    let parsed = one(concat!(
        "%YAML 1.2\n---\n# only a comment\n---\n",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: shop}\ndata:\n  text: |\n    --- not a marker\n     ---\n",
        "--- # comment\n--- {apiVersion: v1, kind: ConfigMap, metadata: {name: b}}\n...\n---\n",
        "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: apps/v1, kind: Deployment, metadata: {name: c, namespace: \"\"}}\n",
        "- {apiVersion: apps/v1, kind: Deployment, metadata: {name: d}}\n---\n---\nnull\n",
    ));
    assert!(parsed.errors.is_empty(), "{:?}", errors(&parsed));
    let found: Vec<String> = parsed
        .manifests
        .iter()
        .map(|m| format!("{}@{}", m.object_ref(), m.line))
        .collect();
    assert_eq!(
        found,
        [
            "ConfigMap shop/a@5",
            "ConfigMap b@13",
            "Deployment c@16",
            "Deployment d@16"
        ]
    );
    assert_eq!(parsed.manifests[0].object["data"]["text"], "--- not a marker\n ---\n");
}

#[test]
fn broken_beside_good() {
    let broken = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: [unclosed\n";
    let parsed = files(&[
        (
            "a.yaml",
            &format!("{CONFIG}---\n{broken}---\napiVersion: v1\nkind: Secret\nmetadata: {{name: z}}\n"),
        ),
        ("b.yml", "a: b\n  c: d\n"),
        (
            "c.json",
            "{\"apiVersion\": \"v1\", \"kind\": \"Pod\", \"metadata\": {\"name\": \"p\"}}\n{\"x\": }",
        ),
        ("d.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: d}\n"),
    ]);
    let names: Vec<&str> = parsed.manifests.iter().map(|m| m.name.as_str()).collect();
    assert_eq!(names, ["a", "z", "p", "d"]);
    let errors = errors(&parsed);
    println!("{errors:#?}");
    assert_eq!(errors.len(), 3);
    assert!(errors[0].starts_with("a.yaml:"), "{}", errors[0]);
    assert!((7..=9).contains(&parsed.errors[0].line.unwrap()), "{}", errors[0]);
    assert!(errors[1].starts_with("b.yml:2"), "{}", errors[1]);
    assert!(errors[2].starts_with("c.json:2"), "{}", errors[2]);
}

#[test]
fn refusals() {
    assert_eq!(reason("- a\n- b\n"), "NotAnObject");
    assert_eq!(reason("just text"), "NotAnObject");
    assert_eq!(reason("kind: A\nmetadata: {name: a}\n"), "MissingField");
    assert_eq!(reason("apiVersion: v1\nmetadata: {name: a}\n"), "MissingField");
    assert_eq!(reason("apiVersion: v1\nkind: A\n"), "MissingField");
    assert_eq!(reason("apiVersion: v1\nkind: A\nmetadata: {name: 7}\n"), "NotText");
    assert_eq!(
        reason("apiVersion: v1\nkind: A\nmetadata: {name: a, namespace: 7}\n"),
        "NotText"
    );
    assert_eq!(
        reason("apiVersion: v1\nkind: A\nmetadata: {generateName: a-}\n"),
        "GenerateName"
    );
    assert_eq!(
        reason("apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n"),
        "Kustomization"
    );
    assert_eq!(reason(&format!("{CONFIG}sops: {{mac: x}}\n")), "Encrypted");
    assert_eq!(
        reason("apiVersion: v1\nkind: List\nitems: [{apiVersion: v1, kind: List, items: []}]\n"),
        "NestedList"
    );
    assert_eq!(
        reason("apiVersion: v1\nkind: A\nkind: B\nmetadata: {name: a}\n"),
        "NotYAML"
    );
    assert_eq!(reason("a: *nothing\n"), "NotYAML");
    assert_eq!(reason("a: .nan\napiVersion: v1\n"), "NotYAML");
    assert_eq!(reason("a: &a [*a]\n"), "NotYAML");
    assert_eq!(reason("a: b\n...\nc: d\n"), "NotYAML");
    assert_eq!(reason(&format!("{CONFIG}x: {}\n", "[".repeat(100_000))), "NotYAML");
    assert_eq!(
        reason(&format!("{CONFIG}x: {}1{}\n", "[".repeat(100), "]".repeat(100))),
        "NotYAML"
    );
    let nested: String = (0..200).fold(String::new(), |text, n| text + &"  ".repeat(n) + "a:\n");
    assert_eq!(reason(&nested), "NotYAML");
    assert_eq!(reason(&format!("{CONFIG}---\n").repeat(1_001)), "TooManyDocuments");
}

#[test]
fn a_name_that_is_no_text() {
    let parsed = one("apiVersion: v1\nkind: A\nmetadata: {name: a, namespace: n}\n");
    let wanted = "a.yaml:1: metadata.namespace reads as `false`, not as a text; put it in quotes if it is meant as one";
    assert_eq!(errors(&parsed), [wanted]);
}

#[test]
fn a_flux_kustomization_is_an_object_like_any_other() {
    let parsed = one("apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: a}\n");
    assert_eq!((parsed.manifests.len(), parsed.errors.len()), (1, 0));
}

#[test]
fn not_utf8_and_too_large() {
    let file = |content: Vec<u8>| RepoFile {
        path: "a.yaml".into(),
        content,
    };
    let parsed = parse(
        &[file(vec![0xff, 0xfe, b'a']), file(vec![b'#'; (1 << 20) + 1])],
        &Limits::default(),
    );
    let reasons: Vec<_> = parsed.errors.iter().map(|e| e.kind.reason()).collect();
    assert_eq!(reasons, ["NotUTF8", "TooLarge"]);
}

#[test]
fn json_is_strict() {
    let bomb = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let object = r#"{"apiVersion": "v1", "kind": "A", "metadata": {"name": "a"}, "text": "\ud83d\ude00\/"}"#;
    let parsed = files(&[
        ("a.json", r#"{"apiVersion": "v1", "apiVersion": "v2"}"#),
        ("b.json", &bomb),
        ("c.json", &format!("\u{feff}{object}")),
        ("d.json", "apiVersion: v1"),
        ("e.json", "\t\n"),
    ]);
    assert_eq!(errors(&parsed).len(), 3, "{:?}", errors(&parsed));
    assert!(
        errors(&parsed)[0].contains("duplicate key `apiVersion`"),
        "{:?}",
        errors(&parsed)
    );
    assert_eq!(parsed.manifests[0].object["text"], "😀/");
}

#[test]
fn alias_bombs_are_refused_quickly() {
    let mut bomb = "a0: &a0 [lol,lol,lol,lol,lol,lol,lol,lol,lol,lol]\n".to_owned();
    for n in 1..12 {
        let refs = vec![format!("*a{}", n - 1); 10].join(",");
        writeln!(bomb, "a{n}: &a{n} [{refs}]").unwrap();
    }
    let wide = format!("a: &a {}\nb: [{}]\n", "x".repeat(500_000), vec!["*a"; 900].join(","));
    let mut merges = "m0: &m0 {a: 1, b: 2}\n".to_owned();
    for n in 1..30 {
        writeln!(
            merges,
            "m{n}: &m{n} {{x{n}: {{<<: *m{p}}}, y{n}: {{<<: *m{p}}}}}",
            p = n - 1
        )
        .unwrap();
    }
    for text in [bomb, wide, merges] {
        let start = Instant::now();
        assert_eq!(reason(&text), "NotYAML");
        println!("refused in {:?}", start.elapsed());
        assert!(start.elapsed() < Duration::from_secs(2));
    }
}

#[test]
fn duplicates_name_the_other_whatever_its_version() {
    let object = |version: &str| format!("apiVersion: {version}\nkind: A\nmetadata: {{name: a, namespace: shop}}\n");
    let parsed = files(&[
        ("a.yaml", &format!("{}---\n{}", object("g/v1"), object("h/v1"))),
        ("b.yaml", &object("g/v2")),
    ]);
    assert_eq!(parsed.manifests.len(), 2);
    assert_eq!(
        errors(&parsed),
        ["b.yaml:1: A shop/a is already declared in a.yaml:1; keep one of them"]
    );
}

#[test]
fn values_read_as_kubectl_reads_them() {
    let text = concat!(
        "mode: 0644\nhex: 0x10\nyes: yes\non: 'on'\nt: 2026-12-01T10:00:00Z\nv: 1.10\nq: \"1.10\"\ne: 1e3\nn: ~\nempty:\n",
        "port: 8080\nneg: -3\nbig: 18446744073709551615\n1: one\ntrue: t\nd: 5m\npct: 20%\ncron: \"0 8 * * *\"\n",
        "base: &base {a: 1}\nmerged: {<<: *base, b: 2}\nfolded: >\n  x\n  y\nkeep: |+\n  x\n\n",
    );
    let parsed = one(&format!("{CONFIG}{text}"));
    assert!(parsed.errors.is_empty(), "{:?}", errors(&parsed));
    let object = &parsed.manifests[0].object;
    let wanted = json!({
        "mode": 420, "hex": 16, "on": "on", "t": "2026-12-01T10:00:00Z", "v": 1.1, "q": "1.10", "e": 1000.0, "n": null,
        "empty": null, "port": 8080, "neg": -3, "big": 18_446_744_073_709_551_615_u64, "1": "one", "d": "5m",
        "pct": "20%", "cron": "0 8 * * *", "merged": {"a": 1, "b": 2}, "folded": "x y\n", "keep": "x\n\n"
    });
    for (key, value) in wanted.as_object().unwrap() {
        assert_eq!(&object[key], value, "{key}");
    }
    assert_eq!(object["yes"], true, "as YAML 1.1, which kubectl reads");
}

#[test]
fn countless_errors_are_counted() {
    let text = "a: 1\n---\n".repeat(900);
    let parsed = one(&text);
    assert_eq!(parsed.errors.len(), 201);
    assert!(errors(&parsed)[200].ends_with("700 more errors, which are not shown"));
}
