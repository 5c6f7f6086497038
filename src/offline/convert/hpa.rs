//! HorizontalPodAutoscaler → ScalingPolicy: v2 and v2beta2 (one shape), and v1. Metrics become triggers one to one; `behavior`
//! is carried to the letter, and stays absent where it is absent, since the HorizontalPodAutoscaler then decides otherwise.

mod behavior;

use k8s_openapi::api::autoscaling::v2 as hpa;
use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;
use serde_json::{Value, json};

pub(super) use behavior::behavior;

use super::lost::lost;
use super::names::{LABEL, Unique, label};
use super::report::Notes;
use super::{MOST, Options, Source, plain, policy};
use crate::api::ScalingPolicy;
use crate::api::common::LabelSelector;
use crate::api::scalar::QuantityText;
use crate::api::scaling_policy::{Compat, ScaleTargetRef};
use crate::api::scaling_trigger::{
    ContainerResourceTrigger, DescribedObject, ExternalTrigger, MetricIdentifier, MetricTarget, ObjectTrigger,
    PodsTrigger, ResourceTrigger, Trigger,
};
use crate::core::quantity::Milli;

/// What the API server fills in where there is no metric.
const DEFAULT_CPU: i32 = 80;

pub(super) fn convert(source: &Source, options: Options, notes: &mut Notes) -> Result<Option<ScalingPolicy>, String> {
    if let Some(owner) = owner(source) {
        let text = format!("it is KEDA's own work for the ScaledObject {owner}, which is what to convert");
        notes.differs("", text);
        return Ok(None);
    }
    let mut written = source.spec();
    match source.version() {
        "v2" | "v2beta2" => {}
        "v1" => from_v1(source, &mut written, notes),
        other => {
            return Err(format!(
                "version {other} has another shape; let the API server convert it: kubectl get hpa.v2.autoscaling {} -o yaml",
                source.name
            ));
        }
    }
    quantities_as_text(&mut written);
    let spec: hpa::HorizontalPodAutoscalerSpec =
        serde_json::from_value(written.clone()).map_err(|e| format!("spec cannot be read: {e}"))?;
    let kept = serde_json::to_value(&spec).map_err(|e| e.to_string())?;
    let reference = &spec.scale_target_ref;
    let target = target(
        reference.api_version.as_deref(),
        Some(&reference.kind),
        &reference.name,
        notes,
    )?;
    let triggers = triggers(&spec, notes);
    let bounds = (spec.min_replicas, spec.max_replicas);
    let mut policy = policy(source, target, bounds, triggers);
    let min = spec
        .min_replicas
        .map_or_else(|| "1 (absent)".to_owned(), |n| n.to_string());
    notes.carried(
        "spec.minReplicas",
        format!("{min}, and maxReplicas {}", spec.max_replicas),
    );
    if let Some(written) = &spec.behavior {
        policy.spec.behavior = Some(behavior("spec.behavior", written, notes)?);
        notes.carried("spec.behavior", "to the letter");
    } else if options.native {
        notes.differs("spec.behavior", NO_BEHAVIOR);
    }
    if options.native {
        notes.differs("", NATIVE);
    } else {
        policy.spec.compat = Some(Compat::HpaV2);
    }
    for field in lost("spec", &written, &kept) {
        notes.by_hand(
            &field,
            "is not known here and not carried over: look whether it matters",
        );
    }
    Ok(Some(policy))
}

pub(super) const NO_BEHAVIOR: &str = "absent: a HorizontalPodAutoscaler then scales up to the higher of 4 and twice the replicas in one \
                           decision; the policy has the defaults of behavior, 4 pods or 100 percent in 15 seconds";
const NATIVE: &str = "without compat: HPAv2 the known flaws of the HorizontalPodAutoscaler are not repeated, so that \
                      single decisions can differ";

/// The ScaledObject that it was made for.
fn owner(source: &Source) -> Option<String> {
    let owners = source.object.pointer("/metadata/ownerReferences")?.as_array()?;
    let owner = owners.iter().find(|owner| owner["kind"] == "ScaledObject")?;
    Some(plain(&owner["name"]))
}

