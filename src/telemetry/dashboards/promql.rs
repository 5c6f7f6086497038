//! Builds PromQL from the metric registry. A metric that is renamed breaks the build; a label that a metric does not have, a
//! rate of a gauge and the like are remembered as problems, and fail the rendering.

use std::collections::BTreeSet;

use crate::telemetry::metrics::{Described, MetricKind};

/// Labels that every series has in Prometheus: from the scrape (`instance`, `job`), or as an external label (`cluster`).
pub const TARGET_LABELS: [&str; 3] = ["cluster", "instance", "job"];

/// Keeps the series whose label compares so.
#[derive(Clone, Copy, Debug)]
pub(super) struct Matcher(&'static str, &'static str, &'static str);

pub(super) const fn is(label: &'static str, value: &'static str) -> Matcher {
    Matcher(label, "=", value)
}

pub(super) const fn is_not(label: &'static str, value: &'static str) -> Matcher {
    Matcher(label, "!=", value)
}

pub(super) const fn like(label: &'static str, regex: &'static str) -> Matcher {
    Matcher(label, "=~", regex)
}

pub(super) const fn unlike(label: &'static str, regex: &'static str) -> Matcher {
    Matcher(label, "!~", regex)
}

/// Where queries are used: which series they are about, and over which range rates are taken.
#[derive(Clone, Debug)]
pub(super) struct Scope {
    /// Applied to every metric that has the label.
    pub matchers: &'static [Matcher],
    /// The range of rates.
    pub range: &'static str,
}

impl Scope {
    /// A gauge.
    pub fn gauge(&self, metric: &Described, own: &[Matcher]) -> Query {
        self.select(metric, MetricKind::Gauge, "", own)
    }

    /// Events a second.
    pub fn rate(&self, metric: &Described, own: &[Matcher]) -> Query {
        let counter = self.select(metric, MetricKind::Counter, "", own);
        counter.map(|text| format!("rate({text}[{}])", self.range))
    }

    /// Events within the range.
    pub fn increase(&self, metric: &Described, own: &[Matcher]) -> Query {
        let counter = self.select(metric, MetricKind::Counter, "", own);
        counter.map(|text| format!("increase({text}[{}])", self.range))
    }

    /// How often a counter moved within a fixed range: for annotations.
    pub fn moves(&self, metric: &Described, own: &[Matcher], range: &str) -> Query {
        let counter = self.select(metric, MetricKind::Counter, "", own);
        counter.map(|text| format!("changes({text}[{range}])"))
    }

    /// A quantile of a histogram.
    pub fn quantile(&self, quantile: &str, metric: &Described, by: &[&str]) -> Query {
        let mut buckets = self.select(metric, MetricKind::Histogram, "_bucket", &[]);
        buckets.labels.insert("le".into());
        let rate = buckets.map(|text| format!("rate({text}[{}])", self.range));
        let with_le: Vec<&str> = by.iter().copied().chain(["le"]).collect();
        let mut quantiles = rate
            .sum(&with_le)
            .map(|text| format!("histogram_quantile({quantile}, {text})"));
        quantiles.labels.remove("le");
        quantiles
    }

    /// 1 where there is no such series at all.
    pub fn absent(&self, metric: &Described) -> Query {
        let mut query = self.gauge(metric, &[]).map(|text| format!("absent({text})"));
        query.labels.clear();
        query
    }

    /// The values of a label, for a variable of a board.
    pub fn values(&self, metric: &Described, own: &[Matcher], label: &str) -> Query {
        let mut query = self.gauge(metric, own);
        query.needs(label);
        query.map(|text| format!("label_values({text}, {label})"))
    }

    fn select(&self, metric: &Described, kind: MetricKind, suffix: &str, own: &[Matcher]) -> Query {
        let own_labels = metric.labels.iter().copied().chain(TARGET_LABELS);
        let labels: BTreeSet<String> = own_labels.map(str::to_owned).collect();
        let shared = self.matchers.iter().filter(|m| labels.contains(m.0));
        let mut query = Query {
            labels: labels.clone(),
            ..Query::default()
        };
        let mut parts = Vec::new();
        for Matcher(label, op, value) in shared.chain(own) {
            query.needs(label);
            parts.push(format!("{label}{op}\"{value}\""));
        }
        if metric.kind != kind {
            query.blame(format!("{} is a {:?}, not a {kind:?}", metric.name, metric.kind));
        }
        let matchers = if parts.is_empty() {
            String::new()
        } else {
            format!("{{{}}}", parts.join(", "))
        };
        query.text = format!("{}{suffix}{matchers}", metric.name);
        query
    }
}

/// A query, the labels of its result, and what is wrong with it.
#[derive(Clone, Debug, Default)]
pub(super) struct Query {
    text: String,
    labels: BTreeSet<String>,
    compound: bool,
    problem: Option<String>,
}

impl Query {
    /// What a recording rule stored.
    pub fn recorded(record: &str, labels: &[&str]) -> Self {
        Self {
            text: record.to_owned(),
            labels: labels.iter().map(|l| (*l).to_owned()).collect(),
            ..Self::default()
        }
    }

    pub fn sum(self, by: &[&str]) -> Self {
        self.aggregate("sum", by)
    }

    pub fn max(self, by: &[&str]) -> Self {
        self.aggregate("max", by)
    }

    pub fn min(self, by: &[&str]) -> Self {
        self.aggregate("min", by)
    }

    pub fn count(self, by: &[&str]) -> Self {
        self.aggregate("count", by)
    }

    /// Seconds since the times that it gives.
    pub fn age(self) -> Self {
        self.map(|text| format!("time() - {text}")).compounded()
    }

    /// Zero where there is no result.
    pub fn or_zero(self) -> Self {
        let mut query = self.operand().map(|text| format!("{text} or vector(0)")).compounded();
        query.labels.clear();
        query
    }

    /// With a number: `> 0`.
    pub fn compare(self, op: &str, number: &str) -> Self {
        self.operand().map(|text| format!("{text} {op} {number}")).compounded()
    }

    /// With another query of the same labels: `/`, `and`, `unless`, `>=`.
    pub fn with(self, op: &str, other: Self) -> Self {
        let (left, right) = (self.operand(), other.operand());
        let mut query = Self {
            text: format!("{} {op} {}", left.text, right.text),
            problem: left.problem.or(right.problem),
            labels: left.labels,
            compound: true,
        };
        if query.labels != right.labels {
            query.blame(format!("{}: the two sides have different labels", query.text));
        }
        query
    }

    /// The text, if nothing is wrong; `templates` may use labels as `{{name}}` or `{{ $labels.name }}`.
    pub fn finish(&self, templates: &[&str]) -> Result<String, String> {
        if let Some(problem) = &self.problem {
            return Err(problem.clone());
        }
        for label in templates.iter().flat_map(|text| used_labels(text)) {
            if !self.labels.contains(label) {
                return Err(format!("{}: a text uses the label {label}, which it lacks", self.text));
            }
        }
        Ok(self.text.clone())
    }

    fn aggregate(mut self, how: &str, by: &[&str]) -> Self {
        for label in by {
            self.needs(label);
        }
        self.text = if by.is_empty() {
            format!("{how}({})", self.text)
        } else {
            format!("{how} by ({}) ({})", by.join(", "), self.text)
        };
        self.labels = by.iter().map(|l| (*l).to_owned()).collect();
        self.compound = false;
        self
    }

    fn map(mut self, change: impl FnOnce(&str) -> String) -> Self {
        self.text = change(&self.text);
        self
    }

    fn compounded(mut self) -> Self {
        self.compound = true;
        self
    }

    fn operand(mut self) -> Self {
        if std::mem::take(&mut self.compound) {
            self.text = format!("({})", self.text);
        }
        self
    }

    fn needs(&mut self, label: &str) {
        if !self.labels.contains(label) {
            self.blame(format!("{}: there is no label {label}", self.text));
        }
    }

    fn blame(&mut self, problem: String) {
        self.problem.get_or_insert(problem);
    }
}

/// The labels that a legend or an annotation fills in.
fn used_labels(template: &str) -> impl Iterator<Item = &str> {
    template.split("{{").skip(1).filter_map(|rest| {
        let inner = rest.split("}}").next()?.trim();
        match inner.strip_prefix("$labels.") {
            Some(label) => label.split_whitespace().next(),
            None => (!inner.starts_with('$')).then_some(inner),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::metrics::Metrics;

    const RULES: Scope = Scope {
        matchers: &[like("job", "$job"), is("namespace", "$namespace")],
        range: "5m",
    };

    #[test]
    fn selectors_bear_the_matchers_of_their_scope_where_the_metric_has_the_label() {
        let m = Metrics::catalogue();
        let failed = RULES.rate(&m.queries, &[is_not("outcome", "Value")]).sum(&["server"]);
        assert_eq!(
            failed.finish(&["{{server}}"]).unwrap(),
            "sum by (server) (rate(homeostat_queries_total{job=~\"$job\", outcome!=\"Value\"}[5m]))"
        );
        let desired = RULES.gauge(&m.desired_replicas, &[]).max(&[]).compare(">", "3");
        assert_eq!(
            desired
                .with("and", RULES.gauge(&m.leader, &[]).sum(&[]))
                .finish(&[])
                .unwrap(),
            "(max(homeostat_desired_replicas{job=~\"$job\", namespace=\"$namespace\"}) > 3) and sum(homeostat_leader{job=~\"$job\"})"
        );
        assert_eq!(
            RULES
                .quantile("0.99", &m.step_seconds, &["job"])
                .finish(&["{{job}}"])
                .unwrap(),
            "histogram_quantile(0.99, sum by (job, le) (rate(homeostat_step_seconds_bucket{job=~\"$job\"}[5m])))"
        );
    }

    #[test]
    fn what_the_registry_does_not_have_fails() {
        let m = Metrics::catalogue();
        let cases = [
            (RULES.gauge(&m.leader, &[is("pod", "x")]), "", "there is no label pod"),
            (
                RULES.gauge(&m.leader, &[]).sum(&["policy"]),
                "",
                "there is no label policy",
            ),
            (RULES.rate(&m.leader, &[]), "", "is a Gauge, not a Counter"),
            (RULES.gauge(&m.steps, &[]), "", "is a Counter, not a Gauge"),
            (
                RULES.gauge(&m.leader, &[]).sum(&["job"]),
                "{{instance}}",
                "uses the label instance",
            ),
            (
                RULES.gauge(&m.leader, &[]),
                "for {{ $labels.pool }}",
                "uses the label pool",
            ),
            (
                RULES
                    .gauge(&m.leader, &[])
                    .with("/", RULES.gauge(&m.policy_ready, &[]).sum(&[])),
                "",
                "different labels",
            ),
        ];
        for (query, template, problem) in cases {
            let found = query.finish(&[template]).unwrap_err();
            assert!(found.contains(problem), "{found}");
        }
    }
}
