//! The steps from a fetched commit to objects in the cluster. Everything that can be wrong is found before anything is
//! written.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, stream};
use kube::api::{Api, DynamicObject};

use super::PRUNE_ANNOTATION;
use super::cluster::{Account, Declared, Looked};
use super::inventory;
use super::kinds::{Kinds, rank};
use super::payload::{Claim, is_ours, other_claim};
use super::trouble::{Trouble, is_transient, list};
use crate::api::GitSource;
use crate::core::names::{ObjectKey, ObjectRef};
use crate::edge::kube::lease::Leadership;
use crate::edge::kube::{CallError, call};

/// Calls to the API server at once.
pub(super) const AT_ONCE: usize = 8;
/// How long a new CRD may take until it can be used.
const ESTABLISH: Duration = Duration::from_secs(30);

/// Declared objects by reference.
pub(super) type Objects = BTreeMap<ObjectRef, Arc<Declared>>;
/// Looked-at objects by reference.
pub(super) type Looks = BTreeMap<ObjectRef, Looked>;

/// Objects that cannot be tried before others are there: those in a namespace that the same commit makes.
pub(super) async fn must_wait(account: &Account, objects: &Objects) -> Result<BTreeSet<ObjectRef>, Trouble> {
    let mut missing = BTreeSet::new();
    for declared in objects.values().filter(|d| d.object.kind == "Namespace") {
        let found = account.get(&declared.served, &declared.object).await;
        if found.map_err(|e| Trouble::call(account, &e))?.is_none() {
            missing.insert(declared.object.name.clone());
        }
    }
    Ok(objects
        .keys()
        .filter(|o| missing.contains(&o.namespace))
        .cloned()
        .collect())
}

/// Looks at all of these, each for itself.
pub(super) async fn look_at_each(
    account: &Account,
    objects: Vec<Arc<Declared>>,
    try_missing: bool,
) -> Vec<(Arc<Declared>, Result<Looked, CallError>)> {
    let looks = objects.into_iter().map(|declared| {
        let account = account.clone();
        async move {
            let look = account.look(&declared, try_missing).await;
            (declared, look)
        }
    });
    stream::iter(looks.collect::<Vec<_>>())
        .buffer_unordered(AT_ONCE)
        .collect()
        .await
}

/// Looks at all of these: what is there, and whether the API server would take what is declared and nobody else claims it.
pub(super) async fn accept(
    account: &Account,
    own_client: &kube::Client,
    objects: Vec<Arc<Declared>>,
    source: &ObjectKey,
) -> Result<Looks, Trouble> {
    let (mut found, mut rejected, mut transient, mut claimed) = (Looks::new(), Vec::new(), Vec::new(), Vec::new());
    for (declared, look) in look_at_each(account, objects, true).await {
        let place = &declared.place;
        let error = match look {
            Ok(look) => {
                if let Some(live) = &look.live
                    && let Some(owner) = owner(own_client, live, &declared.object, source).await?
                {
                    claimed.push(format!("{place}: {} belongs to {owner}", declared.object));
                }
                found.insert(declared.object.clone(), look);
                continue;
            }
            Err(error) => error,
        };
        if is_transient(&error) {
            &mut transient
        } else {
            &mut rejected
        }
        .push(format!("{place}: {error}"));
    }
    if !rejected.is_empty() {
        let message = format!("refused to {}: {}", account.name, list(rejected));
        return Err(Trouble::stalled("Rejected", message));
    }
    if !claimed.is_empty() {
        let message = format!("{}; declare each object in one place only", list(claimed));
        return Err(Trouble::stalled("OwnedByOther", message));
    }
    if !transient.is_empty() {
        return Err(Trouble::retry("APIUnavailable", list(transient)));
    }
    Ok(found)
}

/// Who else the object belongs to. A claim of a GitSource counts while that one is there and holds the object.
async fn owner(
    own_client: &kube::Client,
    live: &DynamicObject,
    object: &ObjectRef,
    source: &ObjectKey,
) -> Result<Option<String>, Trouble> {
    let other = match other_claim(live, &source.to_string()) {
        None => return Ok(None),
        Some(Claim::Tool(tool)) => return Ok(Some(tool)),
        Some(Claim::Source(other)) => other,
    };
    let key = ObjectKey::from(other.clone());
    let api: Api<GitSource> = Api::namespaced(own_client.clone(), &key.namespace);
    let found = call(format!("read GitSource {other}"), api.get_opt(&key.name)).await;
    let found = found.map_err(|e| Trouble::retry("APIUnavailable", e.to_string()))?;
    let entry = inventory::entry(object);
    let inventory = found
        .and_then(|s| s.status)
        .and_then(|s| s.inventory)
        .unwrap_or_default();
    let holds = inventory.entries.iter().any(|e| e.id == entry.id);
    Ok(holds.then(|| format!("GitSource {other}")))
}

/// Those that differ from what is declared, or that this source has not applied yet.
pub(super) fn changed(objects: &Objects, looks: &Looks, source: &ObjectKey) -> Vec<Arc<Declared>> {
    let source = source.to_string();
    let differs = |look: &Looked| {
        let live = look.live.as_ref();
        live.is_none_or(|live| !look.differs.is_empty() || !is_ours(live, &source))
    };
    let looks = looks.iter().filter(|(_, look)| differs(look));
    looks.filter_map(|(object, _)| objects.get(object).cloned()).collect()
}