/// v1 has the processor's utilization; its other metrics are JSON in annotations, in the shape of an older version.
fn from_v1(source: &Source, spec: &mut Value, notes: &mut Notes) {
    let Some(members) = spec.as_object_mut() else { return };
    if let Some(percent) = members.remove("targetCPUUtilizationPercentage") {
        let target = json!({"type": "Utilization", "averageUtilization": percent});
        let metric = json!({"type": "Resource", "resource": {"name": "cpu", "target": target}});
        members.insert("metrics".into(), json!([metric]));
    }
    for part in ["metrics", "behavior"] {
        let key = format!("autoscaling.alpha.kubernetes.io/{part}");
        if source.texts("annotations").contains_key(&key) {
            let text = "not read from the annotation: convert what kubectl get hpa.v2.autoscaling -o yaml says";
            notes.lacks(&format!("metadata.annotations[{key}]"), part, text);
        }
    }
}

/// A quantity may be a bare number; the typed object has texts only.
pub(super) fn quantities_as_text(spec: &mut Value) {
    let text = |value: Option<&mut Value>| {
        if let Some(value) = value.filter(|v| v.is_number()) {
            *value = Value::String(value.to_string());
        }
    };
    for metric in spec
        .get_mut("metrics")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        for (_, source) in metric.as_object_mut().into_iter().flatten() {
            text(source.pointer_mut("/target/value"));
            text(source.pointer_mut("/target/averageValue"));
        }
    }
    text(spec.pointer_mut("/behavior/scaleUp/tolerance"));
    text(spec.pointer_mut("/behavior/scaleDown/tolerance"));
}

/// What is scaled. The version is left out where it is the default.
pub(super) fn target(
    version: Option<&str>,
    kind: Option<&str>,
    name: &str,
    notes: &mut Notes,
) -> Result<ScaleTargetRef, String> {
    let kind = kind.unwrap_or_default();
    if kind.is_empty() || name.is_empty() {
        return Err("spec.scaleTargetRef says no kind or no name: there is nothing to scale".to_owned());
    }
    let version = version.unwrap_or_default();
    let of_apps = ["Deployment", "ReplicaSet", "StatefulSet"].contains(&kind);
    let old = ["extensions/v1beta1", "apps/v1beta1", "apps/v1beta2"].contains(&version);
    if of_apps && old {
        let text = format!("{version} is no more: apps/v1, the default");
        notes.differs("spec.scaleTargetRef.apiVersion", text);
    }
    let default = of_apps && (old || version.is_empty() || version == "apps/v1");
    if version.is_empty() && !default {
        return Err(format!(
            "spec.scaleTargetRef says no apiVersion, which {kind} {name} needs"
        ));
    }
    Ok(ScaleTargetRef {
        api_version: (!default).then(|| version.to_owned()),
        kind: kind.to_owned(),
        name: name.to_owned(),
    })
}

fn triggers(spec: &hpa::HorizontalPodAutoscalerSpec, notes: &mut Notes) -> Vec<Trigger> {
    let (mut names, mut triggers) = (Unique::default(), Vec::new());
    let metrics = spec.metrics.as_deref().unwrap_or_default();
    if metrics.is_empty() && !notes.incomplete.iter().any(|lack| lack == "metrics") {
        notes.carried(
            "spec.metrics",
            format!("absent, which is cpu at {DEFAULT_CPU} percent: as trigger cpu"),
        );
        triggers.push(Trigger {
            name: "cpu".into(),
            resource: Some(ResourceTrigger { name: "cpu".into() }),
            target: MetricTarget {
                average_utilization: Some(DEFAULT_CPU),
                ..MetricTarget::default()
            },
            ..Trigger::default()
        });
    }
    for (i, metric) in metrics.iter().enumerate() {
        let field = format!("spec.metrics[{i}]");
        match trigger(metric) {
            Ok(mut trigger) => {
                trigger.name = names.take(&trigger.name, LABEL);
                notes.carried(&field, format!("as trigger {}", trigger.name));
                triggers.push(trigger);
            }
            Err(reason) => notes.lacks(&field, &field, format!("not carried over: {reason}")),
        }
    }
    triggers
}

