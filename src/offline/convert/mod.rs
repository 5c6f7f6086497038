//! Autoscalers of others → ScalingPolicies, with a report of all that is not carried over exactly.
//!
//! Pure but for [`read`], [`live`] and [`write`]: the same sources give the same policies and the same report. A policy that
//! lacks something its source has is written with `mode: DryRun`: it never scales by half of what was meant.

mod hpa;
mod keda;
pub mod live;
mod lost;
mod names;
pub mod read;
pub mod report;
pub mod write;

use std::collections::BTreeMap;

use kube::api::{DynamicObject, ObjectMeta};
use serde_json::Value;

use crate::api::ScalingPolicy;
use crate::api::common::Mode;
use crate::api::convert::event;
use crate::api::scaling_policy::{ScaleTargetRef, ScalingPolicySpec};
use crate::api::scaling_trigger::Trigger;
use crate::core::event::Event;
use crate::core::names::PolicyKind;
use names::Unique;
use report::{Notes, ObjectReport, Problem, Report};

/// At most so many triggers, and so many rate limits of one direction, may a policy have.
const MOST: (usize, usize) = (32, 16);
const NO_JOBS: &str = "a ScaledJob starts Jobs, for which there is no policy: keep KEDA for it, or run its work in a \
                       Deployment that a ScalingPolicy scales";
/// Labels by which a tool knows what it owns and may prune: of the source, never of the policy.
const LABELS_OF_TOOLS: [&str; 5] = [
    "app.kubernetes.io/managed-by",
    "helm.sh/",
    "argocd.argoproj.io/",
    "kustomize.toolkit.fluxcd.io/",
    "scaledobject.keda.sh/",
];

/// An object that is read, whatever its kind.
#[derive(Clone, Debug)]
pub struct Source {
    /// Where it stands, for people.
    pub place: String,
    /// `apiVersion`.
    pub api_version: String,
    /// `kind`.
    pub kind: String,
    /// `metadata.namespace`, where it says one.
    pub namespace: Option<String>,
    /// `metadata.name`.
    pub name: String,
    /// The whole object.
    pub object: Value,
    /// Lines of its document that are comments.
    pub comments: usize,
}

impl Source {
    /// `Kind namespace/name`.
    #[must_use]
    pub fn title(&self) -> String {
        format!("{} {}", self.kind, full_name(self.namespace.as_deref(), &self.name))
    }

    fn group(&self) -> &str {
        self.api_version.split_once('/').map_or("", |(group, _)| group)
    }

    fn version(&self) -> &str {
        self.api_version.rsplit('/').next().unwrap_or_default()
    }

    fn spec(&self) -> Value {
        self.object.get("spec").cloned().unwrap_or(Value::Null)
    }

    /// Text members of `metadata.labels` or `metadata.annotations`.
    fn texts(&self, member: &str) -> BTreeMap<String, String> {
        let map = self.object.pointer(&format!("/metadata/{member}"));
        let entries = map.and_then(Value::as_object).into_iter().flatten();
        entries.map(|(k, v)| (k.clone(), plain(v))).collect()
    }
}

/// A scalar as the text that it is.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn full_name(namespace: Option<&str>, name: &str) -> String {
    namespace.map_or_else(|| name.to_owned(), |namespace| format!("{namespace}/{name}"))
}

/// How it is converted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// A HorizontalPodAutoscaler becomes a policy without `compat: HPAv2`.
    pub native: bool,
    /// Every policy has `mode: DryRun`.
    pub dry_run: bool,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Conversion {
    /// The policies, in the order of their sources.
    pub policies: Vec<ScalingPolicy>,
    /// What was carried over, and what was not.
    pub report: Report,
}

/// Converts all that can be. What could not be read is in `problems`, and is reported with the rest.
#[must_use]
pub fn convert(sources: &[Source], problems: Vec<Problem>, options: Options) -> Conversion {
    let mut result = Conversion::default();
    result.report.problems = problems;
    let auths = keda::auth::Auths::of(sources);
    let mut servers = keda::servers::Servers::default();
    let mut names = BTreeMap::<Option<String>, Unique>::new();
    let mut targets = BTreeMap::<String, String>::new();
    for source in sources {
        let mut notes = Notes::default();
        let outcome = match (source.group(), source.kind.as_str()) {
            ("autoscaling", "HorizontalPodAutoscaler") => hpa::convert(source, options, &mut notes),
            ("keda.sh", "ScaledObject") => keda::convert(source, &auths, &mut servers, &mut notes),
            ("keda.sh", "ScaledJob") => Err(NO_JOBS.to_owned()),
            // Read where a ScaledObject names it.
            ("keda.sh", "TriggerAuthentication" | "ClusterTriggerAuthentication") => continue,
            _ => {
                result.report.others += 1;
                continue;
            }
        };
        let mut object = ObjectReport::new(source);
        match outcome.and_then(|policy| finish(policy, source, options, &mut notes)) {
            Ok(Some(mut policy)) => {
                let wish = policy.metadata.name.clone().unwrap_or_default();
                let name = names.entry(source.namespace.clone()).or_default().take(&wish, 253);
                if name != wish {
                    notes.by_hand(
                        "metadata.name",
                        format!("{wish} is taken by another source, so it is {name}"),
                    );
                }
                policy.metadata.name = Some(name.clone());
                same_target(&policy, source, &mut targets, &mut notes);
                object.policy = Some(full_name(source.namespace.as_deref(), &name));
                result.policies.push(policy);
            }
            Ok(None) => {}
            Err(reason) => notes.failed(reason),
        }
        object.notes = notes.list;
        result.report.objects.push(object);
    }
    result.report.operator_config = servers.config();
    result
}

