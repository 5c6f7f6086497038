//! A validated ScalingPolicy.

use serde::{Deserialize, Serialize};

use super::Meta;
use crate::core::names::{ObjectRef, QueryKey};
use crate::core::quantity::{Milli, Replicas};
use crate::core::time::Span;

/// Scales one target between bounds by triggers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScalingPolicy {
    /// Name, identity, mode.
    pub meta: Meta,
    /// What is scaled; in the policy's own namespace.
    pub target: ObjectRef,
    /// Lower bound; never above `max`.
    pub min: Replicas,
    /// Upper bound; at least 1.
    pub max: Replicas,
    /// Which way it may scale.
    pub direction: Direction,
    /// How often the triggers are asked and the decision is made; 1 s to 1 h.
    pub interval: Span,
    /// At least one, with distinct names.
    pub triggers: Vec<Trigger>,
    /// How fast and how steadily.
    pub behavior: Behavior,
}

/// Which way a policy may scale.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Direction {
    /// Up and down.
    #[default]
    Both,
    /// Never down.
    UpOnly,
    /// Never up.
    DownOnly,
}

/// One source of demand: a PromQL query and what it is measured against.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Trigger {
    /// Unique in the policy.
    pub name: String,
    /// What is asked, and whom.
    pub query: QueryKey,
    /// What the answer is measured against.
    pub target: MetricTarget,
    /// A sample older than this is stale.
    pub max_age: Span,
}

/// What a value is measured against, as in `autoscaling/v2`. Always above zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum MetricTarget {
    /// The value itself should be this: replicas grow by the ratio of the two.
    Value(Milli),
    /// The value divided by the replicas should be this.
    AverageValue(Milli),
}

/// `behavior` of `autoscaling/v2`, with its defaults filled in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Behavior {
    /// For scaling up.
    pub up: ScalingRules,
    /// For scaling down.
    pub down: ScalingRules,
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
        }
    }
}
