//! Which fields of an object nobody reads: all that is not there any more when the typed object is written again.

use serde_json::Value;

/// Paths of the members that `kept` lacks. Nulls, empty lists, empty objects and empty texts say nothing and are no loss.
pub(super) fn lost(path: &str, written: &Value, kept: &Value) -> Vec<String> {
    let mut found = Vec::new();
    walk(path, written, kept, &mut found);
    found
}

fn walk(path: &str, written: &Value, kept: &Value, found: &mut Vec<String>) {
    match (written, kept) {
        _ if says_nothing(written) => {}
        (Value::Object(written), Value::Object(kept)) => {
            for (name, value) in written {
                let kept = kept.get(name).unwrap_or(&Value::Null);
                walk(&format!("{path}.{name}"), value, kept, found);
            }
        }
        (Value::Array(written), Value::Array(kept)) if written.len() == kept.len() => {
            for (i, (written, kept)) in written.iter().zip(kept).enumerate() {
                walk(&format!("{path}[{i}]"), written, kept, found);
            }
        }
        (_, Value::Null) => found.push(path.to_owned()),
        _ => {}
    }
}

fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::String(text) => text.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_gone_is_named_and_nothing_else() {
        let written = json!({"a": 1, "gone": {"x": 1}, "none": null, "list": [{"b": 1, "c": 2}], "empty": {}});
        let kept = json!({"a": "1", "list": [{"b": 1}]});
        assert_eq!(lost("spec", &written, &kept), ["spec.gone", "spec.list[0].c"]);
    }
}
