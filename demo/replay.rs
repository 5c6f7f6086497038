//! Replays the hours of a recorded day that tell most, in compressed time. A log that is replayed so many times as fast has
//! so many times as many requests a second.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use homeostat_cluster::{Result, wait};
use tokio::time::Instant;

use crate::load::Load;
use crate::trace::{Gap, Trace};

/// So many times as fast.
pub const SPEED: f64 = 360.0;
/// The first second of the day in the trace: 13 July 1995, the day on which Discovery was launched.
const DAY: f64 = 12.0 * 86_400.0;
/// The first and the last minute of that day that are replayed.
const FROM: f64 = 6.0 * 60.0;
const TO: f64 = 24.0 * 60.0;
/// How often the load is set.
const TICK: Duration = Duration::from_millis(100);

/// The replay's clock.
#[derive(Clone, Default)]
pub struct Replay {
    began: Arc<OnceLock<Instant>>,
}

impl Replay {
    /// Replays, and afterwards keeps the last load, for as long as it is polled.
    pub async fn run(self, trace: Trace, gap: Gap, load: Load) {
        self.began.get_or_init(Instant::now);
        let mut tick = tokio::time::interval(TICK);
        loop {
            tick.tick().await;
            let minute = self.minute().unwrap_or(FROM);
            let a_minute = trace.at(DAY + minute * 60.0, gap);
            load.with(|shop| shop.load = a_minute.map(a_second));
        }
    }

    /// Minutes since midnight of the recorded day; `None` before the replay begins.
    #[must_use]
    pub fn minute(&self) -> Option<f64> {
        let began = self.began.get()?;
        Some((FROM + began.elapsed().as_secs_f64() * SPEED / 60.0).min(TO - 1.0))
    }

    /// Waits for a time of the recorded day, in hours.
    ///
    /// # Errors
    /// The replay does not run.
    pub async fn reach(&self, hour: f64) -> Result<()> {
        let limit = Duration::from_secs_f64((TO - FROM) * 60.0 / SPEED * 2.0);
        let reached = || async { self.minute().filter(|minute| *minute >= (hour * 60.0).min(TO - 1.0)) };
        wait::until(format!("{hour} o'clock of the replayed day"), limit, reached)
            .await
            .map(|_| ())
    }
}

/// Requests a second, of the requests that the log has in a minute.
fn a_second(a_minute: f64) -> f64 {
    a_minute / 60.0 * SPEED
}

/// A time of day as people write it.
#[must_use]
pub fn clock(minute: f64) -> String {
    let minute = minute as u32;
    format!("{:02}:{:02}", minute / 60, minute % 60)
}
