//! Names of triggers, servers and policies: readable, allowed, distinct.

use std::collections::BTreeSet;

/// The longest label name.
pub(super) const LABEL: usize = 63;

/// A text as a label name: lower-case letters, digits and hyphens. `otherwise` where nothing of it is left.
pub(super) fn label(text: &str, otherwise: &str) -> String {
    let mut name = String::new();
    let mut before = ' ';
    for c in text.chars() {
        // `httpRequests` reads as `http-requests`, and `RPS` as `rps`.
        if c.is_ascii_uppercase() && before.is_ascii_lowercase() {
            name.push('-');
        }
        if c.is_ascii_alphanumeric() {
            name.push(c.to_ascii_lowercase());
        } else if !name.ends_with('-') {
            name.push('-');
        }
        before = c;
    }
    let cut: String = name.trim_matches('-').chars().take(LABEL).collect();
    let cut = cut.trim_matches('-');
    if cut.is_empty() {
        otherwise.to_owned()
    } else {
        cut.to_owned()
    }
}

/// Hands out names, each once.
#[derive(Debug, Default)]
pub(super) struct Unique(BTreeSet<String>);

impl Unique {
    /// The wish, or the wish with the first number behind it that is free; at most `longest` characters, which the wish has
    /// not more than.
    pub fn take(&mut self, wish: &str, longest: usize) -> String {
        let mut name = wish.to_owned();
        let mut number = 2;
        while !self.0.insert(name.clone()) {
            let suffix = format!("-{number}");
            let stem: String = wish.chars().take(longest.saturating_sub(suffix.len())).collect();
            name = format!("{}{suffix}", stem.trim_end_matches(['-', '.']));
            number += 1;
        }
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_allowed_readable_and_distinct() {
        for (text, want) in [
            ("http_requests", "http-requests"),
            ("httpRequests", "http-requests"),
            ("RPS", "rps"),
            ("  ö:: ", "trigger"),
            ("queue.messages__ready", "queue-messages-ready"),
            ("5xx", "5xx"),
        ] {
            assert_eq!(label(text, "trigger"), want, "{text}");
        }
        let long = label(&"a_".repeat(60), "x");
        assert!(long.len() <= LABEL && long.ends_with('a'), "{long}");
        let mut names = Unique::default();
        let taken: Vec<String> = (0..3).map(|_| names.take("cpu", LABEL)).collect();
        assert_eq!(taken, ["cpu", "cpu-2", "cpu-3"]);
        let second = (0..2).map(|_| names.take(&long, LABEL)).last();
        assert!(second.is_some_and(|name| name.len() <= LABEL && name.ends_with("-2")));
    }
}
