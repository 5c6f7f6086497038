//! Drift: what the watches saw is looked at and told to the engine; what the engine orders is brought back, if everything
//! that it was decided from still holds.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;

use super::cluster::{Account, Looked};
use super::payload::{last_writer, other_claim};
use super::steps;
use super::trouble::{Trouble, is_transient, list};
use super::worker::Worker;
use crate::core::event::{Event, Outcome};
use crate::core::names::{ObjectRef, Uid};
use crate::core::time::Time;
use crate::core::world::DeclaredState;
use crate::edge::clock;
use crate::edge::kube::CallError;
use crate::edge::kube::execute::RestoreOrder;

/// An object is looked at again after this, where what was seen may not be the end of it.
const AGAIN: Duration = Duration::from_secs(2);
/// How often a restore is tried when somebody else writes in between.
const TRIES: usize = 5;

impl Worker {
    /// Looks at objects that a watch saw change.
    pub(super) async fn look_again(&mut self, objects: BTreeSet<ObjectRef>) {
        let Some((settings, account)) = self.settings.clone() else {
            return;
        };
        let Some(applied) = self.applied.as_ref().filter(|_| !settings.suspend) else {
            return;
        };
        let declared: Vec<_> = objects.iter().filter_map(|o| applied.objects.get(o)).cloned().collect();
        for (declared, look) in steps::look_at_each(&account, declared, false).await {
            match look {
                Ok(look) => self.tell(&declared.object, look).await,
                Err(error) if is_transient(&error) => self.marked.mark_later(declared.object.clone(), AGAIN),
                Err(error) => tracing::warn!(source = %self.source, object = %declared.object, %error, "not compared"),
            }
        }
    }

    /// Looks at everything that is applied.
    pub(super) async fn look_at_all(&mut self) -> Result<(), Trouble> {
        let Some((_, account)) = self.settings.clone() else {
            return Ok(());
        };
        let Some(applied) = &self.applied else { return Ok(()) };
        let declared: Vec<_> = applied.objects.values().cloned().collect();
        let (mut refused, mut failed) = (Vec::new(), Vec::new());
        for (declared, look) in steps::look_at_each(&account, declared, false).await {
            match look {
                Ok(look) => self.tell(&declared.object, look).await,
                Err(error) => {
                    let problems = if is_transient(&error) {
                        &mut failed
                    } else {
                        &mut refused
                    };
                    problems.push(format!("{}: {error}", declared.place));
                }
            }
        }
        if !refused.is_empty() {
            let message = format!("refused to {}: {}", account.name, list(refused));
            return Err(Trouble::stalled("Rejected", message));
        }
        if failed.is_empty() {
            Ok(())
        } else {
            Err(Trouble::retry("APIUnavailable", list(failed)))
        }
    }

    /// Policies have come to own the replicas of some objects, or have ceased to.
    pub(super) fn owned_changed(&self) {
        let objects = self.applied.iter().flat_map(|a| a.objects.values());
        let scalable = objects.filter(|d| d.base.pointer("/spec/replicas").is_some());
        self.marked.mark(scalable.map(|d| d.object.clone()));
    }

    /// Tells the engine how an object was seen, where that is news.
    async fn tell(&mut self, object: &ObjectRef, look: Looked) {
        let state = seen(look, self.told.get(object), clock::now());
        let known = self.told.insert(object.clone(), state.clone()).as_ref() == Some(&state);
        self.doubts.retain(|_, until| *until > Instant::now());
        if !known || self.doubts.contains_key(object) {
            self.say(object, state).await;
        }
    }

    async fn say(&self, object: &ObjectRef, state: DeclaredState) {
        let (source, object) = (self.source.clone(), object.clone());
        let event = Event::DeclaredObject { source, object, state };
        self.around.feed.send(event).await;
    }

    /// Everything was applied just now.
    pub(super) async fn all_in_sync(&mut self) {
        for (object, state) in &self.told {
            if *state != DeclaredState::InSync {
                self.say(object, DeclaredState::InSync).await;
            }
        }
        self.told.clear();
    }

