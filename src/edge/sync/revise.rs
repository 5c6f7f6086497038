//! What is done with a commit: all of it is checked first, then it is applied in stages, then what has gone is deleted.

use std::collections::BTreeSet;

use super::cluster::Account;
use super::fetch::Commit;
use super::inventory;
use super::kinds::{FOUNDATIONS, rank};
use super::resolve::{Resolved, Resolver};
use super::settings::Settings;
use super::steps::{self, Looks, Objects, Pruned};
use super::trouble::Trouble;
use super::worker::{Applied, Worker};
use crate::api::git_source::{Inventory, InventoryEntry};
use crate::core::names::ObjectRef;

/// Objects that an Event names one by one.
const NAMED: usize = 8;

impl Worker {
    /// What the repository says now, made so in the cluster.
    pub(super) async fn sync(&mut self, news: Option<Commit>) -> Result<(), Trouble> {
        if news.is_some() {
            self.latest = news;
        }
        let Some(commit) = self.latest.take() else {
            return self.compare().await;
        };
        let done = if self.is_applied_before(&commit) {
            match self.resume(&commit).await {
                Ok(()) => self.finish(&[]).await,
                Err(trouble) => Err(trouble),
            }
        } else {
            self.revise(&commit).await
        };
        if done.is_err() {
            self.latest = Some(commit);
        }
        done
    }

    /// Whether exactly this was applied wholly, before this process knew of it.
    fn is_applied_before(&self, commit: &Commit) -> bool {
        let status = self.keeper.get();
        let generation = self.settings.as_ref().map(|(s, _)| s.generation);
        self.applied.is_none()
            && status.last_applied_revision.as_ref() == Some(&commit.text)
            && status.observed_generation == generation
    }

    fn acting(&self) -> Result<(Settings, Account), Trouble> {
        let known = self.settings.clone();
        known.ok_or_else(|| Trouble::retry("InvalidSpec", "what is asked for is not known"))
    }

    /// Takes over a revision that was applied before: nothing is applied, and drift is the engine's to judge.
    pub(super) async fn resume(&mut self, commit: &Commit) -> Result<(), Trouble> {
        let resolved = self.resolve(commit).await?;
        self.enforce(commit, resolved.objects).await?;
        self.look_at_all().await
    }

    async fn resolve(&mut self, commit: &Commit) -> Result<Resolved, Trouble> {
        let (settings, account) = self.acting()?;
        self.kinds.forget();
        let mut resolver = Resolver {
            account: &account,
            kinds: &mut self.kinds,
            settings: &settings,
            source: &self.key,
        };
        resolver.all(&commit.parsed).await
    }

    /// From now on this revision is the one that is kept.
    async fn enforce(&mut self, commit: &Commit, objects: Objects) -> Result<(), Trouble> {
        let (_, account) = self.acting()?;
        self.told.retain(|object, _| objects.contains_key(object));
        self.watches.set(&account, &objects, &self.marked);
        self.applied = Some(Applied {
            id: commit.id.clone(),
            text: commit.text.clone(),
            objects,
        });
        self.tell_all().await;
        Ok(())
    }

    /// Applies another revision, wholly or, where anything in it is wrong, not at all.
    async fn revise(&mut self, commit: &Commit) -> Result<(), Trouble> {
        let (settings, account) = self.acting()?;
        let Resolved { mut objects, later } = self.resolve(commit).await?;
        let waiting = steps::must_wait(&account, &objects).await?;
        let now = objects
            .values()
            .filter(|d| !waiting.contains(&d.object))
            .cloned()
            .collect();
        let mut looks = steps::accept(&account, &self.around.client, now, &self.key).await?;
        let stored = self.stored();
        let declared: BTreeSet<ObjectRef> = objects.keys().cloned().collect();
        let gone = inventory::gone(&stored, &declared);
        let count = objects.len() + later.len();
        if let Some((reason, message)) = inventory::brake(&settings, stored.len(), count, gone.len()) {
            return Err(Trouble::stalled(reason, message));
        }
        if !waiting.is_empty() || !later.is_empty() {
            self.lay_foundations(commit, &account, &mut objects, &mut looks, later)
                .await?;
            let waiting = objects
                .values()
                .filter(|d| !looks.contains_key(&d.object))
                .cloned()
                .collect();
            let more = steps::accept(&account, &self.around.client, waiting, &self.key).await?;
            looks.extend(more);
        }
        let changed = steps::changed(&objects, &looks, &self.key);
        self.intend(commit, &objects, !changed.is_empty()).await?;
        self.enforce(commit, objects).await?;
        steps::apply(&account, &changed, &looks, &self.around.leadership).await?;
        self.all_in_sync().await;
        let names: Vec<ObjectRef> = changed.iter().map(|d| d.object.clone()).collect();
        self.finish(&names).await
    }

