//! A snapshot → the events that the engine would have seen of such a cluster. Total: what cannot become an event is a problem
//! with its path, or is named among what was not looked at.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::DynamicObject;
use serde_json::Value;

use super::fields;
use super::metrics::{Answer, answers, object};
use super::policies::{Declared, Folder};
use super::read::typed;
use super::snapshot::{History, Scale, Snapshot};
use crate::api::OperatorConfig;
use crate::api::convert as policies;
use crate::core::event::Event;
use crate::core::names::{ObjectKey, ObjectRef, PolicyKey, PolicyKind, QueryKey, Uid};
use crate::core::quantity::{Milli, Replicas};
use crate::core::report::{Recommendation, ScaleEvent, ScalingHistory};
use crate::core::time::{Span, Time};
use crate::core::world::{Target, View, ViewState};
use crate::edge::kube::convert;
use crate::edge::kube::rivals::OtherScalers;
use crate::edge::kube::targets::picture_of_known;

/// All that the engine is told, and what people should know about it.
#[derive(Clone, Debug, Default)]
pub struct Case {
    /// The clock.
    pub at: Time,
    /// What was seen, and when, in a fixed order.
    pub events: Vec<(Time, Event)>,
    /// Policies of files: where each stands.
    pub files: BTreeMap<PolicyKey, String>,
    /// What was not looked at, and why.
    pub notes: Vec<String>,
}

/// The events of a snapshot, with the policies of a folder. Where both have a policy, that of the folder counts, with what
/// only the cluster knows of it. `clock` overrides the snapshot's.
///
/// # Errors
/// All that is wrong, each with its path.
pub fn case(snapshot: &Snapshot, folder: Option<&Folder>, clock: Option<Time>) -> Result<Case, Vec<String>> {
    let Some(at) = clock.or(snapshot.at) else {
        return Err(vec!["at: must be there, unless --at says when".into()]);
    };
    let mut seen = Seen::default();
    for (i, value) in snapshot.objects.iter().enumerate() {
        seen.read(&format!("objects[{i}]"), value);
    }
    seen.scales(&snapshot.scales);
    let answers = answers(&snapshot.metrics, at).unwrap_or_else(|problems| {
        seen.problems.extend(problems);
        Vec::new()
    });
    if let Some(folder) = folder {
        seen.replace(folder);
    }
    let mut case = Case {
        at,
        files: seen.files.clone(),
        ..Case::default()
    };
    let mut events = seen.policies(&mut case);
    seen.history(&snapshot.history, at, &mut events);
    remember_failures(&answers, &mut events);
    seen.targets(&mut events, &mut case);
    if !seen.problems.is_empty() {
        return Err(seen.problems);
    }
    unasked(&answers, &events, &mut case.notes);
    for view in [View::Pods, View::Nodes, View::Policies] {
        let state = ViewState::Current;
        case.events.push((at, Event::View { view, state }));
    }
    case.events.extend(events.into_iter().map(|event| (at, event)));
    case.events.extend(seen.nodes.into_values().map(|event| (at, event)));
    case.events.extend(seen.pods.into_values().map(|event| (at, event)));
    let samples = answers.into_iter().map(|answer| {
        let Answer { at, query, reading, .. } = answer;
        (at, Event::Sample { query, reading })
    });
    case.events.extend(samples);
    case.notes.splice(0..0, seen.notes);
    Ok(case)
}

/// What the objects of a snapshot are.
#[derive(Default)]
struct Seen {
    declared: BTreeMap<PolicyKey, Declared>,
    files: BTreeMap<PolicyKey, String>,
    pods: BTreeMap<ObjectKey, Event>,
    nodes: BTreeMap<String, Event>,
    others: OtherScalers,
    objects: BTreeMap<ObjectRef, (String, DynamicObject)>,
    scales: BTreeMap<ObjectRef, (String, Scale)>,
    known: BTreeSet<ObjectRef>,
    notes: Vec<String>,
    problems: Vec<String>,
}

