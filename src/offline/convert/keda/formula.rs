//! `scalingModifiers.formula`: an expression over the triggers' values whose result is measured against one target. A policy's
//! formula gives replicas: the same expression over `values.NAME`, divided by the target. Arithmetic, comparisons, conditions
//! and a few functions mean the same in both languages; anything else is reported.

use std::collections::BTreeMap;

use super::Notes;
use super::types::{ScalingModifiers, Spec};
use crate::api::scaling_trigger::Trigger;
use crate::core::scaling::formula::Formula;

const FIELD: &str = "spec.advanced.scalingModifiers";

pub(super) fn carry(
    written: &ScalingModifiers,
    spec: &Spec,
    triggers: &[Trigger],
    notes: &mut Notes,
) -> Option<String> {
    let formula = written.formula.as_deref().filter(|f| !f.trim().is_empty())?;
    if let Some(target) = written.activation_target.as_deref().filter(|t| t.parse() != Ok(0.0)) {
        let text =
            format!("{target} is not carried over: a policy is active by its triggers, each above its own activation");
        notes.by_hand(&format!("{FIELD}.activationTarget"), text);
    }
    let field = format!("{FIELD}.formula");
    match convert(formula, written, spec, triggers) {
        Ok(formula) => {
            notes.differs(
                &field,
                "a policy's formula gives replicas: there is no tolerance around it",
            );
            Some(formula)
        }
        Err(reason) => {
            let text = format!("not carried over: {reason}; write a formula by hand");
            notes.lacks(&field, "its formula", text);
            None
        }
    }
}

fn convert(formula: &str, written: &ScalingModifiers, spec: &Spec, triggers: &[Trigger]) -> Result<String, String> {
    let target = written.target.as_deref().unwrap_or_default();
    let positive = target.parse::<f64>().is_ok_and(|t| t > 0.0 && t.is_finite());
    if !positive {
        return Err(format!("its target {target:?} is no number above 0"));
    }
    let mut names = BTreeMap::new();
    let carried = spec.triggers.iter().filter_map(|t| t.name.clone());
    for name in carried {
        let ours = super::label(&name, "trigger");
        if triggers.iter().any(|t| t.name == ours) {
            names.insert(name, format!("values.{}", identifier(&ours)));
        }
    }
    let expression = translate(formula, &names)?;
    let ready = match written.metric_type.as_deref().unwrap_or("AverageValue") {
        "AverageValue" | "" => "",
        "Value" => " * ready",
        other => return Err(format!("its metricType {other} is neither AverageValue nor Value")),
    };
    // A difference can be negative, which is no number of replicas; KEDA takes it for none.
    let replicas = format!("({expression}) / {target}{ready}");
    let text = if expression.contains('-') {
        format!("max(0, {replicas})")
    } else {
        replicas
    };
    let known: Vec<String> = triggers.iter().map(|t| t.name.clone()).collect();
    Formula::parse(&text, &known).map_err(|e| e.to_string())?;
    Ok(text)
}

/// A trigger's name as formulas write it.
fn identifier(name: &str) -> String {
    let name = name.replace('-', "_");
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        format!("_{name}")
    } else {
        name
    }
}

/// The same expression in CEL.
fn translate(text: &str, names: &BTreeMap<String, String>) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = text.trim();
    while let Some(c) = rest.chars().next() {
        let word = |allowed: fn(char) -> bool| rest.find(|c| !allowed(c)).unwrap_or(rest.len());
        let length = if c.is_ascii_digit() {
            let length = word(|c| c.is_ascii_digit() || c == '.');
            out += &rest[..length];
            length
        } else if c.is_ascii_alphabetic() || c == '_' {
            let length = word(|c| c.is_ascii_alphanumeric() || c == '_');
            out += &named(&rest[..length], rest[length..].trim_start().starts_with('('), names)?;
            length
        } else {
            let operator = operator(rest).ok_or_else(|| format!("`{c}` has no equivalent, in `{text}`"))?;
            out += operator;
            operator.len()
        };
        rest = &rest[length..];
    }
    Ok(out)
}

fn named(word: &str, called: bool, names: &BTreeMap<String, String>) -> Result<String, String> {
    match (word, called) {
        ("and", false) => Ok("&&".into()),
        ("or", false) => Ok("||".into()),
        ("not", _) => Ok("!".into()),
        // Every number of a formula is one already.
        ("float", true) => Ok(String::new()),
        ("max" | "min" | "abs" | "ceil" | "floor" | "round", true) => Ok(word.to_owned()),
        (_, true) => Err(format!("the function {word} has no equivalent")),
        (_, false) => {
            let missing = || format!("`{word}` is no trigger that was carried over under that name");
            names.get(word).cloned().ok_or_else(missing)
        }
    }
}

/// The operator that the text starts with, where both languages have it in one meaning.
fn operator(text: &str) -> Option<&'static str> {
    // `??`, `**` and `..` are of the other language only.
    if text.starts_with("??") || text.starts_with("**") || text.starts_with("?.") {
        return None;
    }
    let known = [
        "<=", ">=", "==", "!=", "&&", "||", "+", "-", "*", "/", "(", ")", ",", "<", ">", "!", "?", ":", " ",
    ];
    known.into_iter().find(|operator| text.starts_with(operator))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_arithmetic_is_the_same_and_the_rest_is_refused() {
        let names: BTreeMap<String, String> = [("a", "values.a"), ("b_c", "values.b_c")]
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .into();
        let cel = |text: &str| translate(text, &names);
        assert_eq!(cel("a + b_c/2").as_deref(), Ok("values.a + values.b_c/2"));
        assert_eq!(
            cel("a > 1 and not (b_c < 2) ? max(a, b_c) : 0.5").as_deref(),
            Ok("values.a > 1 && ! (values.b_c < 2) ? max(values.a, values.b_c) : 0.5")
        );
        assert_eq!(cel("float(a)").as_deref(), Ok("(values.a)"));
        for bad in [
            "a ** 2",
            "a ^ 2",
            "a % 2",
            "a ?? 1",
            "sum([a, b_c])",
            "x + 1",
            "a + \"1\"",
            "count(a)",
        ] {
            assert!(cel(bad).is_err(), "{bad}: {:?}", cel(bad));
        }
    }
}
