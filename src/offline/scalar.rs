//! Values of the snapshot format that are read at once, so that a mistake is found with its place.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::Value;

use crate::core::quantity::Milli;
use crate::core::time::Span;

/// A Kubernetes quantity: a text such as `250m`, or a number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quantity(pub Milli);

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = match Value::deserialize(deserializer)? {
            Value::String(text) => text,
            Value::Number(number) => number.to_string(),
            other => {
                return Err(de::Error::custom(format!(
                    "expected a quantity, found {}",
                    kind(&other)
                )));
            }
        };
        text.parse().map(Self).map_err(de::Error::custom)
    }
}

impl Serialize for Quantity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl JsonSchema for Quantity {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Quantity".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "number"],
            "pattern": r"^[+-]?[0-9.]+([eE][+-]?[0-9]+|[numkMGTPE]|[KMGTPE]i)?$",
        })
    }
}

/// A sample of Prometheus: a number, or a text such as `1.5`, `NaN`, `+Inf` or `-Inf`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SampleValue(pub f64);

impl<'de> Deserialize<'de> for SampleValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wrong =
            |found: String| de::Error::custom(format!("expected a number, `NaN`, `+Inf` or `-Inf`, found {found}"));
        match Value::deserialize(deserializer)? {
            Value::Number(number) => number.as_f64().map(Self).ok_or_else(|| wrong(number.to_string())),
            Value::String(text) => text.parse().map(Self).map_err(|_| wrong(format!("`{text}`"))),
            other => Err(wrong(kind(&other).into())),
        }
    }
}

impl Serialize for SampleValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// As Prometheus writes it.
impl fmt::Display for SampleValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == f64::INFINITY {
            f.write_str("+Inf")
        } else if self.0 == f64::NEG_INFINITY {
            f.write_str("-Inf")
        } else {
            self.0.fmt(f)
        }
    }
}

impl JsonSchema for SampleValue {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "SampleValue".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": ["string", "number"]})
    }
}

/// A length of time as Go writes it, such as `30s`, `1m0s` or `17.043s`; fractions of a millisecond are
/// rounded up, so that what is younger than it stays so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Window(pub Span);

impl<'de> Deserialize<'de> for Window {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let wrong = || de::Error::custom(format!("`{text}` is not a duration such as 30s, 1m0s or 17.043s"));
        go_duration(&text).map(Self).ok_or_else(wrong)
    }
}

impl Serialize for Window {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl JsonSchema for Window {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Window".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": r"^([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$|^0$"})
    }
}

/// Go's form without a sign.
fn go_duration(text: &str) -> Option<Span> {
    if text == "0" {
        return Some(Span::ZERO);
    }
    let (mut rest, mut nanos) = (text, 0_i128);
    while !rest.is_empty() {
        let end = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .filter(|n| *n > 0)?;
        let (number, after) = rest.split_at(end);
        let unit_len = after
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(after.len());
        let (unit, next) = after.split_at(unit_len);
        let scale: i128 = match unit {
            "ns" => 1,
            "us" | "µs" => 1000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return None,
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
        if whole.len() > 12 || fraction.len() > 12 {
            return None;
        }
        let parts = 10_i128.pow(u32::try_from(fraction.len()).ok()?);
        nanos += whole.parse::<i128>().ok()? * scale + fraction.parse::<i128>().ok()? * scale / parts;
        rest = next;
    }
    let millis = i64::try_from((nanos + 999_999) / 1_000_000).ok()?;
    (!text.is_empty()).then(|| Span::from_millis(millis))
}

/// What a value is, for people.
#[must_use]
pub fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_writes_them() {
        for (text, millis) in [
            ("30s", 30_000),
            ("1m0s", 60_000),
            ("17.043s", 17_043),
            ("1h2m3.5s", 3_723_500),
            ("0", 0),
            ("10.04356ms", 11),
        ] {
            assert_eq!(go_duration(text), Some(Span::from_millis(millis)), "{text}");
        }
        for bad in ["", "5", "s", "-5s", "1d", "1.2.3s", "99999999999999h"] {
            assert_eq!(go_duration(bad), None, "{bad}");
        }
    }

    #[test]
    fn numbers_come_as_text_or_number_and_go_back_as_text() {
        let quantity = |json: &str| serde_json::from_str::<Quantity>(json).map(|q| q.0.thousandths()).ok();
        assert_eq!(quantity("\"250m\""), Some(250));
        assert_eq!(quantity("0.25"), Some(250));
        assert_eq!(quantity("3"), Some(3000));
        assert_eq!(quantity("\"abc\""), None);
        assert_eq!(quantity("true"), None);
        for text in ["NaN", "+Inf", "-Inf", "1.5", "-3"] {
            let read: SampleValue = serde_json::from_str(&format!("\"{text}\"")).unwrap();
            assert_eq!(serde_json::to_string(&read).unwrap(), format!("\"{text}\""));
        }
        assert!(serde_json::from_str::<SampleValue>("\"many\"").is_err());
    }
}
