//! What concerns no single policy: the storm brake, budgets, unhealthy pods. Looked at now and then, since it changes with
//! time and not with a report.

use std::collections::BTreeSet;

use super::Shown;
use crate::core::guard::Storm;
use crate::core::healing::is_unhealthy;
use crate::core::plan::Plan;
use crate::core::state::State;
use crate::core::time::{Span, Time};
use crate::telemetry::metrics::{Metrics, NamespaceLabels};

/// Between two looks while nothing is done.
const EVERY: Span = Span::from_secs(10);

impl Metrics {
    pub(super) fn survey(&self, shown: &mut Shown, plan: &Plan, state: &State) {
        self.storm.set(i64::from(state.guard.storm != Storm::Calm));
        let fresh = shown.surveyed.is_some_and(|at| plan.at.since(at) < EVERY);
        if fresh && plan.actions.is_empty() {
            return;
        }
        shown.surveyed = Some(plan.at);
        self.budgets(shown, state, plan.at);
        self.pods(state, plan.at);
    }

    fn budgets(&self, shown: &mut Shown, state: &State, now: Time) {
        let healed = state.healing.keys().map(|key| &key.namespace);
        let namespaces: BTreeSet<String> = healed.chain(state.guard.spent.keys()).cloned().collect();
        for gone in shown.namespaces.difference(&namespaces) {
            self.heal_budget_remaining.remove(&labels(gone));
        }
        let since = now - state.limits.healing_window;
        for namespace in &namespaces {
            let spent = state.guard.spent.get(namespace).into_iter().flatten();
            let spent = spent.filter(|at| **at > since).count();
            let left = i64::from(state.limits.healing_per_window) - i64::try_from(spent).unwrap_or(i64::MAX);
            self.heal_budget_remaining
                .get_or_create(&labels(namespace))
                .set(left.max(0));
        }
        shown.namespaces = namespaces;
    }

    /// Counted as the storm brake counts them.
    fn pods(&self, state: &State, now: Time) {
        let (mut all, mut unhealthy) = (0, 0);
        for pod in state.world.all_pods() {
            if pod.is_finished() || pod.deleting.is_some() || pod.node.is_none() {
                continue;
            }
            all += 1;
            unhealthy += i64::from(is_unhealthy(pod, now));
        }
        self.observed_pods.set(all);
        self.unhealthy_pods.set(unhealthy);
    }

    pub(super) fn forget_survey(&self, shown: &mut Shown) {
        for namespace in std::mem::take(&mut shown.namespaces) {
            self.heal_budget_remaining.remove(&labels(&namespace));
        }
        self.storm.set(0);
        self.observed_pods.set(0);
        self.unhealthy_pods.set(0);
        shown.surveyed = None;
    }
}

fn labels(namespace: &str) -> NamespaceLabels {
    NamespaceLabels {
        namespace: namespace.into(),
    }
}
