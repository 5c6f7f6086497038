//! How many Events are written: what repeats is counted and said with the next one, so that nothing floods the cluster.
//! Reads no clock.

use std::collections::BTreeMap;

use crate::core::time::{Span, Time};

/// How many kinds of facts are remembered at most.
const MOST: usize = 4096;

/// So many at once, and one more each time this long has passed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rate {
    pub burst: u32,
    pub refill: Span,
}

/// Of one kind of fact.
#[derive(Clone, Debug)]
struct Bucket {
    used: u32,
    refilled_at: Time,
    unsaid: u32,
}

/// What may be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Admitted {
    /// How often the same was not told since it last was.
    pub unsaid: u32,
}

/// Remembers how often each kind of fact was told.
#[derive(Debug, Default)]
pub(super) struct Limiter {
    buckets: BTreeMap<String, Bucket>,
}

impl Limiter {
    /// Whether one more of this kind may be told now; it is counted either way.
    pub fn admit(&mut self, kind: String, rate: Rate, now: Time) -> Option<Admitted> {
        self.forget(now);
        let bucket = self.buckets.entry(kind).or_insert(Bucket {
            used: 0,
            refilled_at: now,
            unsaid: 0,
        });
        while bucket.used > 0 && now.since(bucket.refilled_at) >= rate.refill {
            bucket.used -= 1;
            bucket.refilled_at = bucket.refilled_at + rate.refill;
        }
        if bucket.used == 0 {
            bucket.refilled_at = now;
        }
        if bucket.used >= rate.burst {
            bucket.unsaid = bucket.unsaid.saturating_add(1);
            return None;
        }
        bucket.used += 1;
        Some(Admitted {
            unsaid: std::mem::take(&mut bucket.unsaid),
        })
    }

    /// Makes room: of too many kinds, those that were told longest ago are forgotten.
    fn forget(&mut self, now: Time) {
        if self.buckets.len() < MOST {
            return;
        }
        let mut ages: Vec<Time> = self.buckets.values().map(|b| b.refilled_at).collect();
        ages.sort_unstable();
        let middle = ages.get(MOST / 2).copied().unwrap_or(now);
        self.buckets.retain(|_, b| b.refilled_at > middle);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate {
        burst: 2,
        refill: Span::from_secs(60),
    };

    fn at(second: i64) -> Time {
        Time::from_secs(1_000_000 + second)
    }

    #[test]
    fn what_repeats_is_counted_and_said_with_the_next_one() {
        let mut limiter = Limiter::default();
        let mut admit = |kind: &str, second| limiter.admit(kind.into(), RATE, at(second)).map(|a| a.unsaid);
        assert_eq!(admit("a", 0), Some(0));
        assert_eq!(admit("a", 1), Some(0));
        for second in 2..60 {
            assert_eq!(admit("a", second), None);
        }
        assert_eq!(admit("b", 59), Some(0), "another kind is another matter");
        assert_eq!(admit("a", 61), Some(58));
        assert_eq!(admit("a", 62), None);
        assert_eq!(admit("a", 100_000), Some(1), "and after a long while it is as new");
        assert_eq!(admit("a", 100_000), Some(0));
        assert_eq!(admit("a", 100_000), None);
    }

    #[test]
    fn memory_is_bounded() {
        let mut limiter = Limiter::default();
        for i in 0..(3 * MOST) {
            let second = i64::try_from(i).unwrap();
            assert!(limiter.admit(format!("kind {i}"), RATE, at(second)).is_some());
        }
        assert!(limiter.buckets.len() <= MOST);
    }
}
