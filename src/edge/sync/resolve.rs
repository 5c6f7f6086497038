//! From manifests to what is applied: which of them this source may apply, by which API, in which namespace.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::cluster::{Account, Declared};
use super::inventory::{self, MAX_OBJECTS};
use super::kinds::Kinds;
use super::payload::base;
use super::settings::Settings;
use super::steps::Objects;
use super::trouble::{Trouble, list};
use crate::core::names::ObjectKey;
use crate::edge::git::{Manifest, Parsed};

/// What a commit declares, resolved.
#[derive(Debug, Default)]
pub(super) struct Resolved {
    pub objects: Objects,
    /// Manifests of kinds that the same commit defines and the API server does not know yet.
    pub later: Vec<Manifest>,
}

/// Who resolves.
pub(super) struct Resolver<'a> {
    pub account: &'a Account,
    pub kinds: &'a mut Kinds,
    pub settings: &'a Settings,
    pub source: &'a ObjectKey,
}

impl Resolver<'_> {
    /// Checks everything that a commit holds, finds the API of each kind, and makes what is applied.
    pub async fn all(&mut self, parsed: &Parsed) -> Result<Resolved, Trouble> {
        if !parsed.errors.is_empty() {
            let problems = parsed.errors.iter().map(ToString::to_string).collect();
            return Err(Trouble::stalled("InvalidManifests", list(problems)));
        }
        if parsed.manifests.len() > MAX_OBJECTS {
            let count = parsed.manifests.len();
            let message = format!("{count} objects, and one source may hold {MAX_OBJECTS}: split it");
            return Err(Trouble::stalled("TooManyObjects", message));
        }
        let defined = defined_kinds(&parsed.manifests);
        self.resolve(&parsed.manifests, &defined).await
    }

    /// Resolves manifests; those of an unknown kind among `defined` are for later.
    pub async fn resolve(
        &mut self,
        manifests: &[Manifest],
        defined: &BTreeSet<(String, String)>,
    ) -> Result<Resolved, Trouble> {
        let (mut resolved, mut problems) = (Resolved::default(), Vec::new());
        let mut places: BTreeMap<String, String> = BTreeMap::new();
        for manifest in manifests {
            let place = format!("{}:{}", manifest.path, manifest.line);
            let declared = match self.one(manifest, defined).await? {
                Found::Declared(declared) => *declared,
                Found::Later => {
                    resolved.later.push(manifest.clone());
                    continue;
                }
                Found::Problem(problem) => {
                    problems.push(format!("{place}: {problem}"));
                    continue;
                }
            };
            let id = inventory::entry(&declared.object).id;
            if let Some(first) = places.get(&id) {
                problems.push(format!("{place}: {} is declared in {first} already", declared.object));
            } else {
                places.insert(id, place);
                resolved.objects.insert(declared.object.clone(), Arc::new(declared));
            }
        }
        if problems.is_empty() {
            Ok(resolved)
        } else {
            Err(Trouble::stalled("InvalidManifests", list(problems)))
        }
    }

    async fn one(&mut self, manifest: &Manifest, defined: &BTreeSet<(String, String)>) -> Result<Found, Trouble> {
        let mut object = manifest.object_ref();
        let (group, kind) = (object.group().to_owned(), manifest.kind.clone());
        if !self.settings.allows(&group, &kind) {
            let group = if group.is_empty() { "\"\"".into() } else { group };
            return Ok(Found::Problem(format!(
                "kind {kind} of group {group} is not allowed; add it to spec.kinds if it is meant to be"
            )));
        }
        let client = self.account.client();
        let served = self.kinds.resolve(client, &manifest.api_version, &kind).await;
        let Some(served) = served.map_err(|e| Trouble::call(self.account, &e))? else {
            if defined.contains(&(group, kind.clone())) {
                return Ok(Found::Later);
            }
            let version = &manifest.api_version;
            return Ok(Found::Problem(format!(
                "the cluster does not know {kind} of {version}; is its CRD installed, and is it spelt as there?"
            )));
        };
        object.namespace = match (&manifest.namespace, served.namespaced) {
            (Some(namespace), true) => namespace.clone(),
            (None, true) => self.source.namespace.clone(),
            (_, false) => String::new(),
        };
        Ok(Found::Declared(Box::new(Declared {
            base: base(&manifest.object, &object.namespace, &self.source.to_string()),
            served,
            place: format!("{}:{}", manifest.path, manifest.line),
            object,
        })))
    }
}

enum Found {
    Declared(Box<Declared>),
    Later,
    Problem(String),
}

/// Group and kind of every CRD among the manifests.
fn defined_kinds(manifests: &[Manifest]) -> BTreeSet<(String, String)> {
    let crds = manifests.iter().filter(|m| m.kind == "CustomResourceDefinition");
    let text = |m: &Manifest, path: &str| m.object.pointer(path)?.as_str().map(str::to_owned);
    crds.filter_map(|m| Some((text(m, "/spec/group")?, text(m, "/spec/names/kind")?)))
        .collect()
}
