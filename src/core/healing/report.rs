//! What a HealingPolicy says of itself: conditions and incidents.

use super::memory::Memory;
use crate::core::policy::Mode;
use crate::core::reason::Reason;
use crate::core::report::{ConditionReport, Detail, HealingReport, IncidentPhase, Report};
use crate::core::world::Status;

/// What one evaluation found.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// Nothing was looked at.
    pub gate: Option<(Reason, String)>,
    /// The first thing that is wrong, in words.
    pub unwell: Option<String>,
    /// The first thing that was held back.
    pub held: Option<(Reason, String)>,
}

/// The report of one evaluation.
pub(super) fn report(memory: &Memory, findings: &Findings) -> Report {
    let meta = &memory.policy.meta;
    let conditions = if let Some((reason, message)) = &findings.gate {
        gated(*reason, message)
    } else {
        let (reason, message) = match meta.mode {
            Mode::DryRun => (Reason::DryRun, "remedies are decided and shown, not carried out"),
            Mode::Enforce => (Reason::Accepted, "its rules are in force"),
        };
        let limited = match &findings.held {
            Some((reason, message)) => condition("Limited", Status::True, *reason, message),
            None => condition("Limited", Status::False, Reason::Healthy, "nothing is held back"),
        };
        let ready = condition("Ready", Status::True, reason, message);
        vec![ready, healthy(memory, findings), limited]
    };
    Report {
        policy: meta.key.clone(),
        generation: meta.generation,
        conditions,
        detail: Detail::Healing(HealingReport {
            incidents: memory.incidents.values().cloned().collect(),
        }),
    }
}

fn condition(kind: &str, status: Status, reason: Reason, message: &str) -> ConditionReport {
    ConditionReport {
        kind: kind.into(),
        status,
        reason,
        message: message.into(),
    }
}

fn gated(reason: Reason, message: &str) -> Vec<ConditionReport> {
    let healthy = condition("Healthy", Status::Unknown, reason, message);
    if reason == Reason::Suspended {
        return vec![condition("Ready", Status::True, reason, message), healthy];
    }
    vec![
        condition("Ready", Status::False, reason, message),
        condition("Reconciling", Status::True, reason, message),
        healthy,
    ]
}

fn healthy(memory: &Memory, findings: &Findings) -> ConditionReport {
    let of_phase = |phases: &[IncidentPhase]| memory.incidents.values().find(|i| phases.contains(&i.phase));
    if let Some(incident) = of_phase(&[IncidentPhase::GaveUp]) {
        return condition("Healthy", Status::False, Reason::NeedsAttention, &incident.message);
    }
    let open = of_phase(&[IncidentPhase::Intended, IncidentPhase::Acted, IncidentPhase::Blocked]);
    match (open, &findings.unwell) {
        (Some(incident), _) => condition("Healthy", Status::False, Reason::Healing, &incident.message),
        (None, Some(message)) => condition("Healthy", Status::False, Reason::Healing, message),
        (None, None) => condition("Healthy", Status::True, Reason::Healthy, "nothing is wrong"),
    }
}
