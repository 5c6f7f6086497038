//! How many replicas a value asks for. The calculators for Object and External
//! metrics of the HPA controller (`pkg/controller/podautoscaler/replica_calculator.go`), with three deliberate differences:
//!
//! * A value above its target never asks for fewer than there are, one below never for more. (In the HPA an overloaded
//!   target with many unready pods can shrink, and a value within tolerance asks for more than a slightly higher one.)
//! * `AverageValue` is measured against `spec.replicas`, not against `status.replicas`: both are the same except while pods
//!   come or go, when the HPA takes surge pods of a rollout for wanted ones.
//! * Without any Ready pod `Value` has nothing to multiply and proposes nothing; the HPA proposes zero.

use super::gather::{Datum, Gap, gather};
use super::memory::Memory;
use super::per_pod::{self, Counted};
use super::pods;
use crate::core::names::QueryKey;
use crate::core::policy::{Behavior, InsideTolerance, MetricTarget, ScalingPolicy, Trigger};
use crate::core::quantity::{Milli, Replicas};
use crate::core::reason::Reason;
use crate::core::state::{QueryId, Sample, State};
use crate::core::time::Time;
use crate::core::world::{Pod, Target};

/// What a trigger says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// What the proposal comes from, or why there is none.
    pub datum: Result<Datum, Gap>,
    /// The replicas that it asks for.
    pub proposal: Option<Replicas>,
    /// `ScaleUp`, `ScaleDown`, `WithinTolerance`, `AsDesired`, `PartialData`, the gap's reason, or what counts instead:
    /// `FellBack`, `Ignored`, `CountsAsZero`.
    pub reason: Reason,
    /// The pods, where the proposal was made from them.
    pub counted: Option<Counted>,
    /// Whether there is something to do; `None`: it does not know, or is not asked.
    pub active: Option<bool>,
}

impl Said {
    pub(super) fn gap(gap: Gap) -> Self {
        Self {
            reason: gap.reason,
            datum: Err(gap),
            proposal: None,
            counted: None,
            active: None,
        }
    }

    /// Whether its data are complete, or its policy says what counts instead, so that it may scale down.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        match &self.datum {
            Ok(datum) => self.proposal.is_some() && datum.warning.is_none(),
            Err(_) => self.stands_in(),
        }
    }

    /// Whether something else counts instead of its value, as its policy says.
    #[must_use]
    pub fn stands_in(&self) -> bool {
        matches!(self.reason, Reason::FellBack | Reason::Ignored | Reason::CountsAsZero)
    }
}

/// Whether a trigger measures pods, so that it says nothing while there are none.
#[must_use]
pub fn measures_pods(trigger: &Trigger) -> bool {
    matches!(trigger.query, QueryKey::Resources { .. } | QueryKey::Pods { .. })
}

/// What all triggers say, in the policy's order; `queries` are the numbers of what they ask.
pub(super) fn ask(state: &State, now: Time, (memory, queries): (&Memory, &[QueryId]), target: &Target) -> Vec<Said> {
    let policy = &memory.policy;
    let counts_ready = |t: &Trigger| !measures_pods(t) && !matches!(t.target, MetricTarget::AverageValue(_));
    let any = target.replicas > Replicas::ZERO;
    let needs_pods = any && policy.triggers.iter().any(|t| measures_pods(t) || counts_ready(t));
    let own = if needs_pods {
        pods::own_pods(state, policy, target)
    } else {
        Ok(Vec::new())
    };
    let says = |(trigger, query): (&Trigger, &QueryId)| {
        let sample = state.queries.at(*query).and_then(|query| query.sample.as_ref());
        if measures_pods(trigger) {
            return by_pod(sample, now, trigger, (policy, target), &own);
        }
        let before = memory.contributors.get(&trigger.name).copied();
        let datum = match gather(trigger, sample, now, policy.interval, before) {
            Err(gap) => return Said::gap(gap),
            Ok(datum) => datum,
        };
        if !any || !counts_ready(trigger) {
            return said(datum, trigger, policy, target.replicas, None);
        }
        match own.as_ref().map_err(Gap::clone).and_then(|own| pods::ready(own)) {
            Ok(ready) => said(datum, trigger, policy, target.replicas, Some(ready)),
            Err(gap) => Said::gap(Gap {
                value: Some(datum.value),
                sampled_at: Some(datum.sampled_at),
                ..gap
            }),
        }
    };
    policy.triggers.iter().zip(queries).map(says).collect()
}

