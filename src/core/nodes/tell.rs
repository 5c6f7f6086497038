//! Says why pods go on waiting, with the numbers; a bounded number of times.

use std::cmp::Reverse;

use super::fit::Class;
use super::limit::{MOST_REFUSALS, PATIENCE};
use super::propose::Turn;
use crate::core::names::ObjectRef;
use crate::core::reason::Reason;

/// Pools that are named when no pool fits or none may grow.
const MOST_POOLS: usize = 4;

impl Turn<'_> {
    /// Says why pods go on waiting. `open` is how many more nodes each own pool may add.
    pub(super) fn tell(&mut self, class: &Class, left: u32, open: &[(usize, u32)]) {
        if !class.is_supported() {
            return self.tell_unsupported(class);
        }
        if left == 0 {
            return;
        }
        let mut fitting = open.to_vec();
        fitting.retain(|(index, _)| class.fits(&self.census.template(*index)));
        if fitting.iter().any(|(_, open)| *open > 0) {
            // More than is asked for at once: the rest follows as soon as these are answered.
            return;
        }
        self.growth.waiting += left;
        let pools = &self.census.pools;
        fitting.sort_by_key(|(index, _)| (Reverse(pools[*index].spec.weight), &pools[*index].spec.name));
        let Some((first, _)) = fitting.first().copied() else {
            let message = self.misfits(class);
            return self.refuse_pods(class, Reason::NoPoolFits, message);
        };
        *self.growth.waiting_by_pool.entry(first).or_default() += left;
        let mut reason = Reason::PoolAtMaximum;
        let mut words = Vec::new();
        for (index, _) in fitting.into_iter().take(MOST_POOLS) {
            let spec = pools[index].spec;
            if let Some(trouble) = self.memory.backing_off(&spec.name, self.now) {
                let retry_at = trouble.retry_at;
                words.push(format!(
                    "pool {}: {}; next try at {retry_at}",
                    spec.name, trouble.message
                ));
                reason = Reason::PoolBackingOff;
                self.wake_at(retry_at);
            } else {
                words.push(format!("pool {} has all of its {} nodes", spec.name, spec.max));
            }
        }
        let message = format!(
            "{}, {left} of them without a place: {}",
            class.in_words(),
            words.join("; ")
        );
        self.refuse_pods(class, reason, message);
    }

    fn tell_unsupported(&mut self, class: &Class) {
        if self.taker(class) != self.census.own {
            return;
        }
        let fields: Vec<&str> = class.unsupported.iter().map(String::as_str).collect();
        let message = format!(
            "{} must be placed by {}, which is not understood here: no node is added for that",
            class.in_words(),
            fields.join(", ")
        );
        self.growth.waiting += class.count();
        self.refuse_pods(class, Reason::ConstraintNotSupported, message);
    }

    /// Pods that fit on nodes that are there, and that the scheduler leaves waiting all the same: told after a while.
    pub(super) fn tell_room(&mut self, class: &Class, pods: u32) {
        let Some(first) = class.pods.first() else { return };
        let since = self.memory.roomy.get(&first.key).copied().unwrap_or(self.now);
        self.growth.roomy.insert(first.key.clone(), since);
        if self.now < since + PATIENCE {
            return self.wake_at(since + PATIENCE);
        }
        if self.taker(class) == self.census.own {
            let message = format!(
                "{}: {pods} of them fit on nodes that are there, since {since} at least, and the scheduler does not \
                 place them; its events on the pod say why",
                class.in_words()
            );
            self.growth.waiting += pods;
            self.refuse_pods(class, Reason::RoomExists, message);
        }
    }

    fn misfits(&self, class: &Class) -> String {
        let pools = self.census.own_pools();
        let why = pools.filter_map(|(index, pool)| {
            let misfit = class.misfit(&self.census.template(index))?;
            Some(format!("pool {}: {misfit}", pool.spec.name))
        });
        let words: Vec<String> = why.take(MOST_POOLS).collect();
        format!("{}: no pool has a node for it: {}", class.in_words(), words.join("; "))
    }

    fn refuse_pods(&mut self, class: &Class, reason: Reason, message: String) {
        if let Some(pod) = class.pods.first() {
            let subject = ObjectRef::new("v1", "Pod", &pod.key.namespace, &pod.key.name);
            self.refuse(subject, reason, message);
        }
    }

    pub(super) fn refuse(&mut self, subject: ObjectRef, reason: Reason, message: String) {
        if self.growth.refused.len() < MOST_REFUSALS {
            self.growth.refused.push((subject, reason, message));
        }
    }
}
