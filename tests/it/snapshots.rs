//! Offline decisions: the schema is current, every example gives its expected answer, and what is not in the format is
//! refused with its place.

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use homeostat::offline::policies::{self, Folder};
use homeostat::offline::print::{Form, print};
use homeostat::offline::schema::schema;
use homeostat::offline::text::Paint;
use homeostat_cluster::root;
use serde_json::{Value, json};

fn folder() -> Folder {
    let mut folder = policies::read(&root().join("examples/snapshots/policies"), "default").unwrap();
    let here = format!("{}/", root().display());
    for declared in &mut folder.declared {
        declared.from = declared.from.replace(&here, "");
    }
    folder
}

/// The answers to a text of snapshots, and whether all could be read.
fn answers(text: &str, folder: Option<&Folder>, form: Form) -> (String, bool) {
    let mut out = Vec::new();
    let whole = print(Cursor::new(text), folder, None, form, &mut out).unwrap();
    (String::from_utf8(out).unwrap(), whole)
}

/// Compares a file with what it should hold; with `UPDATE_SNAPSHOTS=1` it is written instead.
fn is_current(path: &Path, wanted: &str) {
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        fs::write(path, wanted).unwrap();
    }
    let current = fs::read_to_string(path).unwrap_or_default();
    assert_eq!(
        current,
        wanted,
        "{} is stale: run this test with UPDATE_SNAPSHOTS=1",
        path.display()
    );
}

#[test]
fn the_schema_is_current_and_every_field_is_described() {
    let schema = schema();
    let text = serde_json::to_string_pretty(&schema).unwrap() + "\n";
    is_current(&root().join("docs/snapshot.schema.json"), &text);
    let definitions = schema["$defs"].as_object().unwrap().values();
    for object in definitions.chain([&schema]) {
        for (name, field) in object["properties"].as_object().into_iter().flatten() {
            assert!(field["description"].is_string(), "{name} in {object}");
        }
    }
    for object in schema["$defs"]
        .as_object()
        .unwrap()
        .values()
        .filter(|d| d["type"] == "object")
    {
        assert_eq!(object["additionalProperties"], json!(false), "{object}");
    }
}

#[test]
fn examples_are_answered_as_expected() {
    let mut examples: Vec<PathBuf> = fs::read_dir(root().join("examples/snapshots"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "yaml"))
        .collect();
    examples.sort();
    assert!(examples.len() >= 2);
    let folder = folder();
    for example in examples {
        let text = fs::read_to_string(&example).unwrap();
        let expected = root().join("tests/cases/snapshots").join(example.file_stem().unwrap());
        let (said, whole) = answers(&text, Some(&folder), Form::Text(Paint(false)));
        assert!(whole, "{}: {said}", example.display());
        is_current(&expected.with_extension("txt"), &said);
        let (said, _) = answers(&text, Some(&folder), Form::Json);
        for line in said.lines() {
            let answer: Value = serde_json::from_str(line).unwrap();
            assert_eq!(answer["kind"], "Plan");
            assert_eq!(answer["policies"].as_array().unwrap().len(), 3, "{line}");
        }
        let (yaml, _) = answers(&text, Some(&folder), Form::Yaml);
        assert_eq!(yaml.matches("kind: Plan\n").count(), said.lines().count());
    }
}

#[test]
fn the_complete_example_is_in_the_manual() {
    let manual = fs::read_to_string(root().join("docs/snapshot.md")).unwrap();
    let example = fs::read_to_string(root().join("examples/snapshots/morning.yaml")).unwrap();
    assert!(
        manual.contains(&example),
        "docs/snapshot.md does not hold examples/snapshots/morning.yaml as it is"
    );
}

