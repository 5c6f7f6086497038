//! ScalingPolicy.

mod behavior;
mod schedule;
mod trigger;

pub(crate) use trigger::selector_text;

use super::{DAY, HOUR, Invalid, SECOND, count, meta, span};
use crate::api::ScalingPolicy;
use crate::api::scalar::TimeText;
use crate::api::scaling_policy as api;
use crate::api::scaling_status::{Contributors, ScalingPolicyStatus};
use crate::api::scaling_trigger::Trigger;
use crate::core::event::Event;
use crate::core::names::{ObjectRef, PolicyKind, Uid};
use crate::core::policy as core;
use crate::core::quantity::Replicas;
use crate::core::report::{Original, Recommendation, ScaleEvent, ScalingHistory};
use crate::core::scaling::contributors::Baseline;
use crate::core::scaling::formula::Formula;
use crate::core::time::Span;

const MOST_REPLICAS: u32 = i32::MAX as u32;

pub(super) fn event(object: &ScalingPolicy) -> Result<Event, Invalid> {
    let spec = &object.spec;
    let meta = meta(PolicyKind::ScalingPolicy, object, spec.suspend, spec.mode);
    let min = count("spec.minReplicas", spec.min_replicas, 1, (0, MOST_REPLICAS))?;
    let max = count("spec.maxReplicas", Some(spec.max_replicas), 1, (1, MOST_REPLICAS))?;
    if min > max {
        return Err(Invalid::new(
            "spec.maxReplicas",
            format!("{max} must be at least minReplicas, which is {min}"),
        ));
    }
    let interval = span(
        "spec.interval",
        spec.interval.as_ref(),
        Span::from_secs(15),
        (SECOND, HOUR),
    )?;
    let reference = &spec.scale_target_ref;
    let version = reference.api_version.as_deref().unwrap_or("apps/v1");
    let target = ObjectRef::new(version, &reference.kind, &meta.key.namespace, &reference.name);
    let mut triggers = Vec::new();
    for (i, written) in spec.triggers.iter().enumerate() {
        triggers.push(trigger::convert(
            &format!("spec.triggers[{i}]"),
            written,
            &target,
            interval,
        )?);
    }
    if triggers.is_empty() && spec.schedules.is_empty() {
        let problem = "at least one trigger or schedule is needed";
        return Err(Invalid::new("spec.triggers", problem));
    }
    wakes(spec, min)?;
    compatible(spec)?;
    let bounds = (Replicas::new(min), Replicas::new(max));
    let policy = core::ScalingPolicy {
        direction: match spec.direction.unwrap_or_default() {
            api::Direction::Both => core::Direction::Both,
            api::Direction::UpOnly => core::Direction::UpOnly,
            api::Direction::DownOnly => core::Direction::DownOnly,
        },
        behavior: behavior::convert(spec.behavior.as_ref())?,
        compat: match (spec.compat, &spec.behavior) {
            (None, _) => core::Compat::None,
            (Some(api::Compat::HpaV2), Some(_)) => core::Compat::HpaV2,
            (Some(api::Compat::HpaV2), None) => core::Compat::HpaV2WithoutBehavior,
        },
        on_delete: match spec.on_delete.unwrap_or_default() {
            api::OnDelete::Keep => core::OnDelete::Keep,
            api::OnDelete::RestoreReplicas => core::OnDelete::RestoreReplicas,
        },
        idle: idle(spec, min)?,
        step: step(spec, min, max)?,
        readiness: readiness(spec.readiness.as_ref())?,
        hold: hold(spec, max)?,
        formula: formula(spec)?,
        schedules: schedule::convert(&spec.schedules, &triggers)?,
        ..core::ScalingPolicy::new(meta, target, bounds, triggers, interval)
    };
    Ok(Event::ScalingPolicy {
        history: object.status.as_ref().map(history).unwrap_or_default(),
        policy: Box::new(policy),
    })
}

/// Without pods there is nothing to measure on them: something else must tell that there is work again.
fn wakes(spec: &api::ScalingPolicySpec, min: u32) -> Result<(), Invalid> {
    let rests = spec.idle.is_some() || min == 0;
    let tells = |t: &Trigger| t.prometheus.is_some() || t.object.is_some() || t.external.is_some();
    // The HorizontalPodAutoscaler takes such a target for switched off, and leaves it alone.
    if !rests || spec.compat.is_some() || !spec.schedules.is_empty() || spec.triggers.iter().any(tells) {
        return Ok(());
    }
    let problem = "at 0 replicas, or an idle size, only prometheus, object and external triggers and schedules can tell that \
                   something is to be done: add such a trigger, or set minReplicas to at least 1 and remove idle";
    Err(Invalid::new("spec.triggers", problem))
}

