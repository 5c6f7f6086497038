//! Text to values: YAML and JSON read as `kubectl` reads them, within bounds that no input can talk its way around.

use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use serde_saphyr::options::{DuplicateKeyPolicy, MergeKeyPolicy};

use super::request::{Limits, printable};

/// A document of a file as text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Document<'a> {
    /// The line it starts with, from 1.
    pub line: usize,
    /// Its text, with its `---` line when something else stands on that.
    pub text: &'a str,
}

/// Why a text is no value.
#[derive(Debug)]
pub(crate) struct Unreadable {
    /// The line in the document, from 1.
    pub line: Option<usize>,
    /// What is wrong.
    pub reason: String,
}

/// Splits a file at its `---` lines, so that one broken document leaves the others readable. A line that starts with `---`
/// and goes on with space or nothing ends every YAML construct, so nothing else can be cut by this. Documents of comments
/// only are left out.
pub(crate) fn split(text: &str) -> Vec<Document<'_>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut documents = Vec::new();
    let (mut start, mut start_line) = (0, 1);
    let (mut at, mut line) = (0, 1);
    for part in text.split_inclusive('\n') {
        let marker = part
            .strip_prefix("---")
            .filter(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']));
        if let Some(rest) = marker {
            documents.push(Document {
                line: start_line,
                text: &text[start..at],
            });
            let bare = rest.trim().is_empty();
            (start, start_line) = if bare { (at + part.len(), line + 1) } else { (at, line) };
        }
        at += part.len();
        line += 1;
    }
    documents.push(Document {
        line: start_line,
        text: &text[start..],
    });
    documents.retain(|document| !is_blank(document.text));
    documents
}

fn is_blank(text: &str) -> bool {
    text.lines().all(|line| {
        let line = line.trim_start();
        let line = line.strip_prefix("---").map_or(line, str::trim_start);
        line.is_empty() || line.starts_with(['#', '%']) || line.trim_end() == "..."
    })
}

/// Reads one YAML document.
pub(crate) fn from_yaml(text: &str, limits: &Limits) -> Result<Value, Unreadable> {
    let nodes = limits.max_nodes;
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
        max_reader_input_bytes: Some(limits.max_file_bytes as usize),
        max_events: nodes.saturating_mul(3),
        max_nodes: nodes,
        max_depth: limits.max_nesting,
        flow_nesting_limit: limits.max_nesting,
        max_aliases: 1_000,
        max_anchors: 1_000,
        max_recorded_anchor_events: nodes,
        max_recorded_anchor_bytes: 4 * limits.max_file_bytes as usize,
        max_total_scalar_bytes: 4 * limits.max_file_bytes as usize,
        max_merge_keys: 1_000,
        max_documents: 1,
        },
        duplicate_keys: DuplicateKeyPolicy::Error,
        merge_keys: MergeKeyPolicy::Merge,
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: nodes,
            max_replay_stack_depth: 16,
            max_alias_expansions_per_anchor: 1_000,
        },
        // As kubectl: 0644 is a file mode.
        legacy_octal_numbers: true,
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|err| {
        let line = err
            .location()
            .and_then(|location| usize::try_from(location.line()).ok());
        Unreadable {
            line: line.filter(|line| *line > 0),
            reason: sentence(&err, limits),
        }
    })
}

/// What is wrong, in words for who wrote the file.
fn sentence(err: &serde_saphyr::Error, limits: &Limits) -> String {
    use serde_saphyr::Error;
    use serde_saphyr::budget::BudgetBreach;
    match err.without_snippet() {
        Error::AliasError { error, .. } => sentence(error, limits),
        Error::Budget { breach, .. } => match breach {
            BudgetBreach::Documents { .. } => "after `...` comes another document; separate documents by `---`".into(),
            BudgetBreach::Depth { .. } => format!("it nests more than {} levels deep", limits.max_nesting),
            _ => TOO_MUCH.to_owned(),
        },
        Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => TOO_MUCH.to_owned(),
        Error::RecursiveReferencesRequireWeakTypes { .. } => {
            "an alias refers to something it is itself part of; write it out".to_owned()
        }
        Error::DuplicateMappingKey { key: Some(key), .. } => {
            format!("the key `{}` is there twice; keep one of them", printable(key, 80))
        }
        Error::NonFiniteFloat { value, .. } => {
            format!(
                "`{}` is no number in JSON; put it in quotes if it is a text",
                printable(value, 80)
            )
        }
        other => without_place(&other.to_string()),
    }
}

const TOO_MUCH: &str =
    "it has too many values, or has once its aliases and merge keys are expanded; write it out, or split it";

/// A parser's message without the places in it: they count from the start of the document, not of the file.
fn without_place(message: &str) -> String {
    let mut out = String::new();
    let mut words = message.split(' ').peekable();
    let number = |word: &str| word.trim_end_matches([',', ')', ':']).parse::<u64>().is_ok();
    let mut tail = "";
    while let Some(word) = words.next() {
        let rest: Vec<&str> = words.clone().take(4).collect();
        let place =
            word == "at" && matches!(rest[..], ["line", line, "column", column] if number(line) && number(column));
        if place {
            tail = if rest[3].ends_with(':') { ":" } else { "" };
            words.nth(3);
            continue;
        }
        let defined = word.starts_with("(defined") || word.starts_with("(used");
        if defined {
            continue;
        }
        out.push_str(std::mem::take(&mut tail));
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
    }
    printable(&out, 300)
}

/// Reads the JSON values that follow one another in a file; each as its line and value, up to the first broken one.
pub(super) fn from_json(text: &str, limits: &Limits) -> Vec<(usize, Result<Value, Unreadable>)> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut values = Vec::new();
    let mut at = 0;
    loop {
        let rest = &text[at..];
        let rest_trimmed = rest.trim_start();
        if rest_trimmed.is_empty() || values.len() > limits.max_documents {
            return values;
        }
        at += rest.len() - rest_trimmed.len();
        let line = text[..at].matches('\n').count() + 1;
        let mut stream = serde_json::Deserializer::from_str(rest_trimmed).into_iter::<Strict>();
        match stream.next() {
            Some(Ok(Strict(value))) => values.push((line, Ok(value))),
            Some(Err(err)) => {
                let reason = without_place(&err.to_string());
                values.push((
                    line,
                    Err(Unreadable {
                        line: Some(err.line()),
                        reason,
                    }),
                ));
                return values;
            }
            None => return values,
        }
        at += stream.byte_offset();
    }
}

/// A JSON value without duplicate keys. Its depth is bounded by the parser.
pub(crate) struct Strict(pub Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        StrictSeed.deserialize(deserializer).map(Self)
    }
}

struct StrictSeed;

impl<'de> DeserializeSeed<'de> for StrictSeed {
    type Value = Value;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for StrictSeed {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element_seed(StrictSeed)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            if map.contains_key(&key) {
                return Err(A::Error::custom(format!("duplicate key `{}`", printable(&key, 80))));
            }
            let value = access.next_value_seed(StrictSeed)?;
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}
