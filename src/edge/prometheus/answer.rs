//! What Prometheus answers, read by an envelope of our own: the client crate drops warnings, cannot read strings and
//! histograms, and has no limit.

use serde::Deserialize;
use serde_json::Value;

use crate::core::quantity::Milli;
use crate::core::sample::{QueryError, Reading};
use crate::core::time::Time;

/// The longest message of a failure.
const MESSAGE_MAX: usize = 500;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    status: String,
    #[serde(default)]
    data: Option<Data>,
    #[serde(default)]
    error_type: Option<String>,
    #[serde(default)]
    error: Option<String>,
    #[serde(default)]
    warnings: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    result_type: String,
    result: Value,
}

/// A failure with its sentence.
pub(super) fn failed(error: QueryError, message: impl AsRef<str>) -> Reading {
    Reading::Failed {
        error,
        message: message.as_ref().chars().take(MESSAGE_MAX).collect(),
    }
}

/// Reads an answer with its HTTP status.
pub(super) fn read(status: u16, body: &[u8]) -> Reading {
    let Ok(envelope) = serde_json::from_slice::<Envelope>(body) else {
        let start = String::from_utf8_lossy(&body[..body.len().min(80)]).replace('\n', " ");
        return if (200..300).contains(&status) {
            failed(
                QueryError::Malformed,
                format!(
                    "the server's answer is not Prometheus' JSON: check its url in the OperatorConfig (the answer begins \
                     with: {start})"
                ),
            )
        } else {
            failed(
                QueryError::Status,
                format!(
                    "the server answered with HTTP {status}: {} (it says: {start})",
                    advice(status)
                ),
            )
        };
    };
    match (envelope.status.as_str(), envelope.data) {
        ("success", Some(data)) => result(&data, &envelope.warnings),
        ("error", _) => {
            let kind = envelope.error_type.unwrap_or_default();
            let text = envelope.error.unwrap_or_default();
            let error = match kind.as_str() {
                "bad_data" | "execution" => QueryError::BadQuery,
                "timeout" | "canceled" => QueryError::Timeout,
                _ => QueryError::Status,
            };
            let advice = match error {
                QueryError::BadQuery => "correct the trigger's query",
                QueryError::Timeout => "make the query lighter",
                _ => advice(status),
            };
            failed(
                error,
                format!("{advice}; Prometheus says {kind} (HTTP {status}): {text}"),
            )
        }
        _ => failed(
            QueryError::Malformed,
            "the server's answer has neither data nor an error",
        ),
    }
}

/// What to look at after an answer without a body of Prometheus' own.
fn advice(status: u16) -> &'static str {
    match status {
        401 | 403 => "check its auth in the OperatorConfig",
        400..500 => "check its url in the OperatorConfig",
        _ => "is the server, or a proxy before it, overloaded or starting?",
    }
}

fn result(data: &Data, warnings: &[String]) -> Reading {
    let sample = match data.result_type.as_str() {
        "scalar" => Some(&data.result),
        "vector" => {
            let Some(elements) = data.result.as_array() else {
                return failed(QueryError::Malformed, "the vector is not a list");
            };
            match elements.as_slice() {
                [] => return Reading::Empty,
                [one] if one.get("histogram").is_some() => {
                    let advice =
                        "the result is a native histogram: take a number from it, such as histogram_quantile(0.95, …)";
                    return failed(QueryError::Malformed, advice);
                }
                [one] => one.get("value"),
                elements => return many(elements, warnings),
            }
        }
        other => {
            let message =
                format!("the result is a {other}; a trigger needs one number: a scalar, or a vector of one element");
            return failed(QueryError::Malformed, message);
        }
    };
    let Some((at, text)) = sample.and_then(pair) else {
        return failed(QueryError::Malformed, "the sample is not a pair of time and value");
    };
    let Ok(number) = text.parse::<f64>() else {
        return failed(QueryError::Malformed, format!("`{text}` is not a number"));
    };
    match (Milli::from_f64(number), warnings.first()) {
        (None, _) => Reading::NotFinite { text: text.to_owned() },
        (Some(value), None) => Reading::Value { value, sampled_at: at },
        (Some(value), Some(warning)) => Reading::Partial {
            value,
            sampled_at: at,
            warning: warning.chars().take(200).collect(),
        },
    }
}

