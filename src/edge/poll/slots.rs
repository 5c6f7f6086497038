//! When queries are asked: an interval is cut into slots, and what is asked in the same slot goes in one request. A query takes
//! a slot by its own hash first; once it is known when its series are scraped, the first one after that with room.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use super::lane::LaneName;
use crate::core::time::Time;

/// At most so many slots an interval, so that many queries need few requests.
const SLOTS: u32 = 64;
/// No slot is shorter.
const SHORTEST: Duration = Duration::from_millis(100);
/// Queries that a slot has room for.
pub(super) const ROOM: usize = 256;
/// A sample is expected to be there so long after it was taken.
const FIRST_LAG: Duration = Duration::from_millis(100);

/// How many queries of a lane and an interval each slot has.
#[derive(Default)]
pub(super) struct Slots {
    taken: BTreeMap<(LaneName, Duration, u32), usize>,
}

/// The slot of a query.
#[derive(Debug)]
pub(super) struct Slot {
    lane: LaneName,
    interval: Duration,
    index: u32,
    /// How long after it was taken a sample is expected; grows where that turned out to be too early.
    lag: Duration,
    /// The newest sample that was seen, by the server's clock.
    newest: Option<Time>,
}

impl Slots {
    /// A slot for a query, by its hash.
    pub(super) fn take(&mut self, lane: LaneName, interval: Duration, key: &impl Hash) -> Slot {
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        let count = count(interval);
        let index = u32::try_from(hasher.finish() % u64::from(count)).unwrap_or(0);
        let index = self.room(&lane, interval, index);
        *self.taken.entry((lane.clone(), interval, index)).or_default() += 1;
        Slot {
            lane,
            interval,
            index,
            lag: FIRST_LAG.max(width(interval)).min(interval / 4),
            newest: None,
        }
    }

    /// Gives it back.
    pub(super) fn free(&mut self, slot: &Slot) {
        let key = (slot.lane.clone(), slot.interval, slot.index);
        if let Some(taken) = self.taken.get_mut(&key) {
            *taken -= 1;
            if *taken == 0 {
                self.taken.remove(&key);
            }
        }
    }

    /// Learns from an answer how long before it the newest sample was taken, and moves the slot to just after the scrape.
    /// `newest` and `age` are by the server's clock, `asked` is by ours, since boot. Only a sample that was not seen before
    /// tells when it came.
    pub(super) fn learn(&mut self, slot: &mut Slot, newest: Time, age: Duration, asked: Duration) {
        let before = slot.newest.replace(newest);
        if before.is_none_or(|before| before == newest) {
            return;
        }
        let tolerance = width(slot.interval) + slot.lag / 2;
        if age >= slot.interval && age < slot.interval * 2 {
            slot.lag = (slot.lag * 2).min(slot.interval / 2);
        }
        let late = Duration::from_nanos((age.as_nanos() % slot.interval.as_nanos().max(1)) as u64);
        if late <= slot.lag + tolerance && late + tolerance >= slot.lag {
            return;
        }
        let scraped = (asked + slot.interval).saturating_sub(late);
        let wanted = index_after(scraped + slot.lag, slot.interval);
        self.free(slot);
        slot.index = self.room(&slot.lane, slot.interval, wanted);
        *self
            .taken
            .entry((slot.lane.clone(), slot.interval, slot.index))
            .or_default() += 1;
    }

    /// The first slot with room from the wanted one on; the wanted one, where none has.
    fn room(&self, lane: &LaneName, interval: Duration, wanted: u32) -> u32 {
        let count = count(interval);
        let has_room = |index: &u32| {
            let taken = self.taken.get(&(lane.clone(), interval, *index));
            taken.is_none_or(|taken| *taken < ROOM)
        };
        (0..count)
            .map(|i| (wanted + i) % count)
            .find(has_room)
            .unwrap_or(wanted)
    }
}

