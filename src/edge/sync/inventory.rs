//! What was applied, in Flux's form, and what may be deleted when it goes from the repository.

use std::collections::BTreeSet;

use super::settings::Settings;
use crate::api::git_source::InventoryEntry;
use crate::core::names::ObjectRef;

/// So many objects one source may hold; the schema of its status has the same limit.
pub(super) const MAX_OBJECTS: usize = 4096;

/// An object as an inventory holds it: `<namespace>_<name>_<group>_<kind>` and the version. Names never contain `_`.
pub(super) fn entry(object: &ObjectRef) -> InventoryEntry {
    let version = object.api_version.rsplit('/').next().unwrap_or_default();
    InventoryEntry {
        id: format!(
            "{}_{}_{}_{}",
            object.namespace,
            object.name,
            object.group(),
            object.kind
        ),
        v: version.into(),
    }
}

/// The object that an entry names.
pub(super) fn object(entry: &InventoryEntry) -> Option<ObjectRef> {
    let parts: Vec<&str> = entry.id.split('_').collect();
    let [namespace, name, group, kind] = parts[..] else {
        return None;
    };
    let api_version = if group.is_empty() {
        entry.v.clone()
    } else {
        format!("{group}/{}", entry.v)
    };
    Some(ObjectRef::new(&api_version, kind, namespace, name))
}

/// What has gone from the repository.
pub(super) fn gone(inventory: &[InventoryEntry], declared: &BTreeSet<ObjectRef>) -> Vec<ObjectRef> {
    let ids: BTreeSet<String> = declared.iter().map(|o| entry(o).id).collect();
    inventory
        .iter()
        .filter(|e| !ids.contains(&e.id))
        .filter_map(object)
        .collect()
}

/// Why nothing may be deleted although objects have gone from the repository; `None` when all of it may.
pub(super) fn brake(
    settings: &Settings,
    applied: usize,
    declared: usize,
    gone: usize,
) -> Option<(&'static str, String)> {
    if gone == 0 || !settings.prune {
        return None;
    }
    if declared == 0 {
        let message = format!(
            "the path holds no object any more, while {applied} were applied: nothing is deleted; if that is meant, suspend \
             the source and delete them by hand"
        );
        return Some(("EmptySource", message));
    }
    let share = gone as u64 * 100;
    if gone > 1 && share > applied as u64 * u64::from(settings.prune_max_percent) {
        let message = format!(
            "{gone} of {applied} applied objects have gone from the repository, more than spec.prune.maxPercent \
             ({} %): none is deleted; if that is meant, raise it for this once",
            settings.prune_max_percent
        );
        return Some(("PruneTooLarge", message));
    }
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use kube::api::DynamicObject;

    fn settings(percent: i64) -> Settings {
        let object: DynamicObject = serde_json::from_value(serde_json::json!({
            "apiVersion": "homeostat.dev/v1alpha1", "kind": "GitSource", "metadata": {"name": "a", "namespace": "b"},
            "spec": {"url": "file:///x", "serviceAccountName": "s", "prune": {"maxPercent": percent}},
        }))
        .unwrap();
        Settings::read(&object).unwrap()
    }

    #[test]
    fn entries_go_both_ways() {
        for (version, namespace) in [
            ("v1", "shop"),
            ("apps/v1", "shop"),
            ("rbac.authorization.k8s.io/v1", ""),
        ] {
            let reference = ObjectRef::new(version, "Kind", namespace, "name.x");
            assert_eq!(object(&entry(&reference)), Some(reference));
        }
    }

    #[test]
    fn mass_deletion_is_braked() {
        let cases = [
            (10, 9, 1, false),
            (10, 8, 2, false),
            (10, 7, 3, true),
            (2, 1, 1, false),
            (10, 0, 10, true),
            (1, 0, 1, true),
        ];
        for (applied, declared, gone, braked) in cases {
            assert_eq!(
                brake(&settings(20), applied, declared, gone).is_some(),
                braked,
                "{applied} {declared} {gone}"
            );
        }
    }
}
