//! Time zones by their IANA names, and what a local time means in them.
//!
//! Never looks at the machine's own database of zones: the one that is compiled in decides.

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase};
use jiff::{Timestamp, ToSpan};
use serde::{Deserialize, Serialize};

use crate::core::time::Time;

static DATABASE: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// The longest name that is looked up.
const MAX_NAME: usize = 64;

/// A time zone. Written and stored as its IANA name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Zone(TimeZone);

/// A name that is no time zone's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a time zone of the IANA database: write a name such as {example}")]
pub struct ZoneError {
    /// What was given.
    pub text: String,
    /// A name that may be meant, otherwise any.
    pub example: String,
}

impl Zone {
    /// Coordinated universal time.
    pub const UTC: Self = Self(TimeZone::UTC);

    /// A zone by its name, such as `Europe/Berlin` or `UTC`; upper and lower case are the same.
    ///
    /// # Errors
    /// Where no zone has the name. Offsets such as `+02:00` are no names, and know no summer time.
    pub fn parse(name: &str) -> Result<Self, ZoneError> {
        let found = (name.len() <= MAX_NAME)
            .then(|| DATABASE.get(name).ok())
            .flatten()
            .filter(|zone| !zone.is_unknown() && zone.iana_name().is_some());
        found.map(Self).ok_or_else(|| ZoneError {
            text: name.chars().take(MAX_NAME).collect(),
            example: likely(name).unwrap_or_else(|| "Europe/Berlin or UTC".into()),
        })
    }

    /// Its IANA name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }

    /// The latest local minute that has begun by this moment for the first time. While the clock shows for the second
    /// time what it showed before, that stays the last minute before it was put back.
    pub(super) fn begun(&self, at: Time) -> Option<DateTime> {
        let stamp = Timestamp::from_millisecond(at.as_millis()).ok()?;
        let local = self.0.to_datetime(stamp);
        if let AmbiguousOffset::Fold { before, after } = self.0.to_ambiguous_timestamp(local).offset()
            && self.0.to_offset(stamp) == after
        {
            return minute_before(before.to_datetime(self.change_up_to(stamp)?));
        }
        minute_of(local)
    }

    /// The moment of a local time: of one that does not exist the first that follows it, of one that comes twice the first.
    pub(super) fn moment(&self, local: DateTime) -> Option<Time> {
        let stamp = match self.0.to_ambiguous_timestamp(local).offset() {
            AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(local).ok()?,
            AmbiguousOffset::Fold { before, .. } => before.to_timestamp(local).ok()?,
            AmbiguousOffset::Gap { before, .. } => self.change_up_to(before.to_timestamp(local).ok()?)?,
        };
        Some(Time::from_millis(stamp.as_millisecond()))
    }

    /// The last change of the clock at or before this moment.
    fn change_up_to(&self, stamp: Timestamp) -> Option<Timestamp> {
        let just_after = stamp.checked_add(1.nanosecond()).ok()?;
        self.0.preceding(just_after).next().map(|change| change.timestamp())
    }
}

/// Cut to its minute.
fn minute_of(local: DateTime) -> Option<DateTime> {
    local.with().second(0).subsec_nanosecond(0).build().ok()
}

/// The last full minute before this local time.
pub(super) fn minute_before(local: DateTime) -> Option<DateTime> {
    minute_of(local.checked_sub(1.nanosecond()).ok()?)
}

/// The minute after this one.
pub(super) fn next_minute(local: DateTime) -> Option<DateTime> {
    local.checked_add(1.minute()).ok()
}

/// The zone whose last part is what was written: `berlin` and `Germany/Berlin` may mean `Europe/Berlin`.
fn likely(text: &str) -> Option<String> {
    let last = |name: &str| name.rsplit('/').next().unwrap_or_default().to_lowercase();
    let wanted = last(&text.trim().replace(' ', "_"));
    DATABASE
        .available()
        .map(|name| name.as_str().to_owned())
        .find(|name| last(name) == wanted)
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Zone {
    type Err = ZoneError;
    fn from_str(name: &str) -> Result<Self, ZoneError> {
        Self::parse(name)
    }
}

impl From<Zone> for String {
    fn from(zone: Zone) -> Self {
        zone.name().to_owned()
    }
}

impl TryFrom<String> for Zone {
    type Error = ZoneError;
    fn try_from(name: String) -> Result<Self, ZoneError> {
        Self::parse(&name)
    }
}
