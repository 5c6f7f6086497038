//! Windows of time that come again: by cron and a duration, or by days of the week from one time of day to another, in an
//! IANA time zone.
//!
//! Everything is computed from the window and the time that it is asked about: nothing is remembered, no clock is read, and
//! the zones are those that are compiled in, so that the same question has the same answer on every machine.
//!
//! How changes of the clock count:
//!
//! * A start at a local time that does not exist (the clock is put forward) is at the first moment that does.
//! * A start at a local time that comes twice (the clock is put back) is at the first of the two, and only there.
//! * A duration is time that passes: eighteen hours are eighteen hours, whatever the clock shows then.
//! * Weekly windows end by the clock, by the same two rules as they start.
//!
//! | module | what it is |
//! |---|---|
//! | [`cron`], `calendar` | the five fields, and which days and minutes they name |
//! | [`weekly`] | days of the week, times of day |
//! | [`zone`] | between local times and moments |
//! | [`ramp`] | from one number to another, bit by bit |

mod calendar;
pub mod cron;
pub mod ramp;
pub mod weekly;
pub mod zone;

use jiff::civil::DateTime;
use serde::{Deserialize, Serialize};

pub use cron::{Cron, CronError};
pub use ramp::ramp;
pub use weekly::{Clock, Weekday, Weekly, WeeklyError};
pub use zone::{Zone, ZoneError};

use super::time::{Span, Time};

/// The shortest window by cron: cron counts in minutes.
pub const MIN_DURATION: Span = Span::from_mins(1);
/// The longest window by cron: a leap year.
pub const MAX_DURATION: Span = Span::from_mins(366 * 24 * 60);

/// How many windows that overlap or touch are followed to either side to make one of them. Those that reach further
/// are cut there, which is at least as far from now as the window's duration.
const LINKS: usize = 64;

/// A window of time that comes again. Stored as people write it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "WindowText", try_from = "WindowText")]
pub struct Window {
    zone: Zone,
    pattern: Pattern,
}

/// When a window starts, and when it ends.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Pattern {
    Cron { starts: Cron, duration: Span },
    Weekly(Weekly),
}

/// One time that a window is open: from `start` on, until just before `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Occurrence {
    /// When it began. Windows that overlap or touch are one, from the start of the first.
    pub start: Time,
    /// When it is over. Windows that overlap or touch are one, to the end of the last; one that never ends is said to
    /// end at some later time, and has been continued when that comes.
    pub end: Time,
}

/// What is wrong with a window.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WindowError {
    /// The time zone.
    #[error(transparent)]
    Zone(#[from] ZoneError),
    /// The cron expression.
    #[error(transparent)]
    Cron(#[from] CronError),
    /// Days or times of day.
    #[error(transparent)]
    Weekly(#[from] WeeklyError),
    /// The duration is out of range.
    #[error(
        "duration {given} is not between 1m and 366d: write how long the window is open from each start, such as 18h"
    )]
    Duration {
        /// What was given.
        given: Span,
    },
    /// Neither form, or a mixture of both.
    #[error("write either schedule and duration, or days, from and to")]
    Form,
}

impl Window {
    /// Open for `duration` from each moment that the cron expression names.
    ///
    /// # Errors
    /// Where the duration is shorter than a minute or longer than 366 days.
    pub fn cron(starts: Cron, duration: Span, zone: Zone) -> Result<Self, WindowError> {
        if !(MIN_DURATION..=MAX_DURATION).contains(&duration) {
            return Err(WindowError::Duration { given: duration });
        }
        Ok(Self {
            zone,
            pattern: Pattern::Cron { starts, duration },
        })
    }

    /// Open on some days of the week, from one time of day to another.
    #[must_use]
    pub const fn weekly(weekly: Weekly, zone: Zone) -> Self {
        Self {
            zone,
            pattern: Pattern::Weekly(weekly),
        }
    }

    /// The time zone that it is in.
    #[must_use]
    pub const fn zone(&self) -> &Zone {
        &self.zone
    }

    /// Whether it is open, since when and until when.
    #[must_use]
    pub fn active(&self, now: Time) -> Option<Occurrence> {
        let local = self.starts().at_or_before(self.zone.begun(now)?)?;
        let (start, end) = (self.zone.moment(local)?, self.end(local)?);
        (end > now).then(|| Occurrence {
            start: self.first_start(local, start),
            end: self.last_end(end),
        })
    }

