//! Cron expressions: the five fields as Kubernetes' `CronJob` reads them.
//!
//! Read once, into bits. What can never occur is refused here, so that no search has to find it out.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The longest text that is read.
const MAX_TEXT: usize = 256;

/// When windows start, to the minute: `minute hour day-of-month month day-of-week`. Stored as it was written.
///
/// Each field is `*`, a number or an English name of three letters, a range `1-5`, with a step `*/15` or `8-18/2`, or a list of those. Sunday is 0
/// and 7. Where both the day of the month and the day of the week are restricted, a day that fits either counts; a field that is `*`
/// (`?` says the same) restricts nothing. `@hourly`, `@daily`, `@midnight`, `@weekly`, `@monthly`, `@yearly` and `@annually` are understood.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Cron {
    text: String,
    /// Bits 0 to 59.
    pub(super) minutes: u64,
    /// Bits 0 to 23.
    pub(super) hours: u32,
    /// Bits 1 to 31.
    pub(super) days: u32,
    /// Bits 1 to 12.
    pub(super) months: u32,
    /// Bits 0 (Sunday) to 6.
    pub(super) weekdays: u8,
    /// The day of the month restricts nothing.
    pub(super) any_day: bool,
    /// The day of the week restricts nothing.
    pub(super) any_weekday: bool,
}

/// What is wrong with a cron expression.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CronError {
    /// Not five fields.
    #[error(
        "`{text}` has {count} fields instead of five: write minute, hour, day of month, month and day of week, \
         such as `0 8 * * Mon-Fri`; there are no seconds and no years"
    )]
    Fields {
        /// What was given.
        text: String,
        /// How many fields it has.
        count: usize,
    },
    /// One field cannot be read.
    #[error("{field} `{part}` of `{text}`: {problem}")]
    Field {
        /// What was given.
        text: String,
        /// Which field.
        field: &'static str,
        /// The part of the field that is wrong.
        part: String,
        /// What is wrong and what to write.
        problem: String,
    },
    /// A word with `@` that is not known.
    #[error("`{text}` is not known: write @hourly, @daily, @weekly, @monthly, @yearly or five fields")]
    Word {
        /// What was given.
        text: String,
    },
    /// The time zone is in the wrong place.
    #[error("`{text}` names a time zone: write it in timeZone instead")]
    Zone {
        /// What was given.
        text: String,
    },
    /// No day is such a day.
    #[error("`{text}` never occurs: none of its months has such a day; check the day of month and the month")]
    Never {
        /// What was given.
        text: String,
    },
    /// Far too long.
    #[error("a cron expression has at most {MAX_TEXT} characters, this one {length}")]
    Long {
        /// How many characters it has.
        length: usize,
    },
}

/// One of the five fields.
struct Field {
    name: &'static str,
    lowest: u32,
    highest: u32,
    /// Names, the first of which is `lowest`.
    names: &'static [&'static str],
}

const MINUTE: Field = Field::numbers("minute", 0, 59);
const HOUR: Field = Field::numbers("hour", 0, 23);
const DAY: Field = Field::numbers("day of month", 1, 31);
const MONTH: Field = Field {
    name: "month",
    lowest: 1,
    highest: 12,
    names: &[
        "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
    ],
};
/// Seven is Sunday once more.
const WEEKDAY: Field = Field {
    name: "day of week",
    lowest: 0,
    highest: 7,
    names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
};

impl Cron {
    /// Reads an expression.
    ///
    /// # Errors
    /// Says which field is wrong and what to write, or that the expression never occurs.
    pub fn parse(text: &str) -> Result<Self, CronError> {
        if text.len() > MAX_TEXT {
            return Err(CronError::Long { length: text.len() });
        }
        let trimmed = text.trim();
        let fields: Vec<&str> = expand(trimmed)?.split_whitespace().collect();
        let [minute, hour, day, month, weekday] = fields[..] else {
            return Err(CronError::Fields {
                text: trimmed.into(),
                count: fields.len(),
            });
        };
        let read = |field: &Field, part| field.read(trimmed, part);
        let weekdays = read(&WEEKDAY, weekday)?;
        let cron = Self {
            text: trimmed.into(),
            minutes: read(&MINUTE, minute)?,
            hours: read(&HOUR, hour)? as u32,
            days: read(&DAY, day)? as u32,
            months: read(&MONTH, month)? as u32,
            weekdays: (weekdays & 0x7f | weekdays >> 7) as u8,
            any_day: restricts_nothing(day),
            any_weekday: restricts_nothing(weekday),
        };
        cron.check_occurs()
    }

