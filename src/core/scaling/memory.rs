//! What is remembered of one ScalingPolicy between steps. All of it is bounded.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::combine::Activity;
use super::conflict::Fight;
use super::contributors::Baseline;
use super::gather::contributors;
use super::hpa;
use super::pods;
use super::propose::Said;
use super::stabilize::Windows;
use crate::core::names::Uid;
use crate::core::policy::ScalingPolicy;
use crate::core::quantity::Replicas;
use crate::core::reason::Reason;
use crate::core::report::{Original, ScaleEvent, ScalingHistory};
use crate::core::state::{QueryId, State};
use crate::core::time::{Span, Time};
use crate::core::world::Target;

/// How many own scale events are kept; beyond that the two oldest become one.
pub const MAX_HISTORY: usize = 64;

/// The first wait after a failed write; doubled each time.
const FIRST_RETRY: Span = Span::from_secs(1);
/// The longest wait after failed writes.
const LAST_RETRY: Span = Span::from_mins(5);

/// How long a target is waited for after a write of unknown outcome.
const PATIENCE: Span = Span::from_mins(2);

/// What is remembered of a ScalingPolicy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Memory {
    /// The policy.
    pub policy: ScalingPolicy,
    /// Own scale events, oldest first; as long as rate limits need them, at most [`MAX_HISTORY`].
    pub history: Vec<ScaleEvent>,
    /// Recommendations that stabilization still needs.
    #[serde(default)]
    pub windows: Windows,
    /// With `compat: HPAv2`: what the controller would remember of its recommendations.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recommendations: Vec<hpa::history::Recommendation>,
    /// What this policy wrote last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written: Option<Written>,
    /// The target must be seen again before anything more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unsure: Option<Unsure>,
    /// Writes that failed since the last that succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<Trouble>,
    /// Nothing is tried before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Time>,
    /// Who else writes the same field.
    #[serde(default)]
    pub fight: Fight,
    /// Trigger → since when it has had no value that can be used.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub missing_since: BTreeMap<String, Time>,
    /// Trigger → what its answers were made from when they were last complete.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub contributors: BTreeMap<String, Baseline>,
    /// When something was last to do, or nobody knew; for policies that have an idle size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_active: Option<Time>,
    /// Nothing is to do now, and everybody knows.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub inactive: bool,
    /// What the target had before this policy first changed it; for policies that give it back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original: Option<Original>,
    /// What the last report meant, as a hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told: Option<u64>,
    /// In dry-run mode: the last change that was shown, so that it is shown once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shown: Option<(Replicas, Replicas)>,
}

/// A value that this policy wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Written {
    /// To which object; `None` where it is known only from the history.
    pub uid: Option<Uid>,
    /// What was written.
    pub to: Replicas,
    /// Another value was seen since.
    pub replaced: bool,
}

/// A write after which the truth is not known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Unsure {
    /// The object.
    pub uid: Uid,
    /// The change that may have been made; `None` where it is sure that nothing was done.
    pub tried: Option<ScaleEvent>,
    /// The target has not been seen since; it is waited for until then. Nobody may ever tell: a write that was not done
    /// changes nothing, and one that was may have been seen before its answer was given up. The next write's own
    /// precondition then finds out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_until: Option<Time>,
}

/// Writes that failed in a row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Trouble {
    /// How many.
    pub failures: u32,
    /// Not before this time again.
    pub retry_at: Time,
    /// The last one's message.
    pub message: String,
}

impl Memory {
    /// Of a policy that was not known before.
    #[must_use]
    pub fn new(policy: ScalingPolicy, history: ScalingHistory) -> Self {
        let windows = Windows::restore(&history);
        let complete = history.complete_until.is_some() && !policy.compat.is_none();
        let recommendations = history.recommendations.iter().filter(|_| complete);
        let recommendations = recommendations.map(|r| hpa::history::Recommendation {
            replicas: r.replicas.as_i32(),
            at: r.at,
        });
        let recommendations = recommendations.collect();
        let written = history.scale_events.last().map(|last| Written {
            uid: None,
            to: last.to,
            replaced: false,
        });
        let mut memory = Self {
            policy,
            history: history.scale_events,
            windows,
            recommendations,
            written,
            unsure: None,
            trouble: None,
            not_before: None,
            fight: Fight::default(),
            missing_since: history.missing_since,
            contributors: history.contributors,
            last_active: history.last_active,
            inactive: false,
            original: history.original,
            told: None,
            shown: None,
        };
        memory.history.sort_by_key(|event| event.at);
        memory.bound_history();
        memory
    }

