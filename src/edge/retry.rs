//! Delays between tries: exponential, with jitter, bounded. The one place that knows the crate `backoff`, which its
//! maintainers have left (RUSTSEC-2025-0012; see deny.toml for why it is here all the same).

use std::time::Duration;

use backoff::ExponentialBackoff;
use backoff::backoff::Backoff as _;

/// Growing delays.
#[derive(Debug)]
pub struct Backoff {
    inner: ExponentialBackoff,
    max: Duration,
}

impl Backoff {
    /// Delays from `initial` to `max`, doubling, each half shorter or longer by chance; without an end.
    #[must_use]
    pub fn new(initial: Duration, max: Duration) -> Self {
        let inner = ExponentialBackoff {
            current_interval: initial,
            initial_interval: initial,
            randomization_factor: 0.5,
            multiplier: 2.0,
            max_interval: max,
            max_elapsed_time: None,
            ..ExponentialBackoff::default()
        };
        Self { inner, max }
    }

    /// How long to wait before the next try.
    pub fn next_delay(&mut self) -> Duration {
        self.inner.next_backoff().unwrap_or(self.max).min(self.max)
    }

    /// It worked: the next delay is the first one again.
    pub fn reset(&mut self) {
        self.inner.reset();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_and_stay_bounded() {
        let (initial, max) = (Duration::from_millis(100), Duration::from_secs(2));
        let mut backoff = Backoff::new(initial, max);
        let delays: Vec<_> = (0..20).map(|_| backoff.next_delay()).collect();
        assert!(delays[0] <= initial * 3 / 2);
        assert!(delays.iter().all(|d| *d <= max && *d >= initial / 2));
        assert!(delays[10..].iter().all(|d| *d >= max / 2));
        backoff.reset();
        assert!(backoff.next_delay() <= initial * 3 / 2);
    }
}