    /// When it opens or closes next; `None` where that is beyond what the calendar can say.
    #[must_use]
    pub fn next_change(&self, now: Time) -> Option<Time> {
        if let Some(open) = self.active(now) {
            return Some(open.end);
        }
        let mut from = zone::next_minute(self.zone.begun(now)?)?;
        for _ in 0..LINKS {
            let local = self.starts().at_or_after(from)?;
            let start = self.zone.moment(local)?;
            // A weekly window that lies wholly in an hour that is left out does not open at all.
            if self.end(local)? > start {
                return Some(start);
            }
            from = zone::next_minute(local)?;
        }
        None
    }

    const fn starts(&self) -> &Cron {
        match &self.pattern {
            Pattern::Cron { starts, .. } => starts,
            Pattern::Weekly(weekly) => weekly.starts(),
        }
    }

    /// When the window that starts at this local time is over.
    fn end(&self, local: DateTime) -> Option<Time> {
        match &self.pattern {
            Pattern::Cron { duration, .. } => Some(self.zone.moment(local)? + *duration),
            Pattern::Weekly(weekly) => self.zone.moment(weekly.end(local)?),
        }
    }

    /// The start of the first of the windows that lead to this one without a pause.
    fn first_start(&self, mut local: DateTime, mut start: Time) -> Time {
        for _ in 0..LINKS {
            let earlier = self
                .touching(local, start)
                .and_then(|local| Some((local, self.zone.moment(local)?)));
            match earlier {
                Some((earlier, moment)) if moment < start => (local, start) = (earlier, moment),
                _ => break,
            }
        }
        start
    }

    /// The local start of a window before this one that reaches up to it.
    fn touching(&self, local: DateTime, start: Time) -> Option<DateTime> {
        match &self.pattern {
            Pattern::Cron { starts, duration } => {
                let just_before = start - *duration - Span::from_millis(1);
                starts.at_or_after(zone::next_minute(self.zone.begun(just_before)?)?)
            }
            Pattern::Weekly(weekly) => {
                let earlier = weekly.starts().at_or_before(zone::minute_before(local)?)?;
                (self.end(earlier)? >= start).then_some(earlier)
            }
        }
    }

    /// The end of the last of the windows that follow without a pause.
    fn last_end(&self, mut end: Time) -> Time {
        for _ in 0..LINKS {
            let later = self
                .zone
                .begun(end)
                .and_then(|local| self.starts().at_or_before(local))
                .and_then(|local| self.end(local));
            match later {
                Some(later) if later > end => end = later,
                _ => break,
            }
        }
        end
    }
}

/// A window as it is written.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WindowText {
    time_zone: Zone,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    schedule: Option<Cron>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    duration: Option<Span>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    days: Vec<Weekday>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    from: Option<Clock>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    to: Option<Clock>,
}

impl From<Window> for WindowText {
    fn from(window: Window) -> Self {
        let mut text = Self {
            time_zone: window.zone,
            schedule: None,
            duration: None,
            days: Vec::new(),
            from: None,
            to: None,
        };
        match window.pattern {
            Pattern::Cron { starts, duration } => (text.schedule, text.duration) = (Some(starts), Some(duration)),
            Pattern::Weekly(weekly) => {
                text.days = weekly.days().collect();
                (text.from, text.to) = (Some(weekly.from()), Some(weekly.to()));
            }
        }
        text
    }
}

impl TryFrom<WindowText> for Window {
    type Error = WindowError;
    fn try_from(text: WindowText) -> Result<Self, WindowError> {
        match text {
            WindowText {
                time_zone,
                schedule: Some(schedule),
                duration: Some(duration),
                days,
                from: None,
                to: None,
            } if days.is_empty() => Self::cron(schedule, duration, time_zone),
            WindowText {
                time_zone,
                schedule: None,
                duration: None,
                days,
                from: Some(from),
                to: Some(to),
            } => Ok(Self::weekly(Weekly::new(&days, from, to)?, time_zone)),
            _ => Err(WindowError::Form),
        }
    }
}
