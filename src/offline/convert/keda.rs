//! KEDA's ScaledObject → ScalingPolicy, with the TriggerAuthentication that it names.
//!
//! KEDA is two loops: its own between none and one, and a HorizontalPodAutoscaler above. A policy is one. Where that shows, the
//! report says so.

pub(super) mod auth;
mod cron;
mod formula;
mod pause;
mod prometheus;
pub(super) mod servers;
mod types;

use super::hpa::{NO_BEHAVIOR, behavior, positive, quantities_as_text, target};
use super::lost::lost;
use super::names::{LABEL, Unique, label};
use super::report::Notes;
use super::{Source, policy};
use crate::api::ScalingPolicy;
use crate::api::scaling_policy::{Idle, OnDelete};
use crate::api::scaling_schedule::Schedule;
use crate::api::scaling_trigger::{
    ContainerResourceTrigger, FallbackBehavior, MetricTarget, OnMissing, OnMissingAction, ResourceTrigger, Trigger,
};
use auth::Auths;
use servers::Servers;
use types::{Fallback, ScaleTrigger, Spec};

/// KEDA's defaults: they differ from a policy's, so that they are written.
const DEFAULT_MAX: i32 = 100;
const DEFAULT_COOLDOWN: i32 = 300;
const DEFAULT_POLLING: i32 = 30;

/// What a ScaledObject's triggers become.
#[derive(Default)]
struct Sources {
    triggers: Vec<Trigger>,
    schedules: Vec<Schedule>,
}

pub(super) fn convert(
    source: &Source,
    auths: &Auths,
    servers: &mut Servers,
    notes: &mut Notes,
) -> Result<Option<ScalingPolicy>, String> {
    let mut written = source.spec();
    if let Some(config) = written.pointer_mut("/advanced/horizontalPodAutoscalerConfig") {
        quantities_as_text(config);
    }
    let spec: Spec = serde_json::from_value(written.clone()).map_err(|e| format!("spec cannot be read: {e}"))?;
    let kept = serde_json::to_value(&spec).map_err(|e| e.to_string())?;
    let reference = &spec.scale_target_ref;
    let kind = reference.kind.as_deref().filter(|k| !k.is_empty());
    let target = target(
        reference.api_version.as_deref(),
        Some(kind.unwrap_or("Deployment")),
        &reference.name,
        notes,
    )?;
    if reference.env_source_container_name.is_some() {
        let text = "not needed: nothing is read from the environment of a container";
        notes.differs("spec.scaleTargetRef.envSourceContainerName", text);
    }
    let sources = triggers(source, &spec, auths, servers, notes);
    let max = spec.max_replica_count.unwrap_or(DEFAULT_MAX);
    let (min, idle) = least(&spec, &sources, notes);
    let mut policy = policy(source, target, (Some(min), max), sources.triggers);
    policy.spec.idle = idle;
    notes.carried("spec.maxReplicaCount", format!("minReplicas {min}, maxReplicas {max}"));
    policy.spec.interval = interval(&spec, notes);
    fallback(&spec, &mut policy.spec.triggers, notes)?;
    advanced(&spec, &mut policy, notes)?;
    policy.spec.schedules = sources.schedules;
    pause::apply(&source.texts("annotations"), &mut policy.spec, notes);
    for field in lost("spec", &written, &kept) {
        notes.by_hand(
            &field,
            "is not known here and not carried over: look whether it matters",
        );
    }
    Ok(Some(policy))
}

fn triggers(source: &Source, spec: &Spec, auths: &Auths, servers: &mut Servers, notes: &mut Notes) -> Sources {
    let (mut names, mut sources) = (Unique::default(), Sources::default());
    for (i, written) in spec.triggers.iter().enumerate() {
        let field = format!("spec.triggers[{i}]");
        let wish = label(written.name.as_deref().unwrap_or(&written.kind), "trigger");
        let name = names.take(&wish, LABEL);
        let made = match written.kind.as_str() {
            "prometheus" => {
                let auth = auths.of_trigger(source.namespace.as_deref(), written);
                prometheus::trigger(&field, written, auth, servers, notes).map(Some)
            }
            "cpu" | "memory" => resource(&field, written, notes).map(Some),
            "cron" => cron::schedule(&field, &name, written, notes).map(|schedule| {
                notes.carried(&field, format!("cron as schedule {name}"));
                sources.schedules.push(schedule);
                None
            }),
            other => Err(instead(other, i, source)),
        };
        match made {
            Ok(Some(mut trigger)) => {
                trigger.name.clone_from(&name);
                notes.carried(&field, format!("{} as trigger {name}", written.kind));
                sources.triggers.push(trigger);
            }
            Ok(None) => {}
            Err(reason) => notes.lacks(&field, &format!("the trigger {name}"), reason),
        }
        if written.use_cached_metrics == Some(true) {
            let text = "not needed: a query is asked once an interval, whoever wants its answer";
            notes.differs(&format!("{field}.useCachedMetrics"), text);
        }
    }
    sources
}