impl Slot {
    /// How long it is until the slot's next time, counted from a time since boot.
    pub(super) fn wait(&self, since_boot: Duration) -> Duration {
        let interval = self.interval.as_nanos().max(1);
        let offset = (width(self.interval) * self.index).as_nanos();
        let into = (since_boot.as_nanos() + interval - offset % interval) % interval;
        Duration::from_nanos((interval - into) as u64)
    }
}

fn width(interval: Duration) -> Duration {
    (interval / SLOTS).max(SHORTEST).min(interval)
}

fn count(interval: Duration) -> u32 {
    u32::try_from(interval.as_nanos() / width(interval).as_nanos().max(1))
        .unwrap_or(SLOTS)
        .max(1)
}

/// The first slot that begins at this time of the interval or after it.
fn index_after(time: Duration, interval: Duration) -> u32 {
    let into = time.as_nanos() % interval.as_nanos().max(1);
    let index = into.div_ceil(width(interval).as_nanos().max(1));
    u32::try_from(index).unwrap_or(0) % count(interval)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn lane() -> LaneName {
        LaneName::Server("default".into())
    }

    /// Asks again and again a series that is scraped every `scrape` at `phase`, and whose samples can be seen after `visible`;
    /// says how old the newest sample was at each answer.
    fn ages(interval: Duration, (scrape, phase, visible): (Duration, Duration, Duration)) -> Vec<Duration> {
        let mut slots = Slots::default();
        let mut slot = slots.take(lane(), interval, &"query");
        let mut now = SECOND * 100_000;
        let mut ages = Vec::new();
        for _ in 0..200 {
            now += slot.wait(now);
            let whole = now.saturating_sub(phase + visible).as_nanos() / scrape.as_nanos();
            let newest = phase + scrape * u32::try_from(whole).unwrap();
            let age = now.saturating_sub(newest);
            ages.push(age);
            slots.learn(&mut slot, Time::from_millis(newest.as_millis() as i64), age, now);
        }
        ages
    }

    #[test]
    fn a_query_falls_into_step_with_the_scrape() {
        let ms = Duration::from_millis;
        for phase in (0..15_000).step_by(370) {
            for (interval, scrape, limit) in [
                (1, 1, ms(450)),
                (15, 15, ms(1000)),
                (1, 15, ms(15_200)),
                (60, 15, ms(2500)),
            ] {
                let ages = ages(SECOND * interval, (SECOND * scrape, ms(phase), ms(30)));
                let worst = ages[20..].iter().max().unwrap();
                assert!(*worst <= limit, "{interval}s {scrape}s {phase}: {worst:?}");
            }
        }
    }

    #[test]
    fn slow_scrapes_are_waited_for() {
        let ms = Duration::from_millis;
        for phase in (0..15_000).step_by(370) {
            let ages = ages(SECOND * 15, (SECOND * 15, ms(phase), ms(1200)));
            let worst = ages[100..].iter().max().unwrap();
            assert!(*worst <= ms(4000), "{phase}: {worst:?}");
        }
    }

    #[test]
    fn a_full_slot_takes_no_more() {
        let mut slots = Slots::default();
        let interval = SECOND * 15;
        let all: Vec<_> = (0..10_000).map(|i| slots.take(lane(), interval, &i)).collect();
        assert!(slots.taken.values().all(|taken| *taken <= ROOM));
        assert!(slots.taken.len() <= 64);
        // All are scraped at once: they go to the slots after that, one after the other.
        let mut all = all;
        for (i, slot) in all.iter_mut().enumerate() {
            slots.learn(slot, Time::from_millis(1 + i as i64), SECOND * 7, SECOND * 100_000);
            slots.learn(slot, Time::from_millis(20_000 + i as i64), SECOND * 7, SECOND * 100_000);
        }
        assert!(slots.taken.values().all(|taken| *taken <= ROOM));
        assert!(slots.taken.len() <= 41, "{}", slots.taken.len());
        for slot in &all {
            slots.free(slot);
        }
        assert!(slots.taken.is_empty());
    }
}
