//! How many replicas a value asks for, and what all triggers together ask for. The calculators for Object and External
//! metrics of the HPA controller (`pkg/controller/podautoscaler/replica_calculator.go`), with three deliberate differences:
//!
//! * A value above its target never asks for fewer than there are, one below never for more. (In the HPA an overloaded
//!   target with many unready pods can shrink, and a value within tolerance asks for more than a slightly higher one.)
//! * `AverageValue` is measured against `spec.replicas`, not against `status.replicas`: both are the same except while pods
//!   come or go, when the HPA takes surge pods of a rollout for wanted ones.
//! * Without any Ready pod `Value` has nothing to multiply and proposes nothing; the HPA proposes zero.

use super::gather::{Datum, Gap, gather};
use crate::core::guard::Safeguard;
use crate::core::policy::{Behavior, MetricTarget, ScalingPolicy, Trigger};
use crate::core::quantity::{Milli, Replicas};
use crate::core::reason::Reason;
use crate::core::state::State;
use crate::core::time::Time;
use crate::core::world::{Target, View};

/// What a trigger says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// What the proposal comes from, or why there is none.
    pub datum: Result<Datum, Gap>,
    /// The replicas that it asks for.
    pub proposal: Option<Replicas>,
    /// `ScaleUp`, `ScaleDown`, `WithinTolerance`, `AsDesired`, `PartialData`, or the gap's reason.
    pub reason: Reason,
    /// Ready pods, where the proposal was made from them.
    pub ready: Option<u32>,
}

impl Said {
    /// Whether its data are complete, so that it may scale down.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.proposal.is_some() && self.datum.as_ref().is_ok_and(|d| d.warning.is_none())
    }
}

/// What all triggers say, in the policy's order.
pub(super) fn ask(state: &State, now: Time, policy: &ScalingPolicy, target: &Target) -> Vec<Said> {
    let by_pods = |t: &Trigger| !matches!(t.target, MetricTarget::AverageValue(_));
    let ready = if target.replicas > Replicas::ZERO && policy.triggers.iter().any(by_pods) {
        ready_pods(state, policy, target)
    } else {
        Ok(0)
    };
    let says = |trigger: &Trigger| {
        let sample = state.samples.get(&trigger.query);
        let datum = match gather(trigger, sample, now, policy.interval) {
            Err(gap) => Err(gap),
            Ok(datum) => match &ready {
                Err(gap) if by_pods(trigger) => Err(Gap {
                    value: Some(datum.value),
                    sampled_at: Some(datum.sampled_at),
                    ..gap.clone()
                }),
                _ => Ok(datum),
            },
        };
        let ready = *ready.as_ref().unwrap_or(&0);
        said(datum, trigger.target, target.replicas, ready, &policy.behavior)
    };
    policy.triggers.iter().map(says).collect()
}

fn said(datum: Result<Datum, Gap>, target: MetricTarget, current: Replicas, ready: u32, behavior: &Behavior) -> Said {
    let datum = match datum {
        Ok(datum) => datum,
        Err(gap) => {
            return Said {
                reason: gap.reason,
                datum: Err(gap),
                proposal: None,
                ready: None,
            };
        }
    };
    let proposal = propose(target, datum.value, current, ready, behavior);
    let reason = match proposal {
        Proposal::WithinTolerance if datum.warning.is_none() => Reason::WithinTolerance,
        Proposal::Replicas(n) if n > current => Reason::ScaleUp,
        _ if datum.warning.is_some() => Reason::PartialData,
        Proposal::Replicas(n) if n < current => Reason::ScaleDown,
        _ => Reason::AsDesired,
    };
    let counts_pods = !matches!(target, MetricTarget::AverageValue(_)) && current > Replicas::ZERO;
    Said {
        datum: Ok(datum),
        proposal: Some(proposal.replicas(current)),
        reason,
        ready: counts_pods.then_some(ready),
    }
}

/// What a value asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proposal {
    /// Near enough to the target value: as many as there are.
    WithinTolerance,
    /// So many.
    Replicas(Replicas),
}

