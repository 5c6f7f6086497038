//! The custom resource definitions: generated files are current, every value has a maximum, and the objects of
//! `tests/cases/crds` are accepted or rejected as their files say.

pub mod cases;
pub mod statuses;
pub mod structural;

use std::collections::BTreeMap;
use std::path::Path;

use cases::{Case, Expect};
use homeostat::api::{all_crds, file_name, render};
use homeostat_cluster::root;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde_json::Value;

/// The OpenAPI schema of a definition's one version.
fn schema_of(crd: &CustomResourceDefinition) -> Value {
    let schema = crd.spec.versions[0].schema.as_ref().unwrap();
    serde_json::to_value(schema.open_api_v3_schema.as_ref().unwrap()).unwrap()
}

/// Kind → schema.
pub fn schemas() -> BTreeMap<String, Value> {
    all_crds()
        .iter()
        .map(|crd| (crd.spec.names.kind.clone(), schema_of(crd)))
        .collect()
}

/// Every node of a schema with its path.
fn walk<'a>(path: &str, schema: &'a Value, visit: &mut impl FnMut(&str, &'a Value)) {
    visit(path, schema);
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        walk(&format!("{path}.{name}"), property, visit);
    }
    for (key, suffix) in [("items", "[]"), ("additionalProperties", "{}")] {
        if schema[key].is_object() {
            walk(&format!("{path}{suffix}"), &schema[key], visit);
        }
    }
}

fn walk_all(mut visit: impl FnMut(&str, &Value)) {
    for (kind, schema) in &schemas() {
        for part in ["spec", "status"] {
            walk(&format!("{kind}.{part}"), &schema["properties"][part], &mut visit);
        }
    }
}

/// With `UPDATE_CRDS=1` the files are written instead.
#[test]
fn generated_files_are_current() {
    let dir = root().join("crds");
    if std::env::var_os("UPDATE_CRDS").is_some() {
        homeostat::cli::crds::run(Some(&dir)).unwrap();
    }
    let mut expected: BTreeMap<String, String> = all_crds()
        .iter()
        .map(|crd| (file_name(crd), render(crd).unwrap()))
        .collect();
    for entry in std::fs::read_dir(&dir).expect("run `homeostat crds --dir crds`") {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name == "Kustomization" {
            continue;
        }
        let wanted = expected.remove(&name);
        assert!(wanted.is_some(), "crds/{name} belongs to no kind: delete it");
        let current = std::fs::read_to_string(&path).unwrap();
        assert!(
            wanted == Some(current),
            "crds/{name} is stale: run `homeostat crds --dir crds`"
        );
    }
    assert!(
        expected.is_empty(),
        "missing in crds/: {:?}: run `homeostat crds --dir crds`",
        expected.keys()
    );
}

#[test]
fn kustomize_finds_every_file() {
    let text = std::fs::read_to_string(root().join("crds/Kustomization")).unwrap();
    for crd in all_crds() {
        assert!(text.contains(&format!("\n- {}\n", file_name(&crd))), "{text}");
    }
}

#[test]
fn every_kind_is_defined() {
    let known: Vec<&str> = homeostat::core::names::PolicyKind::ALL
        .iter()
        .map(|kind| kind.as_str())
        .collect();
    let crds = all_crds();
    let kinds: Vec<&str> = crds.iter().map(|crd| crd.spec.names.kind.as_str()).collect();
    assert_eq!(kinds, known);
    for crd in &crds {
        assert_eq!(crd.spec.group, homeostat::api::GROUP);
        assert_eq!(crd.spec.versions[0].name, homeostat::api::VERSION);
    }
}

#[test]
fn generated_files_are_read_back_as_they_were() {
    for crd in all_crds() {
        let text = render(&crd).unwrap();
        let read: CustomResourceDefinition = serde_saphyr::from_str(&text).unwrap();
        assert_eq!(read, crd);
    }
}

#[test]
fn files_go_to_the_directory() {
    let dir = std::env::temp_dir().join(format!("homeostat-crds-{}", std::process::id()));
    homeostat::cli::crds::run(Some(&dir)).unwrap();
    let count = std::fs::read_dir(&dir).unwrap().count();
    std::fs::remove_dir_all(&dir).unwrap();
    assert_eq!(count, all_crds().len());
    let error = homeostat::cli::crds::run(Some(Path::new("/dev/null/crds"))).unwrap_err();
    assert!(
        error.to_string().starts_with("cannot write /dev/null/crds: "),
        "{error}"
    );
}

#[test]
fn every_value_has_a_maximum() {
    let mut unbounded = Vec::new();
    walk_all(|path, schema| {
        let bounded = match schema["type"].as_str() {
            Some("string") => schema["maxLength"].is_u64() || schema["enum"].is_array(),
            Some("array") => schema["maxItems"].is_u64(),
            Some("object") if schema["additionalProperties"].is_object() => schema["maxProperties"].is_u64(),
            Some("object" | "boolean") => true,
            // What is written by the operator alone cannot overflow; what people write must not.
            Some("integer") => {
                path.contains(".status") || (schema["minimum"].is_number() && schema["maximum"].is_number())
            }
            None if schema["x-kubernetes-int-or-string"] == true => schema["maxLength"].is_u64(),
            _ => false,
        };
        if !bounded {
            unbounded.push(path.to_owned());
        }
    });
    assert!(unbounded.is_empty(), "without a maximum: {unbounded:#?}");
}

