//! What people want, validated: a value of these types has passed every check that needs no cluster.

mod behavior;
mod healing;
mod nodes;
mod scaling;
pub mod schedule;
mod trigger;

use serde::{Deserialize, Serialize};

use super::names::{PolicyKey, Uid};
use super::time::{Span, Time};

pub use behavior::{Behavior, InsideTolerance, RateKind, RatePolicy, ScalingRules, SelectPolicy};
pub use healing::{Budget, Cause, HealingPolicy, HealingRule, PodSymptom, Remedy, RemedyAction, Share};
pub use nodes::{Consolidation, NodePool, NodePoolPolicy, NodeTemplate, ProviderKind};
pub use scaling::{Compat, Direction, Hold, Idle, OnDelete, Readiness, ScalingPolicy};
pub use schedule::Schedule;
pub use trigger::{Combine, Fallback, MetricTarget, OnMissing, ResourceName, Trigger};

/// What every policy has.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Meta {
    /// Kind, namespace and name.
    pub key: PolicyKey,
    /// A policy that was deleted and made again is a new one.
    pub uid: Uid,
    /// The object's generation; goes back to people as `observedGeneration`.
    pub generation: i64,
    /// Of two policies that want the same thing the older one goes on.
    pub created: Time,
    /// A suspended policy acts not at all.
    pub suspend: bool,
    /// Whether actions are carried out.
    pub mode: Mode,
}

/// Whether actions are carried out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mode {
    /// They are.
    #[default]
    Enforce,
    /// They are decided, recorded and explained, and not carried out.
    DryRun,
}

/// Limits that no policy can raise; from the OperatorConfig.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// Healing actions of all policies together, per namespace, in any [`Limits::healing_window`].
    pub healing_per_window: u32,
    /// The window over which healing actions are counted.
    pub healing_window: Span,
    /// More than this share of the observed pods (over all namespaces) unhealthy at once is a storm: healing of pods stops.
    pub storm_share_percent: u32,
    /// Fewer unhealthy pods than this are never a storm.
    pub storm_at_least: u32,
    /// How long it must have been calm before healing starts again after a storm.
    pub storm_calm: Span,
    /// An action whose outcome has not come after this time counts as unknown: its object is left alone until it is seen
    /// again.
    pub action_timeout: Span,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            healing_per_window: 30,
            healing_window: Span::from_mins(60),
            storm_share_percent: 30,
            storm_at_least: 5,
            storm_calm: Span::from_mins(5),
            action_timeout: Span::from_secs(60),
        }
    }
}
