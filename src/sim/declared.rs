//! Objects that a repository declares, and what becomes of them in the cluster: they drift, vanish, and are applied again.

use std::collections::BTreeMap;

use crate::core::event::{Event, Outcome};
use crate::core::names::{ObjectRef, PolicyKey, Uid};
use crate::core::time::Time;
use crate::core::world::{DeclaredSet, DeclaredState};

/// A GitSource and the objects that it declares.
#[derive(Clone, Debug)]
pub struct Source {
    /// Its key.
    pub key: PolicyKey,
    /// What its current revision declares, and how that truly is.
    pub set: DeclaredSet,
    /// Objects that an earlier revision declared.
    pub dropped: Vec<ObjectRef>,
    /// Somebody changes these objects back until then.
    pub fights: BTreeMap<ObjectRef, Time>,
    revisions: u32,
}

impl Source {
    /// A source whose objects are all as declared.
    #[must_use]
    pub fn new(key: PolicyKey, enforce: bool, objects: &[ObjectRef]) -> Self {
        let objects = objects.iter().map(|o| (o.clone(), DeclaredState::InSync)).collect();
        Self {
            key,
            set: DeclaredSet {
                revision: "main@sha1:1".into(),
                suspend: false,
                enforce,
                objects,
            },
            dropped: Vec::new(),
            fights: BTreeMap::new(),
            revisions: 1,
        }
    }

    /// What the whole of it looks like to the operator. How its objects are is told one by one.
    #[must_use]
    pub fn event(&self) -> Event {
        let mut set = self.set.clone();
        for state in set.objects.values_mut() {
            *state = DeclaredState::InSync;
        }
        Event::Declared {
            source: self.key.clone(),
            set: Some(Box::new(set)),
        }
    }

    /// How one object looks to the operator. `None` where it is not declared (any more).
    #[must_use]
    pub fn object_event(&self, object: &ObjectRef) -> Option<Event> {
        Some(Event::DeclaredObject {
            source: self.key.clone(),
            object: object.clone(),
            state: self.set.objects.get(object)?.clone(),
        })
    }

    /// An object is changed or deleted by hand.
    pub fn disturb(&mut self, object: &ObjectRef, now: Time, missing: bool, writer: &str) {
        if let Some(state) = self.set.objects.get_mut(object) {
            *state = if missing {
                DeclaredState::Missing { since: now }
            } else {
                DeclaredState::Drifted {
                    since: now,
                    uid: Uid(format!("{}-live", object.name)),
                    fields: vec!["/spec/ports/0/port".into()],
                    writer: Some(writer.to_owned()),
                }
            };
        }
    }

    /// A new revision leaves one object out, or takes the one left out last in again.
    pub fn new_revision(&mut self, object: &ObjectRef) {
        self.revisions += 1;
        self.set.revision = format!("main@sha1:{}", self.revisions);
        if self.set.objects.remove(object).is_some() {
            self.dropped.push(object.clone());
        } else if let Some(place) = self.dropped.iter().position(|o| o == object) {
            self.dropped.remove(place);
            self.set.objects.insert(object.clone(), DeclaredState::InSync);
        }
    }

    /// Applies an object again, if this revision still declares it and it is still what was seen.
    pub fn restore(&mut self, object: &ObjectRef, revision: &str, uid: Option<&Uid>) -> Outcome {
        let conflict = |message: String| Outcome::Conflict { message, found: None };
        if self.set.revision != revision {
            return conflict(format!("the revision is {} now", self.set.revision));
        }
        let Some(state) = self.set.objects.get_mut(object) else {
            return conflict(format!("{object} is not declared any more"));
        };
        let live = match state {
            DeclaredState::InSync => return conflict(format!("{object} is as declared")),
            DeclaredState::Missing { .. } => None,
            DeclaredState::Drifted { uid, .. } => Some(&*uid),
        };
        if live != uid {
            return conflict(format!("{object} is another object now"));
        }
        *state = DeclaredState::InSync;
        Outcome::Done
    }
}