impl Seen {
    fn read(&mut self, path: &str, value: &Value) {
        let text = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default();
        let (version, kind) = (text("apiVersion").to_owned(), text("kind").to_owned());
        if let (Some(of), Some(items)) = (kind.strip_suffix("List"), value.get("items").and_then(Value::as_array)) {
            for (i, item) in items.iter().enumerate() {
                let mut item = item.clone();
                if let Some(fields) = item.as_object_mut().filter(|_| !of.is_empty()) {
                    fields.entry("apiVersion").or_insert_with(|| version.clone().into());
                    fields.entry("kind").or_insert_with(|| of.into());
                }
                self.read(&format!("{path}.items[{i}]"), &item);
            }
            return;
        }
        if version.is_empty() || kind.is_empty() {
            self.problems.push(format!("{path}: apiVersion and kind must be there"));
        } else if let Err(problem) = self.object(path, &version, &kind, value) {
            self.problems.push(format!("{path}.{problem}"));
        }
    }

    fn object(&mut self, path: &str, version: &str, kind: &str, value: &Value) -> Result<(), String> {
        if let Some(declared) = Declared::read(value, path, "default")? {
            if self.declared.contains_key(&declared.key) {
                return Err(format!("metadata.name: {} is there twice", declared.key));
            }
            self.declared.insert(declared.key.clone(), declared);
            return Ok(());
        }
        if let Some(problem) = fields::unknown(version, kind, value) {
            return Err(problem);
        }
        let mut object: DynamicObject = typed(value.clone())?;
        let Some(name) = object.metadata.name.clone() else {
            return Err("metadata.name: must be there".into());
        };
        if kind != "Node" {
            object.metadata.namespace.get_or_insert_with(|| "default".into());
        }
        let namespace = object.metadata.namespace.clone().unwrap_or_default();
        let reference = ObjectRef::new(version, kind, &namespace, &name);
        if !self.known.insert(reference.clone()) {
            return Err(format!("metadata.name: {reference} is there twice"));
        }
        match (version, kind) {
            ("v1", "Pod") => {
                let mut pod: Pod = typed(value.clone())?;
                requests_are_quantities(value)?;
                pod.metadata.namespace = Some(namespace);
                let pod = Event::Pod(Box::new(convert::pod(&pod)));
                self.pods.insert(reference.key(), pod);
            }
            ("v1", "Node") => {
                let node: Node = typed(value.clone())?;
                let node = Event::Node(Box::new(convert::node(&node)));
                self.nodes.insert(name, node);
            }
            ("autoscaling/v2", "HorizontalPodAutoscaler") => {
                let hpa: HorizontalPodAutoscaler = typed(value.clone())?;
                let target = &hpa.spec.scale_target_ref;
                let version = target.api_version.as_deref().unwrap_or_default();
                let target = ObjectRef::new(version, &target.kind, &namespace, &target.name);
                self.others.insert(target, reference.to_string());
            }
            _ => {
                self.objects.insert(reference, (path.to_owned(), object));
            }
        }
        Ok(())
    }

    fn scales(&mut self, scales: &[Scale]) {
        for (i, scale) in scales.iter().enumerate() {
            let path = format!("scales[{i}]");
            let stated = scale.replicas.is_some() || scale.status_replicas.is_some() || scale.selector.is_some();
            if scale.replicas.is_some() == scale.error.is_some() || (scale.error.is_some() && stated) {
                let problem = format!("{path}: replicas must be there, or an error alone");
                self.problems.push(problem);
            }
            let counts = [scale.replicas, scale.status_replicas];
            if counts.into_iter().flatten().any(|n| n > Replicas::MAX.get()) {
                self.problems
                    .push(format!("{path}: at most {} replicas", Replicas::MAX));
            }
            let target = object(&scale.target);
            if let Some((other, _)) = self.scales.insert(target, (path.clone(), scale.clone())) {
                self.problems
                    .push(format!("{path}.target: {other} has the same; keep one of them"));
            }
        }
    }

    /// The folder's policies count, as what has just been merged would.
    fn replace(&mut self, folder: &Folder) {
        for declared in &folder.declared {
            let mut declared = declared.clone();
            if let Some(live) = self.declared.get(&declared.key) {
                declared.adopt(&live.object);
            }
            self.files.insert(declared.key.clone(), declared.from.clone());
            self.declared.insert(declared.key.clone(), declared);
        }
    }

    fn policies(&mut self, case: &mut Case) -> Vec<Event> {
        let mut events = Vec::new();
        for declared in self.declared.values() {
            match declared.key.kind {
                PolicyKind::ScalingPolicy | PolicyKind::NodePoolPolicy | PolicyKind::HealingPolicy => {
                    events.push(declared.event());
                }
                PolicyKind::OperatorConfig => match limits(declared) {
                    Ok(limits) => events.push(limits),
                    Err(problem) => self.problems.push(format!("{}: {problem}", declared.from)),
                },
                PolicyKind::GitSource => {
                    let note = format!(
                        "{}: {} is not looked at: it decides nothing",
                        declared.from, declared.key
                    );
                    case.notes.push(note);
                }
            }
        }
        events
    }