#[test]
fn every_field_is_documented_and_none_has_a_default() {
    let mut wrong = Vec::new();
    walk_all(|path, schema| {
        if !schema["default"].is_null() {
            wrong.push(format!("{path} has a default, which GitOps tools see as drift"));
        }
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            if property["description"].as_str().is_none_or(str::is_empty) {
                wrong.push(format!("{path}.{name} has no description"));
            }
        }
        if schema["type"] == "array"
            && schema["x-kubernetes-list-type"].is_null()
            && schema["items"]["type"] == "object"
        {
            wrong.push(format!("{path} does not say how it is merged"));
        }
    });
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// In the spec: the optional ones must say what holds without them.
#[test]
fn optional_settings_name_their_default() {
    let mut wrong = Vec::new();
    walk_all(|path, schema| {
        let required = schema["required"].as_array().cloned().unwrap_or_default();
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            let leaf =
                !property["properties"].is_object() && property["type"] != "array" && property["type"] != "object";
            let text = property["description"].as_str().unwrap_or_default();
            let of_union = schema["x-kubernetes-validations"]
                .to_string()
                .contains(&format!("has(self.{name})"));
            if path.contains(".spec")
                && leaf
                && !of_union
                && !required.contains(&name.as_str().into())
                && !text.contains("efault")
            {
                wrong.push(format!("{path}.{name}: {text}"));
            }
        }
    });
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn good_objects_are_accepted_and_bad_ones_rejected_with_a_hint() {
    let schemas = schemas();
    let mut failures = Vec::new();
    let cases = cases::load();
    for Case { name, object, expect } in &cases {
        let kind = object["kind"].as_str().unwrap_or_default();
        let schema = schemas.get(kind).unwrap_or_else(|| panic!("{name}: no kind {kind}"));
        let verdict = structural::verdict(schema, object);
        match (expect, verdict.is_empty()) {
            (Expect::Accepted, true) => {}
            (Expect::Rejected(text), false) if verdict.iter().any(|v| v.contains(text)) => {}
            (Expect::Accepted, false) => failures.push(format!("{name}: should be accepted, but {verdict:#?}")),
            (Expect::Rejected(text), _) => {
                failures.push(format!("{name}: should be rejected with `{text}`, but {verdict:#?}"));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    for kind in schemas.keys() {
        for expect in ["good", "bad"] {
            let prefix = format!("{}/{expect}-", kind.to_lowercase());
            assert!(
                cases.iter().any(|c| c.name.starts_with(&prefix)),
                "no case {prefix}*.yaml"
            );
        }
    }
}

/// What the operator writes fits, and is read again as it was written.
#[test]
fn full_statuses_fit_their_schemas() {
    let schemas = schemas();
    for object in statuses::full() {
        let kind = object["kind"].as_str().unwrap_or_default();
        assert_eq!(
            structural::verdict(&schemas[kind], &object),
            Vec::<String>::new(),
            "{kind}"
        );
        let mut missing = Vec::new();
        walk("status", &schemas[kind]["properties"]["status"], &mut |path, schema| {
            for name in schema["properties"]
                .as_object()
                .into_iter()
                .flatten()
                .map(|(name, _)| name)
            {
                if !statuses::has(&object, &format!("{path}.{name}")) {
                    missing.push(format!("{path}.{name}"));
                }
            }
        });
        assert!(missing.is_empty(), "{kind}: the example leaves out {missing:?}");
    }
}

/// What the server accepts the client reads, and gives back as it was written.
#[test]
fn accepted_objects_are_read_and_kept() {
    fn round_trip<T: serde::Serialize + serde::de::DeserializeOwned>(object: &Value) -> Value {
        let read: T = serde_json::from_value(object.clone()).unwrap();
        serde_json::to_value(read).unwrap()["spec"].clone()
    }
    for Case { name, object, expect } in cases::load() {
        if expect != Expect::Accepted || name.contains("null") {
            continue;
        }
        let spec = match object["kind"].as_str() {
            Some("ScalingPolicy") => round_trip::<homeostat::api::ScalingPolicy>(&object),
            Some("NodePoolPolicy") => round_trip::<homeostat::api::NodePoolPolicy>(&object),
            Some("HealingPolicy") => round_trip::<homeostat::api::HealingPolicy>(&object),
            Some("GitSource") => round_trip::<homeostat::api::GitSource>(&object),
            Some("OperatorConfig") => round_trip::<homeostat::api::OperatorConfig>(&object),
            other => panic!("{name}: {other:?}"),
        };
        assert_eq!(spec, object["spec"], "{name}");
    }
}
