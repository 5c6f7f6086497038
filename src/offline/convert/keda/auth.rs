//! TriggerAuthentications: which Secret a scaler's credentials are in. The credentials themselves are never read.

use std::collections::BTreeMap;

use super::types::{AuthSpec, ScaleTrigger};
use crate::offline::convert::Source;

/// Those that were given, by kind, namespace (none for the cluster's) and name.
pub(in super::super) struct Auths(BTreeMap<(String, Option<String>, String), Result<AuthSpec, String>>);

/// What is known of a trigger's authentication.
pub(super) enum Auth<'a> {
    /// It names none.
    None,
    /// It names one that was not given.
    NotGiven(String),
    /// It names one that cannot be read.
    Unreadable(String),
    /// It names this one.
    Known(&'a AuthSpec),
}

impl Auths {
    pub(in super::super) fn of(sources: &[Source]) -> Self {
        let ours = sources
            .iter()
            .filter(|s| s.group() == "keda.sh" && s.kind.ends_with("TriggerAuthentication"));
        let entries = ours.map(|source| {
            let namespace = source
                .namespace
                .clone()
                .filter(|_| source.kind == "TriggerAuthentication");
            let spec = serde_json::from_value(source.spec()).map_err(|e| format!("{}: {e}", source.title()));
            ((source.kind.clone(), namespace, source.name.clone()), spec)
        });
        Self(entries.collect())
    }

    pub(super) fn of_trigger(&self, namespace: Option<&str>, trigger: &ScaleTrigger) -> Auth<'_> {
        let Some(reference) = &trigger.authentication_ref else {
            return Auth::None;
        };
        let kind = reference
            .kind
            .as_deref()
            .filter(|k| !k.is_empty())
            .unwrap_or("TriggerAuthentication");
        let namespace = namespace.filter(|_| kind == "TriggerAuthentication");
        let key = (kind.to_owned(), namespace.map(str::to_owned), reference.name.clone());
        match self.0.get(&key) {
            None => Auth::NotGiven(format!("{kind} {}", reference.name)),
            Some(Err(reason)) => Auth::Unreadable(reason.clone()),
            Some(Ok(spec)) => Auth::Known(spec),
        }
    }
}
