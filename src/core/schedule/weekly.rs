//! Days of the week and times of day.

use std::fmt;
use std::str::FromStr;

use jiff::civil::DateTime;
use serde::{Deserialize, Serialize};

use super::cron::Cron;

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Weekday {
    /// Monday.
    Mon,
    /// Tuesday.
    Tue,
    /// Wednesday.
    Wed,
    /// Thursday.
    Thu,
    /// Friday.
    Fri,
    /// Saturday.
    Sat,
    /// Sunday.
    Sun,
}

impl Weekday {
    /// The days in the order of the week, Monday first.
    pub const ALL: [Self; 7] = [
        Self::Mon,
        Self::Tue,
        Self::Wed,
        Self::Thu,
        Self::Fri,
        Self::Sat,
        Self::Sun,
    ];

    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Mon => "Mon",
            Self::Tue => "Tue",
            Self::Wed => "Wed",
            Self::Thu => "Thu",
            Self::Fri => "Fri",
            Self::Sat => "Sat",
            Self::Sun => "Sun",
        }
    }
}

impl fmt::Display for Weekday {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The days as they are written, and an error for anything else; whole names and any case are understood.
impl FromStr for Weekday {
    type Err = WeeklyError;
    fn from_str(text: &str) -> Result<Self, WeeklyError> {
        const NAMES: [&str; 7] = [
            "monday",
            "tuesday",
            "wednesday",
            "thursday",
            "friday",
            "saturday",
            "sunday",
        ];
        let lower = text.to_ascii_lowercase();
        NAMES
            .iter()
            .position(|name| *name == lower || name[..3] == lower)
            .map(|index| Self::ALL[index])
            .ok_or_else(|| WeeklyError::Day {
                text: text.chars().take(32).collect(),
            })
    }
}

/// A time of day in minutes, from 00:00 to 24:00. Written `HH:MM`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Clock(u16);

/// The end of the day.
const MIDNIGHT: u16 = 24 * 60;

impl FromStr for Clock {
    type Err = WeeklyError;
    fn from_str(text: &str) -> Result<Self, WeeklyError> {
        let part = |digits: &str| {
            let right = digits.len() == 2 && digits.bytes().all(|b| b.is_ascii_digit());
            right.then(|| digits.parse::<u16>().ok()).flatten()
        };
        let minutes = text
            .split_once(':')
            .and_then(|(hours, minutes)| Some((part(hours)?, part(minutes)?)))
            .filter(|(_, minutes)| *minutes < 60)
            .map(|(hours, minutes)| hours * 60 + minutes)
            .filter(|minutes| *minutes <= MIDNIGHT);
        minutes.map(Self).ok_or_else(|| WeeklyError::Clock {
            text: text.chars().take(32).collect(),
        })
    }
}

impl fmt::Display for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0 / 60, self.0 % 60)
    }
}

impl From<Clock> for String {
    fn from(clock: Clock) -> Self {
        clock.to_string()
    }
}

impl TryFrom<String> for Clock {
    type Error = WeeklyError;
    fn try_from(text: String) -> Result<Self, WeeklyError> {
        text.parse()
    }
}

/// What is wrong with days or times of day.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WeeklyError {
    /// No days at all.
    #[error("days is empty: name at least one of Mon, Tue, Wed, Thu, Fri, Sat, Sun")]
    NoDays,
    /// Not a day.
    #[error("`{text}` is not a day: write Mon, Tue, Wed, Thu, Fri, Sat or Sun")]
    Day {
        /// What was given.
        text: String,
    },
    /// Not a time of day.
    #[error(
        "`{text}` is not a time of day: write hours and minutes with two digits each, from 00:00 to 24:00, such as 08:30"
    )]
    Clock {
        /// What was given.
        text: String,
    },
    /// No window starts at the end of a day.
    #[error("from cannot be 24:00: write 00:00 and name the day after")]
    StartsAtMidnight,
    /// The days and the time make no schedule.
    #[error(transparent)]
    Cron(#[from] super::CronError),
}

/// On some days, from one time of day to another; where `to` is not later than `from` it is that of the day after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Weekly {
    days: u8,
    from: Clock,
    to: Clock,
    /// Days and `from` once more, for the search.
    starts: Cron,
}

impl Weekly {
    /// Open on these days; the day is that on which it opens.
    ///
    /// # Errors
    /// Where no day is named, or `from` is 24:00.
    pub fn new(days: &[Weekday], from: Clock, to: Clock) -> Result<Self, WeeklyError> {
        let days = days.iter().fold(0, |bits, day| bits | 1 << *day as u8);
        if days == 0 {
            return Err(WeeklyError::NoDays);
        }
        if from.0 == MIDNIGHT {
            return Err(WeeklyError::StartsAtMidnight);
        }
        let names: Vec<_> = each(days).map(Weekday::as_str).collect();
        let starts = Cron::parse(&format!("{} {} * * {}", from.0 % 60, from.0 / 60, names.join(",")))?;
        Ok(Self { days, from, to, starts })
    }

    /// The days on which it opens, in the order of the week.
    pub fn days(&self) -> impl Iterator<Item = Weekday> + use<> {
        each(self.days)
    }

    /// When it opens.
    #[must_use]
    pub const fn from(&self) -> Clock {
        self.from
    }

    /// When it closes.
    #[must_use]
    pub const fn to(&self) -> Clock {
        self.to
    }

    pub(super) const fn starts(&self) -> &Cron {
        &self.starts
    }

    /// The local time at which the window that starts at this local time is over.
    pub(super) fn end(&self, start: DateTime) -> Option<DateTime> {
        let next_day = self.to <= self.from || self.to.0 == MIDNIGHT;
        let date = if next_day {
            start.date().tomorrow().ok()?
        } else {
            start.date()
        };
        let minutes = self.to.0 % MIDNIGHT;
        Some(date.at((minutes / 60) as i8, (minutes % 60) as i8, 0, 0))
    }
}

fn each(days: u8) -> impl Iterator<Item = Weekday> {
    Weekday::ALL.into_iter().filter(move |day| days & 1 << *day as u8 != 0)
}