    /// The expression as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Every month has each day of the week, but not each day of the month.
    fn check_occurs(self) -> Result<Self, CronError> {
        const LENGTHS: [u32; 13] = [0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        let first = self.days.trailing_zeros();
        let occurs = (1..=12).any(|month| self.months & 1 << month != 0 && first <= LENGTHS[month]);
        if occurs || !self.any_weekday {
            return Ok(self);
        }
        Err(CronError::Never { text: self.text })
    }
}

/// Words with `@` as the five fields that they stand for; anything else as it is.
fn expand(text: &str) -> Result<&str, CronError> {
    if text.starts_with("TZ=") || text.starts_with("CRON_TZ=") {
        return Err(CronError::Zone { text: text.into() });
    }
    if !text.starts_with('@') {
        return Ok(text);
    }
    match text.to_ascii_lowercase().as_str() {
        "@yearly" | "@annually" => Ok("0 0 1 1 *"),
        "@monthly" => Ok("0 0 1 * *"),
        "@weekly" => Ok("0 0 * * 0"),
        "@daily" | "@midnight" => Ok("0 0 * * *"),
        "@hourly" => Ok("0 * * * *"),
        _ => Err(CronError::Word { text: text.into() }),
    }
}

/// As `CronJob` has it: `*` and `?`, alone or in a list, with no step or a step of one.
fn restricts_nothing(field: &str) -> bool {
    field.split(',').any(|part| matches!(part, "*" | "?" | "*/1" | "?/1"))
}

impl Field {
    const fn numbers(name: &'static str, lowest: u32, highest: u32) -> Self {
        Self {
            name,
            lowest,
            highest,
            names: &[],
        }
    }

    /// A field's bits.
    fn read(&self, text: &str, field: &str) -> Result<u64, CronError> {
        field.split(',').try_fold(0, |bits, part| {
            let more = self.part(part).map_err(|problem| CronError::Field {
                text: text.into(),
                field: self.name,
                part: part.into(),
                problem,
            })?;
            Ok(bits | more)
        })
    }

    /// One part of a list.
    fn part(&self, part: &str) -> Result<u64, String> {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, Some(step)),
            None => (part, None),
        };
        // The end of an open range is Saturday, not a second Sunday.
        let last = if self.highest == WEEKDAY.highest {
            6
        } else {
            self.highest
        };
        let (from, to) = match range.split_once('-') {
            Some((from, to)) => self.range(from, to)?,
            None if range == "*" || (range == "?" && self.knows_question_mark()) => (self.lowest, last),
            None => {
                let from = self.number(range)?;
                // `5/15` is `5-59/15`.
                (from, if step.is_some() { last.max(from) } else { from })
            }
        };
        let step = match step {
            None => 1,
            Some(step) => step
                .parse()
                .ok()
                .filter(|step| (1..=60).contains(step))
                .ok_or_else(|| {
                    format!("`{step}` is not a step: write a whole number above zero after the slash, such as */5")
                })?,
        };
        Ok((from..=to).step_by(step).fold(0, |bits, number| bits | 1 << number))
    }

    fn range(&self, from: &str, to: &str) -> Result<(u32, u32), String> {
        let (from, mut to) = (self.number(from)?, self.number(to)?);
        if self.highest == WEEKDAY.highest && to == 0 && from > 0 {
            // Fri-Sun: Sunday ends the week as well as it begins it.
            to = 7;
        }
        if from > to {
            let (lowest, highest) = (self.lowest, self.highest);
            return Err(format!(
                "the range ends before it begins: write {from}-{highest},{lowest}-{to}"
            ));
        }
        Ok((from, to))
    }

    fn number(&self, word: &str) -> Result<u32, String> {
        let lower = word.to_ascii_lowercase();
        if let Some(index) = self.names.iter().position(|name| *name == lower) {
            return Ok(self.lowest + index as u32);
        }
        let digits = !word.is_empty() && word.len() <= 3 && word.bytes().all(|b| b.is_ascii_digit());
        let number = digits.then(|| word.parse().ok()).flatten();
        number
            .filter(|number| (self.lowest..=self.highest).contains(number))
            .ok_or_else(|| self.expected())
    }

    fn expected(&self) -> String {
        let names = match self.names {
            [first, .., last] => format!(" or {first} to {last}"),
            _ => String::new(),
        };
        let (lowest, highest) = (self.lowest, self.highest);
        format!(
            "write numbers from {lowest} to {highest}{names}, ranges such as {lowest}-{}, lists, steps or *",
            lowest + 3
        )
    }

    const fn knows_question_mark(&self) -> bool {
        self.highest == WEEKDAY.highest || self.highest == DAY.highest
    }
}

impl fmt::Display for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Cron {
    type Err = CronError;
    fn from_str(text: &str) -> Result<Self, CronError> {
        Self::parse(text)
    }
}

impl From<Cron> for String {
    fn from(cron: Cron) -> Self {
        cron.text
    }
}

impl TryFrom<String> for Cron {
    type Error = CronError;
    fn try_from(text: String) -> Result<Self, CronError> {
        Self::parse(&text)
    }
}