/// What the HorizontalPodAutoscaler does not have would silently have no effect.
fn compatible(spec: &api::ScalingPolicySpec) -> Result<(), Invalid> {
    if spec.compat.is_none() {
        return Ok(());
    }
    let behavior = spec.behavior.as_ref();
    let foreign = [
        ("idle", spec.idle.is_some()),
        ("replicaStep", spec.replica_step.is_some()),
        ("formula", spec.formula.is_some()),
        ("onMissing", spec.triggers.iter().any(|t| t.on_missing.is_some())),
        ("activation", spec.triggers.iter().any(|t| t.activation.is_some())),
        (
            "behavior.insideTolerance",
            behavior.is_some_and(|b| b.inside_tolerance.is_some()),
        ),
        (
            "behavior.minReadyPercent",
            behavior.is_some_and(|b| b.min_ready_percent.is_some()),
        ),
    ];
    match foreign.iter().find(|(_, set)| *set) {
        None => Ok(()),
        Some((name, _)) => Err(Invalid::new(
            "spec.compat",
            format!("with compat: HPAv2 there is no {name}: remove it, or compat"),
        )),
    }
}

/// What the status remembers; recommendations made since it was written are missing from it.
fn history(status: &ScalingPolicyStatus) -> ScalingHistory {
    let count = |n: i32| Replicas::from_i64(n.into());
    let events = status.scale_events.iter().map(|e| ScaleEvent {
        at: e.at,
        from: count(e.from),
        to: count(e.to),
    });
    let recommendations = status.recommendations.iter().map(|r| Recommendation {
        at: r.at,
        replicas: count(r.replicas),
    });
    ScalingHistory {
        scale_events: events.collect(),
        recommendations: recommendations.collect(),
        complete_until: None,
        last_active: status.last_active_at,
        missing_since: status.missing_since.clone(),
        original: status.original.as_ref().map(|o| Original {
            replicas: count(o.replicas),
            uid: Uid(o.target_uid.clone()),
        }),
        contributors: status.contributors.iter().map(baseline).collect(),
    }
}

fn baseline(told: &Contributors) -> (String, Baseline) {
    let count = |n: i64| u32::try_from(n.max(0)).unwrap_or(u32::MAX);
    let baseline = Baseline {
        series: count(told.series),
        targets: count(told.targets),
        ready: count(told.ready),
        since: told.since,
    };
    (told.trigger.clone(), baseline)
}

/// Where the lower bound is 0, nothing to do means no replicas, after the window in which nothing scales down.
fn idle(spec: &api::ScalingPolicySpec, min: u32) -> Result<Option<core::Idle>, Invalid> {
    let Some(written) = &spec.idle else { return Ok(None) };
    let floor = min.max(1);
    let replicas = count("spec.idle.replicas", Some(written.replicas), 0, (0, floor - 1))?;
    let cooldown = span(
        "spec.idle.cooldown",
        written.cooldown.as_ref(),
        Span::from_mins(5),
        (Span::ZERO, DAY),
    )?;
    Ok(Some(core::Idle {
        replicas: Replicas::new(replicas),
        cooldown,
    }))
}

fn formula(spec: &api::ScalingPolicySpec) -> Result<Option<Formula>, Invalid> {
    let Some(text) = &spec.formula else { return Ok(None) };
    let names: Vec<String> = spec.triggers.iter().map(|trigger| trigger.name.clone()).collect();
    let formula = Formula::parse(text, &names).map_err(|e| Invalid::new("spec.formula", e))?;
    Ok(Some(formula))
}

fn step(spec: &api::ScalingPolicySpec, min: u32, max: u32) -> Result<u32, Invalid> {
    let step = count("spec.replicaStep", spec.replica_step, 1, (1, 1000))?;
    if max / step * step < min {
        let problem = format!("a multiple of {step} must lie between minReplicas ({min}) and maxReplicas ({max})");
        return Err(Invalid::new("spec.replicaStep", problem));
    }
    Ok(step)
}

fn readiness(written: Option<&api::Readiness>) -> Result<core::Readiness, Invalid> {
    let default = core::Readiness::default();
    let Some(written) = written else { return Ok(default) };
    let range = (Span::ZERO, HOUR);
    Ok(core::Readiness {
        cpu_initialization: span(
            "spec.readiness.cpuInitializationPeriod",
            written.cpu_initialization_period.as_ref(),
            default.cpu_initialization,
            range,
        )?,
        initial_delay: span(
            "spec.readiness.initialReadinessDelay",
            written.initial_readiness_delay.as_ref(),
            default.initial_delay,
            range,
        )?,
    })
}

fn hold(spec: &api::ScalingPolicySpec, max: u32) -> Result<Option<core::Hold>, Invalid> {
    let Some(written) = &spec.hold else { return Ok(None) };
    let replicas = written
        .replicas
        .map(|n| count("spec.hold.replicas", Some(n), 0, (0, max)))
        .transpose()?;
    let until = written.until.as_ref().map(TimeText::time).transpose();
    let until = until.map_err(|error| Invalid::new("spec.hold.until", error))?;
    Ok(Some(core::Hold {
        replicas: replicas.map(Replicas::new),
        reason: written.reason.clone(),
        until,
    }))
}