/// A snapshot that is answered, to be spoiled.
fn good() -> Value {
    json!({
        "apiVersion": "homeostat.dev/v1alpha1", "kind": "Snapshot", "at": "2026-11-24T09:00:00Z",
        "objects": [
            {"apiVersion": "homeostat.dev/v1alpha1", "kind": "ScalingPolicy", "metadata": {"name": "web"}, "spec": {
                "scaleTargetRef": {"kind": "Deployment", "name": "web"}, "maxReplicas": 9,
                "triggers": [
                    {"name": "rps", "prometheus": {"query": "rps"}, "target": {"averageValue": "10"}},
                    {"name": "cpu", "resource": {"name": "cpu"}, "target": {"averageUtilization": 50}},
                ]}},
            {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {
                "replicas": 2, "selector": {"matchLabels": {"app": "web"}}}, "status": {"replicas": 2}},
            {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web-0", "labels": {"app": "web"}}, "spec": {
                "containers": [{"name": "app", "resources": {"requests": {"cpu": "1"}}}]}, "status": {"phase": "Running"}},
        ],
        "scales": [{"target": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}, "replicas": 2}],
        "metrics": {
            "prometheus": [{"query": "rps", "result": [{"value": "45"}]}],
            "resource": [{"target": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}, "items": [
                {"metadata": {"name": "web-0"}, "timestamp": "2026-11-24T08:59:50Z", "window": "30s",
                 "containers": [{"name": "app", "usage": {"cpu": "400m"}}]}]}],
        },
        "history": [{"name": "web", "recommendations": []}],
    })
}

/// The first problem of a spoiled snapshot.
fn problem(spoil: impl FnOnce(&mut Value)) -> String {
    let mut snapshot = good();
    spoil(&mut snapshot);
    let (said, whole) = answers(&snapshot.to_string(), None, Form::Json);
    let answer: Value = serde_json::from_str(&said).unwrap();
    assert!(!whole, "answered: {said}");
    let problems = answer["problems"].as_array().cloned().unwrap_or_default();
    problems[0].as_str().unwrap().to_owned()
}

#[test]
#[allow(clippy::too_many_lines, reason = "a table")]
fn what_is_not_in_the_format_is_refused_with_its_place() {
    let cases: Vec<(&str, Value, &str)> = vec![
        (
            "/clock",
            json!(1),
            "clock: unknown field `clock`, expected one of `apiVersion`",
        ),
        (
            "/kind",
            json!("Snap"),
            "kind: unknown variant `Snap`, expected `Snapshot`",
        ),
        ("/at", json!("yesterday"), "at: `yesterday` is not an RFC 3339 time"),
        ("/at", Value::Null, "at: must be there, unless --at says when"),
        ("/metrics/prom", json!([]), "metrics.prom: unknown field"),
        (
            "/metrics/prometheus/0/result/0/val",
            json!(1),
            "metrics.prometheus[0].result[0].val: unknown field",
        ),
        (
            "/metrics/prometheus/0/result/0/value",
            json!("much"),
            "metrics.prometheus[0].result[0].value: expected a number",
        ),
        (
            "/metrics/prometheus/0/error",
            json!({"reason": "Status"}),
            "metrics.prometheus[0]: exactly one of result, scalar, error",
        ),
        (
            "/metrics/prometheus/0/result",
            Value::Null,
            "metrics.prometheus[0]: exactly one of",
        ),
        (
            "/metrics/prometheus/0/at",
            json!("2026-11-24T09:00:01Z"),
            "metrics.prometheus[0].at: 2026-11-24T09:00:01.000Z is after",
        ),
        (
            "/metrics/prometheus/1",
            json!({"query": "rps", "result": []}),
            "metrics.prometheus[1]: asks what metrics.prometheus[0] asks",
        ),
        (
            "/metrics/resource/0/items/0/window",
            json!("soon"),
            "metrics.resource[0].items[0].window: `soon` is not a duration",
        ),
        (
            "/metrics/resource/0/items/0/containers/0/usage/cpu",
            json!("x"),
            "metrics.resource[0].items[0].containers[0].usage.cpu: `x`",
        ),
        (
            "/metrics/resource/0/items/0/metadata/namespace",
            json!("shop"),
            "metrics.resource[0].items[0].metadata.namespace: shop is not",
        ),
        ("/scales/0/replicas", json!(-1), "scales[0].replicas: invalid value"),
        (
            "/scales/0/error",
            json!("no"),
            "scales[0]: replicas must be there, or an error alone",
        ),
        (
            "/history/0/name",
            json!("wob"),
            "history[0]: there is no ScalingPolicy/default/wob",
        ),
        (
            "/history/0/missingSince",
            json!({"mem": "2026-11-24T08:00:00Z"}),
            "history[0].missingSince.mem: no such trigger; there are cpu, rps",
        ),
        (
            "/history/0/lastActive",
            json!("2026-11-24T09:01:00Z"),
            "history[0].lastActive: 2026-11-24T09:01:00.000Z is after the clock",
        ),
        (
            "/objects/1/spec/replica",
            json!(1),
            "objects[1].spec.replica: unknown field; there are",
        ),
        (
            "/objects/2/status/pase",
            json!("Running"),
            "objects[2].status.pase: unknown field",
        ),
        (
            "/objects/2/spec/containers/0/resources/requests/cpu",
            json!("much"),
            "objects[2].spec.containers[0].resources.requests.cpu: `much`",
        ),
        (
            "/objects/2/status/startTime",
            json!("now"),
            "objects[2].status.startTime: ",
        ),
        (
            "/objects/2/kind",
            Value::Null,
            "objects[2]: apiVersion and kind must be there",
        ),
        (
            "/objects/0/kind",
            json!("ScalePolicy"),
            "objects[0].kind: homeostat.dev/v1alpha1 ScalePolicy is no kind of Homeostat",
        ),
    ];
    for (pointer, value, expected) in cases {
        let said = problem(|snapshot| set(snapshot, pointer, value));
        assert!(said.starts_with(expected), "{pointer}: {said}");
    }
}

