//! What must be so when all trouble has been over for long: the operator did its work.

use super::{Checker, Invariant, Violation};
use crate::core::policy::Direction;
use crate::core::time::{Span, Time};
use crate::core::world::DeclaredState;
use crate::sim::cluster::Cluster;
use crate::sim::metrics::Metrics;
use crate::sim::policies::Spec;
use crate::sim::scenario::{START, Scenario, UNITS, What};

/// A fight for replicas may be left alone for an hour, after a fight that lasted half an hour.
const LONG_AGO: Span = Span::from_mins(150);

impl Checker {
    /// Looks at the end of a story.
    #[must_use]
    pub fn at_the_end(
        &self,
        now: Time,
        cluster: &Cluster,
        metrics: &Metrics,
        scenario: &Scenario,
    ) -> Option<Violation> {
        let broken = |invariant, message| {
            Some(Violation {
                at: now,
                invariant,
                message,
            })
        };
        for spec in &scenario.policies {
            let Spec::Scaling(policy) = spec else { continue };
            let Some(id) = cluster.workload(&policy.target) else {
                continue;
            };
            let fought = scenario.troubles.iter().any(|t| {
                let disturbs = match t.what {
                    What::Fight(w, _) | What::SetReplicas(w, _) => w == id,
                    _ => false,
                };
                disturbs && (START + t.at + t.lasts + LONG_AGO) > now
            });
            let replicas = cluster.workloads[id].replicas;
            // What else counts than the load of now.
            let special = policy.idle.is_some() || !policy.schedules.is_empty();
            if special || fought || policy.direction != Direction::Both || replicas == 0 {
                continue;
            }
            let questions = (0..metrics.questions.len()).filter(|q| metrics.questions[*q].workload == id);
            let load = questions.map(|q| metrics.load(q, now)).fold(0.0, f64::max);
            let wanted = (load / UNITS as f64).clamp(f64::from(policy.min.get()), f64::from(policy.max.get()));
            // Tolerance, noise, and rounding up.
            let wanted = if policy.formula.is_some() {
                wanted.max(3.0)
            } else {
                wanted
            };
            let steps = f64::from(policy.step - 1);
            let (low, high) = (wanted / 1.15 - 0.01, (wanted * 1.15).ceil() + 1.0 + steps);
            let (low, high) = (
                low.min(f64::from(policy.max.get() - policy.max.get() % policy.step)),
                high,
            );
            if f64::from(replicas) < low || f64::from(replicas) > high {
                let key = &policy.meta.key;
                let message = format!("{key}: {replicas} replicas where the load asks for {wanted:.1}");
                return broken(Invariant::FollowsLoadInTheEnd, message);
            }
        }
        for (source, set) in &self.seen.sources {
            let drifted = set.objects.iter().find(|(_, state)| **state != DeclaredState::InSync);
            if let Some((object, _)) = drifted.filter(|_| set.enforce && self.healing.had_budget(now, source, self)) {
                let message = format!("{object} of {source} is not as declared");
                return broken(Invariant::InSyncInTheEnd, message);
            }
        }
        None
    }
}
