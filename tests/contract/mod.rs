//! The contract between what is exposed and what is asked: every metric and every label that a board or a rule uses must be
//! in the text of `/metrics`. Included by path wherever there is such a text.

#![allow(dead_code, reason = "every test that includes it uses its own part")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use homeostat::telemetry::dashboards::{TARGET_LABELS, files};
use promql_parser::parser::{Expr, VectorSelector, parse};
use serde_json::Value;

/// A query, and where it is.
pub struct Asked {
    pub place: String,
    pub expr: String,
    /// The name under which a rule stores the result.
    pub record: Option<String>,
    /// Labels that texts around the query use.
    pub labels: Vec<String>,
}

/// A part of a query that reads series: their name, and every label that the query expects of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selected {
    pub metric: String,
    pub labels: BTreeSet<String>,
}

/// Every query of every board and rule.
pub fn asked() -> Vec<Asked> {
    let mut all = Vec::new();
    for (name, text) in files().unwrap() {
        if is_board(&name) {
            of_board(&name, &serde_json::from_str(&text).unwrap(), &mut all);
        } else if name == "rules.yaml" {
            of_rules(&serde_saphyr::from_str(&text).unwrap(), &mut all);
        }
    }
    all
}

/// Whether a file of `dashboards/` is a board.
pub fn is_board(name: &str) -> bool {
    std::path::Path::new(name).extension().is_some_and(|end| end == "json")
}

fn of_board(file: &str, board: &Value, all: &mut Vec<Asked>) {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let mut ask = |place: String, expr: &str, labels: Vec<String>| {
        let expr = expr.to_owned();
        all.push(Asked {
            place: format!("{file}: {place}"),
            expr,
            record: None,
            labels,
        });
    };
    for panel in list(&board["panels"]) {
        for target in list(&panel["targets"]) {
            let legend = target["legendFormat"].as_str().unwrap_or_default();
            ask(
                panel["title"].to_string(),
                target["expr"].as_str().unwrap(),
                templated(legend),
            );
        }
    }
    for mark in list(&board["annotations"]["list"]) {
        let title = mark["titleFormat"].as_str().unwrap_or_default();
        ask(
            mark["name"].to_string(),
            mark["expr"].as_str().unwrap(),
            templated(title),
        );
    }
    for variable in list(&board["templating"]["list"]) {
        if variable["type"] == "query" {
            let (selector, label) = label_values(variable["query"].as_str().unwrap());
            ask(variable["name"].to_string(), &selector, vec![label]);
        }
    }
}

fn of_rules(rules: &Value, all: &mut Vec<Asked>) {
    for rule in rules["groups"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|g| g["rules"].as_array().unwrap())
    {
        let record = rule["record"].as_str().map(str::to_owned);
        let name = record
            .clone()
            .or_else(|| rule["alert"].as_str().map(str::to_owned))
            .unwrap();
        let texts = rule["annotations"].as_object().into_iter().flatten();
        let labels = texts.flat_map(|(_, text)| templated(text.as_str().unwrap())).collect();
        all.push(Asked {
            place: format!("rule {name}"),
            expr: rule["expr"].as_str().unwrap().to_owned(),
            record,
            labels,
        });
    }
}

/// `label_values(selector, label)`.
pub fn label_values(query: &str) -> (String, String) {
    let inner = query
        .strip_prefix("label_values(")
        .and_then(|q| q.strip_suffix(')'))
        .unwrap();
    let (selector, label) = inner.rsplit_once(", ").unwrap();
    (selector.to_owned(), label.to_owned())
}

/// The labels that a legend (`{{pool}}`) or an annotation (`{{ $labels.pool }}`) uses.
fn templated(text: &str) -> Vec<String> {
    let inner = text.split("{{").skip(1).filter_map(|rest| rest.split("}}").next());
    let names = inner
        .map(str::trim)
        .filter_map(|name| match name.strip_prefix("$labels.") {
            Some(label) => Some(label.to_owned()),
            None => (!name.starts_with('$')).then(|| name.to_owned()),
        });
    names.collect()
}

/// The query as Prometheus gets it from Grafana.
pub fn without_variables(expr: &str) -> String {
    let mut text = expr.replace("$__rate_interval", "5m").replace("$__range", "1h");
    for variable in ["job", "instance", "namespace", "policy"] {
        text = text.replace(&format!("${variable}\""), ".*\"");
    }
    text
}

