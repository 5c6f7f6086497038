//! Who may lead: the rules of client-go's leader election, without a clock of their own.
//!
//! The clocks of different machines are never compared. A holder counts as gone only when its record has not changed for a
//! whole lease duration of the observer's own clock; a holder gives up by itself before that, after the renew deadline.

use super::time::Span;

/// The periods of leader election.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseConfig {
    /// A record that has not changed for so long has been abandoned.
    pub duration: Span,
    /// A holder that could not renew for so long stops by itself; shorter than `duration`.
    pub renew_deadline: Span,
    /// Between two looks.
    pub retry: Span,
}

impl Default for LeaseConfig {
    /// As client-go: 15 s, 10 s, 2 s.
    fn default() -> Self {
        Self {
            duration: Span::from_secs(15),
            renew_deadline: Span::from_secs(10),
            retry: Span::from_secs(2),
        }
    }
}

/// A lease as it is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Who holds it; empty: nobody.
    pub holder: String,
    /// Changes with every write: what tells whether the holder is alive.
    pub version: String,
}

/// What a contender remembers of the record. Times are the contender's own, in milliseconds of a clock that never jumps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    record: Record,
    changed_at: i64,
}

/// What a contender does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Write the record: take it over, or renew it.
    Write,
    /// Somebody else holds it.
    Wait,
}

impl Observed {
    /// Looks at the record at a time of the contender's own clock, and says what to do.
    pub fn look(&mut self, record: Record, me: &str, now: i64, config: &LeaseConfig) -> Step {
        if self.record != record {
            *self = Self {
                record,
                changed_at: now,
            };
        }
        let abandoned = now.saturating_sub(self.changed_at) >= config.duration.as_millis();
        if self.record.holder.is_empty() || self.record.holder == me || abandoned {
            Step::Write
        } else {
            Step::Wait
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record(holder: &str, version: u64) -> Record {
        Record {
            holder: holder.into(),
            version: version.to_string(),
        }
    }

    #[test]
    fn only_a_free_own_or_abandoned_lease_is_written() {
        let config = LeaseConfig::default();
        let mut seen = Observed::default();
        assert_eq!(seen.look(record("", 1), "a", 0, &config), Step::Write, "free");
        assert_eq!(seen.look(record("a", 2), "a", 1, &config), Step::Write, "own");
        assert_eq!(seen.look(record("b", 3), "a", 1000, &config), Step::Wait, "another's");
        assert_eq!(
            seen.look(record("b", 4), "a", 15_900, &config),
            Step::Wait,
            "renewed in time"
        );
        assert_eq!(seen.look(record("b", 4), "a", 30_899, &config), Step::Wait, "not yet");
        assert_eq!(
            seen.look(record("b", 4), "a", 30_900, &config),
            Step::Write,
            "abandoned"
        );
    }

    /// One contender: its clock runs at its own rate, and it stops now and then.
    #[derive(Clone, Debug)]
    struct Contender {
        rate_percent: i64,
        pauses: Vec<(i64, i64)>,
    }

    fn contender() -> impl Strategy<Value = Contender> {
        let pauses = prop::collection::vec((0_i64..120_000, 0_i64..40_000), 0..4);
        (95_i64..=105, pauses).prop_map(|(rate_percent, pauses)| Contender { rate_percent, pauses })
    }

    proptest! {
        /// However two contenders are paused, and with clocks up to 5 % apart, never do both hold a claim that is valid by
        /// their own clock.
        #[test]
        fn never_two_leaders(contenders in [contender(), contender()]) {
            let config = LeaseConfig::default();
            let mut store = Record::default();
            let mut version = 0_u64;
            let mut seen = [Observed::default(), Observed::default()];
            let mut renewed: [Option<i64>; 2] = [None, None];
            for tick in (0..160_000_i64).step_by(500) {
                let clock = |i: usize| tick * contenders[i].rate_percent / 100;
                for i in 0..2 {
                    let paused = contenders[i].pauses.iter().any(|(from, len)| (*from..from + len).contains(&tick));
                    if paused || tick % config.retry.as_millis() != 0 {
                        continue;
                    }
                    let me = ["a", "b"][i];
                    if seen[i].look(store.clone(), me, clock(i), &config) == Step::Write {
                        version += 1;
                        store = record(me, version);
                        renewed[i] = Some(clock(i));
                    }
                }
                let leads = |i: usize| {
                    renewed[i].is_some_and(|at| clock(i) - at < config.renew_deadline.as_millis())
                };
                prop_assert!(!(leads(0) && leads(1)), "two leaders at {tick}");
            }
        }
    }
}
