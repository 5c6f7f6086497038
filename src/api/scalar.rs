//! Values that keep the user's text: durations, quantities, counts or percentages. What is stored is what was written, so
//! that no GitOps tool sees drift; numbers are read from it when it is converted.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};

use crate::core::policy::Share;
use crate::core::quantity::{Milli, ParseQuantityError};
use crate::core::time::{ParseSpanError, ParseTimeError, Span, Time};

/// A length of time such as `30s`, `5m` or `1h30m`, as it was written. Range checks are rules of the field.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DurationText(pub String);

impl DurationText {
    /// The length of time.
    ///
    /// # Errors
    /// When it is none.
    pub fn span(&self) -> Result<Span, ParseSpanError> {
        self.0.parse()
    }
}

impl From<&str> for DurationText {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

/// A point in time in RFC 3339, such as `2026-11-24T09:00:00Z`, as it was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TimeText(pub String);

impl TimeText {
    /// The point in time.
    ///
    /// # Errors
    /// When it is none.
    pub fn time(&self) -> Result<Time, ParseTimeError> {
        self.0.parse()
    }
}

impl JsonSchema for TimeText {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Time".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "format": "date-time", "maxLength": 40})
    }
}

impl JsonSchema for DurationText {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "maxLength": 20})
    }
}

/// A number or a text, as it was written. Numbers outside `i64`, which the server lets pass, become text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum IntOrText {
    /// A YAML integer.
    Int(i64),
    /// A YAML string.
    Text(String),
}

impl fmt::Display for IntOrText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(number) => number.fmt(f),
            Self::Text(text) => text.fmt(f),
        }
    }
}

impl<'de> Deserialize<'de> for IntOrText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::Number(number) => Ok(number
                .as_i64()
                .map_or_else(|| Self::Text(number.to_string()), Self::Int)),
            serde_json::Value::String(text) => Ok(Self::Text(text)),
            _ => Err(serde::de::Error::custom("expected an integer or a string")),
        }
    }
}

impl JsonSchema for IntOrText {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "IntOrString".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"x-kubernetes-int-or-string": true, "maxLength": 32})
    }
}

/// An amount such as `100`, `250m`, `1.5` or `2Gi`, as it was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct QuantityText(pub IntOrText);

impl QuantityText {
    /// The amount in thousandths.
    ///
    /// # Errors
    /// When it is no quantity.
    pub fn milli(&self) -> Result<Milli, ParseQuantityError> {
        self.0.to_string().parse()
    }
}

impl From<&str> for QuantityText {
    fn from(text: &str) -> Self {
        Self(IntOrText::Text(text.to_owned()))
    }
}

impl JsonSchema for QuantityText {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Quantity".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        IntOrText::json_schema(generator)
    }
}

/// A count such as `3` or a percentage such as `40%`, as it was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CountOrPercent(pub IntOrText);

/// A text that is neither a count nor a percentage.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is neither a count such as 3 nor a percentage such as 40%")]
pub struct ParseShareError {
    /// What was given.
    pub text: String,
}

impl CountOrPercent {
    /// The count or the percentage.
    ///
    /// # Errors
    /// When it is neither.
    pub fn share(&self) -> Result<Share, ParseShareError> {
        let text = self.0.to_string();
        let share = match text.strip_suffix('%') {
            Some(percent) => percent.parse().ok().filter(|p| *p <= 100).map(Share::Percent),
            None => text.parse().ok().map(Share::Count),
        };
        share.ok_or(ParseShareError { text })
    }
}

impl From<&str> for CountOrPercent {
    fn from(text: &str) -> Self {
        Self(IntOrText::Text(text.to_owned()))
    }
}

impl JsonSchema for CountOrPercent {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "CountOrPercent".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        IntOrText::json_schema(generator)
    }
}

/// The core's points in time, in statuses.
impl JsonSchema for Time {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Time".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "format": "date-time", "maxLength": 40})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_users_text_is_kept() {
        for text in [r#""250m""#, "100", r#""40%""#, "-1"] {
            let value: IntOrText = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&value).unwrap(), text);
        }
        assert!(
            serde_json::from_str::<IntOrText>("1e30").is_ok(),
            "never fails on what the server lets pass"
        );
        assert!(serde_json::from_str::<IntOrText>("[]").is_err());
    }

    #[test]
    fn counts_and_percentages() {
        let share = |text: &str| CountOrPercent::from(text).share();
        assert_eq!(share("40%"), Ok(Share::Percent(40)));
        assert_eq!(share("3"), Ok(Share::Count(3)));
        for bad in ["", "%", "101%", "-1", "a few"] {
            assert!(share(bad).is_err(), "{bad}");
        }
    }
}
