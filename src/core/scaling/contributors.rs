//! Whether an answer is made from all that it should be made from. A scrape that failed, or a target that the server no longer
//! knows, only makes a sum smaller, and must never look like less demand.

use serde::{Deserialize, Serialize};

use crate::core::policy::Trigger;
use crate::core::sample::Contributors;
use crate::core::time::{Span, Time};

/// Scrape targets that stay away for so long while the pods are Ready are not coming back.
const TARGETS_FORGOTTEN: Span = Span::from_mins(60);
/// Series of one and the same target come and go: those that stay away for so long are taken for gone. It is as long as a
/// Prometheus server itself takes a series without new samples for alive.
const SERIES_FORGOTTEN: Span = Span::from_mins(5);

/// What a trigger's answers were made from when they were last complete, and how many pods were Ready then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Baseline {
    /// Series.
    pub series: u32,
    /// Scrape targets.
    pub targets: u32,
    /// Ready pods of the policy's target.
    pub ready: u32,
    /// Since when some of them are missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
}

impl Baseline {
    /// The first answer is taken for complete.
    #[must_use]
    pub const fn new(now: Contributors, ready: u32) -> Self {
        Self {
            series: now.series,
            targets: now.targets,
            ready,
            since: None,
        }
    }

    /// After another answer. Contributors may become fewer as Ready pods do; faster, and the answer is incomplete.
    #[must_use]
    pub fn after(self, now: Contributors, ready: u32, at: Time) -> Self {
        let (before, left) = self.compared(now);
        if left > before {
            return Self::new(now, ready);
        }
        if left == before {
            return Self {
                ready: self.ready.max(ready),
                since: None,
                ..self
            };
        }
        // By so many pods is what is left enough.
        let enough = u64::from(self.ready) * u64::from(left) / u64::from(before.max(1));
        let every_pod = left >= ready && u64::from(before) * 2 <= u64::from(self.ready) * 3;
        let forgotten = if self.targets > 1 {
            TARGETS_FORGOTTEN
        } else {
            SERIES_FORGOTTEN
        };
        let since = self.since.unwrap_or(at);
        if self.ready == 0 || enough >= u64::from(ready) || every_pod {
            // The number for each pod stays, since pods and contributors go one after the other.
            let for_left = u32::try_from((u64::from(self.ready) * u64::from(left)).div_ceil(u64::from(before.max(1))));
            return Self::new(now, ready.max(for_left.unwrap_or(u32::MAX)));
        }
        if at.since(since) >= forgotten {
            return Self::new(now, ready);
        }
        Self {
            since: Some(since),
            ..self
        }
    }

    /// What can be compared: scrape targets; series, where all came from one target or from none that is named.
    const fn compared(self, now: Contributors) -> (u32, u32) {
        if self.targets > 1 {
            (self.targets, now.targets)
        } else {
            (self.series, now.series)
        }
    }

    fn warning(self, now: Contributors) -> Option<String> {
        self.since?;
        let (before, left) = self.compared(now);
        let what = if self.targets > 1 { "scrape targets" } else { "series" };
        Some(format!(
            "only {left} of {before} {what} are left, though the pods are Ready"
        ))
    }
}

/// Why an answer may be incomplete.
pub(super) fn doubt(
    trigger: &Trigger,
    now: Time,
    contributors: Contributors,
    before: Option<Baseline>,
) -> Option<String> {
    if contributors.down > 0 {
        return Some(format!(
            "{} of its scrape targets cannot be scraped: up is 0",
            contributors.down
        ));
    }
    if contributors.oldest.is_some_and(|at| now.since(at) > trigger.max_age) {
        return Some(format!(
            "some of its series have had no sample for more than {} (maxAge)",
            trigger.max_age
        ));
    }
    before.and_then(|before| before.warning(contributors))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contributors(targets: u32) -> Contributors {
        Contributors {
            series: targets * 4,
            targets,
            ..Contributors::default()
        }
    }

    /// Follows `targets` and `ready` pods, a step every 15 s, and says at which steps something was missing.
    fn missing(steps: &[(u32, u32)]) -> Vec<usize> {
        let mut baseline: Option<Baseline> = None;
        let mut found = Vec::new();
        for (step, (targets, ready)) in steps.iter().enumerate() {
            let (now, at) = (contributors(*targets), Time::from_secs(15 * step as i64));
            let next = baseline.map_or_else(|| Baseline::new(now, *ready), |b| b.after(now, *ready, at));
            if next.since.is_some() {
                found.push(step);
            }
            baseline = Some(next);
        }
        found
    }

    #[test]
    fn targets_that_vanish_while_pods_are_ready_are_missed() {
        assert_eq!(missing(&[(10, 10), (7, 10), (10, 10)]), [1]);
        assert_eq!(missing(&[(10, 10), (5, 9), (5, 9), (9, 9), (9, 9)]), [1, 2]);
        assert_eq!(missing(&[(10, 10), (0, 10)]), [1]);
        // One in front of many, or many in front of one.
        assert_eq!(missing(&[(4, 12), (3, 12), (4, 12)]), [1]);
        assert_eq!(missing(&[(12, 2), (11, 2)]), [1]);
    }

    #[test]
    fn targets_may_go_with_pods_in_any_order() {
        assert!(missing(&[(20, 20), (20, 10), (15, 10), (10, 10), (10, 4), (4, 4)]).is_empty());
        assert!(missing(&[(20, 10), (20, 20), (12, 10), (10, 10)]).is_empty());
        // A rollout with a surge.
        assert!(missing(&[(10, 10), (12, 10), (12, 11), (11, 10), (10, 10)]).is_empty());
        assert!(missing(&[(3, 3), (0, 0), (3, 3)]).is_empty());
        assert!(missing(&[(8, 4), (6, 3), (4, 2), (2, 1)]).is_empty());
    }

    #[test]
    fn what_stays_away_is_forgotten() {
        let mut steps = vec![(10, 10)];
        steps.extend(vec![(7, 10); 300]);
        assert_eq!(missing(&steps), (1..=240).collect::<Vec<_>>());
        let mut baseline = Baseline::new(
            Contributors {
                series: 9,
                targets: 1,
                ..Contributors::default()
            },
            3,
        );
        let fewer = Contributors {
            series: 6,
            targets: 1,
            ..Contributors::default()
        };
        baseline = baseline.after(fewer, 3, Time::from_secs(0));
        assert!(baseline.since.is_some());
        assert!(baseline.after(fewer, 3, Time::from_secs(299)).since.is_some());
        assert_eq!(baseline.after(fewer, 3, Time::from_secs(300)).since, None);
    }
}