/// Sets a member, or adds it to an object or to the end of a list.
fn set(snapshot: &mut Value, pointer: &str, value: Value) {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    match snapshot.pointer_mut(parent).unwrap() {
        Value::Object(map) => {
            map.insert(name.into(), value);
        }
        Value::Array(items) if name.parse() == Ok(items.len()) => items.push(value),
        Value::Array(items) => items[name.parse::<usize>().unwrap()] = value,
        other => panic!("{other}"),
    }
}

#[test]
fn a_policy_with_a_slip_is_told_and_the_others_are_answered() {
    let mut snapshot = good();
    let mut other = snapshot["objects"][0].clone();
    other["metadata"]["name"] = json!("wob");
    other["spec"]["triggers"][0]["prometheus"]["qery"] = json!("x");
    snapshot["objects"].as_array_mut().unwrap().push(other);
    let (said, whole) = answers(&snapshot.to_string(), None, Form::Json);
    let answer: Value = serde_json::from_str(&said).unwrap();
    assert!(!whole);
    assert_eq!(answer["policies"][0]["desired"], 5, "{said}");
    assert_eq!(answer["policies"][1]["valid"], false);
    let message = answer["policies"][1]["message"].as_str().unwrap();
    assert!(
        message.starts_with("spec.triggers[0].prometheus.qery: unknown field"),
        "{message}"
    );
}

#[test]
fn documents_are_answered_in_order_whatever_they_are() {
    let mut second = good();
    second["metadata"] = json!({"name": "second"});
    second["at"] = json!(7);
    let mut third = good();
    third["metadata"] = json!({"name": "third"});
    let lines = format!("{}\n{second}\n{third}\n", good());
    let (said, whole) = answers(&lines, None, Form::Json);
    let said: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(!whole);
    assert_eq!(said.len(), 3);
    assert_eq!(said[0]["policies"][0]["desired"], 5);
    assert!(said[1]["problems"][0].as_str().unwrap().starts_with("at: "));
    assert_eq!(said[2]["name"], "third");
    let broken = "{\"apiVersion\": \"homeostat.dev/v1alpha1\", \"kind\": \"Snapshot\", \"kind\": \"Snapshot\"}";
    let (said, _) = answers(broken, None, Form::Json);
    assert!(said.contains("duplicate key `kind`"), "{said}");
    let mut out = Vec::new();
    assert!(
        print(Cursor::new("# nothing\n"), None, None, Form::Json, &mut out).is_err(),
        "no snapshot is no answer"
    );
}