    /// Applies the namespaces and definitions that the rest of the commit needs to be tried at all.
    async fn lay_foundations(
        &mut self,
        commit: &Commit,
        account: &Account,
        objects: &mut Objects,
        looks: &mut Looks,
        later: Vec<crate::edge::git::Manifest>,
    ) -> Result<(), Trouble> {
        let mut foundations = steps::changed(objects, looks, &self.key);
        foundations.retain(|d| rank(&d.object) == FOUNDATIONS);
        self.intend(commit, objects, true).await?;
        steps::apply(account, &foundations, looks, &self.around.leadership).await?;
        steps::await_definitions(account, &foundations).await?;
        if later.is_empty() {
            return Ok(());
        }
        let (settings, account) = self.acting()?;
        let mut resolver = Resolver {
            account: &account,
            kinds: &mut self.kinds,
            settings: &settings,
            source: &self.key,
        };
        let more = resolver.resolve(&later, &BTreeSet::new()).await?;
        objects.extend(more.objects);
        Ok(())
    }

    /// What was applied by this source, or may have been.
    fn stored(&self) -> Vec<InventoryEntry> {
        let inventory = self.keeper.get().inventory.as_ref();
        inventory.map_or_else(Vec::new, |i| i.entries.clone())
    }

    /// Puts on record what is about to be applied, before it is: a crash in between must not leave objects that nobody
    /// remembers.
    async fn intend(&mut self, commit: &Commit, objects: &Objects, writes: bool) -> Result<(), Trouble> {
        if !writes {
            return Ok(());
        }
        let mut entries = entries(objects.keys());
        let ids: BTreeSet<String> = entries.iter().map(|e| e.id.clone()).collect();
        entries.extend(self.stored().into_iter().filter(|e| !ids.contains(&e.id)));
        entries.sort();
        if entries.len() > inventory::MAX_OBJECTS {
            let (count, most) = (entries.len(), inventory::MAX_OBJECTS);
            let message =
                format!("{count} objects with those still to be deleted, and one source may hold {most}: split it");
            return Err(Trouble::stalled("TooManyObjects", message));
        }
        let message = format!("{} is being applied", commit.text);
        let text = commit.text.clone();
        let change = |status: &mut crate::api::GitSourceStatus| {
            status.last_attempted_revision = Some(text);
            status.inventory = Some(Inventory { entries });
        };
        self.keeper.progressing(&message, change).await
    }

    /// Compares everything with what is applied, and deletes what is still to be deleted.
    async fn compare(&mut self) -> Result<(), Trouble> {
        self.look_at_all().await?;
        self.finish(&[]).await
    }

    /// Deletes what has gone from the repository, and says that all is well.
    async fn finish(&mut self, changed: &[ObjectRef]) -> Result<(), Trouble> {
        let (settings, account) = self.acting()?;
        let Some(applied) = &self.applied else {
            return Ok(());
        };
        let (text, count) = (applied.text.clone(), applied.objects.len());
        let declared: BTreeSet<ObjectRef> = applied.objects.keys().cloned().collect();
        let mut pruned = Pruned::default();
        if settings.prune {
            let gone = inventory::gone(&self.stored(), &declared);
            pruned = steps::prune(&account, &mut self.kinds, gone, &self.key, &self.around.leadership).await;
        }
        let mut entries = entries(declared.iter().chain(&pruned.left));
        entries.sort();
        let requested = self.requested();
        let change = |status: &mut crate::api::GitSourceStatus| {
            status.last_attempted_revision = Some(text.clone());
            status.last_applied_revision = Some(text.clone());
            status.inventory = Some(Inventory { entries });
            status.last_handled_reconcile_at = requested.or(status.last_handled_reconcile_at.take());
        };
        if let Some(trouble) = pruned.trouble(&account) {
            self.keeper.update(change).await?;
            return Err(trouble);
        }
        let message = format!("{text} is applied: {count} objects");
        self.keeper.ready("Applied", &message, change).await?;
        let news = !changed.is_empty() || !pruned.deleted.is_empty();
        if news {
            let message = format!(
                "{text}: {}{}",
                named("applied", changed),
                named("deleted", &pruned.deleted)
            );
            self.keeper.notify(false, "Applied", message.trim_end_matches("; "));
        }
        let outcome = if news { "Applied" } else { "Unchanged" };
        self.around.metrics.synced(&self.source, outcome, Some(count));
        Ok(())
    }
}

fn entries<'a>(objects: impl Iterator<Item = &'a ObjectRef>) -> Vec<InventoryEntry> {
    objects.map(inventory::entry).collect()
}

/// As in `applied Deployment shop/web, Service shop/web; `; empty where there are none.
fn named(verb: &str, objects: &[ObjectRef]) -> String {
    if objects.is_empty() {
        return String::new();
    }
    let names: Vec<String> = objects.iter().take(NAMED).map(ToString::to_string).collect();
    let more = objects.len().saturating_sub(NAMED);
    let more = if more > 0 {
        format!(" and {more} more")
    } else {
        String::new()
    };
    format!("{verb} {}{more}; ", names.join(", "))
}