    /// Carries out an order of the engine.
    pub(super) async fn restore(&mut self, order: RestoreOrder) {
        let outcome = match self.bring_back(&order).await {
            Ok(()) => Outcome::Done,
            Err(outcome) => outcome,
        };
        self.doubts.insert(order.object.clone(), Instant::now() + 2 * AGAIN);
        self.marked.mark_later(order.object, AGAIN);
        let _ = order.done.send(outcome);
    }

    async fn bring_back(&self, order: &RestoreOrder) -> Result<(), Outcome> {
        let skipped = |message: &str| Outcome::Skipped {
            message: message.to_owned(),
        };
        let Some((settings, account)) = self.settings.as_ref().filter(|(s, _)| !s.suspend) else {
            return Err(skipped("the source is suspended"));
        };
        let Some(applied) = self.applied.as_ref().filter(|a| a.text == order.revision) else {
            return Err(conflict(format!("{} declares another revision by now", order.source)));
        };
        let object = &order.object;
        let Some(declared) = applied.objects.get(object) else {
            return Err(conflict(format!("{} does not declare {object}", order.revision)));
        };
        if !settings.allows(object.group(), &object.kind) {
            return Err(conflict(format!("spec.kinds does not allow {} any more", object.kind)));
        }
        for _ in 0..TRIES {
            let live = account
                .get(&declared.served, object)
                .await
                .map_err(|e| outcome(account, &e))?;
            self.check(order, live.as_ref())?;
            if !self.around.leadership.is_leader_now() {
                return Err(skipped("this replica does not lead"));
            }
            match account.apply(declared, live.as_ref(), false).await {
                Ok(_) => return Ok(()),
                Err(error) if error.code() == Some(409) => {}
                Err(error) => return Err(outcome(account, &error)),
            }
        }
        Err(conflict(format!("{object} changes all the time")))
    }

    /// What the order was decided from still holds.
    fn check(&self, order: &RestoreOrder, live: Option<&kube::api::DynamicObject>) -> Result<(), Outcome> {
        let object = &order.object;
        match (&order.uid, live) {
            (None, Some(_)) => return Err(conflict(format!("{object} is there again"))),
            (Some(_), None) => return Err(conflict(format!("{object} is gone"))),
            (Some(uid), Some(live)) if live.metadata.uid.as_deref() != Some(uid.0.as_str()) => {
                return Err(conflict(format!("{object} is another object now")));
            }
            _ => {}
        }
        match live.and_then(|live| other_claim(live, &self.key.to_string())) {
            Some(claim) => Err(conflict(format!("{object} belongs to {claim} now"))),
            None => Ok(()),
        }
    }
}

fn conflict(message: String) -> Outcome {
    Outcome::Conflict { message, found: None }
}

fn outcome(account: &Account, error: &CallError) -> Outcome {
    let message = format!("as {}: {error}", account.name);
    match error.code() {
        // Its namespace or its kind is not there: that comes back first.
        Some(404) => conflict(message),
        _ if error.is_ambiguous() => Outcome::Unknown { message },
        _ => Outcome::Failed { message },
    }
}

/// What the engine is told of an object.
fn seen(look: Looked, before: Option<&DeclaredState>, now: Time) -> DeclaredState {
    let Some(live) = look.live else {
        return match before {
            Some(DeclaredState::Missing { since }) => DeclaredState::Missing { since: *since },
            _ => DeclaredState::Missing { since: now },
        };
    };
    // On its way out: there will be nothing to bring back to life before it is gone.
    if look.differs.is_empty() || live.metadata.deletion_timestamp.is_some() {
        return DeclaredState::InSync;
    }
    let uid = Uid(live.metadata.uid.clone().unwrap_or_default());
    let since = match before {
        Some(DeclaredState::Drifted { since, uid: old, .. }) if *old == uid => *since,
        _ => now,
    };
    DeclaredState::Drifted {
        since,
        uid,
        fields: look.differs,
        writer: last_writer(&live),
    }
}