#[test]
fn policies_of_files_count_instead_of_the_snapshots_own_and_keep_their_past() {
    let dir = tempfile::tempdir().unwrap();
    let mut policy = good()["objects"][0].clone();
    policy["spec"]["maxReplicas"] = json!(4);
    fs::write(dir.path().join("web.yaml"), policy.to_string()).unwrap();
    fs::create_dir(dir.path().join("base")).unwrap();
    fs::write(
        dir.path().join("base/kustomization.yaml"),
        "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n",
    )
    .unwrap();
    fs::write(
        dir.path().join("service.yml"),
        "apiVersion: v1\nkind: Service\nmetadata: {name: web}\n",
    )
    .unwrap();
    fs::write(dir.path().join("values.json"), "{\"image\": \"x\"}").unwrap();
    fs::write(dir.path().join("broken.yaml"), "a: [").unwrap();
    let folder = policies::read(dir.path(), "default").unwrap();
    assert_eq!(folder.notes.len(), 3, "{:?}", folder.notes);
    assert_eq!(folder.problems.len(), 1, "{:?}", folder.problems);
    assert!(
        folder.problems[0].contains("broken.yaml:1: cannot be read"),
        "{:?}",
        folder.problems
    );
    let mut snapshot = good();
    snapshot["history"] = json!([]);
    let event = json!({"at": "2026-11-24T08:59:58Z", "from": 1, "to": 2});
    snapshot["objects"][0]["status"] = json!({"scaleEvents": [event]});
    let (said, _) = answers(&snapshot.to_string(), Some(&folder), Form::Json);
    let answer: Value = serde_json::from_str(&said).unwrap();
    let told = &answer["policies"][0];
    assert!(told["file"].as_str().unwrap().ends_with("web.yaml:1"), "{said}");
    assert_eq!(
        (&told["desired"], &told["limitedBy"]),
        (&json!(4), &json!("TooManyReplicas")),
        "{said}"
    );
    // Four pods in 15 s from a start of one: with the file's maximum of 9 the past event limits.
    policy["spec"]["maxReplicas"] = json!(9);
    policy["spec"]["behavior"] = json!({"scaleUp": {"policies": [{"type": "Pods", "value": 2, "periodSeconds": 15}]}});
    fs::write(dir.path().join("web.yaml"), policy.to_string()).unwrap();
    let folder = policies::read(dir.path(), "default").unwrap();
    let (said, _) = answers(&snapshot.to_string(), Some(&folder), Form::Json);
    let answer: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(
        answer["policies"][0]["desired"], 3,
        "the status's own change counts: {said}"
    );
}

#[test]
fn what_nobody_asks_for_and_what_nobody_scales_is_said() {
    let mut snapshot = good();
    snapshot["metrics"]["prometheus"][0]["query"] = json!("rpm");
    let other = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "other"}});
    snapshot["objects"].as_array_mut().unwrap().push(other);
    let (said, _) = answers(&snapshot.to_string(), None, Form::Json);
    assert!(
        said.contains("metrics.prometheus[0]: not looked at: no policy asks default for rpm"),
        "{said}"
    );
    assert!(
        said.contains("objects[3]: Deployment default/other is not looked at: no policy names it"),
        "{said}"
    );
}

#[test]
fn a_target_is_as_its_scale_says_or_its_object_or_not_there() {
    let told = |spoil: &dyn Fn(&mut Value)| {
        let mut snapshot = good();
        spoil(&mut snapshot);
        let (said, whole) = answers(&snapshot.to_string(), None, Form::Json);
        assert!(whole, "{said}");
        serde_json::from_str::<Value>(&said).unwrap()["policies"][0].clone()
    };
    assert_eq!(told(&|s| set(s, "/scales/0/replicas", json!(3)))["current"], 3);
    assert_eq!(told(&|s| s["scales"] = json!([]))["current"], 2);
    let gone = told(&|s| {
        s["scales"] = json!([]);
        s["objects"].as_array_mut().unwrap().remove(1);
    });
    assert_eq!(
        (&gone["current"], &gone["desired"], &gone["wouldAct"]),
        (&Value::Null, &Value::Null, &json!(false))
    );
    assert_eq!(gone["conditions"][0]["reason"], "TargetNotFound");
    let refused = told(&|s| {
        let target = s["scales"][0]["target"].clone();
        s["scales"] = json!([{"target": target, "error": "you may not"}]);
    });
    assert_eq!(refused["conditions"][0]["reason"], "TargetUnusable");
    let suspended = told(&|s| set(s, "/objects/0/spec/suspend", json!(true)));
    assert_eq!(
        (&suspended["wouldAct"], &suspended["desired"]),
        (&json!(false), &json!(2))
    );
    assert!(suspended["message"].as_str().unwrap().contains("spec.suspend is true"));
    let shown = told(&|s| set(s, "/objects/0/spec/mode", json!("DryRun")));
    assert_eq!(
        (&shown["desired"], &shown["actions"][0]["dryRun"]),
        (&json!(5), &json!(true))
    );
}