/// What to write for a scaler that has no equivalent.
fn instead(kind: &str, index: usize, source: &Source) -> String {
    let names = source
        .object
        .pointer("/status/externalMetricNames")
        .and_then(|v| v.as_array());
    let prefix = format!("s{index}-");
    let served = names
        .into_iter()
        .flatten()
        .filter_map(|n| n.as_str())
        .find(|n| n.starts_with(&prefix));
    let what = match kind {
        "kubernetes-workload" => {
            "count the pods by a query of kube-state-metrics, such as count(kube_pod_labels{label_app=\"x\"})"
        }
        "kafka" | "apache-kafka" => "ask a lag exporter through Prometheus, such as sum(kafka_consumergroup_lag{…})",
        "aws-sqs-queue" | "aws-cloudwatch" | "azure-servicebus" | "azure-queue" | "gcp-pubsub" | "gcp-stackdriver" => {
            "ask the cloud's exporter through Prometheus, or an external metrics adapter by an external trigger"
        }
        "metrics-api" | "external" | "external-push" => {
            "let Prometheus scrape the service, or serve it by an external metrics adapter for an external trigger"
        }
        _ => "ask an exporter through Prometheus, or an external metrics adapter by an external trigger",
    };
    let metric = served.map_or_else(|| format!("{prefix}{kind}-…"), str::to_owned);
    format!(
        "scalers of type {kind} have no equivalent: {what}. While KEDA and this ScaledObject are still there, its adapter serves \
         the value as the external metric {metric} with the label scaledobject.keda.sh/name: {}",
        source.name
    )
}

fn resource(field: &str, written: &ScaleTrigger, notes: &mut Notes) -> Result<Trigger, String> {
    let mut metadata = written.metadata();
    let kind = metadata.take("type").or_else(|| written.metric_type.clone());
    let value = metadata.take("value").ok_or("it has no value")?;
    let container = metadata.take("containerName");
    let mut target = MetricTarget::default();
    match kind.as_deref() {
        Some("Utilization") => {
            let percent = value.parse().ok().filter(|p| (1..=10_000).contains(p));
            target.average_utilization = Some(percent.ok_or(format!("its value {value} is no percentage above 0"))?);
        }
        Some("AverageValue") => target.average_value = Some(positive(&value)?),
        _ => return Err("its metricType is neither Utilization nor AverageValue".into()),
    }
    metadata.unread(field, notes);
    let name = written.kind.clone();
    let whole = container.is_none().then(|| ResourceTrigger { name: name.clone() });
    Ok(Trigger {
        resource: whole,
        container_resource: container.map(|container| ContainerResourceTrigger { name, container }),
        target,
        ..Trigger::default()
    })
}

/// The lower bound and the idle size. Processor and memory tell nothing about either: for KEDA they are always active, and
/// without a pod there is nothing to measure.
fn least(spec: &Spec, sources: &Sources, notes: &mut Notes) -> (i32, Option<Idle>) {
    let min = spec.min_replica_count.unwrap_or(0);
    let tells = !sources.schedules.is_empty() || sources.triggers.iter().any(|t| t.prometheus.is_some());
    let rests = spec.idle_replica_count.is_some() || min == 0;
    if tells || !rests || sources.triggers.is_empty() {
        return (min, idle(spec, min, notes));
    }
    let text = |what: &str| {
        format!(
            "{what}: cpu and memory cannot tell that there is nothing to do; with another trigger, write idle by hand"
        )
    };
    if spec.idle_replica_count.is_some() {
        notes.differs("spec.idleReplicaCount", text("left out"));
    }
    if min == 0 {
        notes.differs("spec.minReplicaCount", text("1 instead of 0"));
    }
    (min.max(1), None)
}

/// None while nothing is active, or as few as `idleReplicaCount` says, after the cool-down.
fn idle(spec: &Spec, min: i32, notes: &mut Notes) -> Option<Idle> {
    let cooldown = spec.cooldown_period.unwrap_or(DEFAULT_COOLDOWN).clamp(0, 86_400);
    if let Some(seconds) = spec.initial_cooldown_period.filter(|s| *s != 0) {
        let text = format!("{seconds} s are not carried over: the cool-down counts from the first decision on");
        notes.differs("spec.initialCooldownPeriod", text);
    }
    let replicas = match (spec.idle_replica_count, min) {
        (Some(idle), _) => idle,
        (None, 0) => 0,
        (None, _) => {
            if spec.cooldown_period.is_some() {
                notes.differs(
                    "spec.cooldownPeriod",
                    "has no effect where minReplicaCount is above 0: left out",
                );
            }
            return None;
        }
    };
    let text = format!("idle at {replicas} replicas after {cooldown} s without an active trigger");
    notes.carried("spec.cooldownPeriod", text);
    Some(Idle {
        replicas,
        cooldown: Some(format!("{cooldown}s").as_str().into()),
    })
}

