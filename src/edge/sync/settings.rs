//! What a GitSource asks for, checked.

use std::time::Duration;

use kube::ResourceExt;
use kube::api::DynamicObject;

use crate::api::GROUP;
use crate::api::convert::{Invalid, typed};
use crate::api::git_source::{AllowedKind, DriftMode, GitSource};
use crate::api::scalar::DurationText;

/// What a GitSource asks for.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Settings {
    pub generation: i64,
    pub uid: String,
    pub suspend: bool,
    pub url: String,
    /// Empty: the one that HEAD names.
    pub branch: String,
    pub path: String,
    pub interval: Duration,
    pub timeout: Duration,
    pub service_account: String,
    pub secret: Option<String>,
    pub kinds: Vec<AllowedKind>,
    pub prune: bool,
    pub prune_max_percent: u32,
    pub enforce: bool,
    /// The value of the annotation that asks for a sync now.
    pub requested_at: Option<String>,
}

impl Settings {
    /// What the object says.
    pub fn read(object: &DynamicObject) -> Result<Self, Invalid> {
        let source: GitSource = typed(object.clone())?;
        let spec = source.spec;
        let duration = |field: &str, text: Option<&DurationText>, default| match text {
            None => Ok(Duration::from_secs(default)),
            Some(text) => {
                let span = text.span().map_err(|e| Invalid {
                    field: format!("spec.{field}"),
                    problem: e.to_string(),
                })?;
                Ok(Duration::from_millis(span.as_millis().max(1000).unsigned_abs()))
            }
        };
        let own_kinds = || {
            vec![AllowedKind {
                group: GROUP.into(),
                kind: "*".into(),
            }]
        };
        let prune = spec.prune.unwrap_or_default();
        Ok(Self {
            generation: object.metadata.generation.unwrap_or(0),
            uid: object.uid().unwrap_or_default(),
            suspend: spec.suspend.unwrap_or(false),
            url: spec.url,
            branch: spec.reference.and_then(|r| r.branch).unwrap_or_default(),
            path: spec.path.unwrap_or_default(),
            interval: duration("interval", spec.interval.as_ref(), 60)?,
            timeout: duration("timeout", spec.timeout.as_ref(), 60)?,
            service_account: spec.service_account_name,
            secret: spec.secret_ref.map(|s| s.name),
            kinds: spec.kinds.unwrap_or_else(own_kinds),
            prune: prune.enabled.unwrap_or(true),
            prune_max_percent: prune.max_percent.and_then(|p| u32::try_from(p).ok()).unwrap_or(20),
            enforce: spec.drift.unwrap_or_default() == DriftMode::Enforce,
            requested_at: object.annotations().get(super::REQUESTED_ANNOTATION).cloned(),
        })
    }

    /// Whether objects of this kind may be in the repository.
    pub fn allows(&self, group: &str, kind: &str) -> bool {
        self.kinds
            .iter()
            .any(|k| k.group == group && (k.kind == "*" || k.kind == kind))
    }
}
