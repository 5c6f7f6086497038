//! Which days and minutes a cron expression names: the next and the last one, by bits, a month at a time.
//!
//! Knows local times only; what they mean in a zone is told elsewhere.

use jiff::civil::{Date, DateTime};

use super::cron::Cron;

/// Within so many months every expression that ever occurs does: 29 February can be eight years away (from 2096 to 2104).
const MONTHS: usize = 8 * 12 + 1;

impl Cron {
    /// The first local minute from this one on that the expression names.
    pub(super) fn at_or_after(&self, local: DateTime) -> Option<DateTime> {
        let (mut date, hour, minute) = (local.date(), local.hour(), local.minute());
        if self.names(date)
            && let Some((hour, minute)) = self.time_from(hour, minute)
        {
            return Some(date.at(hour, minute, 0, 0));
        }
        date = date.tomorrow().ok()?;
        for _ in 0..MONTHS {
            let rest = self.days_in(date) & from_bit(date.day());
            if rest != 0 {
                let day = rest.trailing_zeros() as i8;
                let (hour, minute) = self.time_from(0, 0)?;
                return Some(Date::new(date.year(), date.month(), day).ok()?.at(hour, minute, 0, 0));
            }
            date = date.last_of_month().tomorrow().ok()?;
        }
        None
    }

    /// The last local minute up to this one that the expression names.
    pub(super) fn at_or_before(&self, local: DateTime) -> Option<DateTime> {
        let (mut date, hour, minute) = (local.date(), local.hour(), local.minute());
        if self.names(date)
            && let Some((hour, minute)) = self.time_until(hour, minute)
        {
            return Some(date.at(hour, minute, 0, 0));
        }
        date = date.yesterday().ok()?;
        for _ in 0..MONTHS {
            let rest = self.days_in(date) & until_bit(date.day());
            if rest != 0 {
                let day = rest.ilog2() as i8;
                let (hour, minute) = self.time_until(23, 59)?;
                return Some(Date::new(date.year(), date.month(), day).ok()?.at(hour, minute, 0, 0));
            }
            date = date.first_of_month().yesterday().ok()?;
        }
        None
    }

    fn names(&self, date: Date) -> bool {
        self.days_in(date) & (1 << date.day()) != 0
    }

    /// The days of this date's month that the expression names: bit 1 is the first.
    fn days_in(&self, date: Date) -> u32 {
        if self.months & (1 << date.month()) == 0 {
            return 0;
        }
        let first = u32::from(date.first_of_month().weekday().to_sunday_zero_offset().unsigned_abs());
        // Five weeks, turned so that the first bit is the month's first day.
        let week = (u64::from(self.weekdays) >> first | u64::from(self.weekdays) << (7 - first)) & 0x7f;
        let by_weekday = (week * 0x1020_4081) as u32 & (u32::MAX >> 1);
        let by_weekday = by_weekday << 1;
        let named = if self.any_day || self.any_weekday {
            self.days & by_weekday
        } else {
            self.days | by_weekday
        };
        named & until_bit(date.days_in_month())
    }

    /// The first time of day from this one on.
    fn time_from(&self, hour: i8, minute: i8) -> Option<(i8, i8)> {
        if self.hours & (1 << hour) != 0 {
            let rest = self.minutes & (u64::MAX << minute);
            if rest != 0 {
                return Some((hour, rest.trailing_zeros() as i8));
            }
        }
        let later = self.hours & from_bit(hour + 1);
        (later != 0).then(|| (later.trailing_zeros() as i8, self.minutes.trailing_zeros() as i8))
    }

    /// The last time of day up to this one.
    fn time_until(&self, hour: i8, minute: i8) -> Option<(i8, i8)> {
        if self.hours & (1 << hour) != 0 {
            let rest = self.minutes & (u64::MAX >> (63 - minute));
            if rest != 0 {
                return Some((hour, rest.ilog2() as i8));
            }
        }
        let earlier = self.hours & !from_bit(hour);
        (earlier != 0).then(|| {
            let minute = self.minutes.ilog2();
            (earlier.ilog2() as i8, minute as i8)
        })
    }
}

/// The bit of this number and all above.
const fn from_bit(bit: i8) -> u32 {
    u32::MAX << bit
}

/// The bit of this number and all below.
const fn until_bit(bit: i8) -> u32 {
    u32::MAX >> (31 - bit)
}