impl Proposal {
    /// As a number.
    #[must_use]
    pub fn replicas(self, current: Replicas) -> Replicas {
        match self {
            Self::WithinTolerance => current,
            Self::Replicas(n) => n,
        }
    }
}

/// How many replicas a value asks for. `ready` is the number of Ready pods, at least 1, and counts only for
/// [`MetricTarget::Value`] away from zero. A negative value is no demand. A higher value never asks for fewer replicas.
#[must_use]
pub fn propose(target: MetricTarget, value: Milli, current: Replicas, ready: u32, behavior: &Behavior) -> Proposal {
    let usage = value.thousandths().max(0) as f64;
    let (aim, base) = match target {
        MetricTarget::Value(aim) => (aim, f64::from(ready)),
        MetricTarget::AverageValue(aim) => (aim, 1.0),
        MetricTarget::Utilization(percent) => (Milli::new(i64::from(percent) * 10), f64::from(ready)),
    };
    let per_one = aim.thousandths().max(1) as f64;
    if current == Replicas::ZERO {
        return Proposal::Replicas(whole(usage / per_one));
    }
    let ratio = match target {
        MetricTarget::Value(_) | MetricTarget::Utilization(_) => usage / per_one,
        MetricTarget::AverageValue(_) => usage / (per_one * f64::from(current.get())),
    };
    if (1.0 - behavior.down.tolerance) <= ratio && ratio <= (1.0 + behavior.up.tolerance) {
        return Proposal::WithinTolerance;
    }
    let wanted = whole(usage / per_one * base);
    Proposal::Replicas(if ratio > 1.0 {
        wanted.max(current)
    } else {
        wanted.min(current)
    })
}

/// Rounded up, within the range of replicas.
fn whole(replicas: f64) -> Replicas {
    Replicas::from_i64(replicas.ceil() as i64)
}

/// The Ready pods of the target; unready ones do not count.
fn ready_pods(state: &State, policy: &ScalingPolicy, target: &Target) -> Result<u32, Gap> {
    if state.guard.on(Safeguard::CompleteView) && !state.world.sees(View::Pods) {
        return Err(Gap::new(
            Reason::ViewIncomplete,
            "cannot be related to the Ready pods: the operator does not see all pods yet",
        ));
    }
    let (mut ready, mut all) = (0_u32, 0_u32);
    for pod in state.world.pods_in(&policy.target.namespace) {
        if !target.selector.is_empty() && target.selector.matches(&pod.labels) {
            all += 1;
            ready += u32::from(pod.is_ready());
        }
    }
    if ready == 0 {
        let message = format!("cannot be related to the Ready pods: none of {all} pods is Ready");
        return Err(Gap::new(Reason::NotReady, message));
    }
    Ok(ready)
}

/// What all triggers together ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Combined {
    /// So many: the highest proposal.
    Recommend(Replicas),
    /// As many as there are, since data are missing.
    Hold {
        /// `DataMissing`, or `NotSampledYet` where that is all there is.
        reason: Reason,
        /// The highest proposal of those that there are; below the current size.
        highest: Option<Replicas>,
    },
}

/// The highest proposal counts; where any trigger lacks data it may scale up and never down. With `trusting` missing data
/// count as no demand, which is wrong and only there to prove it.
#[must_use]
pub fn combine(all: &[Said], current: Replicas, trusting: bool) -> Combined {
    let highest = all.iter().filter_map(|s| s.proposal).max();
    if trusting {
        return Combined::Recommend(highest.unwrap_or(Replicas::ZERO));
    }
    let complete = all.iter().all(Said::is_complete);
    match highest {
        Some(highest) if complete || highest >= current => Combined::Recommend(highest),
        _ => {
            let waiting = all.iter().all(|s| s.is_complete() || s.reason == Reason::NotSampledYet);
            Combined::Hold {
                reason: if waiting {
                    Reason::NotSampledYet
                } else {
                    Reason::DataMissing
                },
                highest,
            }
        }
    }
}
