//! A recorded load. Absent samples are not zeros: what holds in a gap is the reader's choice.

use std::path::Path;

use clap::ValueEnum;
use homeostat_cluster::{Error, Result};

/// What holds where samples are absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Gap {
    /// The last value before the gap.
    Hold,
    /// Nothing came in.
    Zero,
    /// There is no metric.
    Missing,
}

/// Values at even steps, some of them absent.
pub struct Trace {
    /// Seconds since the first sample, and the value; in order of time.
    samples: Vec<(f64, f64)>,
    step: f64,
}

impl Trace {
    /// Reads a file with the columns `t_s,value` and samples `step` seconds apart.
    ///
    /// # Errors
    /// The file cannot be read, or a line is not two numbers.
    pub fn read(path: &Path, step: f64) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|e| Error::new(path.display(), e))?;
        Self::parse(&text, step).map_err(|e| Error::new(path.display(), e))
    }

    /// See [`Self::read`].
    ///
    /// # Errors
    /// A line is not two numbers, or times go back.
    pub fn parse(text: &str, step: f64) -> Result<Self> {
        let mut samples: Vec<(f64, f64)> = Vec::new();
        for (number, line) in text.lines().enumerate().skip(1) {
            let numbers = line.split_once(',').and_then(|(time, value)| {
                let (time, value) = (time.trim().parse::<f64>().ok()?, value.trim().parse::<f64>().ok()?);
                (time.is_finite() && value.is_finite()).then_some((time, value))
            });
            let (time, value) =
                numbers.ok_or_else(|| Error::new(format!("line {}", number + 1), "is not `seconds,value`"))?;
            if samples.last().is_some_and(|(last, _)| *last >= time) {
                return Err(Error::new(format!("line {}", number + 1), "goes back in time"));
            }
            samples.push((time, value));
        }
        if samples.is_empty() {
            return Err(Error("has no samples".into()));
        }
        Ok(Self { samples, step })
    }

    /// The value at a time; `None` where there is no metric.
    #[must_use]
    pub fn at(&self, time: f64, gap: Gap) -> Option<f64> {
        let after = self.samples.partition_point(|(sampled, _)| *sampled <= time);
        let (sampled, value) = *self.samples.get(after.checked_sub(1)?)?;
        if time < sampled + self.step {
            return Some(value);
        }
        match gap {
            Gap::Hold => Some(value),
            Gap::Zero => Some(0.0),
            Gap::Missing => None,
        }
    }
}
