//! What an API server would say of an object, without one: the part of OpenAPI that structural schemas may use, here, and
//! the CEL rules by `kube-cel`. Messages are worded as the server's are, as far as the cases look at them.

use std::collections::BTreeSet;

use regex::Regex;
use serde_json::Value;

/// Everything that is wrong with the object; empty where it is accepted. Unknown fields are wrong, as they are for kubectl.
pub fn verdict(schema: &Value, object: &Value) -> Vec<String> {
    let mut errors = Vec::new();
    check("", schema, object, &mut errors);
    // As the server does: rules are not run over values of which the schema cannot say what they are.
    let blocked = [
        "Required value",
        "Unsupported value",
        "must be of type",
        "Too long",
        "Too many",
        "unknown field",
    ];
    if !errors.iter().any(|error| blocked.iter().any(|b| error.contains(b)))
        && let Err(failed) = kube_cel::Validator::new().validate(schema, &without_nulls(object), None)
    {
        errors.extend(failed.iter().map(ToString::to_string));
    }
    errors
}

fn check(path: &str, schema: &Value, value: &Value, errors: &mut Vec<String>) {
    if value.is_null() && schema["nullable"] == true {
        return;
    }
    if let Some(wanted) = wrong_type(schema, value) {
        errors.push(format!("{path}: Invalid value: must be of type {wanted}: {value}"));
        return;
    }
    if let Some(allowed) = schema["enum"].as_array()
        && !allowed.contains(value)
    {
        errors.push(format!(
            "{path}: Unsupported value: {value}: supported values: {}",
            list(allowed)
        ));
    }
    match value {
        Value::String(text) => check_text(path, schema, text, errors),
        Value::Number(number) => check_number(path, schema, number, errors),
        Value::Array(items) => check_list(path, schema, items, errors),
        Value::Object(map) => check_object(path, schema, map, errors),
        Value::Null | Value::Bool(_) => {}
    }
}

/// To the server's rules a null is as if it were not there; to `kube-cel` it is a value.
fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let kept = map.iter().filter(|(_, v)| !v.is_null());
            Value::Object(kept.map(|(k, v)| (k.clone(), without_nulls(v))).collect())
        }
        Value::Array(items) => items.iter().map(without_nulls).collect(),
        other => other.clone(),
    }
}

fn list(values: &[Value]) -> String {
    values.iter().map(Value::to_string).collect::<Vec<_>>().join(", ")
}

fn wrong_type(schema: &Value, value: &Value) -> Option<String> {
    if schema["x-kubernetes-int-or-string"] == true {
        return (!value.is_i64() && !value.is_u64() && !value.is_string()).then(|| "integer,string".into());
    }
    let wanted = schema["type"].as_str().unwrap_or_default();
    let fits = match wanted {
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => false,
    };
    (!fits).then(|| wanted.to_owned())
}

fn check_text(path: &str, schema: &Value, text: &str, errors: &mut Vec<String>) {
    let length = text.chars().count() as u64;
    if schema["maxLength"].as_u64().is_some_and(|max| length > max) {
        errors.push(format!(
            "{path}: Too long: may not be more than {} bytes",
            schema["maxLength"]
        ));
    }
    if let Some(min) = schema["minLength"].as_u64().filter(|min| length < *min) {
        errors.push(format!(
            "{path}: Invalid value: {text:?}: {path} in body should be at least {min} chars long"
        ));
    }
    if let Some(pattern) = schema["pattern"].as_str()
        && !Regex::new(pattern).unwrap().is_match(text)
    {
        errors.push(format!(
            "{path}: Invalid value: {text:?}: {path} in body should match '{pattern}'"
        ));
    }
}

fn check_number(path: &str, schema: &Value, number: &serde_json::Number, errors: &mut Vec<String>) {
    let value = number.as_f64().unwrap();
    if let Some(min) = schema["minimum"].as_f64().filter(|min| value < *min) {
        errors.push(format!(
            "{path}: Invalid value: {number}: {path} in body should be greater than or equal to {min}"
        ));
    }
    if let Some(max) = schema["maximum"].as_f64().filter(|max| value > *max) {
        errors.push(format!(
            "{path}: Invalid value: {number}: {path} in body should be less than or equal to {max}"
        ));
    }
}

fn check_list(path: &str, schema: &Value, items: &[Value], errors: &mut Vec<String>) {
    let count = items.len() as u64;
    if schema["maxItems"].as_u64().is_some_and(|max| count > max) {
        errors.push(format!(
            "{path}: Too many: {count}: must have at most {} items",
            schema["maxItems"]
        ));
    }
    if let Some(min) = schema["minItems"].as_u64().filter(|min| count < *min) {
        errors.push(format!(
            "{path}: Invalid value: {count}: {path} in body should have at least {min} items"
        ));
    }
    let mut seen = BTreeSet::new();
    for (index, item) in items.iter().enumerate() {
        let path = format!("{path}[{index}]");
        check(&path, &schema["items"], item, errors);
        if let Some(keys) = schema["x-kubernetes-list-map-keys"].as_array() {
            let key: Vec<String> = keys.iter().map(|k| item[k.as_str().unwrap()].to_string()).collect();
            if !seen.insert(key) {
                errors.push(format!("{path}: Duplicate value: {item}"));
            }
        }
    }
}

fn check_object(path: &str, schema: &Value, map: &serde_json::Map<String, Value>, errors: &mut Vec<String>) {
    let count = map.len() as u64;
    if schema["maxProperties"].as_u64().is_some_and(|max| count > max) {
        errors.push(format!(
            "{path}: Too many: {count}: must have at most {} items",
            schema["maxProperties"]
        ));
    }
    if let Some(min) = schema["minProperties"].as_u64().filter(|min| count < *min) {
        errors.push(format!(
            "{path}: Invalid value: {count}: {path} in body should have at least {min} properties"
        ));
    }
    for name in schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
    {
        if !map.contains_key(name) {
            errors.push(format!("{path}.{name}: Required value"));
        }
    }
    for (name, value) in map {
        // What every object has.
        if path.is_empty() && ["apiVersion", "kind", "metadata"].contains(&name.as_str()) {
            continue;
        }
        let path = format!("{path}.{name}");
        match (&schema["properties"][name], &schema["additionalProperties"]) {
            (property @ Value::Object(_), _) | (Value::Null, property @ Value::Object(_)) => {
                check(&path, property, value, errors);
            }
            _ => errors.push(format!("unknown field \"{}\"", path.trim_start_matches('.'))),
        }
    }
}
