//! The paths of the metrics APIs.

use std::fmt::Write as _;

use crate::core::names::MetricName;
use crate::core::world::{LabelSelector, Operator};

/// What the pods of a selector use.
pub(super) fn resources(namespace: &str, selector: &LabelSelector) -> String {
    let mut path = format!("/apis/metrics.k8s.io/v1beta1/namespaces/{}/pods", escaped(namespace));
    query(&mut path, &[("labelSelector", &text(selector))]);
    path
}

/// A metric of each pod of a selector.
pub(super) fn pods(version: &str, namespace: &str, selector: &LabelSelector, metric: &MetricName) -> String {
    let mut path = format!(
        "/apis/custom.metrics.k8s.io/{version}/namespaces/{}/pods/*/{}",
        escaped(namespace),
        escaped(&metric.name)
    );
    let selector = text(selector);
    query(
        &mut path,
        &[("labelSelector", &selector), ("metricLabelSelector", &metric.selector)],
    );
    path
}

/// A metric of one object. `resource` is as in `services` or `deployments.apps`; the namespace is empty for cluster-scoped kinds.
pub(super) fn object(version: &str, namespace: &str, resource: &str, name: &str, metric: &MetricName) -> String {
    let (name, series) = (escaped(name), escaped(&metric.name));
    let base = format!("/apis/custom.metrics.k8s.io/{version}");
    let mut path = match (namespace, resource) {
        // A namespace's own metrics would otherwise look like those of an object within it.
        (_, "namespaces") => format!("{base}/namespaces/{name}/metrics/{series}"),
        ("", _) => format!("{base}/{resource}/{name}/{series}"),
        _ => format!("{base}/namespaces/{}/{resource}/{name}/{series}", escaped(namespace)),
    };
    query(&mut path, &[("metricLabelSelector", &metric.selector)]);
    path
}

/// Every series of an external metric.
pub(super) fn external(namespace: &str, metric: &MetricName) -> String {
    let mut path = format!(
        "/apis/external.metrics.k8s.io/v1beta1/namespaces/{}/{}",
        escaped(namespace),
        escaped(&metric.name)
    );
    query(&mut path, &[("labelSelector", &metric.selector)]);
    path
}

fn query(path: &mut String, pairs: &[(&str, &str)]) {
    let mut mark = '?';
    for (key, value) in pairs.iter().filter(|(_, value)| !value.is_empty()) {
        let _ = write!(path, "{mark}{key}={}", escaped(value));
        mark = '&';
    }
}

/// A selector as Kubernetes writes it.
fn text(selector: &LabelSelector) -> String {
    let equal = selector
        .match_labels
        .iter()
        .map(|(key, value)| format!("{key}={value}"));
    let further = selector.match_expressions.iter().map(|r| {
        let values = || r.values.join(",");
        match r.operator {
            Operator::In => format!("{} in ({})", r.key, values()),
            Operator::NotIn => format!("{} notin ({})", r.key, values()),
            Operator::Exists => r.key.clone(),
            Operator::DoesNotExist => format!("!{}", r.key),
        }
    });
    equal.chain(further).collect::<Vec<_>>().join(",")
}

/// With percent escapes for everything that means something in a URL.
fn escaped(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            result.push(char::from(byte));
        } else {
            let _ = write!(result, "%{byte:02X}");
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::world::Requirement;

    fn metric(name: &str, selector: &str) -> MetricName {
        MetricName {
            name: name.into(),
            selector: selector.into(),
        }
    }

    #[test]
    fn paths_are_those_of_the_apis() {
        let web = LabelSelector {
            match_labels: [("app".to_owned(), "web".to_owned())].into(),
            match_expressions: vec![Requirement {
                key: "tier".into(),
                operator: Operator::NotIn,
                values: vec!["a".into(), "b".into()],
            }],
        };
        let selected = "labelSelector=app%3Dweb%2Ctier%20notin%20%28a%2Cb%29";
        assert_eq!(
            resources("shop", &web),
            format!("/apis/metrics.k8s.io/v1beta1/namespaces/shop/pods?{selected}")
        );
        assert_eq!(
            pods("v1beta2", "shop", &web, &metric("rps", "code=2xx")),
            format!(
                "/apis/custom.metrics.k8s.io/v1beta2/namespaces/shop/pods/*/rps?{selected}&metricLabelSelector=code%3D2xx"
            )
        );
        let rps = metric("rps", "");
        let of = |namespace, resource, name| object("v1beta1", namespace, resource, name, &rps);
        let base = "/apis/custom.metrics.k8s.io/v1beta1";
        assert_eq!(
            of("shop", "deployments.apps", "web"),
            format!("{base}/namespaces/shop/deployments.apps/web/rps")
        );
        assert_eq!(of("", "nodes", "n1"), format!("{base}/nodes/n1/rps"));
        assert_eq!(
            of("shop", "namespaces", "shop"),
            format!("{base}/namespaces/shop/metrics/rps")
        );
        assert_eq!(
            external("shop", &metric("s3/lag?", "topic in (a)")),
            "/apis/external.metrics.k8s.io/v1beta1/namespaces/shop/s3%2Flag%3F?labelSelector=topic%20in%20%28a%29"
        );
    }
}
