//! All pods, by name and by owner. Stored is only the list: who owns what follows from the pods.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Owner, Pod};
use crate::core::names::ObjectKey;

const REPLICA_SET: &str = "ReplicaSet";

/// Namespace → name → pod.
type ByName = BTreeMap<String, BTreeMap<String, Pod>>;

/// All pods that are seen.
#[derive(Clone, Debug, Default)]
pub struct Pods {
    by_name: ByName,
    /// Namespace → [`family`] of the controlling owner → names of its pods.
    by_owner: BTreeMap<String, BTreeMap<String, BTreeSet<String>>>,
}

impl Pods {
    /// A pod by its key.
    #[must_use]
    pub fn get(&self, key: &ObjectKey) -> Option<&Pod> {
        self.by_name.get(&key.namespace)?.get(&key.name)
    }

    /// Every pod, in the order of namespaces and names.
    pub fn all(&self) -> impl Iterator<Item = &Pod> {
        self.by_name.values().flat_map(BTreeMap::values)
    }

    /// The pods of a namespace, in the order of their names.
    pub fn in_namespace(&self, namespace: &str) -> impl Iterator<Item = &Pod> {
        self.by_name.get(namespace).into_iter().flat_map(BTreeMap::values)
    }

    /// The pods of a namespace whose controlling owner is of this kind and name, in the order of their names.
    pub fn owned_by(&self, namespace: &str, kind: &str, name: &str) -> impl Iterator<Item = &Pod> {
        let is_owner = move |owner: &Owner| owner.kind == kind && owner.name == name;
        self.of_family(namespace, family(kind, name))
            .filter(move |pod| pod.owner.as_ref().is_some_and(is_owner))
    }

    /// The pods of a namespace whose controlling owner is a ReplicaSet that is named after this and a hash, in the order of
    /// their names.
    pub fn owned_through_replica_sets(&self, namespace: &str, name: &str) -> impl Iterator<Item = &Pod> {
        let is_owner = |owner: &Owner| owner.kind == REPLICA_SET && owner.name.len() > name.len() + 1;
        self.of_family(namespace, name)
            .filter(move |pod| pod.owner.as_ref().is_some_and(is_owner))
    }

    /// The pods of a namespace whose controlling owner's name begins with this, in the order of their names.
    #[must_use]
    pub fn owned_by_any(&self, namespace: &str, prefix: &str) -> Vec<&Pod> {
        let owners = self.by_owner.get(namespace);
        let longer = owners.into_iter().flat_map(|owners| owners.range(prefix.to_owned()..));
        let longer = longer.map(|(family, _)| family.as_str());
        let longer = longer.take_while(|family| family.starts_with(prefix));
        // The family of a ReplicaSet may be shorter than the prefix.
        let shorter = Some(family(REPLICA_SET, prefix)).filter(|family| *family != prefix);
        let families = shorter.into_iter().chain(longer);
        let begins = |pod: &&Pod| pod.owner.as_ref().is_some_and(|owner| owner.name.starts_with(prefix));
        let pods = families.flat_map(|family| self.of_family(namespace, family));
        let mut pods: Vec<&Pod> = pods.filter(begins).collect();
        pods.sort_by_key(|pod| &pod.key.name);
        pods
    }

    fn of_family(&self, namespace: &str, family: &str) -> impl Iterator<Item = &Pod> {
        let all = self.by_name.get(namespace);
        let own = self.by_owner.get(namespace).and_then(|owners| owners.get(family));
        own.into_iter().flatten().filter_map(move |pod| all?.get(pod))
    }

    /// A pod as it is now. Says whether that is new.
    pub fn see(&mut self, pod: Pod) -> bool {
        let new_owner = match self.get(&pod.key) {
            Some(old) if *old == pod => return false,
            Some(old) => old.owner != pod.owner,
            None => false,
        };
        if new_owner {
            self.remove(&pod.key);
        }
        if let Some(owner) = &pod.owner {
            let owners = self.by_owner.entry(pod.key.namespace.clone()).or_default();
            let own = owners.entry(family(&owner.kind, &owner.name).to_owned()).or_default();
            if !own.contains(&pod.key.name) {
                own.insert(pod.key.name.clone());
            }
        }
        let pods = self.by_name.entry(pod.key.namespace.clone()).or_default();
        pods.insert(pod.key.name.clone(), pod);
        true
    }

    /// A pod is gone. Says whether it was there.
    pub fn remove(&mut self, key: &ObjectKey) -> bool {
        let Some(pods) = self.by_name.get_mut(&key.namespace) else {
            return false;
        };
        let Some(pod) = pods.remove(&key.name) else {
            return false;
        };
        if pods.is_empty() {
            self.by_name.remove(&key.namespace);
        }
        if let Some(owner) = &pod.owner {
            self.disown(key, family(&owner.kind, &owner.name));
        }
        true
    }

    fn disown(&mut self, pod: &ObjectKey, family: &str) {
        let Some(owners) = self.by_owner.get_mut(&pod.namespace) else {
            return;
        };
        if let Some(own) = owners.get_mut(family) {
            own.remove(&pod.name);
            if own.is_empty() {
                owners.remove(family);
            }
        }
        if owners.is_empty() {
            self.by_owner.remove(&pod.namespace);
        }
    }
}

/// Under which name an owner's pods are found: ReplicaSets are named after what makes them and the hash of its template,
/// others stand for themselves.
fn family<'a>(kind: &str, name: &'a str) -> &'a str {
    match name.rsplit_once('-') {
        Some((family, _)) if kind == REPLICA_SET => family,
        _ => name,
    }
}

impl PartialEq for Pods {
    fn eq(&self, other: &Self) -> bool {
        self.by_name == other.by_name
    }
}

impl Serialize for Pods {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.by_name.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Pods {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut pods = Self::default();
        for pod in ByName::deserialize(deserializer)?
            .into_values()
            .flat_map(BTreeMap::into_values)
        {
            pods.see(pod);
        }
        Ok(pods)
    }
}