/// What a trigger says that measures pods.
fn by_pod(
    sample: Option<&Sample>,
    now: Time,
    trigger: &Trigger,
    (policy, target): (&ScalingPolicy, &Target),
    own: &Result<Vec<&Pod>, Gap>,
) -> Said {
    if target.replicas == Replicas::ZERO {
        return Said::gap(Gap::new(Reason::NoPods, "has nothing to measure: there are no pods"));
    }
    let Some(sample) = sample else {
        return Said::gap(Gap::new(Reason::NotSampledYet, "has not been asked yet"));
    };
    if !matches!(
        sample.reading,
        crate::core::sample::Reading::PodUsage { .. } | crate::core::sample::Reading::PodValues { .. }
    ) {
        return Said::gap(super::gather::without_value(&sample.reading));
    }
    let own = match own {
        Ok(own) => own,
        Err(gap) => return Said::gap(gap.clone()),
    };
    match per_pod::ask(trigger, &sample.reading, own, (policy, target.replicas), now) {
        Ok((datum, proposal, counted)) => Said {
            active: None,
            counted: Some(counted),
            ..decided(datum, proposal, policy, target.replicas)
        },
        Err(gap) => Said::gap(gap),
    }
}

fn said(datum: Datum, trigger: &Trigger, policy: &ScalingPolicy, current: Replicas, ready: Option<u32>) -> Said {
    let proposal = propose(
        trigger.target,
        datum.value,
        current,
        ready.unwrap_or(1),
        &policy.behavior,
    );
    let active = datum.value > trigger.activation;
    Said {
        active: Some(active),
        counted: ready.map(|ready| Counted {
            ready,
            ..Counted::default()
        }),
        ..decided(datum, proposal, policy, current)
    }
}

fn decided(datum: Datum, proposal: Proposal, policy: &ScalingPolicy, current: Replicas) -> Said {
    let complete = datum.warning.is_none();
    let converge = policy.behavior.inside_tolerance == InsideTolerance::Converge;
    let proposal = match proposal {
        Proposal::WithinTolerance(exact) if converge && complete => {
            Proposal::Replicas(towards(exact, current, policy.step))
        }
        other => other,
    };
    let reason = match proposal {
        Proposal::WithinTolerance(_) if complete => Reason::WithinTolerance,
        Proposal::Replicas(n) if n > current => Reason::ScaleUp,
        _ if !complete => Reason::PartialData,
        Proposal::Replicas(n) if n < current => Reason::ScaleDown,
        _ => Reason::AsDesired,
    };
    Said {
        datum: Ok(datum),
        proposal: Some(proposal.replicas(current)),
        reason,
        counted: None,
        active: None,
    }
}

/// One step from `current` towards `exact`.
fn towards(exact: Replicas, current: Replicas, step: u32) -> Replicas {
    let (exact, current) = (exact.get(), current.get());
    Replicas::new(if exact > current {
        current.saturating_add(step).min(exact)
    } else {
        current.saturating_sub(step).max(exact)
    })
}

/// What a value asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proposal {
    /// Near enough to the target value: as many as there are. By the value alone it would be so many.
    WithinTolerance(Replicas),
    /// So many.
    Replicas(Replicas),
}

impl Proposal {
    /// As a number.
    #[must_use]
    pub fn replicas(self, current: Replicas) -> Replicas {
        match self {
            Self::WithinTolerance(_) => current,
            Self::Replicas(n) => n,
        }
    }
}

/// How many replicas a value asks for. `ready` is the number of Ready pods, at least 1, and counts only for
/// [`MetricTarget::Value`] and [`MetricTarget::Utilization`] away from zero. A negative value is no demand. A higher value
/// never asks for fewer replicas.
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
    let wanted = whole(usage / per_one * base);
    if (1.0 - behavior.down.tolerance) <= ratio && ratio <= (1.0 + behavior.up.tolerance) {
        return Proposal::WithinTolerance(wanted);
    }
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
