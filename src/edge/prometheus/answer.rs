//! What Prometheus answers, read by an envelope of our own: the client crate drops warnings, cannot read strings and
//! histograms, and has no limit.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::core::quantity::Milli;
use crate::core::sample::{QueryError, Reading};
use crate::core::time::Time;

/// The longest message of a failure.
const MESSAGE_MAX: usize = 500;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope<'a> {
    status: String,
    #[serde(borrow, default)]
    data: Option<Data<'a>>,
    #[serde(default)]
    error_type: Option<String>,
    #[serde(default)]
    error: Option<String>,
    #[serde(default)]
    warnings: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data<'a> {
    result_type: String,
    #[serde(borrow)]
    result: &'a RawValue,
}

/// An answer that is a scalar or a vector.
#[derive(Debug)]
pub(super) struct Answer {
    /// The elements of a vector; of a scalar its only one.
    pub elements: Vec<Element>,
    /// What the server warns of: parts of the data may be missing.
    pub warnings: Vec<String>,
}

/// An element of a vector.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Element {
    /// Its labels, as far as they are of interest.
    #[serde(default)]
    pub metric: Labels,
    #[serde(default)]
    value: Option<Pair>,
    #[serde(default)]
    histogram: Option<IgnoredAny>,
}

/// The labels that are of interest.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Labels {
    /// Which question was answered, where there were several.
    #[serde(default)]
    pub homeostat_query: Option<String>,
}

/// A time in seconds since the Unix epoch, and a number.
#[derive(Debug, Deserialize)]
pub(super) struct Pair(f64, String);

impl Element {
    /// Its sample; `None`: it is a histogram, or has none.
    pub(super) fn pair(&self) -> Option<&Pair> {
        self.value.as_ref().filter(|pair| pair.0.is_finite())
    }
}

impl Pair {
    fn at(&self) -> Time {
        Time::from_millis((self.0 * 1000.0).round() as i64)
    }

    /// Its number, which may be infinite or none.
    pub(super) fn number(&self) -> Option<f64> {
        self.1.parse().ok()
    }
}

/// A failure with its sentence.
pub(crate) fn failed(error: QueryError, message: impl AsRef<str>) -> Reading {
    Reading::Failed {
        error,
        message: message.as_ref().chars().take(MESSAGE_MAX).collect(),
    }
}

/// Reads an answer to one question, with its HTTP status.
pub(crate) fn read(status: u16, body: &[u8]) -> Reading {
    match parse(status, body) {
        Ok(answer) => number(&answer.elements, &answer.warnings),
        Err(failure) => failure,
    }
}

/// Reads an answer with its HTTP status.
///
/// # Errors
/// The failure, as a reading: an error of the server, or something that is no answer.
pub(super) fn parse(status: u16, body: &[u8]) -> Result<Answer, Reading> {
    let Ok(envelope) = serde_json::from_slice::<Envelope>(body) else {
        return Err(not_prometheus(status, body));
    };
    match (envelope.status.as_str(), envelope.data) {
        ("success", Some(data)) => Ok(Answer {
            elements: elements(&data)?,
            warnings: envelope.warnings,
        }),
        ("error", _) => {
            let kind = envelope.error_type.unwrap_or_default();
            let text = envelope.error.unwrap_or_default();
            Err(refused(status, &kind, &text))
        }
        _ => Err(failed(
            QueryError::Malformed,
            "the server's answer has neither data nor an error",
        )),
    }
}

fn not_prometheus(status: u16, body: &[u8]) -> Reading {
    let start = String::from_utf8_lossy(&body[..body.len().min(80)]).replace('\n', " ");
    if (200..300).contains(&status) {
        let message = format!(
            "the server's answer is not Prometheus' JSON: check its url in the OperatorConfig (the answer begins with: \
             {start})"
        );
        return failed(QueryError::Malformed, message);
    }
    let message = format!(
        "the server answered with HTTP {status}: {} (it says: {start})",
        advice(status)
    );
    failed(QueryError::Status, message)
}

fn refused(status: u16, kind: &str, text: &str) -> Reading {
    let error = match kind {
        "bad_data" | "execution" => QueryError::BadQuery,
        "timeout" | "canceled" => QueryError::Timeout,
        _ => QueryError::Status,
    };
    let advice = match error {
        QueryError::BadQuery => "correct the trigger's query",
        QueryError::Timeout => "make the query lighter",
        _ => advice(status),
    };
    let message = format!("{advice}; Prometheus says {kind} (HTTP {status}): {text}");
    failed(error, message)
}

/// What to look at after an answer without a body of Prometheus' own.
fn advice(status: u16) -> &'static str {
    match status {
        401 | 403 => "check its auth in the OperatorConfig",
        400..500 => "check its url in the OperatorConfig",
        _ => "is the server, or a proxy before it, overloaded or starting?",
    }
}

fn elements(data: &Data) -> Result<Vec<Element>, Reading> {
    let malformed = |message: &str| failed(QueryError::Malformed, message);
    match data.result_type.as_str() {
        "scalar" => {
            let pair = serde_json::from_str(data.result.get());
            let pair = pair.map_err(|_| malformed("the sample is not a pair of time and value"))?;
            Ok(vec![Element {
                value: Some(pair),
                ..Element::default()
            }])
        }
        "vector" => serde_json::from_str(data.result.get())
            .map_err(|_| malformed("the vector is not a list of elements with a pair of time and value each")),
        other => {
            let message =
                format!("the result is a {other}; a trigger needs one number: a scalar, or a vector of one element");
            Err(failed(QueryError::Malformed, message))
        }
    }
}

/// What the elements of an answer to one question say.
pub(super) fn number(elements: &[Element], warnings: &[String]) -> Reading {
    let element = match elements {
        [] => return Reading::Empty,
        [one] => one,
        elements => return many(elements, warnings),
    };
    if element.histogram.is_some() {
        let advice = "the result is a native histogram: take a number from it, such as histogram_quantile(0.95, …)";
        return failed(QueryError::Malformed, advice);
    }
    let Some(pair) = element.pair() else {
        return failed(QueryError::Malformed, "the sample is not a pair of time and value");
    };
    let Some(number) = pair.number() else {
        return failed(QueryError::Malformed, format!("`{}` is not a number", pair.1));
    };
    match (Milli::from_f64(number), warnings.first()) {
        (None, _) => Reading::NotFinite { text: pair.1.clone() },
        (Some(value), None) => Reading::Value {
            value,
            sampled_at: pair.at(),
            contributors: None,
        },
        (Some(value), Some(warning)) => Reading::Partial {
            value,
            sampled_at: pair.at(),
            warning: warning.chars().take(200).collect(),
        },
    }
}

/// Several elements; how they are combined is the trigger's business.
fn many(elements: &[Element], warnings: &[String]) -> Reading {
    let (mut sum, mut highest, mut oldest) = (0.0, f64::NEG_INFINITY, None::<Time>);
    for element in elements {
        let Some(pair) = element.pair() else {
            let advice = "an element of the result is a native histogram: take a number from each";
            return failed(QueryError::Malformed, advice);
        };
        let Some(number) = pair.number().filter(|n| n.is_finite()) else {
            return Reading::NotFinite { text: pair.1.clone() };
        };
        sum += number;
        highest = number.max(highest);
        oldest = Some(oldest.map_or(pair.at(), |old| old.min(pair.at())));
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
        contributors: None,
    }
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
            contributors: None,
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
                contributors: None,
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