/// A policy of what every source has.
fn policy(
    source: &Source,
    target: ScaleTargetRef,
    (min, max): (Option<i32>, i32),
    triggers: Vec<Trigger>,
) -> ScalingPolicy {
    let spec = ScalingPolicySpec {
        suspend: None,
        mode: None,
        direction: None,
        scale_target_ref: target,
        min_replicas: min,
        max_replicas: max,
        idle: None,
        replica_step: None,
        hold: None,
        compat: None,
        on_delete: None,
        readiness: None,
        interval: None,
        triggers,
        formula: None,
        schedules: Vec::new(),
        behavior: None,
    };
    let labels: BTreeMap<String, String> = source
        .texts("labels")
        .into_iter()
        .filter(|(key, _)| !LABELS_OF_TOOLS.iter().any(|tool| key.starts_with(tool)))
        .collect();
    ScalingPolicy {
        metadata: ObjectMeta {
            name: Some(source.name.clone()),
            namespace: source.namespace.clone(),
            labels: (!labels.is_empty()).then_some(labels),
            ..ObjectMeta::default()
        },
        spec,
        status: None,
    }
}

/// What holds for every policy: nothing is written that the operator would refuse. `None`: there is nothing to convert, as the
/// notes say.
fn finish(
    policy: Option<ScalingPolicy>,
    source: &Source,
    options: Options,
    notes: &mut Notes,
) -> Result<Option<ScalingPolicy>, String> {
    metadata(source, notes);
    let Some(mut policy) = policy else { return Ok(None) };
    let spec = &mut policy.spec;
    if spec.triggers.is_empty() {
        return Err(
            "none of its triggers has an equivalent, and a policy needs one: write a trigger as said above".to_owned(),
        );
    }
    if spec.triggers.len() > MOST.0 {
        return Err(format!(
            "it has {} triggers, and a policy at most {}",
            spec.triggers.len(),
            MOST.0
        ));
    }
    if !notes.incomplete.is_empty() {
        let lacks = notes.incomplete.join(", ");
        let text = format!("mode: DryRun, since the policy lacks {lacks}: add what is said above, then remove mode");
        notes.by_hand("spec.mode", text);
    }
    if options.dry_run || !notes.incomplete.is_empty() {
        spec.mode = Some(Mode::DryRun);
    }
    refused(&policy).map_or(Ok(Some(policy)), Err)
}

/// Why the operator would refuse it.
fn refused(policy: &ScalingPolicy) -> Option<String> {
    let object = serde_json::to_value(policy).and_then(serde_json::from_value::<DynamicObject>);
    match object.map(|object| event(PolicyKind::ScalingPolicy, object)) {
        Ok(Event::PolicyInvalid { message, .. }) => Some(format!("no policy can say this: {message}")),
        Ok(_) => None,
        Err(error) => Some(error.to_string()),
    }
}

fn metadata(source: &Source, notes: &mut Notes) {
    if source.comments > 0 {
        let lines = if source.comments == 1 { "line" } else { "lines" };
        notes.differs("", format!("not carried over: {} {lines} of comments", source.comments));
    }
    let noise = [
        "kubectl.kubernetes.io/",
        "argocd.argoproj.io/",
        "meta.helm.sh/",
        "autoscaling.alpha.kubernetes.io/",
    ];
    // Read elsewhere.
    let read = ["autoscaling.keda.sh/paused"];
    let keys: Vec<String> = source
        .texts("annotations")
        .into_keys()
        .filter(|key| !noise.iter().chain(&read).any(|prefix| key.starts_with(prefix)))
        .collect();
    if !keys.is_empty() {
        notes.differs("metadata.annotations", format!("not carried over: {}", keys.join(", ")));
    }
    let dropped: Vec<String> = source
        .texts("labels")
        .into_keys()
        .filter(|key| LABELS_OF_TOOLS.iter().any(|tool| key.starts_with(tool)))
        .collect();
    if !dropped.is_empty() {
        let text = format!(
            "not carried over, since a tool knows its own objects by them: {}",
            dropped.join(", ")
        );
        notes.differs("metadata.labels", text);
    }
}

/// Two autoscalers of one target fought before, and two policies do not: the older goes on.
fn same_target(policy: &ScalingPolicy, source: &Source, seen: &mut BTreeMap<String, String>, notes: &mut Notes) {
    let target = &policy.spec.scale_target_ref;
    let key = format!("{:?} {} {}", source.namespace, target.kind, target.name);
    if let Some(other) = seen.get(&key) {
        let text = format!(
            "{other} scales the same {} {}: keep one of the two policies",
            target.kind, target.name
        );
        notes.by_hand("spec.scaleTargetRef", text);
    }
    seen.entry(key).or_insert_with(|| source.title());
}
