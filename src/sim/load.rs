//! Load over time: how much is asked of a workload. A pure function of the time, so that it can be looked at anywhere.

use crate::core::time::{Span, Time};

/// How the load of a workload goes, in units (one pod serves a fixed number of them).
#[derive(Clone, Debug, PartialEq)]
pub enum Load {
    /// Always the same.
    Constant(f64),
    /// A day's wave between two levels.
    Diurnal {
        /// At night.
        low: f64,
        /// At noon.
        high: f64,
        /// How long a day is.
        day: Span,
    },
    /// From one level to another, and back at once.
    Ramp {
        /// At the start.
        from: f64,
        /// At the end.
        to: f64,
        /// How long it takes.
        over: Span,
    },
    /// A level with short peaks.
    Spikes {
        /// Between the peaks.
        base: f64,
        /// At the peaks.
        peak: f64,
        /// From peak to peak.
        every: Span,
        /// How long a peak lasts.
        lasts: Span,
    },
    /// Recorded values, one a step, again from the start after the last.
    Replay {
        /// The values.
        values: Vec<f64>,
        /// From one to the next.
        step: Span,
    },
}

impl Load {
    /// The load at a time since the start of the story; never negative.
    #[must_use]
    pub fn at(&self, since_start: Span) -> f64 {
        let millis = since_start.as_millis().max(0);
        let phase = |period: &Span| {
            let period = period.as_millis().max(1);
            (millis % period) as f64 / period as f64
        };
        let value = match self {
            Self::Constant(level) => *level,
            Self::Diurnal { low, high, day } => {
                let wave = (1.0 - (phase(day) * std::f64::consts::TAU).cos()) / 2.0;
                low + (high - low) * wave
            }
            Self::Ramp { from, to, over } => from + (to - from) * phase(over),
            Self::Spikes {
                base,
                peak,
                every,
                lasts,
            } => {
                let at = millis % every.as_millis().max(1);
                if at < lasts.as_millis() { *peak } else { *base }
            }
            Self::Replay { values, step } => {
                let index = usize::try_from(millis / step.as_millis().max(1)).unwrap_or(0);
                values.get(index % values.len().max(1)).copied().unwrap_or(0.0)
            }
        };
        value.max(0.0)
    }
}

/// A small deviation from the load that looks random and is the same at the same time: between -1 and 1.
#[must_use]
pub fn noise(seed: u64, at: Time) -> f64 {
    let mut random = super::random::Random::new(seed ^ at.as_millis().unsigned_abs());
    random.between(-1000, 1000) as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loads_follow_their_shapes() {
        let at = |load: &Load, minutes| load.at(Span::from_mins(minutes));
        let day = Load::Diurnal {
            low: 10.0,
            high: 30.0,
            day: Span::from_mins(1440),
        };
        assert!((at(&day, 0) - 10.0).abs() < 1e-9 && (at(&day, 720) - 30.0).abs() < 1e-9);
        let spikes = Load::Spikes {
            base: 1.0,
            peak: 9.0,
            every: Span::from_mins(60),
            lasts: Span::from_mins(5),
        };
        assert!(at(&spikes, 62) > 8.0 && at(&spikes, 66) < 2.0);
        let replay = Load::Replay {
            values: vec![1.0, 2.0],
            step: Span::from_mins(1),
        };
        assert!((at(&replay, 3) - 2.0).abs() < 1e-9);
        assert!(at(&Load::Constant(-5.0), 3) == 0.0);
    }
}