    fn history(&mut self, stated: &[History], at: Time, events: &mut [Event]) {
        let mut seen = BTreeSet::new();
        for (i, stated) in stated.iter().enumerate() {
            let path = format!("history[{i}]");
            let key = PolicyKey::new(PolicyKind::ScalingPolicy, &stated.namespace, &stated.name);
            if !seen.insert(key.clone()) {
                self.problems.push(format!("{path}: {key} is there twice"));
            }
            if let Err(problem) = not_after(stated, at) {
                self.problems.push(format!("{path}.{problem}"));
            }
            let mut found = false;
            for event in &mut *events {
                match event {
                    Event::ScalingPolicy { policy, history } if policy.meta.key == key => {
                        found = true;
                        *history = remembered(stated, at);
                        let names: BTreeSet<&String> = policy.triggers.iter().map(|t| &t.name).collect();
                        let unknown = stated.missing_since.keys().find(|name| !names.contains(name));
                        if let Some(name) = unknown {
                            let names: Vec<&str> = names.into_iter().map(String::as_str).collect();
                            let names = names.join(", ");
                            let problem = format!("{path}.missingSince.{name}: no such trigger; there are {names}");
                            self.problems.push(problem);
                        }
                    }
                    Event::PolicyInvalid { key: invalid, .. } if *invalid == key => found = true,
                    _ => {}
                }
            }
            if !found {
                self.problems.push(format!("{path}: there is no {key}"));
            }
        }
    }

    /// Every target that a policy names, as its scale or else its object says.
    fn targets(&mut self, events: &mut Vec<Event>, case: &mut Case) {
        let named: BTreeSet<ObjectRef> = scaling(events).map(|policy| policy.target.clone()).collect();
        for target in &named {
            match self.target(target) {
                Ok(event) => events.push(event),
                Err(problem) => self.problems.push(problem),
            }
        }
        let objects = self.objects.iter().map(|(target, (path, _))| (target, path));
        let scales = self.scales.iter().map(|(target, (path, _))| (target, path));
        for (target, path) in objects.chain(scales).filter(|(target, _)| !named.contains(target)) {
            case.notes
                .push(format!("{path}: {target} is not looked at: no policy names it"));
        }
    }

    fn target(&self, target: &ObjectRef) -> Result<Event, String> {
        let object = self.objects.get(target);
        let scale = self.scales.get(target);
        let told = crate::edge::kube::scale::known_resource(target).is_some();
        if let (Some((path, _)), None, false) = (object, scale, told) {
            return Err(format!(
                "{path}: a {} does not say its scale in a way that is known: state it in scales",
                target.kind
            ));
        }
        if let Some(message) = scale.and_then(|(_, s)| s.error.clone()) {
            let object = target.clone();
            return Ok(Event::TargetUnusable { object, message });
        }
        let mut picture = object.map(|(_, object)| picture_of_known(target, object, &self.others));
        if let Some((_, scale)) = scale {
            overridden(&mut picture, target, scale, &self.others);
        }
        Ok(Event::Target {
            object: target.clone(),
            target: picture.map(Box::new),
        })
    }
}

fn overridden(picture: &mut Option<Target>, target: &ObjectRef, scale: &Scale, others: &OtherScalers) {
    let replicas = Replicas::new(scale.replicas.unwrap_or_default());
    let picture = picture.get_or_insert_with(|| Target {
        uid: Uid::default(),
        replicas,
        status_replicas: replicas,
        selector: convert::selector_from_text("").unwrap_or_default(),
        writer: None,
        deleting: false,
        other_scaler: others.get(target).cloned(),
    });
    picture.replicas = replicas;
    picture.status_replicas = scale.status_replicas.map_or(replicas, Replicas::new);
    if let Some(uid) = &scale.uid {
        picture.uid = Uid(uid.clone());
    }
    if let Some(text) = &scale.selector {
        // One that cannot be read selects nothing, as an empty one does.
        picture.selector = convert::selector_from_text(text).unwrap_or_default();
    }
}

fn scaling(events: &[Event]) -> impl Iterator<Item = &crate::core::policy::ScalingPolicy> {
    events.iter().filter_map(|event| match event {
        Event::ScalingPolicy { policy, .. } => Some(policy.as_ref()),
        _ => None,
    })
}

