//! What the controller answers, in the terms of its own conditions.

use serde::{Deserialize, Serialize};

use super::{History, Input, normalize};

/// One decision.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// The size to be written, or else the current one.
    pub desired: i32,
    /// Whether it is to be written.
    pub rescale: bool,
    /// Why, as the event of the rescale says it.
    pub why: Option<Why>,
    /// How it came about.
    pub course: Course,
    /// Of every metric, in their order; empty where the metrics were not looked at.
    pub proposals: Vec<Result<Proposal, MetricError>>,
    /// What is to be remembered, whether or not it is written. Once it is written: [`Answer::written`].
    pub history: History,
}

/// Which way a decision took.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub enum Course {
    /// At zero replicas nothing is scaled.
    Disabled,
    /// Above `maxReplicas`: straight to it.
    AboveMax,
    /// Below `minReplicas`: straight to it.
    BelowMin,
    /// The scale's selector is missing or cannot be parsed.
    InvalidSelector,
    /// No metric is valid, or some are not and the others would scale down: the condition's reason is of the first that is not.
    Failed {
        /// `FailedGet…`.
        reason: &'static str,
    },
    /// By the metrics.
    Metrics {
        /// The highest proposal, never below zero.
        recommended: i32,
        /// Which metric's it is, by its number; `None` where none asks for more than zero.
        leader: Option<usize>,
        /// What stabilization and limits made of it.
        normalized: Normalized,
    },
}

/// A recommendation after stabilization and limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Normalized {
    /// After stabilization.
    pub stabilized: i32,
    /// Which stabilization bit.
    pub stabilization: Option<Stabilized>,
    /// After limits.
    pub desired: i32,
    /// Which limit would bite or bit.
    pub limit: Limit,
}

/// Which stabilization bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stabilized {
    /// Recent recommendations were lower.
    ScaleUpStabilized,
    /// Recent recommendations were higher.
    ScaleDownStabilized,
}

/// The reason of the condition ScalingLimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Limit {
    /// No limit bit.
    DesiredWithinRange,
    /// Up by no more for now.
    ScaleUpLimit,
    /// Down by no more for now.
    ScaleDownLimit,
    /// Up to the maximum.
    TooManyReplicas,
    /// Down to the minimum.
    TooFewReplicas,
}

/// Why the size is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Why {
    /// `Current number of replicas above Spec.MaxReplicas`.
    AboveMax,
    /// `Current number of replicas below Spec.MinReplicas`.
    BelowMin,
    /// `… above target`.
    AboveTarget,
    /// `All metrics below target`.
    AllBelowTarget,
}

/// What one metric asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposal {
    /// So many replicas. What does not fit is the lowest number there is, as in the controller.
    pub replicas: i32,
    /// The current value as the status shows it, in thousandths: on average per pod, or for the target type `Value` the value.
    pub value: i64,
    /// The current utilization in percent of the request, for that target type.
    pub utilization: Option<i32>,
}

/// Why a metric asks for nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum MetricError {
    /// The metrics API did not answer.
    #[error("the metrics API gave no data: {0}")]
    Unavailable(String),
    /// The metrics API has no data.
    #[error("the metrics API listed nothing for this metric")]
    Empty,
    /// The target has no pods.
    #[error("the selector chooses no pods")]
    NoPods,
    /// Only pods that do not count have data.
    #[error("no pod that counts has data; pods may not be ready yet")]
    NoneCounts,
    /// A utilization is relative to a request, and there is none.
    #[error(
        "container {container} of pod {pod} requests no {resource}, so its utilization is unknown: set resources.requests.{resource}"
    )]
    NoRequest {
        /// Whose.
        pod: String,
        /// Which container of it.
        container: String,
        /// Which resource.
        resource: String,
    },
    /// The pod has requests as a whole, none of them for this resource, and its containers have none either.
    #[error("pod {pod} requests no {resource}, so its utilization is unknown: set its resources.requests.{resource}")]
    NoPodRequest {
        /// Whose.
        pod: String,
        /// Which resource.
        resource: String,
    },
    /// A pod lacks the container.
    #[error("pod {pod} has no container {container}")]
    NoContainer {
        /// Whose.
        pod: String,
        /// Which.
        container: String,
    },
    /// The requests of all pods with data add up to nothing.
    #[error("the pods with data request nothing, so that their utilization is unknown")]
    NothingRequested,
    /// The target does not suit the metric.
    #[error("the target has none of the values that this type of metric is measured against")]
    Target,
}

/// The conditions of the autoscaler's status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conditions {
    /// `AbleToScale`.
    pub able_to_scale: Condition,
    /// `ScalingActive`, where it is set.
    pub scaling_active: Option<Condition>,
    /// `ScalingLimited`, where it is set.
    pub scaling_limited: Option<Condition>,
}

/// Status and reason of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Condition {
    /// True or False.
    pub status: bool,
    /// Its reason.
    pub reason: &'static str,
}

impl Answer {
    /// What is to be remembered once the new size is written. The controller keeps scale events only where it has `behavior`.
    #[must_use]
    pub fn written(&self, input: &Input) -> History {
        let mut history = self.history.clone();
        if self.rescale && input.behavior.is_some() {
            let (up, down) = normalize::rules(input);
            let rules = if self.desired > input.replicas { up } else { down };
            history.scaled(input.now, input.replicas, self.desired, &rules);
        }
        history
    }

    /// The conditions that the controller sets, given that the new size could be written. A condition that is not set keeps what
    /// it said before.
    #[must_use]
    pub fn conditions(&self) -> Conditions {
        let condition = |status, reason| Condition { status, reason };
        let mut conditions = Conditions {
            able_to_scale: condition(true, "SucceededGetScale"),
            scaling_active: None,
            scaling_limited: None,
        };
        match &self.course {
            Course::Disabled => conditions.scaling_active = Some(condition(false, "ScalingDisabled")),
            Course::AboveMax | Course::BelowMin => {}
            Course::InvalidSelector => conditions.scaling_active = Some(condition(false, "InvalidSelector")),
            Course::Failed { reason } => conditions.scaling_active = Some(condition(false, reason)),
            Course::Metrics { normalized, .. } => {
                conditions.able_to_scale.reason = match normalized.stabilization {
                    None => "ReadyForNewScale",
                    Some(Stabilized::ScaleUpStabilized) => "ScaleUpStabilized",
                    Some(Stabilized::ScaleDownStabilized) => "ScaleDownStabilized",
                };
                if !self.proposals.is_empty() {
                    conditions.scaling_active = Some(condition(true, "ValidMetricFound"));
                }
                let limited = normalized.desired != normalized.stabilized;
                conditions.scaling_limited = Some(condition(limited, normalized.limit.as_str()));
            }
        }
        if self.rescale {
            conditions.able_to_scale.reason = "SucceededRescale";
        }
        conditions
    }
}

impl Limit {
    /// As in the condition.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DesiredWithinRange => "DesiredWithinRange",
            Self::ScaleUpLimit => "ScaleUpLimit",
            Self::ScaleDownLimit => "ScaleDownLimit",
            Self::TooManyReplicas => "TooManyReplicas",
            Self::TooFewReplicas => "TooFewReplicas",
        }
    }
}
