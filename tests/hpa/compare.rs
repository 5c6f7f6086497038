//! Whether two answers are the same.

use homeostat::core::scaling::hpa::{Answer, Condition, Course, History, Input, MetricError, Proposal, Why};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// The controller's answer.
#[derive(Debug, Deserialize)]
struct Theirs {
    desired: i32,
    rescale: bool,
    reason: String,
    conditions: BTreeMap<String, TheirCondition>,
    error: String,
    proposals: Option<Vec<TheirProposal>>,
    history: TheirHistory,
}

#[derive(Debug, Deserialize)]
struct TheirCondition {
    status: String,
    reason: String,
}

#[derive(Debug, Deserialize)]
struct TheirProposal {
    replicas: i32,
    value: Option<i64>,
    utilization: Option<i32>,
    error: String,
}

/// Go writes an empty list as null.
#[derive(Debug, Deserialize)]
struct TheirHistory {
    recommendations: Option<Value>,
    up: Option<Value>,
    down: Option<Value>,
}

/// Nothing, or what differs.
pub fn same(input: &Input, ours: &Answer, theirs: &Value) -> Result<(), String> {
    let theirs: Theirs = serde_json::from_value(theirs.clone()).map_err(|error| format!("{error}: {theirs}"))?;
    equal("desired replicas", ours.desired, theirs.desired)?;
    equal("rescale", ours.rescale, theirs.rescale)?;
    proposals(ours, &theirs)?;
    conditions(ours, &theirs)?;
    if ours.rescale {
        equal("reason", why(ours.why), in_short(&theirs.reason))?;
    }
    equal("an error is returned", fails(ours), !theirs.error.is_empty())?;
    history(input, ours, theirs.history)
}

#[allow(clippy::needless_pass_by_value, reason = "what is compared is often made for it")]
fn equal<T: PartialEq + std::fmt::Debug>(what: &str, ours: T, theirs: T) -> Result<(), String> {
    if ours == theirs {
        Ok(())
    } else {
        Err(format!("{what}: ours {ours:?}, theirs {theirs:?}"))
    }
}

fn proposals(ours: &Answer, theirs: &Theirs) -> Result<(), String> {
    let none = Vec::new();
    let theirs = theirs.proposals.as_ref().unwrap_or(&none);
    // They are asked for every metric even where the controller would not look at them.
    for (number, (ours, theirs)) in ours.proposals.iter().zip(theirs).enumerate() {
        let what = format!("proposal of metric {number}");
        match ours {
            Ok(ours) if theirs.error.is_empty() => {
                let theirs = Proposal {
                    replicas: theirs.replicas,
                    value: theirs.value.ok_or("no value")?,
                    utilization: theirs.utilization,
                };
                equal(&what, *ours, theirs)?;
            }
            Err(ours) if theirs.error.contains(in_their_words(ours)) => {}
            _ => return Err(format!("{what}: ours {ours:?}, theirs {theirs:?}")),
        }
    }
    match ours.course {
        Course::Metrics { .. } | Course::Failed { .. } => {
            equal("number of proposals", ours.proposals.len(), theirs.len())
        }
        _ => Ok(()),
    }
}

fn in_their_words(error: &MetricError) -> &'static str {
    match error {
        MetricError::Unavailable(_) => "unable to fetch metrics from",
        MetricError::Empty => "no metrics returned from",
        MetricError::NoPods => "no pods returned by selector",
        MetricError::NoneCounts => "did not receive metrics for targeted pods",
        MetricError::NoRequest { .. } => "missing request for",
        MetricError::NoPodRequest { .. } => "missing pod-level request for",
        MetricError::NoContainer { .. } => "not found in Pod",
        MetricError::NothingRequested => "no metrics returned matched known pods",
        MetricError::Target => "metric source: neither",
    }
}

fn conditions(ours: &Answer, theirs: &Theirs) -> Result<(), String> {
    let conditions = ours.conditions();
    for (name, ours) in [
        ("AbleToScale", Some(conditions.able_to_scale)),
        ("ScalingActive", conditions.scaling_active),
        ("ScalingLimited", conditions.scaling_limited),
    ] {
        let status = |condition: Condition| if condition.status { "True" } else { "False" };
        let ours = ours.map(|condition| (status(condition), condition.reason));
        let theirs = theirs.conditions.get(name);
        equal(name, ours, theirs.map(|c| (c.status.as_str(), c.reason.as_str())))?;
    }
    Ok(())
}

/// The reasons of events, without the metric's name. Normalization alone may change the size, without any reason.
fn in_short(reason: &str) -> &str {
    if reason.ends_with(" above target") {
        "above target"
    } else {
        reason
    }
}

fn why(why: Option<Why>) -> &'static str {
    match why {
        None => "",
        Some(Why::AboveMax) => "Current number of replicas above Spec.MaxReplicas",
        Some(Why::BelowMin) => "Current number of replicas below Spec.MinReplicas",
        Some(Why::AboveTarget) => "above target",
        Some(Why::AllBelowTarget) => "All metrics below target",
    }
}

/// Also where it scales by some metrics while others are invalid.
fn fails(ours: &Answer) -> bool {
    match ours.course {
        Course::InvalidSelector | Course::Failed { .. } => true,
        _ => ours.proposals.iter().any(Result::is_err),
    }
}

fn history(input: &Input, ours: &Answer, theirs: TheirHistory) -> Result<(), String> {
    let list = |value: Option<Value>| value.unwrap_or(Value::Array(Vec::new()));
    let theirs: History = serde_json::from_value(serde_json::json!({
        "recommendations": list(theirs.recommendations),
        "up": list(theirs.up),
        "down": list(theirs.down),
    }))
    .map_err(|error| error.to_string())?;
    equal("history", ours.written(input), theirs)
}
