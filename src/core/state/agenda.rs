//! What has to be looked at again: at once where something changed, or at a time. Decides nothing, and knows policies by
//! their numbers only.

use std::collections::BTreeSet;

use super::{Policies, PolicyId};
use crate::core::names::PolicyKey;
use crate::core::time::Time;

/// What has to be looked at again.
#[derive(Clone, Debug, Default)]
pub struct Agenda {
    dirty: BTreeSet<PolicyId>,
    /// By number.
    due: Vec<Option<Time>>,
    by_time: BTreeSet<(Time, PolicyId)>,
}

impl Agenda {
    /// Something changed for this policy.
    pub fn touch(&mut self, id: PolicyId) {
        self.dirty.insert(id);
    }

    /// Something changed for these policies.
    pub fn touch_all(&mut self, ids: &BTreeSet<PolicyId>) {
        self.dirty.extend(ids);
    }

    /// Something changed for these policies; those that are not known do not count.
    pub fn touch_known<'a>(&mut self, policies: &Policies, keys: impl IntoIterator<Item = &'a PolicyKey>) {
        self.dirty.extend(keys.into_iter().filter_map(|key| policies.id(key)));
    }

    /// Look at this policy again at the given time at the latest.
    pub fn wake(&mut self, id: PolicyId, at: Time) {
        if self.due(id).is_some_and(|due| due <= at) {
            return;
        }
        self.clear(id);
        if self.due.len() <= id.index() {
            self.due.resize(id.index() + 1, None);
        }
        if let Some(due) = self.due.get_mut(id.index()) {
            *due = Some(at);
        }
        self.by_time.insert((at, id));
    }

    /// Look at this policy again only when something changes.
    fn clear(&mut self, id: PolicyId) {
        if let Some(old) = self.due.get_mut(id.index()).and_then(Option::take) {
            self.by_time.remove(&(old, id));
        }
    }

    /// The policy is gone.
    pub fn forget(&mut self, id: PolicyId) {
        self.clear(id);
        self.dirty.remove(&id);
    }

    /// Takes everything that changed or has come due, in no order that means anything. Whoever evaluates a policy says anew
    /// when to wake for it.
    pub fn take(&mut self, now: Time) -> Vec<PolicyId> {
        while let Some((_, id)) = self.by_time.first().copied().filter(|(at, _)| *at <= now) {
            self.by_time.pop_first();
            if let Some(due) = self.due.get_mut(id.index()) {
                *due = None;
            }
            self.dirty.insert(id);
        }
        let taken: Vec<PolicyId> = std::mem::take(&mut self.dirty).into_iter().collect();
        for id in &taken {
            self.clear(*id);
        }
        taken
    }

    /// When this policy comes due.
    #[must_use]
    pub fn due(&self, id: PolicyId) -> Option<Time> {
        self.due.get(id.index()).copied().flatten()
    }

    /// Whether something changed for this policy.
    #[must_use]
    pub fn is_touched(&self, id: PolicyId) -> bool {
        self.dirty.contains(&id)
    }

    /// When something comes due next.
    #[must_use]
    pub fn next(&self) -> Option<Time> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// Whether something changed that no step has looked at yet.
    #[must_use]
    pub fn is_dirty(&self) -> bool {
        !self.dirty.is_empty()
    }
}