fn limits(declared: &Declared) -> Result<Event, String> {
    if let Some(problem) = &declared.wrong {
        return Err(problem.clone());
    }
    let config = policies::typed::<OperatorConfig>(declared.object.clone()).map_err(|e| e.to_string())?;
    policies::limits(&config).map(Event::Limits).map_err(|e| e.to_string())
}

fn remembered(stated: &History, at: Time) -> ScalingHistory {
    let recommendations = stated.recommendations.iter().flatten();
    let changes = stated.scale_events.iter().map(|e| ScaleEvent {
        at: e.at,
        from: Replicas::new(e.from),
        to: Replicas::new(e.to),
    });
    let mut scale_events: Vec<ScaleEvent> = changes.collect();
    scale_events.sort_by_key(|e| e.at);
    let mut recommendations: Vec<Recommendation> = recommendations
        .map(|r| Recommendation {
            at: r.at,
            replicas: Replicas::new(r.replicas),
        })
        .collect();
    recommendations.sort_by_key(|r| r.at);
    ScalingHistory {
        scale_events,
        recommendations,
        complete_until: stated.recommendations.as_ref().map(|_| at),
        last_active: stated.last_active,
        missing_since: stated.missing_since.clone(),
        ..ScalingHistory::default()
    }
}

fn not_after(stated: &History, clock: Time) -> Result<(), String> {
    let recommendations = stated.recommendations.iter().flatten().enumerate();
    let recommendations = recommendations.map(|(i, r)| (format!("recommendations[{i}].at"), r.at));
    let changes = stated.scale_events.iter().enumerate();
    let changes = changes.map(|(i, e)| (format!("scaleEvents[{i}].at"), e.at));
    let active = stated.last_active.map(|at| ("lastActive".to_owned(), at));
    let missing = stated
        .missing_since
        .iter()
        .map(|(name, at)| (format!("missingSince.{name}"), *at));
    let mut all = recommendations.chain(changes).chain(active).chain(missing);
    match all.find(|(_, at)| *at > clock) {
        None => Ok(()),
        Some((path, at)) => Err(format!("{path}: {at} is after the clock, {clock}")),
    }
}

/// After so many tries in vain, one each interval, the first of them was so long ago.
fn remember_failures(answers: &[Answer], events: &mut [Event]) {
    for answer in answers {
        let Some(tries) = answer.failed_tries else { continue };
        for event in &mut *events {
            let Event::ScalingPolicy { policy, history } = event else {
                continue;
            };
            let since = answer.at - policy.interval.times(i64::from(tries) - 1).max(Span::ZERO);
            for trigger in policy.triggers.iter().filter(|t| t.query == answer.query) {
                history.missing_since.entry(trigger.name.clone()).or_insert(since);
            }
        }
    }
}

/// An answer that nobody asks for is likely a slip of the pen.
fn unasked(answers: &[Answer], events: &[Event], notes: &mut Vec<String>) {
    let asked: BTreeSet<&QueryKey> = scaling(events)
        .flat_map(|p| p.triggers.iter().map(|t| &t.query))
        .collect();
    for answer in answers.iter().filter(|answer| !asked.contains(&answer.query)) {
        let Answer { path, query, .. } = answer;
        notes.push(format!(
            "{path}: not looked at: no policy asks {} for {query}",
            query.server()
        ));
    }
}

/// The API server stores nothing else, and nothing else can be computed with.
fn requests_are_quantities(pod: &Value) -> Result<(), String> {
    let mut lists = vec![("spec".to_owned(), pod.pointer("/spec"))];
    for group in ["containers", "initContainers"] {
        let containers = pod.pointer(&format!("/spec/{group}")).and_then(Value::as_array);
        for (i, container) in containers.into_iter().flatten().enumerate() {
            lists.push((format!("spec.{group}[{i}]"), Some(container)));
        }
    }
    for (path, holder) in lists {
        for kind in ["requests", "limits"] {
            let amounts = holder
                .and_then(|h| h.pointer(&format!("/resources/{kind}")))
                .and_then(Value::as_object);
            for (name, amount) in amounts.into_iter().flatten() {
                let read = amount.as_str().map(str::parse::<Milli>);
                if let Some(Err(problem)) = read {
                    return Err(format!("{path}.resources.{kind}.{name}: {problem}"));
                }
            }
        }
    }
    Ok(())
}
