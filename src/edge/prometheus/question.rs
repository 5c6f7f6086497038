//! What a PromQL query is made of, as far as that can be told before a server is asked.

use std::collections::BTreeMap;

use promql_parser::label::MatchOp;
use promql_parser::parser::value::ValueType;
use promql_parser::parser::{Expr, VectorSelector, parse};

/// A query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// As it was written.
    pub expr: String,
    /// `None` where it can't be read here: the server is the judge.
    pub parts: Option<Parts>,
}

/// What a query consists of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parts {
    /// It gives a scalar and not a vector.
    pub scalar: bool,
    /// The series that it is made from at the time of asking, each selector once. Those with an offset or `@` are left out:
    /// what was then can't get lost now.
    pub selectors: Vec<Selector>,
}

/// A selector of series.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector {
    /// As it is asked.
    pub text: Box<str>,
    /// The metric's name; empty where the selector has none.
    pub name: Box<str>,
    /// What it says of labels; empty where that can't be taken apart.
    pub matchers: Box<[Matcher]>,
}

/// What a selector says of a label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matcher {
    /// The label.
    pub label: Box<str>,
    /// As it is asked.
    pub text: Box<str>,
    /// The one value that it must have, where it is that and there is one.
    pub value: Option<Box<str>>,
}

impl Question {
    /// Reads a query.
    #[must_use]
    pub fn new(expr: &str) -> Self {
        Self {
            expr: expr.to_owned(),
            parts: parse(expr).ok().and_then(|parsed| Parts::of(&parsed)),
        }
    }
}

impl Parts {
    /// `None`: it gives neither a scalar nor a vector, so that it can't be a part of something larger.
    fn of(parsed: &Expr) -> Option<Self> {
        let scalar = match parsed.value_type() {
            ValueType::Scalar => true,
            ValueType::Vector => false,
            ValueType::Matrix | ValueType::String => return None,
        };
        let mut selectors = BTreeMap::new();
        collect(parsed, &mut selectors);
        Some(Self {
            scalar,
            selectors: selectors.into_values().collect(),
        })
    }
}

fn collect(expr: &Expr, into: &mut BTreeMap<String, Selector>) {
    match expr {
        Expr::Aggregate(aggregate) => {
            collect(&aggregate.expr, into);
            if let Some(param) = &aggregate.param {
                collect(param, into);
            }
        }
        Expr::Unary(unary) => collect(&unary.expr, into),
        Expr::Binary(binary) => {
            collect(&binary.lhs, into);
            collect(&binary.rhs, into);
        }
        Expr::Paren(paren) => collect(&paren.expr, into),
        Expr::Subquery(subquery) if subquery.offset.is_none() && subquery.at.is_none() => collect(&subquery.expr, into),
        Expr::VectorSelector(selector) => add(selector, into),
        Expr::MatrixSelector(selector) => add(&selector.vs, into),
        Expr::Call(call) => call.args.args.iter().for_each(|arg| collect(arg, into)),
        Expr::Subquery(_) | Expr::NumberLiteral(_) | Expr::StringLiteral(_) | Expr::Extension(_) => {}
    }
}

fn add(selector: &VectorSelector, into: &mut BTreeMap<String, Selector>) {
    if selector.offset.is_some() || selector.at.is_some() {
        return;
    }
    let text = selector.to_string();
    let matchers = &selector.matchers;
    let apart = matchers.or_matchers.is_empty();
    let matchers = matchers.matchers.iter().filter(|_| apart).map(|matcher| {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let is_one = matches!(matcher.op, MatchOp::Equal) && !matcher.value.is_empty();
        let can_differ = is_one && matcher.name != "__name__" && matcher.name.chars().all(is_plain);
        Matcher {
            label: matcher.name.as_str().into(),
            text: matcher.to_string().into(),
            value: can_differ.then(|| matcher.value.as_str().into()),
        }
    });
    let selector = Selector {
        text: text.as_str().into(),
        name: selector.name.as_deref().unwrap_or_default().into(),
        matchers: matchers.collect(),
    };
    into.insert(text, selector);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selectors(expr: &str) -> Vec<String> {
        let selectors = Question::new(expr).parts.unwrap().selectors;
        selectors.into_iter().map(|selector| selector.text.into()).collect()
    }

    #[test]
    fn selectors_are_found_wherever_they_stand() {
        assert_eq!(
            selectors(
                r#"sum by (pod) (rate(http_requests_total{app="web", code!~"5.."}[2m])) / on (pod) (max_over_time(up[5m:1m]) > 0)
                   + quantile_over_time(scalar(share), x[1h]) - absent(up)"#
            ),
            [r#"http_requests_total{app="web",code!~"5.."}"#, "share", "up", "x",]
        );
    }

    #[test]
    fn what_was_then_is_no_matter_of_now() {
        assert_eq!(
            selectors("a - a offset 1w - b @ 1609746000 - max_over_time(c[5m:1m] offset 1d)"),
            ["a"]
        );
    }

    #[test]
    fn values_of_labels_stay_what_they_are() {
        let value = r#"x{path="C:\\a\"b\n",re=~"a\\.b{2}|c{d}"}"#;
        assert_eq!(selectors(value), [value]);
        assert_eq!(selectors(r"x{path='a\\.b'}"), [r#"x{path="a\\.b"}"#]);
    }

    #[test]
    fn kinds_of_results_are_told_apart() {
        let scalar = |expr: &str| Question::new(expr).parts.map(|parts| parts.scalar);
        assert_eq!(scalar("1 + 2"), Some(true));
        assert_eq!(scalar("scalar(up)"), Some(true));
        assert_eq!(scalar("time() - up"), Some(false));
        assert_eq!(scalar("up[5m]"), None);
        assert_eq!(scalar("'text'"), None);
        assert_eq!(scalar("sum("), None);
        assert_eq!(scalar("up), vector(1"), None);
    }
}
