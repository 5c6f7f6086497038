//! Targets of scaling policies, and which policies name them. Stored is only what was seen: who names a target follows from
//! the policies.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Target;
use crate::core::names::ObjectRef;
use crate::core::state::PolicyId;
use crate::core::table::{Id, Table};

/// The number of a target.
pub type TargetId = Id<ObjectRef>;

/// Every target that some policy names, or that was seen.
#[derive(Clone, Debug, Default)]
pub struct Targets(Table<ObjectRef, Known>);

/// What is known of a target.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// How it was seen.
    pub seen: Sight,
    /// The scaling policies that name it.
    pub named_by: BTreeSet<PolicyId>,
}

/// How a target was seen.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Sight {
    /// Not yet.
    #[default]
    Unseen,
    /// It does not exist: a watch has said so.
    Absent,
    /// As it is.
    There(Target),
}

impl Targets {
    /// A target that exists.
    #[must_use]
    pub fn get(&self, object: &ObjectRef) -> Option<&Target> {
        match &self.0.get(object)?.seen {
            Sight::There(target) => Some(target),
            Sight::Unseen | Sight::Absent => None,
        }
    }

    /// A target that exists, to be changed.
    pub fn get_mut(&mut self, object: &ObjectRef) -> Option<&mut Target> {
        match &mut self.0.get_mut(object)?.seen {
            Sight::There(target) => Some(target),
            Sight::Unseen | Sight::Absent => None,
        }
    }

    /// What is known of the target of this number.
    #[must_use]
    pub fn at(&self, id: TargetId) -> Option<&Known> {
        self.0.at(id)
    }

    /// What is known of a target.
    #[must_use]
    pub fn known(&self, object: &ObjectRef) -> Option<&Known> {
        self.0.get(object)
    }

    /// What is known of a target, to be changed.
    pub fn known_mut(&mut self, object: &ObjectRef) -> Option<&mut Known> {
        self.0.get_mut(object)
    }

    /// How a target is now; `None` where it does not exist.
    pub fn see(&mut self, object: ObjectRef, target: Option<Target>) -> Option<&Known> {
        let id = self.0.enter(object);
        let known = self.0.at_mut(id)?;
        known.seen = target.map_or(Sight::Absent, Sight::There);
        Some(known)
    }

    /// A policy names this target.
    pub fn name(&mut self, object: &ObjectRef, by: PolicyId) -> TargetId {
        let id = self.0.id(object).unwrap_or_else(|| self.0.enter(object.clone()));
        if let Some(known) = self.0.at_mut(id) {
            known.named_by.insert(by);
        }
        id
    }

    /// Forgets a target that no policy names.
    pub fn drop_unnamed(&mut self, object: &ObjectRef) {
        if let Some(id) = self.0.id(object)
            && self.0.at(id).is_some_and(|known| known.named_by.is_empty())
        {
            self.0.remove(id);
        }
    }

    /// Every target that some policy names, in the order of the keys.
    pub fn named(&self) -> impl Iterator<Item = &ObjectRef> {
        let all = self.0.iter();
        all.filter_map(|(object, known)| (!known.named_by.is_empty()).then_some(object))
    }

    /// Every target that was seen, or seen not to be there, in the order of the keys.
    pub fn seen(&self) -> impl Iterator<Item = (&ObjectRef, Option<&Target>)> {
        self.0.iter().filter_map(|(object, known)| match &known.seen {
            Sight::Unseen => None,
            Sight::Absent => Some((object, None)),
            Sight::There(target) => Some((object, Some(target))),
        })
    }
}

impl PartialEq for Targets {
    fn eq(&self, other: &Self) -> bool {
        self.seen().eq(other.seen())
    }
}

impl Serialize for Targets {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.seen())
    }
}

impl<'de> Deserialize<'de> for Targets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut targets = Self::default();
        for (object, target) in BTreeMap::<ObjectRef, Option<Target>>::deserialize(deserializer)? {
            targets.see(object, target);
        }
        Ok(targets)
    }
}
