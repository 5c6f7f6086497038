//! The CEL rules that several kinds share. Each has a message that says what to write instead.
//!
//! The server limits what rules may cost, by the maxima in the schema: every string, list and map that a rule looks at needs
//! one. A rule asks with `has()` even for required members: of an object that lacks one, stored under an older definition, the
//! server would otherwise refuse every status.

use kube::core::{Reason, Rule};

const LABEL_KEY: &str = "^([a-z0-9][-a-z0-9.]*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$";
const A_LABEL_KEY: &str = "a label key such as tier or example.com/tier";

fn invalid(rule: impl Into<String>, message: &str) -> Rule {
    Rule::new(rule).message(message).reason(Reason::FieldValueInvalid)
}

/// A duration between two others, the ends included.
#[must_use]
pub fn duration(min: &str, max: &str) -> Rule {
    invalid(
        format!(
            "self.matches('^([0-9]{{1,6}}(ms|s|m|h))+$') && duration(self) >= duration('{min}') && duration(self) <= duration('{max}')"
        ),
        &format!("must be a duration such as 30s, 5m or 1h30m, from {min} to {max}"),
    )
}

/// A quantity above zero.
#[must_use]
pub fn positive_quantity() -> Rule {
    invalid(
        "isQuantity(string(self)) && quantity(string(self)).isGreaterThan(quantity('0'))",
        "must be a quantity above zero, such as 100, 250m or 1.5",
    )
}

/// A quantity that is not negative.
#[must_use]
pub fn quantity_from_zero() -> Rule {
    invalid(
        "isQuantity(string(self)) && !quantity(string(self)).isLessThan(quantity('0'))",
        "must be a quantity of at least zero, such as 0.1 or 50m",
    )
}

/// Exactly one of these fields is set.
#[must_use]
pub fn exactly_one_of(fields: &[&str]) -> Rule {
    let has: Vec<String> = fields.iter().map(|field| format!("has(self.{field})")).collect();
    let message = match fields {
        [only] => format!("{only} must be set"),
        _ => format!("exactly one of {} must be set", fields.join(", ")),
    };
    invalid(format!("[{}].filter(x, x).size() == 1", has.join(", ")), &message)
}

/// A name as Kubernetes' labels want it (RFC 1123 label), so that it can be part of label values and of other names.
#[must_use]
pub fn label_name() -> Rule {
    invalid(
        "self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
        "must be lower-case letters, digits and hyphens, such as web-1",
    )
}

/// A name of a Kubernetes object (RFC 1123 subdomain).
#[must_use]
pub fn object_name() -> Rule {
    invalid(
        "self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')",
        "must be the name of an object: lower-case letters, digits, hyphens and dots",
    )
}

/// Key of a label or a taint.
#[must_use]
pub fn label_key() -> Rule {
    invalid(
        format!("self.matches('{LABEL_KEY}')"),
        &format!("must be {A_LABEL_KEY}"),
    )
}

/// Value of a label or a taint.
#[must_use]
pub fn label_value() -> Rule {
    invalid(
        "self.matches('^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$')",
        "must be letters, digits, hyphens, underscores and dots, such as batch",
    )
}

/// A map whose keys are those of labels.
#[must_use]
pub fn label_keys() -> Rule {
    invalid(
        format!("self.all(k, k.size() <= 317 && k.matches('{LABEL_KEY}'))"),
        &format!("each key must be {A_LABEL_KEY}"),
    )
}

/// A URL with one of these schemes.
#[must_use]
pub fn url(schemes: &[&str], example: &str) -> Rule {
    invalid(
        format!("self.matches('^({})://[^\\\\s]+$')", schemes.join("|")),
        &format!(
            "must be a URL such as {example}; its scheme one of {}",
            schemes.join(", ")
        ),
    )
}

/// A URL without user name or password.
#[must_use]
pub fn url_without_credentials(instead: &str) -> Rule {
    invalid(
        "!self.matches('^[a-z]+://[^/]*@')",
        &format!("must not contain credentials; put them into a Secret and name it in {instead}"),
    )
}

/// A rule of one kind only.
#[must_use]
pub fn rule(expression: &str, message: &str) -> Rule {
    invalid(expression, message)
}
