//! What was carried over, what differs and why, and what must be done by hand. For people, and the same for machines.

use serde::Serialize;
use serde_json::Value;

use super::Source;

/// Everything that is to be said of a conversion.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// One for every object that was looked at, in their order.
    pub objects: Vec<ObjectReport>,
    /// What could not be read at all.
    pub problems: Vec<Problem>,
    /// How many objects of other kinds there were.
    pub others: usize,
    /// The Prometheus servers that the policies name, to be added to the OperatorConfig.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operator_config: Option<Value>,
}

/// What became of one object.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectReport {
    /// `Kind namespace/name`.
    pub source: String,
    /// Where it stands.
    pub place: String,
    /// `namespace/name` of the policy; none where none was written.
    pub policy: Option<String>,
    /// In the order of the policy's fields.
    pub notes: Vec<Note>,
}

impl ObjectReport {
    pub(super) fn new(source: &Source) -> Self {
        Self {
            source: source.title(),
            place: source.place.clone(),
            policy: None,
            notes: Vec::new(),
        }
    }
}

/// What could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// Where it stands.
    pub place: String,
    /// What is wrong, and what to do.
    pub message: String,
}

/// What became of one thing that the source says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Note {
    /// What became of it.
    pub kind: NoteKind,
    /// The field of the source, such as `spec.metrics[0]`; empty where it is about the whole.
    pub field: String,
    /// In words.
    pub text: String,
}

/// What became of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum NoteKind {
    /// The policy says the same.
    Carried,
    /// The policy says something else, or nothing, and nothing need be done.
    Differs,
    /// Somebody has to do something.
    ByHand,
    /// There is no policy.
    Failed,
}

impl NoteKind {
    const fn word(self) -> &'static str {
        match self {
            Self::Carried => "carried",
            Self::Differs => "differs",
            Self::ByHand => "by hand",
            Self::Failed => "failed",
        }
    }
}

/// The notes on one object while it is converted.
#[derive(Debug, Default)]
pub(super) struct Notes {
    pub list: Vec<Note>,
    /// What the policy lacks, so that it must not act yet.
    pub incomplete: Vec<String>,
}

impl Notes {
    fn add(&mut self, kind: NoteKind, field: &str, text: impl Into<String>) {
        self.list.push(Note {
            kind,
            field: field.to_owned(),
            text: text.into(),
        });
    }

    pub fn carried(&mut self, field: &str, text: impl Into<String>) {
        self.add(NoteKind::Carried, field, text);
    }

    pub fn differs(&mut self, field: &str, text: impl Into<String>) {
        self.add(NoteKind::Differs, field, text);
    }

    pub fn by_hand(&mut self, field: &str, text: impl Into<String>) {
        self.add(NoteKind::ByHand, field, text);
    }

    /// Something that the policy must have before it acts.
    pub fn lacks(&mut self, field: &str, what: &str, text: impl Into<String>) {
        self.incomplete.push(what.to_owned());
        self.by_hand(field, text);
    }

    pub fn failed(&mut self, text: impl Into<String>) {
        self.add(NoteKind::Failed, "", text);
    }
}

impl Report {
    /// How many objects could not be read or converted.
    #[must_use]
    pub fn failures(&self) -> usize {
        let failed = |o: &&ObjectReport| o.notes.iter().any(|n| n.kind == NoteKind::Failed);
        self.objects.iter().filter(failed).count() + self.problems.len()
    }

    /// How many things have to be done by hand.
    #[must_use]
    pub fn by_hand(&self) -> usize {
        let notes = self.objects.iter().flat_map(|o| &o.notes);
        notes.filter(|n| n.kind == NoteKind::ByHand).count()
    }

    /// For machines.
    ///
    /// # Errors
    /// When the serializer refuses it, which would be a bug.
    pub fn json(&self) -> Result<String, serde_json::Error> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }

    /// For people.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = String::new();
        for object in &self.objects {
            let policy = object.policy.as_ref();
            let became = policy.map_or_else(|| "no policy".to_owned(), |name| format!("ScalingPolicy {name}"));
            out += &format!("{} ({}): {became}\n", object.source, object.place);
            for note in &object.notes {
                let field = if note.field.is_empty() {
                    String::new()
                } else {
                    format!("{}: ", note.field)
                };
                let text = note.text.replace('\n', "\n           ");
                out += &format!("  {:<7}  {field}{text}\n", note.kind.word());
            }
            out.push('\n');
        }
        for problem in &self.problems {
            out += &format!("{}: {}\n\n", problem.place, problem.message);
        }
        if let Some(config) = self
            .operator_config
            .as_ref()
            .and_then(|c| serde_saphyr::to_string(c).ok())
        {
            out += "To be added to the OperatorConfig, after a look at names and addresses:\n\n";
            out += &config.lines().map(|line| format!("  {line}\n")).collect::<String>();
            out.push('\n');
        }
        let written = self.objects.iter().filter(|o| o.policy.is_some()).count();
        let (by_hand, failures, others) = (self.by_hand(), self.failures(), self.others);
        out += &format!(
            "policies: {written}; to do by hand: {by_hand}; not read or converted: {failures}; objects of other kinds: {others}\n"
        );
        out
    }
}
