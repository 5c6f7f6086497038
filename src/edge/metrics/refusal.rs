//! Why a metrics API gave no numbers, and what to do about it.

use serde_json::Value;

use crate::core::names::QueryKey;
use crate::core::sample::{QueryError, Reading};

/// The longest message of a failure, in characters.
const MESSAGE_MAX: usize = 500;

/// A failure with its sentence.
pub(super) fn failed(error: QueryError, message: &str) -> Reading {
    Reading::Failed {
        error,
        message: message.chars().take(MESSAGE_MAX).collect(),
    }
}

/// Whether the API server does not know the path at all: nothing is registered there.
pub(super) fn is_unserved(status: u16, body: &[u8]) -> bool {
    // Whatever serves an API says what it misses in a Status; only the API server itself answers in plain text.
    status == 404 && serde_json::from_slice::<Value>(body).is_err()
}

/// Reads an answer that is not a success.
pub(super) fn read(key: &QueryKey, status: u16, body: &[u8]) -> Reading {
    if is_unserved(status, body) {
        return failed(QueryError::NoMetricsApi, &not_installed(key));
    }
    let api = key.server();
    let said = words(body);
    match status {
        401 => failed(
            QueryError::Forbidden,
            &format!("{api} does not know the operator: is its ServiceAccount's token still good? (it says: {said})"),
        ),
        403 => failed(
            QueryError::Forbidden,
            &format!(
                "the operator may not ask {api}: give its ServiceAccount {} (it says: {said})",
                right(key)
            ),
        ),
        404 => match key {
            // A metric that exists, of which no pod has a value, is an empty list with some adapters and this with others.
            QueryKey::Resources { .. } => failed(QueryError::Status, &format!("{api} answered with HTTP 404: {said}")),
            _ => Reading::Empty,
        },
        400 => failed(
            QueryError::BadQuery,
            &format!("{api} cannot read the question: correct the trigger's metric and selector (it says: {said})"),
        ),
        408 | 504 => failed(
            QueryError::Timeout,
            &format!("{api} was too slow: {} (it says: {said})", look(key)),
        ),
        429 => failed(
            QueryError::Unreachable,
            &format!("the API server, or what serves {api}, is overloaded (it says: {said})"),
        ),
        502 | 503 => failed(
            QueryError::Unreachable,
            &format!(
                "{api} is registered and does not answer: {} (HTTP {status}: {said})",
                look(key)
            ),
        ),
        _ => failed(
            QueryError::Status,
            &format!("{api} answered with HTTP {status}: {} (it says: {said})", look(key)),
        ),
    }
}

fn not_installed(key: &QueryKey) -> String {
    let api = key.server();
    let install = match key {
        QueryKey::Resources { .. } => "install metrics-server",
        QueryKey::External { .. } => {
            "install an adapter for external metrics, or take a prometheus trigger, which needs none"
        }
        _ => {
            "install an adapter for custom metrics such as prometheus-adapter, or take a prometheus trigger, which needs none"
        }
    };
    format!("the cluster has no API {api}: {install}")
}

/// The right that is missing.
fn right(key: &QueryKey) -> &'static str {
    match key {
        QueryKey::Resources { .. } => "list on pods in API group metrics.k8s.io",
        QueryKey::External { .. } => "list on * in API group external.metrics.k8s.io",
        _ => "get on * in API group custom.metrics.k8s.io",
    }
}

/// Where to look when it is away or slow.
fn look(key: &QueryKey) -> String {
    let part = match key {
        QueryKey::Resources { .. } => "metrics-server",
        _ => "its adapter",
    };
    format!("is {part} up? `kubectl get apiservices | grep {}` tells", key.server())
}

/// The answer's own words, shortened.
pub(super) fn words(body: &[u8]) -> String {
    let text = match serde_json::from_slice::<Value>(body) {
        Ok(status) if status["message"].is_string() => status["message"].as_str().unwrap_or_default().to_owned(),
        _ => String::from_utf8_lossy(&body[..body.len().min(400)]).replace('\n', " "),
    };
    let text: String = text.trim().chars().take(200).collect();
    if text.is_empty() { "nothing".into() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> QueryKey {
        QueryKey::try_from(text.to_owned()).unwrap()
    }

    fn status(code: u16, message: &str) -> Vec<u8> {
        serde_json::json!({"kind": "Status", "code": code, "message": message})
            .to_string()
            .into_bytes()
    }

    #[test]
    fn each_refusal_says_what_to_do() {
        let usage = key("resources|apps/v1|Deployment|shop|web");
        let object = key("object|v1|Service|shop|front|rps|");
        let external = key("external|shop|lag|");
        let plain = b"404 page not found\n".to_vec();
        let cases = [
            (&usage, 404, plain.clone(), QueryError::NoMetricsApi, "metrics-server"),
            (
                &object,
                404,
                plain.clone(),
                QueryError::NoMetricsApi,
                "prometheus-adapter",
            ),
            (&external, 404, plain, QueryError::NoMetricsApi, "external metrics"),
            (
                &usage,
                403,
                status(403, "no"),
                QueryError::Forbidden,
                "list on pods in API group metrics.k8s.io",
            ),
            (
                &object,
                403,
                status(403, "no"),
                QueryError::Forbidden,
                "get on * in API group custom.metrics.k8s.io",
            ),
            (&external, 403, status(403, "no"), QueryError::Forbidden, "list on *"),
            (
                &usage,
                503,
                b"service unavailable".to_vec(),
                QueryError::Unreachable,
                "is metrics-server up?",
            ),
            (&external, 504, vec![], QueryError::Timeout, "too slow"),
            (
                &external,
                400,
                status(400, "bad selector"),
                QueryError::BadQuery,
                "bad selector",
            ),
            (&object, 500, status(500, "it broke"), QueryError::Status, "it broke"),
        ];
        for (key, code, body, expected, words) in cases {
            let Reading::Failed { error, message } = read(key, code, &body) else {
                panic!("{key} {code}");
            };
            assert_eq!(error, expected, "{message}");
            assert!(
                message.contains(words) && message.chars().count() <= MESSAGE_MAX,
                "{message}"
            );
        }
    }

    #[test]
    fn a_metric_that_nobody_has_is_no_data_and_no_missing_api() {
        let said = status(404, "the server could not find the metric rps for services front");
        assert_eq!(
            read(&key("object|v1|Service|shop|front|rps|"), 404, &said),
            Reading::Empty
        );
    }
}
