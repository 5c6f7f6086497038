//! What is stored of policies' statuses, as far as the next status depends on it: as the watches see it, and as it was written.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time as MetaTime;
use kube::ResourceExt;
use kube::api::DynamicObject;
use serde::Deserialize;
use serde_json::Value;

use crate::api::common::Condition;
use crate::core::names::PolicyKey;

/// Shared between the watches and the writer.
#[derive(Clone, Debug, Default)]
pub struct KnownStatuses(Arc<Mutex<BTreeMap<PolicyKey, Known>>>);

impl KnownStatuses {
    /// Notes an object as it was seen. Of two versions the newer counts, as far as versions can be compared; an old one costs a
    /// conflict, after which the object is read.
    pub fn note(&self, key: &PolicyKey, object: &DynamicObject) {
        let _ = self.is_news(key, object);
    }

    /// Notes an object as [`Self::note`] does. False where it is nothing but what was written here.
    #[must_use]
    pub fn is_news(&self, key: &PolicyKey, object: &DynamicObject) -> bool {
        let new = Known::of(object);
        let mut all = self.lock();
        match all.get_mut(key) {
            Some(old) if old.written && old.version == new.version && old.seen == new.seen => return false,
            Some(old) if new.is_older_than(old) => old.seen = new.seen,
            Some(old) => *old = new,
            None => drop(all.insert(key.clone(), new)),
        }
        true
    }

    /// Notes a status as it was written, and the version of the object since then.
    pub(super) fn wrote(&self, key: &PolicyKey, version: &str, status: &Value) {
        let mut all = self.lock();
        let seen = all.get(key).and_then(|old| old.seen.clone());
        let new = Known {
            version: version.into(),
            has_status: true,
            conditions: Held::all(Some(status)),
            seen,
            written: true,
        };
        if all.get(key).is_none_or(|old| !new.is_older_than(old)) {
            all.insert(key.clone(), new);
        }
    }

    /// The policy is gone.
    pub fn forget(&self, key: &PolicyKey) {
        self.lock().remove(key);
    }

    pub(super) fn get(&self, key: &PolicyKey) -> Option<Known> {
        self.lock().get(key).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<PolicyKey, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Of one policy.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Known {
    /// A status is written only over this version of the object: a leader that was paused and wakes late writes over nothing
    /// that its successor wrote.
    pub(super) version: Box<str>,
    /// There is a status at all.
    pub(super) has_status: bool,
    conditions: Box<[Held]>,
    /// Identity and generation as they were last seen.
    seen: Option<(Box<str>, i64)>,
    /// This version is what was written here.
    written: bool,
}

/// A condition, as far as the next one of its type depends on it.
#[derive(Clone, Debug, PartialEq)]
struct Held {
    kind: Box<str>,
    status: Box<str>,
    since: MetaTime,
}

impl Held {
    fn all(status: Option<&Value>) -> Box<[Self]> {
        let conditions = status.and_then(|status| status.get("conditions"));
        let conditions = conditions.and_then(|list| Vec::<Condition>::deserialize(list).ok());
        let held = conditions.unwrap_or_default().into_iter().map(|condition| Self {
            kind: condition.type_.into(),
            status: condition.status.into(),
            since: condition.last_transition_time,
        });
        held.collect()
    }
}

impl Known {
    pub(super) fn of(object: &DynamicObject) -> Self {
        let status = object.data.get("status").filter(|status| status.is_object());
        let identity = object.uid().unwrap_or_default().into();
        Self {
            version: object.resource_version().unwrap_or_default().into(),
            has_status: status.is_some(),
            conditions: Held::all(status),
            seen: Some((identity, object.metadata.generation.unwrap_or(0))),
            written: false,
        }
    }

    /// The conditions; of their words nothing is known.
    pub(super) fn conditions(&self) -> Vec<Condition> {
        let conditions = self.conditions.iter().map(|held| Condition {
            type_: held.kind.to_string(),
            status: held.status.to_string(),
            reason: String::new(),
            message: String::new(),
            last_transition_time: held.since.clone(),
            observed_generation: None,
        });
        conditions.collect()
    }

    fn is_older_than(&self, other: &Self) -> bool {
        let number = |version: &str| version.parse::<u64>().ok();
        matches!((number(&self.version), number(&other.version)), (Some(this), Some(other)) if this < other)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::core::names::PolicyKind;

    fn object(version: &str, since: &str) -> DynamicObject {
        let condition = json!({"type": "Ready", "status": "True", "reason": "Accepted", "message": "all is well",
            "lastTransitionTime": since});
        DynamicObject::deserialize(json!({"metadata": {"name": "a", "resourceVersion": version},
            "status": {"conditions": [condition]}}))
        .unwrap()
    }

    #[test]
    fn an_old_sight_that_comes_late_does_not_count() {
        let key = PolicyKey::new(PolicyKind::ScalingPolicy, "shop", "a");
        let known = KnownStatuses::default();
        known.note(&key, &object("10", "2026-01-01T00:00:00Z"));
        known.note(&key, &object("9", "2025-01-01T00:00:00Z"));
        assert_eq!(&*known.get(&key).unwrap().version, "10");
        known.note(&key, &object("11", "2026-01-01T00:00:00Z"));
        let now = known.get(&key).unwrap();
        assert_eq!(&*now.version, "11");
        assert_eq!(now.conditions()[0].type_, "Ready");
        assert!(now.has_status);
        known.forget(&key);
        assert_eq!(known.get(&key), None);
    }

    #[test]
    fn what_was_written_here_is_no_news_unless_the_spec_has_changed_meanwhile() {
        let key = PolicyKey::new(PolicyKind::ScalingPolicy, "shop", "a");
        let known = KnownStatuses::default();
        let since = "2026-01-01T00:00:00Z";
        assert!(known.is_news(&key, &object("10", since)));
        known.wrote(&key, "11", &json!({}));
        assert!(!known.is_news(&key, &object("11", since)));
        assert!(known.is_news(&key, &object("12", since)));
        known.wrote(&key, "13", &json!({}));
        let mut changed = object("13", since);
        changed.metadata.generation = Some(2);
        assert!(known.is_news(&key, &changed));
    }
}
