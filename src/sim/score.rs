//! How well supply followed demand: the elasticity measures of the SPEC research group's cloud working group.
//!
//! `d` is the demand (the fewest replicas that keep up), `s` the supply (Ready replicas), both looked at in equal steps.

use crate::core::time::Span;

/// The measures of one workload.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Score {
    steps: u32,
    seconds: f64,
    under: f64,
    over: f64,
    over_supply: f64,
    steps_under: u32,
    steps_over: u32,
    replica_seconds: f64,
    unserved: f64,
    demanded: f64,
    changes: u32,
    last_supply: Option<u32>,
}

impl Score {
    /// One step of this length.
    pub fn add(&mut self, demand: u32, supply: u32, step: Span) {
        let (d, s, seconds) = (f64::from(demand), f64::from(supply), step.as_secs_f64());
        self.steps += 1;
        self.seconds += seconds;
        self.under += (d - s).max(0.0) / d.max(1.0);
        self.over += (s - d).max(0.0) / d.max(1.0);
        self.over_supply += (s - d).max(0.0) / s.max(1.0);
        self.steps_under += u32::from(demand > supply);
        self.steps_over += u32::from(supply > demand);
        self.replica_seconds += s * seconds;
        self.unserved += (d - s).max(0.0);
        self.demanded += d;
        self.changes += u32::from(self.last_supply.is_some_and(|last| last != supply));
        self.last_supply = Some(supply);
    }

    /// θU: how much was missing, in percent of the demand, on average.
    #[must_use]
    pub fn under_percent(&self) -> f64 {
        self.share(self.under)
    }

    /// θO: how much was too much, in percent of the demand, on average. Unbounded.
    #[must_use]
    pub fn over_percent(&self) -> f64 {
        self.share(self.over)
    }

    /// How much was too much, in percent of the supply, on average. At most 100.
    #[must_use]
    pub fn over_percent_of_supply(&self) -> f64 {
        self.share(self.over_supply)
    }

    /// τU: the share of time in which something was missing, in percent.
    #[must_use]
    pub fn time_under_percent(&self) -> f64 {
        self.share(f64::from(self.steps_under))
    }

    /// τO: the share of time in which there was too much, in percent.
    #[must_use]
    pub fn time_over_percent(&self) -> f64 {
        self.share(f64::from(self.steps_over))
    }

    /// The demand that was not served, in percent of all demand.
    #[must_use]
    pub fn unserved_percent(&self) -> f64 {
        if self.demanded > 0.0 {
            100.0 * self.unserved / self.demanded
        } else {
            0.0
        }
    }

    /// What was paid for.
    #[must_use]
    pub fn replica_hours(&self) -> f64 {
        self.replica_seconds / 3600.0
    }

    /// How often the supply changed.
    #[must_use]
    pub fn changes_per_day(&self) -> f64 {
        if self.seconds > 0.0 {
            f64::from(self.changes) * 86_400.0 / self.seconds
        } else {
            0.0
        }
    }

    fn share(&self, sum: f64) -> f64 {
        if self.steps == 0 {
            0.0
        } else {
            100.0 * sum / f64::from(self.steps)
        }
    }
}

impl std::fmt::Display for Score {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "θU {:.2} % θO {:.2} % (of supply {:.2} %) τU {:.2} % τO {:.2} % unserved {:.2} %, {:.1} replica-hours, \
             {:.1} changes a day",
            self.under_percent(),
            self.over_percent(),
            self.over_percent_of_supply(),
            self.time_under_percent(),
            self.time_over_percent(),
            self.unserved_percent(),
            self.replica_hours(),
            self.changes_per_day(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measures_by_hand() {
        let mut score = Score::default();
        for (demand, supply) in [(4, 2), (4, 4), (4, 8), (0, 1)] {
            score.add(demand, supply, Span::from_mins(15));
        }
        assert!((score.under_percent() - 12.5).abs() < 1e-9);
        assert!((score.over_percent() - 50.0).abs() < 1e-9);
        assert!((score.over_percent_of_supply() - 37.5).abs() < 1e-9);
        assert!((score.time_under_percent() - 25.0).abs() < 1e-9);
        assert!((score.time_over_percent() - 50.0).abs() < 1e-9);
        assert!((score.replica_hours() - 3.75).abs() < 1e-9);
        assert!((score.changes_per_day() - 72.0).abs() < 1e-9);
    }
}