    /// Notes which triggers lack a value, and since when. A trigger that has not been asked yet lacks none, unless it did
    /// before.
    pub fn note_missing(&mut self, now: Time, said: &[Said]) {
        let mut missing = BTreeMap::new();
        for (trigger, said) in self.policy.triggers.iter().zip(said) {
            let Err(gap) = &said.datum else { continue };
            let since = self.missing_since.get(&trigger.name).copied();
            let waits = matches!(
                gap.reason,
                Reason::NotSampledYet | Reason::ViewIncomplete | Reason::NoPods
            );
            if let Some(since) = since.or_else(|| (!waits).then_some(now)) {
                missing.insert(trigger.name.clone(), since);
            }
        }
        self.missing_since = missing;
    }

    /// Notes what the triggers' answers are made from; `queries` are the numbers of what they ask.
    pub(super) fn note_contributors(&mut self, state: &State, now: Time, queries: &[QueryId], target: &Target) {
        let mut ready = None;
        for (trigger, query) in self.policy.triggers.iter().zip(queries) {
            let sample = state.queries.at(*query).and_then(|query| query.sample.as_ref());
            let Some(contributors) = sample.and_then(|sample| contributors(&sample.reading)) else {
                continue;
            };
            let ready = *ready.get_or_insert_with(|| pods::known_ready(state, &self.policy, target));
            if let Some(before) = self.contributors.get_mut(&trigger.name) {
                *before = before.after(contributors, ready, now);
            } else {
                let first = Baseline::new(contributors, ready);
                self.contributors.insert(trigger.name.clone(), first);
            }
        }
    }

    /// Notes whether there is anything to do.
    pub(super) fn note_activity(&mut self, now: Time, activity: Activity) {
        self.inactive = activity == Activity::Inactive;
        if !self.inactive || self.last_active.is_none() {
            self.last_active = Some(now);
        }
    }

    /// Until when the target must be seen again before anything more.
    #[must_use]
    pub fn waits(&self, now: Time) -> Option<Time> {
        let until = self.unsure.as_ref().and_then(|unsure| unsure.waiting_until);
        until.filter(|until| now < *until)
    }

    /// Remembers an own change that was confirmed.
    pub fn wrote(&mut self, uid: &Uid, event: ScaleEvent) {
        self.history.push(event);
        self.bound_history();
        self.written = Some(Written {
            uid: Some(uid.clone()),
            to: event.to,
            replaced: false,
        });
        self.unsure = None;
    }

    /// The target must be seen again before anything more.
    pub fn wait(&mut self, at: Time, uid: &Uid, tried: Option<ScaleEvent>) {
        self.unsure = Some(Unsure {
            uid: uid.clone(),
            tried,
            waiting_until: Some(at + PATIENCE),
        });
    }

    /// Notes the failure of a write and when to try again: after 1 s, doubling, at most 5 min.
    pub fn failed(&mut self, at: Time, message: &str) {
        let failures = self.trouble.as_ref().map_or(0, |t| t.failures).saturating_add(1);
        let delay = FIRST_RETRY.times(1_i64 << (failures - 1).min(16)).min(LAST_RETRY);
        self.trouble = Some(Trouble {
            failures,
            retry_at: at + delay,
            message: message.to_owned(),
        });
    }

    /// Forgets own scale events that no rate limit needs any more. A last change to zero stays, since it tells that the
    /// target was not switched off by somebody else.
    pub fn prune(&mut self, now: Time) {
        if self.history.is_empty() {
            return;
        }
        let rules = [&self.policy.behavior.up, &self.policy.behavior.down];
        let longest = rules
            .iter()
            .flat_map(|r| &r.policies)
            .map(|p| p.period)
            .max()
            .unwrap_or(Span::ZERO);
        let zeroed = self.history.last().copied().filter(|last| last.to == Replicas::ZERO);
        self.history.retain(|event| now.since(event.at) < longest);
        if self.history.is_empty() {
            self.history.extend(zeroed);
        }
    }

    /// Whether this policy itself set its target to zero, and nobody else touched it since.
    #[must_use]
    pub fn zeroed(&self) -> bool {
        self.written
            .as_ref()
            .is_some_and(|w| w.to == Replicas::ZERO && !w.replaced)
    }

    /// Two oldest events become one with the same net change, which is all that rate limits look at; it counts for as long
    /// as the later of the two.
    fn bound_history(&mut self) {
        while self.history.len() > MAX_HISTORY {
            let first = self.history.remove(0);
            let change = i64::from(first.to.get()) - i64::from(first.from.get());
            if let Some(second) = self.history.first_mut() {
                second.from = Replicas::from_i64(i64::from(second.from.get()) - change);
            }
        }
    }
}
