//! The JSON schema of the snapshot format, for editors and generators.

use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::snapshot::Snapshot;

/// The schema, as `docs/snapshot.schema.json` holds it.
#[must_use]
pub fn schema() -> Value {
    let mut schema = SchemaGenerator::new(SchemaSettings::draft2020_12())
        .into_root_schema_for::<Snapshot>()
        .to_value();
    flow(&mut schema);
    schema
}

/// Descriptions without the line breaks of the source.
fn flow(value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                match value {
                    Value::String(text) if key == "description" => {
                        *text = text.split('\n').map(str::trim).collect::<Vec<_>>().join(" ");
                    }
                    other => flow(other),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(flow),
        _ => {}
    }
}
