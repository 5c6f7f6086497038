//! Between the engine and the edge: what the engine needs to know next, and which events are only an echo of its own
//! writes.

use std::collections::{BTreeMap, BTreeSet};

use tokio::sync::watch;

use crate::core::engine::Engine;
use crate::core::event::Event;
use crate::core::names::{ObjectRef, PolicyKey};
use crate::core::world::View;
use crate::edge::poll::{Selectors, Wanted, target_of};

/// Tells the edge what the engine needs to know; says something only when it changed, and looks only when it may have.
pub struct Publisher {
    /// All policies have been seen once.
    complete: bool,
    /// Policies have changed since the last look.
    policies: bool,
    /// Targets have.
    sights: bool,
    queries: watch::Sender<Wanted>,
    selectors: watch::Sender<Selectors>,
    targets: watch::Sender<BTreeSet<ObjectRef>>,
    owned: watch::Sender<Option<BTreeSet<ObjectRef>>>,
}

/// The other ends.
pub struct Published {
    /// Queries that some policy asks.
    pub queries: watch::Receiver<Wanted>,
    /// Which pods are those of the targets that queries are about, as far as it is known.
    pub selectors: watch::Receiver<Selectors>,
    /// Targets that some policy names.
    pub targets: watch::Receiver<BTreeSet<ObjectRef>>,
    /// Targets whose replicas belong to an active policy; `None` until all policies have been seen.
    pub owned: watch::Receiver<Option<BTreeSet<ObjectRef>>>,
}

impl Publisher {
    /// A publisher and its other ends.
    #[must_use]
    pub fn new() -> (Self, Published) {
        let (queries, queries_seen) = watch::channel(Wanted::default());
        let (selectors, selectors_seen) = watch::channel(Selectors::default());
        let (targets, targets_seen) = watch::channel(BTreeSet::new());
        let (owned, owned_seen) = watch::channel(None);
        let published = Published {
            queries: queries_seen,
            selectors: selectors_seen,
            targets: targets_seen,
            owned: owned_seen,
        };
        (
            Self {
                complete: false,
                policies: true,
                sights: true,
                queries,
                selectors,
                targets,
                owned,
            },
            published,
        )
    }

    /// Notes what an event may change of what the engine needs.
    pub fn note(&mut self, event: &Event) {
        match event {
            Event::ScalingPolicy { .. } | Event::PolicyInvalid { .. } | Event::PolicyGone(_) | Event::View { .. } => {
                self.policies = true;
            }
            Event::Target { .. } => self.sights = true,
            _ => {}
        }
    }

    /// Looks at what the engine needs now. Nothing is said before all policies have been seen: what many of them need is best
    /// asked for at once.
    pub fn publish(&mut self, engine: &Engine) {
        let complete = engine.state().world.sees(View::Policies);
        self.complete |= complete;
        if !self.complete {
            return;
        }
        if std::mem::take(&mut self.policies) {
            self.sights = false;
            let queries = engine.queries();
            set(&self.selectors, selectors(engine, &queries));
            set(&self.queries, queries);
            set(&self.targets, engine.targets());
            if complete {
                set(&self.owned, Some(engine.owned_targets()));
            }
        }
        if std::mem::take(&mut self.sights) {
            let now = selectors(engine, &self.queries.borrow());
            set(&self.selectors, now);
        }
    }
}

/// Of the targets that exist.
fn selectors(engine: &Engine, queries: &Wanted) -> Selectors {
    let known = &engine.state().world.targets;
    let targets = queries.iter().filter_map(|(key, _)| target_of(key));
    targets
        .filter_map(|name| Some((name.clone(), known.get(name)?.selector.clone())))
        .collect()
}

fn set<T: PartialEq>(sender: &watch::Sender<T>, now: T) {
    sender.send_if_modified(|old| {
        let changed = *old != now;
        if changed {
            *old = now;
        }
        changed
    });
}

/// Tells the echo of own status writes from real changes of policies.
///
/// While this replica leads, an event whose generation is known is an echo and goes no further. While it follows, the
/// status of a policy is somebody else's memory of what they did: each such event replaces what the engine remembers, so
/// that it knows it all when it comes to lead.
#[derive(Debug, Default)]
pub struct StatusEcho {
    seen: BTreeMap<PolicyKey, (String, i64, String)>,
}

impl StatusEcho {
    /// What of an event concerns the engine.
    pub fn filter(&mut self, event: Event, leads: bool) -> Vec<Event> {
        let meta = match &event {
            Event::ScalingPolicy { policy, .. } => &policy.meta,
            Event::NodePoolPolicy(policy) => &policy.meta,
            Event::HealingPolicy { policy, .. } => &policy.meta,
            Event::PolicyInvalid {
                key,
                generation,
                message,
                uid,
                ..
            } => {
                let now = (uid.0.clone(), *generation, message.clone());
                let echo = self.seen.insert(key.clone(), now.clone()) == Some(now);
                return if echo { Vec::new() } else { vec![event] };
            }
            Event::PolicyGone(key) => {
                self.seen.remove(key);
                return vec![event];
            }
            _ => return vec![event],
        };
        let now = (meta.uid.0.clone(), meta.generation, String::new());
        let key = meta.key.clone();
        let known = self.seen.insert(key.clone(), now.clone());
        match known {
            Some(old) if old == now && leads => Vec::new(),
            Some(old) if old.0 != now.0 => vec![Event::PolicyGone(key), event],
            Some(_) if !leads => vec![Event::ActedElsewhere(key), event],
            _ => vec![event],
        }
    }
}