fn interval(spec: &Spec, notes: &mut Notes) -> Option<crate::api::scalar::DurationText> {
    let field = "spec.pollingInterval";
    let Some(seconds) = spec.polling_interval else {
        let text = format!(
            "absent: KEDA asks every {DEFAULT_POLLING} s whether something is to be done, and scales every 15 s; the policy \
             does both every 15 s, its default"
        );
        notes.differs(field, text);
        return None;
    };
    let allowed = seconds.clamp(1, 3600);
    let text = if allowed == seconds {
        format!("interval {seconds}s, for all decisions: KEDA scales above one replica every 15 s, whatever this says")
    } else {
        format!("interval {allowed}s: {seconds} s is not from 1 s to 1 h")
    };
    if seconds == 15 {
        notes.carried(field, "interval 15s");
    } else {
        notes.differs(field, text);
    }
    Some(format!("{allowed}s").as_str().into())
}

/// KEDA falls back once more than `failureThreshold` tries failed; never for the processor and memory.
fn fallback(spec: &Spec, triggers: &mut [Trigger], notes: &mut Notes) -> Result<(), String> {
    let Some(Fallback {
        failure_threshold,
        replicas,
        behavior,
    }) = &spec.fallback
    else {
        return Ok(());
    };
    let behavior = match behavior.as_deref().unwrap_or("static") {
        "static" | "" => None,
        "currentReplicas" => Some(FallbackBehavior::CurrentReplicas),
        "currentReplicasIfHigher" => Some(FallbackBehavior::CurrentReplicasIfHigher),
        "currentReplicasIfLower" => Some(FallbackBehavior::CurrentReplicasIfLower),
        other => return Err(format!("spec.fallback.behavior: {other} is not known")),
    };
    let after = failure_threshold.saturating_add(1).clamp(1, 1000);
    let mut names = Vec::new();
    for trigger in triggers.iter_mut().filter(|t| t.prometheus.is_some()) {
        trigger.on_missing = Some(OnMissing {
            action: OnMissingAction::Fallback,
            replicas: Some(*replicas),
            behavior,
            after: Some(after),
        });
        names.push(trigger.name.clone());
    }
    if names.is_empty() {
        notes.differs("spec.fallback", "has no effect on cpu and memory: left out");
    } else {
        let text = format!(
            "onMissing of {}: {replicas} replicas after {after} failed tries",
            names.join(", ")
        );
        notes.carried("spec.fallback", text);
    }
    Ok(())
}

fn advanced(spec: &Spec, policy: &mut ScalingPolicy, notes: &mut Notes) -> Result<(), String> {
    let config = spec
        .advanced
        .as_ref()
        .and_then(|a| a.horizontal_pod_autoscaler_config.as_ref());
    if config.is_none_or(|config| config.behavior.is_none()) {
        notes.differs("spec.advanced.horizontalPodAutoscalerConfig.behavior", NO_BEHAVIOR);
    }
    let Some(advanced) = &spec.advanced else { return Ok(()) };
    if let Some(config) = &advanced.horizontal_pod_autoscaler_config {
        let field = "spec.advanced.horizontalPodAutoscalerConfig";
        if let Some(written) = &config.behavior {
            let field = format!("{field}.behavior");
            policy.spec.behavior = Some(behavior(&field, written, notes)?);
            notes.carried(&field, "to the letter");
        }
        if config.name.is_some() {
            notes.differs(
                &format!("{field}.name"),
                "left out: there is no HorizontalPodAutoscaler to name",
            );
        }
    }
    if advanced.restore_to_original_replica_count == Some(true) {
        policy.spec.on_delete = Some(OnDelete::RestoreReplicas);
        let text = "onDelete: RestoreReplicas: the size that the target has when the policy begins to scale it, and not the one that \
                    KEDA remembers; a deletion never waits for the operator";
        notes.differs("spec.advanced.restoreToOriginalReplicaCount", text);
    }
    if let Some(modifiers) = &advanced.scaling_modifiers {
        policy.spec.formula = formula::carry(modifiers, spec, &policy.spec.triggers, notes);
    }
    Ok(())
}