/// Applies all of these, rank by rank.
pub(super) async fn apply(
    account: &Account,
    objects: &[Arc<Declared>],
    looks: &Looks,
    leadership: &Leadership,
) -> Result<(), Trouble> {
    let mut by_rank: BTreeMap<u8, Vec<_>> = BTreeMap::new();
    for declared in objects {
        let (account, leadership, declared) = (account.clone(), leadership.clone(), Arc::clone(declared));
        let live = looks.get(&declared.object).and_then(|l| l.live.clone());
        let rank = rank(&declared.object);
        by_rank.entry(rank).or_default().push(async move {
            if !leadership.is_leader_now() {
                return Err("this replica does not lead any more".to_owned());
            }
            let done = account.put(&declared, live).await;
            done.map_err(|error| format!("{}: {error}", declared.place))
        });
    }
    for (_, writes) in by_rank {
        let results: Vec<_> = stream::iter(writes).buffer_unordered(AT_ONCE).collect().await;
        let failed: Vec<String> = results.into_iter().filter_map(Result::err).collect();
        if !failed.is_empty() {
            let message = format!("as {}: {}", account.name, list(failed));
            return Err(Trouble::retry("ApplyFailed", message));
        }
    }
    Ok(())
}

/// Waits until every CRD among these can be used.
pub(super) async fn await_definitions(account: &Account, objects: &[Arc<Declared>]) -> Result<(), Trouble> {
    let definitions = objects.iter().filter(|d| d.object.kind == "CustomResourceDefinition");
    for declared in definitions {
        let established = async {
            loop {
                let live = account.get(&declared.served, &declared.object).await;
                let live = live.map_err(|e| Trouble::call(account, &e))?;
                if live.is_some_and(|crd| is_established(&crd)) {
                    return Ok::<_, Trouble>(());
                }
                tokio::time::sleep(Duration::from_millis(250)).await;
            }
        };
        tokio::time::timeout(ESTABLISH, established).await.map_err(|_| {
            let message = format!(
                "{} cannot be used {}s after it was applied",
                declared.object,
                ESTABLISH.as_secs()
            );
            Trouble::retry("NotEstablished", message)
        })??;
    }
    Ok(())
}

fn is_established(crd: &DynamicObject) -> bool {
    let conditions = crd.data.pointer("/status/conditions").and_then(|c| c.as_array());
    conditions
        .into_iter()
        .flatten()
        .any(|c| c["type"] == "Established" && c["status"] == "True")
}

/// What became of what has gone from the repository.
#[derive(Debug, Default)]
pub(super) struct Pruned {
    pub deleted: Vec<ObjectRef>,
    /// What is to be deleted and still there.
    pub left: Vec<ObjectRef>,
    problems: Vec<String>,
}

impl Pruned {
    pub fn trouble(&self, account: &Account) -> Option<Trouble> {
        let problems = self.problems.clone();
        let message = || format!("as {}: {}", account.name, list(problems));
        (!self.problems.is_empty()).then(|| Trouble::retry("PruneFailed", message()))
    }
}

/// Deletes what has gone from the repository, last rank first: only what this source applied, and exactly those objects.
pub(super) async fn prune(
    account: &Account,
    kinds: &mut Kinds,
    mut gone: Vec<ObjectRef>,
    source: &ObjectKey,
    leadership: &Leadership,
) -> Pruned {
    gone.sort_by_key(|o| std::cmp::Reverse(rank(o)));
    let mut pruned = Pruned::default();
    for object in gone {
        if !leadership.is_leader_now() {
            pruned.left.push(object);
            continue;
        }
        match prune_one(account, kinds, &object, source).await {
            Ok(true) => pruned.deleted.push(object),
            Ok(false) => {}
            Err(problem) => {
                pruned.problems.push(problem);
                pruned.left.push(object);
            }
        }
    }
    pruned
}

/// Whether it was deleted; otherwise it was gone, or is no longer ours to delete.
async fn prune_one(
    account: &Account,
    kinds: &mut Kinds,
    object: &ObjectRef,
    source: &ObjectKey,
) -> Result<bool, String> {
    let served = kinds.resolve(account.client(), &object.api_version, &object.kind).await;
    // A kind that is gone took its objects with it.
    let Some(served) = served.map_err(|e| e.to_string())? else {
        return Ok(false);
    };
    let Some(live) = account.get(&served, object).await.map_err(|e| e.to_string())? else {
        return Ok(false);
    };
    let keep = live.metadata.annotations.as_ref().and_then(|a| a.get(PRUNE_ANNOTATION));
    if !is_ours(&live, &source.to_string()) || keep.is_some_and(|k| k == "Disabled") {
        return Ok(false);
    }
    let uid = live.metadata.uid.unwrap_or_default();
    match account.delete(&served, object, &uid).await {
        Ok(()) => Ok(true),
        Err(error) if matches!(error.code(), Some(404 | 409)) => Ok(false),
        Err(error) => Err(error.to_string()),
    }
}