/// What a query reads. Parsing is slow in a build for tests, so answers are kept.
pub fn selected(expr: &str) -> Result<Vec<Selected>, String> {
    static KNOWN: Mutex<BTreeMap<String, Result<Vec<Selected>, String>>> = Mutex::new(BTreeMap::new());
    if let Some(known) = KNOWN.lock().unwrap().get(expr) {
        return known.clone();
    }
    let answer = parsed(expr);
    KNOWN.lock().unwrap().insert(expr.to_owned(), answer.clone());
    answer
}

fn parsed(expr: &str) -> Result<Vec<Selected>, String> {
    let text = without_variables(expr);
    if text.contains('$') {
        return Err(format!("{text}: a variable without a value"));
    }
    let mut found = Vec::new();
    let tree = parse(&text).map_err(|e| format!("{text}: {e}"))?;
    read(&tree, &BTreeSet::new(), &mut found);
    Ok(found)
}

fn read(expr: &Expr, expected: &BTreeSet<String>, found: &mut Vec<Selected>) {
    match expr {
        Expr::Aggregate(aggregate) => {
            let mut inside = BTreeSet::new();
            if let Some(modifier) = &aggregate.modifier {
                inside.extend(modifier.labels().labels.iter().cloned());
            }
            read(&aggregate.expr, &inside, found);
        }
        Expr::Unary(unary) => read(&unary.expr, expected, found),
        Expr::Binary(binary) => {
            read(&binary.lhs, expected, found);
            read(&binary.rhs, expected, found);
        }
        Expr::Paren(paren) => read(&paren.expr, expected, found),
        Expr::Subquery(subquery) => read(&subquery.expr, expected, found),
        Expr::VectorSelector(selector) => found.push(select(selector, expected)),
        Expr::MatrixSelector(matrix) => found.push(select(&matrix.vs, expected)),
        Expr::Call(call) => call.args.args.iter().for_each(|arg| read(arg, expected, found)),
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) | Expr::Extension(_) => {}
    }
}

fn select(selector: &VectorSelector, expected: &BTreeSet<String>) -> Selected {
    let matched = selector.matchers.matchers.iter().map(|m| m.name.clone());
    Selected {
        metric: selector.name.clone().unwrap_or_default(),
        labels: expected.iter().cloned().chain(matched).collect(),
    }
}

/// Every series' name in a text of `/metrics`, with the labels that all its series have.
pub fn exposed(exposition: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut all: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in exposition.lines().filter(|l| !l.starts_with('#')) {
        let Some((name, rest)) = line.split_once(['{', ' ']) else {
            continue;
        };
        let labels: BTreeSet<String> = if line[name.len()..].starts_with('{') {
            label_names(rest)
        } else {
            BTreeSet::new()
        };
        all.entry(name.to_owned())
            .and_modify(|known| known.retain(|label| labels.contains(label)))
            .or_insert(labels);
    }
    all
}

/// `a="x",b="y, \"z\"} 1` has the labels a and b.
fn label_names(text: &str) -> BTreeSet<String> {
    let (mut names, mut name) = (BTreeSet::new(), String::new());
    let (mut quoted, mut escaped) = (false, false);
    for c in text.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ if quoted => {}
            '}' => break,
            '=' => {
                names.insert(std::mem::take(&mut name));
            }
            ',' => name.clear(),
            c => name.push(c),
        }
    }
    names
}

/// What boards and rules use and this text of `/metrics` does not have, each in a sentence. A metric that is only declared,
/// without any series, is missing.
pub fn missing(exposition: &str) -> Vec<String> {
    let mut known = exposed(exposition);
    let asked = asked();
    let mut problems = Vec::new();
    // What rules store is there for other rules, with the labels that they keep.
    for query in &asked {
        if let (Some(record), Ok(parts)) = (&query.record, selected(&query.expr)) {
            let kept = parts.into_iter().map(|part| part.labels).reduce(|a, b| &a & &b);
            known.insert(record.clone(), kept.unwrap_or_default());
        }
    }
    for Asked {
        place, expr, labels, ..
    } in &asked
    {
        let parts = match selected(expr) {
            Ok(parts) => parts,
            Err(problem) => {
                problems.push(format!("{place}: {problem}"));
                continue;
            }
        };
        for Selected { metric, labels: wanted } in parts {
            let Some(there) = known.get(&metric) else {
                problems.push(format!("{place}: there is no series {metric}"));
                continue;
            };
            for label in wanted.iter().chain(labels) {
                if !there.contains(label) && !TARGET_LABELS.contains(&label.as_str()) {
                    problems.push(format!("{place}: {metric} has no label {label}"));
                }
            }
        }
    }
    problems
}
