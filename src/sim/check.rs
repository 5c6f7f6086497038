//! What must always hold, checked after every step. The checker is told what the engine is told, sees every plan and every
//! write, and keeps a picture of its own. It never looks into the engine: no reasoning of the engine excuses it.

mod demand;
mod ending;
mod healing;
mod nodes;
mod picture;
mod scaling;

use std::collections::BTreeMap;
use std::fmt;

use crate::core::event::{Event, Outcome};
use crate::core::names::{ActionId, ObjectRef, PolicyKey, PolicyKind};
use crate::core::plan::{Action, Deed, Plan};
use crate::core::policy::Mode;
use crate::core::time::Time;
use crate::core::world::View;

use picture::Picture;

macro_rules! invariants {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// A promise that is checked.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Invariant { $($(#[doc = $doc])+ $name,)+ }

        impl Invariant {
            /// Every one.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The promise in a sentence.
            #[must_use]
            pub const fn promise(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc),+),)+ }
            }
        }
    };
}

invariants! {
    /// The same events give the same plan, byte for byte; the order of independent events changes nothing.
    SameEventsSamePlan,
    /// A step when nothing changed does nothing and says nothing.
    IdleStepsAreEmpty,
    /// After a step the engine rests until something changes or comes due.
    Rests,
    /// Every action and refusal says why.
    Explained,
    /// Only policies that are there and can be used act.
    OnlyKnownPolicies,
    /// A suspended policy acts not at all.
    SuspendedActsNot,
    /// In dry-run mode nothing is carried out.
    DryRunOnlyShows,
    /// One action at a time per object.
    OneAtATime,
    /// Every write carries what it was decided from: identity and old value as last seen.
    Preconditions,
    /// After an unclear answer the truth is read again before anything more, or waited for for two minutes.
    TruthIsReadAgain,
    /// Nothing is done before the whole picture is seen.
    WholePictureFirst,
    /// Replicas stay within the policy's bounds.
    WithinBounds,
    /// Missing, stale, partial or failed data never scale down.
    MissingDataHold,
    /// Replicas go where the data say, not further.
    FollowsData,
    /// The most careful recommendation of the stabilization window counts.
    Stabilized,
    /// Rate limits are kept, counting own changes before a restart.
    WithinRates,
    /// Replicas are a multiple of the policy's step.
    WholeSteps,
    /// The idle size comes only when nothing has been to do for as long as the policy says, and everybody knows it.
    RestsOnlyWhenIdle,
    /// While too few of the wanted pods are Ready no more of them are wanted.
    WaitsForRollout,
    /// A policy never scales against its direction.
    KeepsDirection,
    /// Of two policies on one target only the older acts.
    OlderPolicyActs,
    /// Nothing is scaled that another autoscaler scales, or that somebody has switched off.
    LeavesOthersTargets,
    /// Homeostat backs off where somebody else keeps writing the same field.
    BacksOff,
    /// Only pods that are unwell themselves, on a node that is well, and that a controller makes again, are evicted.
    OnlySickPodsGo,
    /// A pod is evicted only where its siblings are mostly well, and never the last Ready one's place is risked.
    SiblingsAreWell,
    /// With too many of the selected pods unhealthy nothing is evicted.
    MaxUnhealthy,
    /// When much breaks at once healing stops, and starts again only after calm.
    StormsBrake,
    /// The effect of a remedy is awaited before the next, also over a restart.
    EffectIsAwaited,
    /// Attempts are bounded, also over a restart.
    AttemptsEnd,
    /// A policy's budget of remedies under way and in an hour is kept, also over a restart.
    PolicyBudget,
    /// The budget of healing actions of a namespace is kept, also over a restart.
    NamespaceBudget,
    /// The intent of a remedy is part of the report that is stored before the act.
    IntentRecorded,
    /// The operator never acts on its own pod or node.
    NeverOnItself,
    /// Only what the current revision declares, and only what is not as declared, is brought back.
    CurrentRevision,
    /// Node pools stay within their bounds.
    PoolWithinBounds,
    /// Only marked nodes without pods of their own are removed.
    OnlyEmptyNodesGo,
    /// Only own marks are lifted.
    OnlyOwnMarks,
    /// When trouble is over, replicas are what the load asks for.
    FollowsLoadInTheEnd,
    /// When trouble is over, declared objects are as declared.
    InSyncInTheEnd,
}

