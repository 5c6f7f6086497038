//! A validated ScalingPolicy.

use serde::{Deserialize, Serialize};

use super::Meta;
use super::behavior::Behavior;
use super::schedule::Schedule;
use super::trigger::Trigger;
use crate::core::names::ObjectRef;
use crate::core::quantity::Replicas;
use crate::core::scaling::formula::Formula;
use crate::core::time::{Span, Time};

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
    #[serde(default)]
    pub direction: Direction,
    /// How often the triggers are asked and the decision is made; 1 s to 1 h.
    pub interval: Span,
    /// With distinct names; without any there are as many replicas as the lower bound says.
    pub triggers: Vec<Trigger>,
    /// How fast and how steadily.
    pub behavior: Behavior,
    /// Whose answers it gives.
    #[serde(default, skip_serializing_if = "Compat::is_none")]
    pub compat: Compat,
    /// How few replicas there are while nothing is to be done; `None`: as `min` says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle: Option<Idle>,
    /// Replicas are a multiple of this; at least 1. Between `min` and `max` lies such a multiple.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub step: u32,
    /// When a pod that has just started counts.
    #[serde(default, skip_serializing_if = "Readiness::is_default")]
    pub readiness: Readiness,
    /// Somebody wants the replicas to stay as they are, or to be so many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<Hold>,
    /// What the triggers ask for together; `None`: the highest proposal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub formula: Option<Formula>,
    /// What becomes of the target's size when the policy is deleted.
    #[serde(default, skip_serializing_if = "OnDelete::is_keep")]
    pub on_delete: OnDelete,
    /// Other bounds and targets at certain times.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub schedules: Vec<Schedule>,
}

impl ScalingPolicy {
    /// A policy with every default: both ways, asked every 15 s, the behavior of `autoscaling/v2`.
    #[must_use]
    pub fn new(
        meta: Meta,
        target: ObjectRef,
        (min, max): (Replicas, Replicas),
        triggers: Vec<Trigger>,
        interval: Span,
    ) -> Self {
        Self {
            meta,
            target,
            min,
            max,
            direction: Direction::default(),
            interval,
            triggers,
            behavior: Behavior::default(),
            compat: Compat::default(),
            idle: None,
            step: 1,
            readiness: Readiness::default(),
            hold: None,
            formula: None,
            on_delete: OnDelete::Keep,
            schedules: Vec::new(),
        }
    }
}

fn one() -> u32 {
    1
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_one(step: &u32) -> bool {
    *step == 1
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

/// Whose answers a policy gives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Compat {
    /// Homeostat's own.
    #[default]
    None,
    /// Those of the `HorizontalPodAutoscaler` whose `behavior` is set, in whatever part.
    HpaV2,
    /// Those of the `HorizontalPodAutoscaler` whose `behavior` is not set at all.
    HpaV2WithoutBehavior,
}

impl Compat {
    /// Homeostat's own answers.
    #[must_use]
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
    pub fn is_none(&self) -> bool {
        *self == Self::None
    }
}

/// What becomes of the target's size when its policy is deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnDelete {
    /// It stays.
    #[default]
    Keep,
    /// The target gets back the size that it had before, within the bounds.
    RestoreReplicas,
}

impl OnDelete {
    /// It stays.
    #[must_use]
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
    pub fn is_keep(&self) -> bool {
        *self == Self::Keep
    }
}

/// How few replicas there are while no trigger is active.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Idle {
    /// So many; below the lower bound that holds while something is to be done, which is at least 1.
    pub replicas: Replicas,
    /// How long no trigger must have been active; 0 to 24 h.
    pub cooldown: Span,
}

/// When a pod that has just started counts; the flags of the HPA controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Readiness {
    /// For so long after its start the processor time of a pod counts only once it is Ready and was measured since
    /// (`--horizontal-pod-autoscaler-cpu-initialization-period`); 0 to 1 h.
    pub cpu_initialization: Span,
    /// A pod that became unready within so long after its start was never Ready
    /// (`--horizontal-pod-autoscaler-initial-readiness-delay`); 0 to 1 h.
    pub initial_delay: Span,
}

impl Readiness {
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Default for Readiness {
    fn default() -> Self {
        Self {
            cpu_initialization: Span::from_mins(5),
            initial_delay: Span::from_secs(30),
        }
    }
}

/// Somebody wants the replicas to stay as they are, or to be so many.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hold {
    /// So many, whatever the triggers say; `None`: as many as there are. At most the policy's upper bound.
    pub replicas: Option<Replicas>,
    /// Why.
    pub reason: String,
    /// It ends then; `None`: with the next change of the policy.
    pub until: Option<Time>,
}

impl Hold {
    /// Whether it is in force.
    #[must_use]
    pub fn holds(&self, now: Time) -> bool {
        self.until.is_none_or(|end| now < end)
    }
}
