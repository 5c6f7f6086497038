//! Kubernetes objects → the core's picture of them. Total: whatever the API server stores has a picture.

mod node;
mod pod;
mod requests;

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;

use crate::core::names::Uid;
use crate::core::time::Time;
use crate::core::world::{LabelSelector, Operator, Owner, Requirement, Status};

pub use node::node;
pub use pod::pod;

/// A timestamp; the epoch where it is absent.
#[must_use]
pub fn time(stamp: Option<&meta::Time>) -> Time {
    stamp
        .map(|s| Time::from_millis(s.0.as_millisecond()))
        .unwrap_or_default()
}

fn opt_time(stamp: Option<&meta::Time>) -> Option<Time> {
    stamp.map(|s| Time::from_millis(s.0.as_millisecond()))
}

fn uid(uid: Option<&String>) -> Uid {
    Uid(uid.cloned().unwrap_or_default())
}

fn status(text: &str) -> Status {
    match text {
        "True" => Status::True,
        "False" => Status::False,
        _ => Status::Unknown,
    }
}

/// The owner whose `controller` is true.
fn controller(owners: Option<&Vec<meta::OwnerReference>>) -> Option<Owner> {
    owners?.iter().find(|o| o.controller == Some(true)).map(|o| Owner {
        api_version: o.api_version.clone(),
        kind: o.kind.clone(),
        name: o.name.clone(),
        uid: Uid(o.uid.clone()),
    })
}

/// A label selector; requirements with an unknown operator select nothing, as the API server would refuse them.
#[must_use]
pub fn selector(selector: &meta::LabelSelector) -> LabelSelector {
    let expressions = selector.match_expressions.iter().flatten().map(|e| Requirement {
        key: e.key.clone(),
        operator: match e.operator.as_str() {
            "NotIn" => Operator::NotIn,
            "Exists" => Operator::Exists,
            "DoesNotExist" => Operator::DoesNotExist,
            _ => Operator::In,
        },
        values: e.values.clone().unwrap_or_default(),
    });
    LabelSelector {
        match_labels: selector.match_labels.clone().unwrap_or_default(),
        match_expressions: expressions.collect(),
    }
}

/// A label selector in the text form that `/scale` uses: `a=b,c!=d,e in (f,g),!h`. `None` where it cannot be read.
#[must_use]
pub fn selector_from_text(text: &str) -> Option<LabelSelector> {
    let mut result = LabelSelector::default();
    for part in split_outside_parentheses(text) {
        let part = part.trim();
        if part.is_empty() {
            continue;
        }
        if let Some((key, operator, values)) = set_requirement(part) {
            result.match_expressions.push(Requirement { key, operator, values });
        } else if let Some((key, value)) = part.split_once("!=") {
            let values = vec![value.trim().to_owned()];
            result.match_expressions.push(Requirement {
                key: key.trim().into(),
                operator: Operator::NotIn,
                values,
            });
        } else if let Some((key, value)) = part.split_once('=') {
            result
                .match_labels
                .insert(key.trim().into(), value.trim_start_matches('=').trim().into());
        } else {
            let (operator, key) = match part.strip_prefix('!') {
                Some(key) => (Operator::DoesNotExist, key.trim()),
                None => (Operator::Exists, part),
            };
            if key.contains(char::is_whitespace) {
                return None;
            }
            result.match_expressions.push(Requirement {
                key: key.into(),
                operator,
                values: Vec::new(),
            });
        }
    }
    Some(result)
}

fn split_outside_parentheses(text: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0_i32, 0);
    for (i, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&text[start..i]);
                start = i + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

/// `key in (a,b)` or `key notin (a,b)`.
fn set_requirement(part: &str) -> Option<(String, Operator, Vec<String>)> {
    let (head, list) = part.split_once('(')?;
    let values = list
        .strip_suffix(')')?
        .split(',')
        .map(|v| v.trim().to_owned())
        .collect();
    let mut words = head.split_whitespace();
    let (key, operator) = (words.next()?, words.next()?);
    let operator = match operator {
        "in" => Operator::In,
        "notin" => Operator::NotIn,
        _ => return None,
    };
    Some((key.to_owned(), operator, values))
}

fn labels(labels: Option<&BTreeMap<String, String>>) -> BTreeMap<String, String> {
    labels.cloned().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selector_text_is_read_as_kubernetes_writes_it() {
        let selector = selector_from_text("app=web,tier in (a,b),zone notin (x),!old,new,stage!=dev").unwrap();
        let labels = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
        };
        assert!(selector.matches(&labels(&[("app", "web"), ("tier", "b"), ("new", "")])));
        assert!(!selector.matches(&labels(&[("app", "web"), ("tier", "c"), ("new", "")])));
        assert!(!selector.matches(&labels(&[("app", "web"), ("tier", "b")])));
        assert!(!selector.matches(&labels(&[("app", "web"), ("tier", "b"), ("new", ""), ("stage", "dev")])));
        assert!(selector_from_text("").is_some_and(|s| s.is_empty()));
        assert_eq!(selector_from_text("a b"), None);
    }
}