/// Several elements; how they are combined is the trigger's business.
fn many(elements: &[Value], warnings: &[String]) -> Reading {
    let (mut sum, mut highest, mut oldest) = (0.0, f64::NEG_INFINITY, None::<Time>);
    for element in elements {
        let Some((at, text)) = element.get("value").and_then(pair) else {
            let advice = "an element of the result is a native histogram: take a number from each";
            return failed(QueryError::Malformed, advice);
        };
        let Some(number) = text.parse::<f64>().ok().filter(|n| n.is_finite()) else {
            return Reading::NotFinite { text: text.to_owned() };
        };
        sum += number;
        highest = number.max(highest);
        oldest = Some(oldest.map_or(at, |old| old.min(at)));
    }
    let (Some(sum), Some(highest), Some(sampled_at)) = (Milli::from_f64(sum), Milli::from_f64(highest), oldest) else {
        return Reading::NotFinite { text: sum.to_string() };
    };
    Reading::Many {
        series: u32::try_from(elements.len()).unwrap_or(u32::MAX),
        sum,
        highest,
        sampled_at,
        warning: warnings.first().map(|w| w.chars().take(200).collect()),
    }
}

fn pair(sample: &Value) -> Option<(Time, &str)> {
    let [at, value] = sample.as_array()?.as_slice() else {
        return None;
    };
    let seconds = at.as_f64().filter(|s| s.is_finite())?;
    Some((Time::from_millis((seconds * 1000.0).round() as i64), value.as_str()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vector(result: &str) -> String {
        format!(r#"{{"status":"success","data":{{"resultType":"vector","result":{result}}}}}"#)
    }

    #[test]
    fn no_data_error_many_and_zero_are_different_things() {
        let read = |body: &str| super::read(200, body.as_bytes());
        let zero = Reading::Value {
            value: Milli::new(0),
            sampled_at: Time::from_millis(1500),
        };
        assert_eq!(read(&vector(r#"[{"metric":{},"value":[1.5,"0"]}]"#)), zero);
        assert_eq!(read(&vector("[]")), Reading::Empty);
        assert_eq!(
            read(&vector(r#"[{"value":[1,"1"]},{"value":[1,"2"]}]"#)),
            Reading::Many {
                series: 2,
                sum: Milli::from_units(3),
                highest: Milli::from_units(2),
                sampled_at: Time::from_millis(1000),
                warning: None,
            }
        );
        for text in ["NaN", "+Inf", "-Inf"] {
            let body = vector(&format!(r#"[{{"value":[1,"{text}"]}}]"#));
            assert_eq!(read(&body), Reading::NotFinite { text: text.into() });
        }
        let partial =
            r#"{"status":"success","warnings":["store down"],"data":{"resultType":"scalar","result":[1,"7"]}}"#;
        assert!(matches!(read(partial), Reading::Partial { value, .. } if value == Milli::from_units(7)));
    }

    #[test]
    fn failures_say_what_they_are() {
        let kind = |status: u16, body: &str| match super::read(status, body.as_bytes()) {
            Reading::Failed { error, message } => {
                assert!(!message.is_empty() && message.len() <= 600);
                error
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(kind(200, "<html>login</html>"), QueryError::Malformed);
        assert_eq!(kind(503, "<html>unavailable</html>"), QueryError::Status);
        assert_eq!(
            kind(
                400,
                r#"{"status":"error","errorType":"bad_data","error":"parse error"}"#
            ),
            QueryError::BadQuery
        );
        assert_eq!(
            kind(503, r#"{"status":"error","errorType":"timeout","error":"too long"}"#),
            QueryError::Timeout
        );
        assert_eq!(kind(200, &vector(r#"[{"histogram":[1,{}]}]"#)), QueryError::Malformed);
        assert_eq!(
            kind(
                200,
                r#"{"status":"success","data":{"resultType":"matrix","result":[]}}"#
            ),
            QueryError::Malformed
        );
        assert_eq!(kind(200, &vector(r#"[{"value":"x"}]"#)), QueryError::Malformed);
        assert_eq!(kind(200, "{}"), QueryError::Malformed);
    }
}
