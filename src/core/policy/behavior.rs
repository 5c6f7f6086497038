//! How fast and how steadily a ScalingPolicy scales.

use serde::{Deserialize, Serialize};

use crate::core::time::Span;

/// `behavior` of `autoscaling/v2`, with its defaults filled in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Behavior {
    /// For scaling up.
    pub up: ScalingRules,
    /// For scaling down.
    pub down: ScalingRules,
    /// What is done while a value is within tolerance of its target.
    #[serde(default, skip_serializing_if = "InsideTolerance::is_hold")]
    pub inside_tolerance: InsideTolerance,
    /// Scaling up waits while fewer of the wanted pods are Ready; percent, 0: never.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub min_ready_percent: u32,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(percent: &u32) -> bool {
    *percent == 0
}

/// What is done while a value is within tolerance of its target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum InsideTolerance {
    /// Nothing.
    #[default]
    Hold,
    /// One step at a time towards the target, so that there is no rest for ever.
    Converge,
}

impl InsideTolerance {
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
    fn is_hold(&self) -> bool {
        *self == Self::Hold
    }
}

/// `HPAScalingRules` of `autoscaling/v2`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScalingRules {
    /// The most careful recommendation of this window counts; 0 to 1 h.
    pub stabilization: Span,
    /// Which of the policies' limits counts.
    pub select: SelectPolicy,
    /// Rate limits.
    pub policies: Vec<RatePolicy>,
    /// Deviation from the target, as a ratio, within which nothing is done; at least 0.
    pub tolerance: f64,
}

/// Which of several rate limits counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum SelectPolicy {
    /// The one that allows the most change.
    #[default]
    Max,
    /// The one that allows the least change.
    Min,
    /// No change at all in this direction.
    Disabled,
}

/// One rate limit: so much change in so long a period.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RatePolicy {
    /// What `value` counts.
    pub kind: RateKind,
    /// Above zero.
    pub value: u32,
    /// 1 s to 30 min.
    pub period: Span,
}

/// What a rate limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RateKind {
    /// Pods.
    Pods,
    /// Percent of the replicas at the period's start.
    Percent,
}

impl Default for Behavior {
    /// The defaults of `autoscaling/v2`: up at once by 4 pods or 100 % in 15 s, down by up to 100 % in 15 s after 5 minutes.
    fn default() -> Self {
        let period = Span::from_secs(15);
        let percent = RatePolicy {
            kind: RateKind::Percent,
            value: 100,
            period,
        };
        let pods = RatePolicy {
            kind: RateKind::Pods,
            value: 4,
            period,
        };
        let rules = |stabilization, policies| ScalingRules {
            stabilization,
            select: SelectPolicy::Max,
            policies,
            tolerance: 0.1,
        };
        Self {
            up: rules(Span::ZERO, vec![pods, percent]),
            down: rules(Span::from_mins(5), vec![percent]),
            inside_tolerance: InsideTolerance::default(),
            min_ready_percent: 0,
        }
    }
}
