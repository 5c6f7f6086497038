//! What people wrote → the core's validated types, with the defaults filled in; and the core's reports → statuses.
//!
//! The schema has caught most mistakes at admission. What is still wrong here (an object stored before a CRD change, say)
//! becomes a sentence that says what to write instead.

mod config;
mod healing;
mod nodes;
mod scaling;
mod status;

use kube::Resource;
use kube::ResourceExt;
use kube::api::DynamicObject;
use serde::de::DeserializeOwned;

use super::common;
use super::scalar::DurationText;
use super::{HealingPolicy, NodePoolPolicy, ScalingPolicy};
use crate::core::event::Event;
use crate::core::names::{ObjectRef, PolicyKey, PolicyKind, Uid};
use crate::core::policy::{Meta, Mode};
use crate::core::time::{Span, Time};

pub use config::limits;
pub(crate) use scaling::selector_text;
pub use status::{StatusBody, status_of};

/// Why an object cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct Invalid {
    /// The field, such as `spec.triggers[0].target`.
    pub field: String,
    /// What is wrong and what to write instead.
    pub problem: String,
}

impl Invalid {
    #[allow(clippy::needless_pass_by_value, reason = "errors and texts alike are handed over")]
    fn new(field: impl Into<String>, problem: impl ToString) -> Self {
        Self {
            field: field.into(),
            problem: problem.to_string(),
        }
    }
}

/// What a stored object says, as an event: the policy, or why it cannot be used.
#[must_use]
pub fn event(kind: PolicyKind, object: DynamicObject) -> Event {
    let key = PolicyKey::new(kind, object.namespace().unwrap_or_default(), object.name_any());
    let generation = object.metadata.generation.unwrap_or(0);
    let uid = Uid(object.uid().unwrap_or_default());
    let target = (kind == PolicyKind::ScalingPolicy)
        .then(|| target_of(&object, &key.namespace))
        .flatten();
    let converted = match kind {
        PolicyKind::ScalingPolicy => typed::<ScalingPolicy>(object).and_then(|p| scaling::event(&p)),
        PolicyKind::NodePoolPolicy => typed::<NodePoolPolicy>(object).and_then(|p| nodes::event(&p)),
        PolicyKind::HealingPolicy => typed::<HealingPolicy>(object).and_then(|p| healing::event(&p)),
        PolicyKind::GitSource | PolicyKind::OperatorConfig => {
            Err(Invalid::new("kind", format!("{kind} is not a policy")))
        }
    };
    converted.unwrap_or_else(|invalid| Event::PolicyInvalid {
        key,
        generation,
        message: invalid.to_string(),
        uid,
        target,
    })
}

/// What a ScalingPolicy scales, read from the object as it is stored.
fn target_of(object: &DynamicObject, namespace: &str) -> Option<ObjectRef> {
    let reference = object.data.pointer("/spec/scaleTargetRef")?;
    let text = |field: &str| reference.get(field).and_then(serde_json::Value::as_str);
    let version = text("apiVersion").unwrap_or("apps/v1");
    Some(ObjectRef::new(version, text("kind")?, namespace, text("name")?))
}

/// Reads a stored object as its type. A status that cannot be read (written by another version) is no reason to refuse
/// the spec: the object is read without it.
///
/// # Errors
/// The spec is not of this type.
pub fn typed<K: DeserializeOwned + Resource<DynamicType = ()>>(mut object: DynamicObject) -> Result<K, Invalid> {
    // Nothing here depends on who wrote which field, and the lists of that are as large as the object.
    object.metadata.managed_fields = None;
    let metadata = serde_json::to_value(object.metadata).map_err(|e| Invalid::new("metadata", e))?;
    let mut value = object.data;
    if let Some(fields) = value.as_object_mut() {
        fields.insert("metadata".into(), metadata);
        // Not by the definition, whose schema would be made anew for every object.
        fields.insert("apiVersion".into(), K::api_version(&()).into());
        fields.insert("kind".into(), K::kind(&()).into());
    }
    match K::deserialize(&value) {
        Ok(parsed) => Ok(parsed),
        Err(first) => {
            if let Some(fields) = value.as_object_mut() {
                fields.remove("status");
            }
            let advice =
                "the stored object does not fit the installed version: write it again as `kubectl explain` says";
            K::deserialize(&value).map_err(|_| Invalid::new("spec", format!("{first}; {advice}")))
        }
    }
}

fn meta<K: Resource>(kind: PolicyKind, object: &K, suspend: Option<bool>, mode: Option<common::Mode>) -> Meta {
    let created = object.meta().creation_timestamp.as_ref();
    Meta {
        key: PolicyKey::new(kind, object.namespace().unwrap_or_default(), object.name_any()),
        uid: Uid(object.uid().unwrap_or_default()),
        generation: object.meta().generation.unwrap_or(0),
        created: created
            .map(|t| Time::from_millis(t.0.as_millisecond()))
            .unwrap_or_default(),
        suspend: suspend.unwrap_or(false),
        mode: match mode.unwrap_or_default() {
            common::Mode::Enforce => Mode::Enforce,
            common::Mode::DryRun => Mode::DryRun,
        },
    }
}

/// A duration within its range, or its default.
fn span(field: &str, text: Option<&DurationText>, default: Span, (least, most): (Span, Span)) -> Result<Span, Invalid> {
    let Some(text) = text else { return Ok(default) };
    let span = text.span().map_err(|e| Invalid::new(field, e))?;
    if (least..=most).contains(&span) {
        Ok(span)
    } else {
        Err(Invalid::new(field, format!("{span} must be from {least} to {most}")))
    }
}

/// A count within its range, or its default.
fn count(field: &str, value: Option<i32>, default: u32, (least, most): (u32, u32)) -> Result<u32, Invalid> {
    let Some(value) = value else { return Ok(default) };
    u32::try_from(value)
        .ok()
        .filter(|n| (least..=most).contains(n))
        .ok_or_else(|| Invalid::new(field, format!("{value} must be from {least} to {most}")))
}

const SECOND: Span = Span::from_secs(1);
const HOUR: Span = Span::from_mins(60);
const DAY: Span = Span::from_mins(24 * 60);
