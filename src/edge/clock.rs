//! The only place where clocks are read.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::core::time::Time;

/// The wall clock.
#[must_use]
pub fn now() -> Time {
    let now = clock_gettime(ClockId::Realtime);
    Time::from_millis(now.tv_sec.saturating_mul(1000).saturating_add(now.tv_nsec / 1_000_000))
}

/// A point on the clock that counts since boot and never jumps. It counts the time during which the machine was suspended,
/// which the usual monotonic clock does not: a claim that expired during a pause has expired.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Boottime(Duration);

impl Boottime {
    /// Now.
    #[must_use]
    pub fn now() -> Self {
        let now = clock_gettime(ClockId::Boottime);
        Self(Duration::new(
            now.tv_sec.unsigned_abs(),
            u32::try_from(now.tv_nsec).unwrap_or(0),
        ))
    }

    /// How long ago this was.
    #[must_use]
    pub fn elapsed(self) -> Duration {
        Self::now().0.saturating_sub(self.0)
    }

    /// Since boot, in milliseconds.
    #[must_use]
    pub fn as_millis(self) -> i64 {
        i64::try_from(self.0.as_millis()).unwrap_or(i64::MAX)
    }
}
