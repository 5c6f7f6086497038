//! HealingPolicy.

use super::{DAY, Invalid, SECOND, count, meta, span};
use crate::api::HealingPolicy;
use crate::api::common::{LabelOperator, LabelSelector};
use crate::api::healing_policy as api;
use crate::core::event::Event;
use crate::core::names::{ObjectRef, PolicyKind, Uid};
use crate::core::policy as core;
use crate::core::report;
use crate::core::time::Span;
use crate::core::world;

pub(super) fn event(object: &HealingPolicy) -> Result<Event, Invalid> {
    let spec = &object.spec;
    let meta = meta(PolicyKind::HealingPolicy, object, spec.suspend, spec.mode);
    let mut rules = Vec::new();
    for (i, rule) in spec.rules.iter().enumerate() {
        rules.push(convert_rule(&format!("spec.rules[{i}]"), rule)?);
    }
    let namespace = meta.key.namespace.clone();
    let remembered = object
        .status
        .iter()
        .flat_map(|s| &s.incidents)
        .map(|i| incident(i, &namespace));
    let policy = core::HealingPolicy {
        selector: spec.selector.as_ref().map(selector).unwrap_or_default(),
        budget: budget(spec.budget.as_ref())?,
        rules,
        meta,
    };
    Ok(Event::HealingPolicy {
        incidents: remembered.collect(),
        policy: Box::new(policy),
    })
}

fn budget(written: Option<&api::HealingBudget>) -> Result<core::Budget, Invalid> {
    let max_unhealthy = match written.and_then(|b| b.max_unhealthy.as_ref()) {
        Some(share) => share.share().map_err(|e| Invalid::new("spec.budget.maxUnhealthy", e))?,
        None => core::Share::Percent(40),
    };
    Ok(core::Budget {
        in_flight: count("spec.budget.inFlight", written.and_then(|b| b.in_flight), 1, (1, 100))?,
        per_hour: count("spec.budget.perHour", written.and_then(|b| b.per_hour), 10, (1, 1000))?,
        max_unhealthy,
    })
}

fn convert_rule(field: &str, rule: &api::HealingRule) -> Result<core::HealingRule, Invalid> {
    let (when, default) = match (rule.when.pod, rule.when.drift) {
        (Some(api::PodSymptom::CrashLoopBackOff), None) => {
            (core::Cause::Pod(core::PodSymptom::CrashLoopBackOff), Span::from_mins(3))
        }
        (Some(api::PodSymptom::NotReady), None) => (core::Cause::Pod(core::PodSymptom::NotReady), Span::from_mins(5)),
        (None, Some(_)) => (core::Cause::Drift, Span::ZERO),
        _ => {
            return Err(Invalid::new(
                format!("{field}.when"),
                "exactly one of pod, drift must be set",
            ));
        }
    };
    let mut remedies = Vec::new();
    for (i, remedy) in rule.remedies.iter().enumerate() {
        let field = format!("{field}.remedies[{i}]");
        let action = match (remedy.action.evict, remedy.action.restore, when) {
            (Some(_), None, core::Cause::Pod(_)) => core::RemedyAction::Evict,
            (None, Some(_), core::Cause::Drift) => core::RemedyAction::Restore,
            _ => {
                return Err(Invalid::new(
                    format!("{field}.do"),
                    "pods are healed by evict, drift by restore",
                ));
            }
        };
        let wait = remedy.wait.as_ref();
        remedies.push(core::Remedy {
            name: remedy.name.clone(),
            action,
            attempts: count(&format!("{field}.attempts"), remedy.attempts, 2, (1, 10))?,
            wait: span(&format!("{field}.wait"), wait, Span::from_mins(5), (SECOND, DAY))?,
        });
    }
    let lasting = span(
        &format!("{field}.when.for"),
        rule.when.lasting.as_ref(),
        default,
        (Span::ZERO, DAY),
    )?;
    Ok(core::HealingRule {
        name: rule.name.clone(),
        when,
        lasting,
        remedies,
    })
}

/// A label selector.
pub(crate) fn selector(written: &LabelSelector) -> world::LabelSelector {
    let expressions = written.match_expressions.iter().map(|e| world::Requirement {
        key: e.key.clone(),
        operator: match e.operator {
            LabelOperator::In => world::Operator::In,
            LabelOperator::NotIn => world::Operator::NotIn,
            LabelOperator::Exists => world::Operator::Exists,
            LabelOperator::DoesNotExist => world::Operator::DoesNotExist,
        },
        values: e.values.clone(),
    });
    world::LabelSelector {
        match_labels: written.match_labels.clone(),
        match_expressions: expressions.collect(),
    }
}

fn incident(stored: &api::Incident, namespace: &str) -> report::Incident {
    let reference = |o: &api::IncidentObject| ObjectRef::new(&o.api_version, &o.kind, namespace, &o.name);
    report::Incident {
        id: stored.id.clone(),
        rule: stored.rule.clone(),
        owner: reference(stored.owner.as_ref().unwrap_or(&stored.object)),
        object: reference(&stored.object),
        uid: Uid(stored.object.uid.clone()),
        since: stored.since,
        attempts: u32::try_from(stored.attempts).unwrap_or(0),
        last_attempt: stored.last_attempt_at,
        phase: match stored.phase {
            api::IncidentPhase::Intended => report::IncidentPhase::Intended,
            api::IncidentPhase::Acted => report::IncidentPhase::Acted,
            api::IncidentPhase::Blocked => report::IncidentPhase::Blocked,
            api::IncidentPhase::GaveUp => report::IncidentPhase::GaveUp,
            api::IncidentPhase::Recovered => report::IncidentPhase::Recovered,
        },
        message: stored.message.clone(),
    }
}
