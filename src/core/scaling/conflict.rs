//! Others that write the same field: other policies, other autoscalers, and whoever sets `replicas` back again and again.
//!
//! A fight is proven by our own writes: a write that succeeded under the precondition of a value that was not our last one
//! overwrote somebody else's. Three of them within five minutes, and the field is left alone for a while.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::core::names::PolicyKey;
use crate::core::policy::{Meta, Mode, ScalingPolicy};
use crate::core::reason::Reason;
use crate::core::state::{PolicyId, State};
use crate::core::time::{Span, Time};

/// Who the operator is in managedFields.
pub const FIELD_MANAGER: &str = "homeostat";

/// So many overwritten values …
const FIGHT: usize = 3;
/// … within this time are a fight.
const FIGHT_WITHIN: Span = Span::from_mins(5);
/// So many within this time are reported as a conflict, and go on.
const NOTICE_WITHIN: Span = Span::from_mins(60);
/// How long the field is left alone at first; doubled with each further fight.
const FIRST_HOLD: Span = Span::from_mins(5);
/// How long it is left alone at most; after as much peace it begins anew.
const LAST_HOLD: Span = Span::from_mins(60);
/// How many overwritten values are remembered.
const MAX_REMEMBERED: usize = 16;

/// Somebody else writes the same field.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Fight {
    /// When one of our writes replaced somebody else's value that had replaced ours; of the last hour, oldest first.
    pub overwritten: Vec<Time>,
    /// The field is left alone until then.
    pub hold_until: Option<Time>,
    /// How often in a row.
    pub rounds: u32,
    /// Who wrote the other value, where managedFields tell.
    pub writer: Option<String>,
}

impl Fight {
    /// One of our writes replaced somebody else's value.
    pub fn overwrote(&mut self, at: Time) {
        self.overwritten.retain(|t| at.since(*t) < NOTICE_WITHIN);
        self.overwritten.push(at);
        if self.overwritten.len() > MAX_REMEMBERED {
            self.overwritten.remove(0);
        }
        if self.count(at, FIGHT_WITHIN) < FIGHT || self.holds(at) {
            return;
        }
        if self.hold_until.is_some_and(|end| at.since(end) >= LAST_HOLD) {
            self.rounds = 0;
        }
        let hold = FIRST_HOLD.times(1_i64 << self.rounds.min(10)).min(LAST_HOLD);
        self.rounds = self.rounds.saturating_add(1);
        self.hold_until = Some(at + hold);
        self.overwritten.clear();
    }

    /// Whether the field is left alone now.
    #[must_use]
    pub fn holds(&self, now: Time) -> bool {
        self.hold_until.is_some_and(|end| now < end)
    }

    /// When this has to be looked at again.
    #[must_use]
    pub fn wake(&self, now: Time) -> Option<Time> {
        let notice_ends = self.overwritten.first().map(|t| *t + NOTICE_WITHIN);
        self.hold_until
            .into_iter()
            .chain(notice_ends)
            .filter(|t| *t > now)
            .min()
    }

    /// Whether people should know: the field is left alone, or others replaced it several times within the hour.
    #[must_use]
    pub fn is_noticed(&self, now: Time) -> bool {
        self.holds(now) || self.count(now, NOTICE_WITHIN) >= FIGHT
    }

    /// In a sentence: who, which field, what to do.
    #[must_use]
    pub fn in_words(&self, now: Time, policy: &ScalingPolicy) -> String {
        let who = self.writer.as_deref().unwrap_or("somebody else");
        let what = match self.hold_until.filter(|end| now < *end) {
            Some(end) => format!("it is left alone until {end}"),
            None => "it is set again each time".to_owned(),
        };
        format!(
            "{who} keeps changing spec.replicas of {}; {what}. Take `replicas` out of its manifest in Git; with Argo CD \
             also ignore it: ignoreDifferences with jsonPointers [/spec/replicas] and the sync option \
             RespectIgnoreDifferences=true",
            policy.target
        )
    }

    fn count(&self, now: Time, within: Span) -> usize {
        self.overwritten.iter().filter(|t| now.since(**t) < within).count()
    }
}

/// The older policy of those that name the same target, which goes on instead of this one. Policies that are suspended or only show what they
/// would do write nothing and are in nobody's way.
#[must_use]
pub fn older_policy(state: &State, policy: &ScalingPolicy, named_by: &BTreeSet<PolicyId>) -> Option<PolicyKey> {
    let mine = (policy.meta.created, &policy.meta.key);
    named_by
        .iter()
        .filter_map(|id| state.scaling_at(*id))
        .map(|memory| &memory.policy.meta)
        .filter(|meta| writes(meta) && (meta.created, &meta.key) < mine)
        .min_by_key(|meta| (meta.created, &meta.key))
        .map(|meta| meta.key.clone())
}

/// Whether a policy writes at all.
#[must_use]
pub fn writes(meta: &Meta) -> bool {
    !meta.suspend && meta.mode == Mode::Enforce
}

/// What is said to the newer of two policies.
pub(super) fn conflict_message(policy: &ScalingPolicy, older: &PolicyKey) -> (Reason, String) {
    let message = format!(
        "{older} is older and already scales {}: delete one of the two, or put both policies' triggers into one",
        policy.target
    );
    (Reason::TargetConflict, message)
}