/// A broken promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// When.
    pub at: Time,
    /// Which promise.
    pub invariant: Invariant,
    /// How, with the numbers.
    pub message: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} ({}): {}",
            self.invariant,
            self.invariant.promise().trim(),
            self.message
        )
    }
}

/// Checks one run.
#[derive(Clone, Debug, Default)]
pub struct Checker {
    /// The first broken promise.
    pub violation: Option<Violation>,
    seen: Picture,
    /// Actions that have not been answered, in this term.
    open: BTreeMap<ActionId, (Action, Time)>,
    scalers: BTreeMap<PolicyKey, scaling::Scaler>,
    healing: healing::Log,
    nodes: nodes::Log,
}

/// What breaks a promise, and how.
type Broken = (Invariant, String);

impl Checker {
    /// A promise is broken. The first one counts.
    pub fn violate(&mut self, at: Time, invariant: Invariant, message: String) {
        self.violation.get_or_insert(Violation { at, invariant, message });
    }

    /// The operator's process ends: what it had not stored is lost.
    pub fn lost(&mut self, now: Time) {
        self.open.clear();
        self.healing.lost();
        for scaler in self.scalers.values_mut() {
            scaler.lost(now);
        }
    }

    /// A new process knows nothing but what it is told from now on.
    pub fn begin_term(&mut self, now: Time) {
        self.lost(now);
        self.seen = Picture::default();
        self.nodes = nodes::Log::default();
        for scaler in self.scalers.values_mut() {
            scaler.forget();
        }
    }

    /// The engine is told something.
    pub fn told(&mut self, now: Time, event: &Event) {
        match event {
            Event::Outcome { action, outcome } => self.answered(now, action, outcome),
            Event::PolicyGone(key) | Event::PolicyInvalid { key, .. } => {
                if let Some(scaler) = self.scalers.get_mut(key) {
                    scaler.forget();
                }
            }
            Event::Target { object, target } => {
                for scaler in self.scalers.values_mut() {
                    scaler.seen(object, target.as_deref(), now);
                }
            }
            _ => {}
        }
        self.nodes.told(now, event);
        self.seen.take_in(now, event);
    }

    fn answered(&mut self, now: Time, id: &ActionId, outcome: &Outcome) {
        let Some((action, _)) = self.open.remove(id) else {
            return;
        };
        self.healing.answered(id, outcome);
        self.nodes.answered(&action, outcome);
        if let Deed::Scale { target, uid, from, to } = &action.what {
            let scaler = self.scalers.entry(action.policy.clone()).or_default();
            scaler.answered(now, target, uid, (from.get(), to.get()), outcome);
        }
        self.seen.answered(&action, outcome);
    }

    /// The API server did, or refused, what was asked.
    pub fn written(&mut self, _now: Time, action: &Action, outcome: &Outcome) {
        self.healing.written(&action.id, outcome);
    }

