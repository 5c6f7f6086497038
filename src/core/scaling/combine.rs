//! What all triggers together ask for: missing data, what counts instead of them, and whether there is anything to do.

use super::formula::{Formula, FormulaInputs, FormulaValue};
use super::gather::Gap;
use super::memory::Memory;
use super::propose::{Proposal, Said, measures_pods, propose};
use crate::core::policy::{Fallback, OnMissing, ScalingPolicy, Trigger};
use crate::core::quantity::{Milli, Replicas};
use crate::core::reason::Reason;
use crate::core::time::Time;

/// Puts in place of missing values what the policy says for that case, once they have been missing for long enough.
pub(super) fn stand_in(memory: &Memory, now: Time, current: Replicas, said: &mut [Said]) {
    let policy = &memory.policy;
    for (trigger, said) in policy.triggers.iter().zip(said) {
        let (Err(gap), Some(after)) = (&said.datum, trigger.on_missing.after()) else {
            continue;
        };
        let since = memory.missing_since.get(&trigger.name);
        let patience = policy.interval.times(i64::from(after) - 1);
        if since.is_none_or(|since| now.since(*since) < patience) || gap.reason == Reason::NoPods {
            continue;
        }
        let gap = gap.clone();
        *said = instead(trigger, memory, current, gap);
    }
}

fn instead(trigger: &Trigger, memory: &Memory, current: Replicas, gap: Gap) -> Said {
    let (reason, proposal) = match trigger.on_missing {
        OnMissing::Hold => (gap.reason, None),
        OnMissing::Ignore { .. } => (Reason::Ignored, None),
        OnMissing::Zero { .. } => {
            let behavior = &memory.policy.behavior;
            let proposal = propose(trigger.target, Milli::default(), current, 1, behavior);
            (Reason::CountsAsZero, Some(proposal.replicas(current)))
        }
        OnMissing::Fallback { replicas, against, .. } => {
            let size = match against {
                Fallback::Static => replicas,
                Fallback::CurrentReplicas => current,
                Fallback::CurrentReplicasIfHigher => current.max(replicas),
                Fallback::CurrentReplicasIfLower => current.min(replicas),
            };
            (Reason::FellBack, Some(Proposal::Replicas(size).replicas(current)))
        }
    };
    Said {
        reason,
        active: proposal.filter(|_| !measures_pods(trigger)).map(|n| n > Replicas::ZERO),
        proposal,
        ..Said::gap(gap)
    }
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
                reason: if waiting && !complete {
                    Reason::NotSampledYet
                } else {
                    Reason::DataMissing
                },
                highest,
            }
        }
    }
}

/// What the policy's formula asks for; and why, where it asks for nothing. Values that may be incomplete never scale down by
/// it. What it says of missing values is what the policy wants.
pub(super) fn by_formula(
    formula: &Formula,
    policy: &ScalingPolicy,
    said: &[Said],
    current: Replicas,
    ready: u32,
) -> (Combined, Option<String>) {
    let proposals: Vec<_> = said.iter().map(|s| s.proposal.map(|n| f64::from(n.get()))).collect();
    let values: Vec<_> = said
        .iter()
        .map(|s| s.datum.as_ref().ok().map(|datum| datum.value.as_f64()))
        .collect();
    let inputs = FormulaInputs {
        proposals: &proposals,
        values: &values,
        current: current.get(),
        ready,
        min: policy.min.get(),
        max: policy.max.get(),
    };
    let hold = |reason, highest| Combined::Hold { reason, highest };
    let partial = said.iter().any(|s| s.datum.as_ref().is_ok_and(|d| d.warning.is_some()));
    let waiting = said.iter().any(|s| s.reason == Reason::NotSampledYet);
    match formula.evaluate(&inputs) {
        Ok(FormulaValue::Replicas(n)) if n < current && partial => (hold(Reason::DataMissing, Some(n)), None),
        // What has not been asked yet is about to be answered.
        Ok(FormulaValue::Replicas(n)) if n < current && waiting => (hold(Reason::NotSampledYet, Some(n)), None),
        Ok(FormulaValue::Replicas(n)) => (Combined::Recommend(n), None),
        Ok(FormulaValue::Missing { names }) => {
            let reason = if waiting {
                Reason::NotSampledYet
            } else {
                Reason::DataMissing
            };
            let problem = format!("the formula needs what is missing: {}", names.join(", "));
            (hold(reason, None), Some(problem))
        }
        Err(error) => (hold(Reason::FormulaFailed, None), Some(error.to_string())),
    }
}

/// Whether there is anything to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Activity {
    /// Some trigger is active.
    Active,
    /// Every trigger that is asked knows that it is not.
    Inactive,
    /// Some trigger does not know.
    Unknown,
}

/// Triggers that measure pods are not asked: while there are none they know nothing.
pub(super) fn activity(triggers: &[Trigger], said: &[Said]) -> Activity {
    // Without triggers there is only what schedules say.
    let mut known = triggers.is_empty();
    let mut unknown = false;
    for (trigger, said) in triggers.iter().zip(said) {
        match said.active {
            Some(true) => return Activity::Active,
            Some(false) if said.is_complete() => known = true,
            _ if measures_pods(trigger) || said.reason == Reason::Ignored => {}
            _ => unknown = true,
        }
    }
    if known && !unknown {
        Activity::Inactive
    } else {
        Activity::Unknown
    }
}