/// One metric; the trigger's name is a wish.
fn trigger(metric: &hpa::MetricSpec) -> Result<Trigger, String> {
    let missing = || format!("it is of type {}, and that is missing", metric.type_);
    let named = |text: &str, fallback: &str| label(text, fallback);
    match metric.type_.as_str() {
        "Resource" => {
            let of = metric.resource.as_ref().ok_or_else(missing)?;
            Ok(Trigger {
                name: named(&of.name, "resource"),
                resource: Some(ResourceTrigger { name: of.name.clone() }),
                target: aim(&of.target)?,
                ..Trigger::default()
            })
        }
        "ContainerResource" => {
            let of = metric.container_resource.as_ref().ok_or_else(missing)?;
            Ok(Trigger {
                name: named(&format!("{}-{}", of.container, of.name), "container"),
                container_resource: Some(ContainerResourceTrigger {
                    name: of.name.clone(),
                    container: of.container.clone(),
                }),
                target: aim(&of.target)?,
                ..Trigger::default()
            })
        }
        "Pods" => {
            let of = metric.pods.as_ref().ok_or_else(missing)?;
            Ok(Trigger {
                name: named(&of.metric.name, "pods"),
                pods: Some(PodsTrigger {
                    metric: identifier(&of.metric)?,
                }),
                target: aim(&of.target)?,
                ..Trigger::default()
            })
        }
        "Object" => {
            let of = metric.object.as_ref().ok_or_else(missing)?;
            let described = &of.described_object;
            Ok(Trigger {
                name: named(&of.metric.name, "object"),
                object: Some(ObjectTrigger {
                    described_object: DescribedObject {
                        api_version: described.api_version.clone().filter(|v| !v.is_empty() && v != "v1"),
                        kind: described.kind.clone(),
                        name: described.name.clone(),
                    },
                    metric: identifier(&of.metric)?,
                }),
                target: aim(&of.target)?,
                ..Trigger::default()
            })
        }
        "External" => {
            let of = metric.external.as_ref().ok_or_else(missing)?;
            Ok(Trigger {
                name: named(&of.metric.name, "external"),
                external: Some(ExternalTrigger {
                    metric: identifier(&of.metric)?,
                }),
                target: aim(&of.target)?,
                ..Trigger::default()
            })
        }
        other => Err(format!("metrics of type {other} are not known")),
    }
}

fn identifier(metric: &hpa::MetricIdentifier) -> Result<MetricIdentifier, String> {
    if metric.name.contains(['|', '/']) || metric.name.len() > 253 {
        return Err(format!(
            "the metric {} has | or / in its name, or more than 253 characters",
            metric.name
        ));
    }
    Ok(MetricIdentifier {
        name: metric.name.clone(),
        selector: metric.selector.as_ref().map(selector).transpose()?,
    })
}

fn selector(written: &meta::LabelSelector) -> Result<LabelSelector, String> {
    let value = serde_json::to_value(written).map_err(|e| e.to_string())?;
    let selector: LabelSelector =
        serde_json::from_value(value).map_err(|e| format!("its selector cannot be read: {e}"))?;
    let long = selector.match_labels.len() > 32
        || selector.match_expressions.len() > 32
        || selector.match_expressions.iter().any(|e| e.values.len() > 64);
    if long {
        return Err("its selector has more than 32 requirements, or more than 64 values in one".into());
    }
    Ok(selector)
}

/// Which of the three numbers counts is what `type` says.
fn aim(target: &hpa::MetricTarget) -> Result<MetricTarget, String> {
    let quantity = |q: &Option<k8s_openapi::apimachinery::pkg::api::resource::Quantity>| {
        let text = q
            .as_ref()
            .map(|q| q.0.as_str())
            .ok_or_else(|| no_number(&target.type_))?;
        positive(text).map(Some)
    };
    let mut aim = MetricTarget::default();
    match target.type_.as_str() {
        "Utilization" => {
            let percent = target.average_utilization.ok_or_else(|| no_number(&target.type_))?;
            if !(1..=10_000).contains(&percent) {
                return Err(format!("averageUtilization {percent} is not from 1 to 10000"));
            }
            aim.average_utilization = Some(percent);
        }
        "Value" => aim.value = quantity(&target.value)?,
        "AverageValue" => aim.average_value = quantity(&target.average_value)?,
        other => return Err(format!("target type {other:?} is not known")),
    }
    Ok(aim)
}

fn no_number(kind: &str) -> String {
    format!("its target is of type {kind} and has no number for that")
}

/// A quantity above zero, as it is written.
pub(super) fn positive(text: &str) -> Result<QuantityText, String> {
    match text.parse::<Milli>() {
        Ok(milli) if milli > Milli::default() => Ok(text.into()),
        Ok(_) => Err(format!("its target {text} is not above zero, or below a thousandth")),
        Err(error) => Err(error.to_string()),
    }
}
