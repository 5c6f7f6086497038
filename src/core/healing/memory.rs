//! What is remembered of a HealingPolicy.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::core::guard;
use crate::core::names::{PolicyKey, Uid};
use crate::core::policy::HealingPolicy;
use crate::core::report::{Incident, IncidentPhase, MAX_INCIDENTS};
use crate::core::state::State;
use crate::core::time::{Span, Time};

/// The window of `budget.perHour`.
const HOUR: Span = Span::from_mins(60);

/// What is remembered of a HealingPolicy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Memory {
    /// The policy.
    pub policy: HealingPolicy,
    /// What is or was wrong, by id.
    pub incidents: BTreeMap<String, Incident>,
    /// Times of its own remedies within the last hour, oldest first.
    pub spent: Vec<Time>,
    /// Since when each pod crashes again and again: its condition Ready flips with every restart, so that the object alone
    /// does not tell.
    pub crashing: BTreeMap<Uid, Time>,
    /// Remedies that the API refused, by incident: how often in a row, and when to try again.
    pub delays: BTreeMap<String, Delay>,
    /// What dry-run mode has shown already: incident and attempt.
    pub shown: BTreeSet<String>,
}

/// When to try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Delay {
    /// Refused so often in a row.
    pub failures: u32,
    /// Not before this time.
    pub retry_at: Time,
}

impl Delay {
    /// The next delay: it doubles from `first` up to `longest`.
    #[must_use]
    pub fn after(previous: Option<Self>, now: Time, first: Span, longest: Span) -> Self {
        let failures = previous.map_or(0, |d| d.failures) + 1;
        let wait = first.times(1 << (failures - 1).min(16)).min(longest);
        Self {
            failures,
            retry_at: now + wait,
        }
    }
}

impl Memory {
    fn new(policy: HealingPolicy, incidents: Vec<Incident>) -> Self {
        let mut spent: Vec<Time> = incidents.iter().flat_map(|i| attempted(&policy, i)).collect();
        spent.sort_unstable();
        let known = incidents.into_iter().map(|mut incident| {
            // The operator ended between intent and outcome: it may have been done, so its effect is awaited.
            if incident.phase == IncidentPhase::Intended {
                incident.phase = IncidentPhase::Acted;
            }
            (incident.id.clone(), incident)
        });
        Self {
            policy,
            incidents: known.collect(),
            spent,
            crashing: BTreeMap::new(),
            delays: BTreeMap::new(),
            shown: BTreeSet::new(),
        }
    }

    /// Own remedies within the last hour.
    pub(super) fn spent_in_hour(&mut self, now: Time) -> u32 {
        self.spent.retain(|at| *at > now - HOUR);
        u32::try_from(self.spent.len()).unwrap_or(u32::MAX)
    }

    /// When `budget.perHour` allows another remedy.
    pub(super) fn hour_free_at(&self, now: Time) -> Time {
        self.spent.first().map_or(now, |at| *at + HOUR)
    }

    /// Drops the oldest ended incidents beyond the number that is remembered.
    pub(super) fn prune(&mut self) {
        while self.incidents.len() > MAX_INCIDENTS {
            let ended = self.incidents.values().filter(|i| i.phase == IncidentPhase::Recovered);
            let oldest = ended
                .chain(self.incidents.values())
                .min_by_key(|i| (i.phase != IncidentPhase::Recovered, i.last_attempt.unwrap_or(i.since)));
            let Some(id) = oldest.map(|i| i.id.clone()) else { return };
            self.incidents.remove(&id);
            self.delays.remove(&id);
        }
    }
}

/// When the attempts that an incident remembers were made. Only the last one's time is known; the others lie at least the
/// remedy's wait apart before it, so that they are taken for as late as they can have been.
fn attempted(policy: &HealingPolicy, incident: &Incident) -> impl Iterator<Item = Time> + use<> {
    let rule = policy.rules.iter().find(|rule| rule.name == incident.rule);
    let waits = rule.map(|rule| rule.remedies.iter().map(|remedy| remedy.wait));
    let wait = waits.and_then(Iterator::min).unwrap_or(Span::ZERO);
    // One that the API refused is not among the attempts, and its time is the last.
    let refused = i64::from(incident.phase == IncidentPhase::Blocked);
    let (last, attempts) = (incident.last_attempt, i64::from(incident.attempts));
    last.into_iter()
        .flat_map(move |last| (refused..attempts + refused).map(move |n| last - wait.times(n)))
}

/// A HealingPolicy was made or changed. What is remembered goes on as long as it is the same object; `incidents` count only
/// where nothing is remembered.
pub fn accept(state: &mut State, at: Time, policy: HealingPolicy, incidents: Vec<Incident>) {
    let key = policy.meta.key.clone();
    let memory = match state.healing.remove(&key) {
        Some(old) if old.policy.meta.uid == policy.meta.uid => Memory {
            shown: if old.policy == policy {
                old.shown
            } else {
                BTreeSet::new()
            },
            policy,
            ..old
        },
        _ => {
            let memory = Memory::new(policy, incidents);
            // The namespace's budget survives a restart too, as far as the incidents tell.
            guard::recall(state, &key.namespace, &memory.policy.meta.uid, &memory.spent, at);
            memory
        }
    };
    state.healing.insert(key, memory);
}

/// Another replica acts for this policy: the incidents that come with its next event count, and not what is remembered here.
pub fn acted_elsewhere(state: &mut State, key: &PolicyKey) {
    if let Some(memory) = state.healing.get_mut(key) {
        memory.policy.meta.uid = Uid::default();
    }
}