    /// The engine has decided.
    pub fn planned(&mut self, now: Time, plan: &Plan) {
        self.expire(now);
        self.look(now);
        for refusal in &plan.refusals {
            if refusal.message.trim().is_empty() {
                self.violate(now, Invariant::Explained, format!("{refusal:?}"));
            }
        }
        for action in &plan.actions {
            let checked = self
                .general(action)
                .and_then(|()| self.seen.views_for(action))
                .and_then(|()| match &action.what {
                    Deed::Scale { .. } => self.check_scale(now, action),
                    Deed::Evict { .. } => self.check_evict(now, action, plan),
                    Deed::Restore { .. } => self.check_restore(now, action),
                    _ => self.check_node(now, action),
                });
            if let Err((invariant, message)) = checked {
                let what = format!("{} {} {}", action.id, action.what.verb(), action.what.subject());
                let message = format!("{what} by {} ({}): {message}", action.policy, action.message);
                self.violate(now, invariant, message);
            }
            if action.mode == Mode::Enforce {
                self.open.insert(action.id.clone(), (action.clone(), now));
                self.healing.decided(now, action, &self.seen);
                self.nodes.decided(now, action);
            }
        }
        self.seen.fresh.clear();
    }

    /// An action that was never answered counts as unclear.
    fn expire(&mut self, now: Time) {
        let timeout = self.seen.limits.action_timeout;
        let late: Vec<ActionId> = self
            .open
            .iter()
            .filter(|(_, (_, since))| now.since(*since) >= timeout)
            .map(|(id, _)| id.clone())
            .collect();
        for id in late {
            let message = String::new();
            self.answered(now, &id, &Outcome::Unknown { message });
        }
    }

    /// What is remembered of this moment, whether anything is done or not.
    fn look(&mut self, now: Time) {
        self.healing.look(now, &self.seen);
        for (key, policy) in &self.seen.scaling {
            if self.seen.fresh.concerns(policy) {
                let scaler = self.scalers.entry(key.clone()).or_default();
                scaler.look(now, policy, &self.seen);
            }
        }
    }

    /// What holds for every action.
    fn general(&self, action: &Action) -> Result<(), Broken> {
        let subject = action.what.subject();
        if action.message.trim().is_empty() {
            return Err((Invariant::Explained, "no reason is given".into()));
        }
        let (suspended, mode) = if action.policy.kind == PolicyKind::GitSource {
            let set = self.seen.sources.get(&action.policy);
            (set.map(|set| set.suspend), Mode::Enforce)
        } else {
            let meta = self.seen.meta(&action.policy);
            (meta.map(|m| m.suspend), meta.map(|m| m.mode).unwrap_or_default())
        };
        match suspended {
            None => return Err((Invariant::OnlyKnownPolicies, "the policy is not there".into())),
            Some(true) => return Err((Invariant::SuspendedActsNot, "the policy is suspended".into())),
            Some(false) => {}
        }
        if mode != action.mode {
            let message = format!("the policy's mode is {mode:?}, the action's {:?}", action.mode);
            return Err((Invariant::DryRunOnlyShows, message));
        }
        if let Some(other) = self.under_way(&subject) {
            return Err((Invariant::OneAtATime, format!("{other} is not answered yet")));
        }
        let own = self.seen.own.as_ref();
        let own_node = own.and_then(|own| own.node.as_deref());
        let on_itself = match &action.what {
            Deed::Evict { pod, .. } => own.is_some_and(|own| own.pod == *pod),
            Deed::MarkNode { node, .. } | Deed::RemoveNode { node, .. } => own_node == Some(node),
            _ => false,
        };
        if on_itself {
            return Err((Invariant::NeverOnItself, "this is where the operator runs".into()));
        }
        Ok(())
    }

    fn under_way(&self, subject: &ObjectRef) -> Option<&ActionId> {
        let mut open = self.open.iter();
        open.find(|(_, (action, _))| action.what.subject() == *subject)
            .map(|(id, _)| id)
    }
}

impl Picture {
    /// Which parts of the picture an action needs.
    fn views_for(&self, action: &Action) -> Result<(), Broken> {
        let needed: &[View] = match &action.what {
            Deed::Scale { .. } | Deed::Restore { .. } => &[View::Policies],
            _ => &[View::Pods, View::Nodes, View::Policies],
        };
        match needed.iter().find(|view| !self.sees(**view)) {
            Some(view) => Err((Invariant::WholePictureFirst, format!("not all {view} are seen"))),
            None => Ok(()),
        }
    }
}
