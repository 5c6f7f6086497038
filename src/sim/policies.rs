//! Policies as the API server stores them: specs that people change, statuses that the operator writes. What the operator
//! knows after a restart is only what stands here.

use std::collections::BTreeMap;

use crate::core::event::Event;
use crate::core::names::{PolicyKey, Uid};
use crate::core::policy::{HealingPolicy, Meta, NodePoolPolicy, ScalingPolicy};
use crate::core::report::{Detail, Incident, Report, ScalingHistory};
use crate::core::time::Time;

/// The content of a policy.
#[derive(Clone, Debug, PartialEq)]
pub enum Spec {
    /// Scales.
    Scaling(ScalingPolicy),
    /// Heals.
    Healing(HealingPolicy),
    /// Sizes node pools.
    Nodes(NodePoolPolicy),
}

impl Spec {
    /// Name, identity, mode.
    #[must_use]
    pub fn meta(&self) -> &Meta {
        match self {
            Self::Scaling(p) => &p.meta,
            Self::Healing(p) => &p.meta,
            Self::Nodes(p) => &p.meta,
        }
    }

    /// The same, to be changed.
    pub fn meta_mut(&mut self) -> &mut Meta {
        match self {
            Self::Scaling(p) => &mut p.meta,
            Self::Healing(p) => &mut p.meta,
            Self::Nodes(p) => &mut p.meta,
        }
    }
}

/// A stored policy.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    /// What people want.
    pub spec: Spec,
    /// It cannot be used, for this reason.
    pub invalid: Option<String>,
    /// What the operator said last.
    pub status: Option<Report>,
    /// Which of the operator's reports that was: term and step.
    written: (u32, u64),
}

/// All policies.
#[derive(Clone, Debug, Default)]
pub struct Policies {
    /// By key.
    pub all: BTreeMap<PolicyKey, Stored>,
}

impl Policies {
    /// Somebody makes a policy, or changes it: its generation goes up, and its status stays if it is the same object.
    pub fn apply(&mut self, mut spec: Spec) -> PolicyKey {
        let key = spec.meta().key.clone();
        let old = self.all.remove(&key);
        let (generation, same) = old.as_ref().map_or((1, false), |old| {
            (old.spec.meta().generation + 1, old.spec.meta().uid == spec.meta().uid)
        });
        spec.meta_mut().generation = generation;
        let kept = old.filter(|_| same);
        let stored = Stored {
            spec,
            invalid: None,
            status: kept.as_ref().and_then(|old| old.status.clone()),
            written: kept.map_or((0, 0), |old| old.written),
        };
        self.all.insert(key.clone(), stored);
        key
    }

    /// Makes a policy that was deleted again, as a new object.
    pub fn make_again(&mut self, mut spec: Spec, now: Time) -> PolicyKey {
        let meta = spec.meta_mut();
        meta.created = now;
        meta.uid = Uid(format!("{}-{}", meta.key, now.as_millis()));
        self.apply(spec)
    }

    /// Writes a status, unless a later one of the operator's is there. A report without detail (of a policy that cannot be
    /// used) changes the conditions and leaves the rest.
    pub fn store(&mut self, report: Report, written: (u32, u64)) {
        if let Some(stored) = self.all.get_mut(&report.policy)
            && stored.written < written
        {
            stored.written = written;
            let old = stored.status.take();
            let mut report = report;
            if let (Detail::None, Some(old)) = (&report.detail, old) {
                report.detail = old.detail;
            }
            stored.status = Some(report);
        }
    }

    /// What a watch tells of a policy.
    #[must_use]
    pub fn event(&self, key: &PolicyKey) -> Event {
        let Some(stored) = self.all.get(key) else {
            return Event::PolicyGone(key.clone());
        };
        if let Some(message) = &stored.invalid {
            return Event::PolicyInvalid {
                key: key.clone(),
                generation: stored.spec.meta().generation,
                message: message.clone(),
                uid: stored.spec.meta().uid.clone(),
                target: match &stored.spec {
                    Spec::Scaling(policy) => Some(policy.target.clone()),
                    Spec::Healing(_) | Spec::Nodes(_) => None,
                },
            };
        }
        match &stored.spec {
            Spec::Scaling(policy) => Event::ScalingPolicy {
                policy: Box::new(policy.clone()),
                history: stored.history(),
            },
            Spec::Healing(policy) => Event::HealingPolicy {
                policy: Box::new(policy.clone()),
                incidents: stored.incidents(),
            },
            Spec::Nodes(policy) => Event::NodePoolPolicy(Box::new(policy.clone())),
        }
    }
}

impl Stored {
    /// What its status remembers.
    #[must_use]
    pub fn history(&self) -> ScalingHistory {
        match self.status.as_ref().map(|s| &s.detail) {
            Some(Detail::Scaling(detail)) => detail.history.clone(),
            _ => ScalingHistory::default(),
        }
    }

    /// Incidents in its status.
    #[must_use]
    pub fn incidents(&self) -> Vec<Incident> {
        match self.status.as_ref().map(|s| &s.detail) {
            Some(Detail::Healing(detail)) => detail.incidents.clone(),
            _ => Vec::new(),
        }
    }
}
