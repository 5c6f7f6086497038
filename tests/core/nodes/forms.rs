//! Short forms for policies, pods and nodes.

use std::collections::BTreeMap;

use homeostat::core::names::{ObjectKey, PolicyKey, PolicyKind, Uid};
use homeostat::core::policy::{Consolidation, Meta, Mode, NodePool, NodePoolPolicy, NodeTemplate, ProviderKind};
use homeostat::core::quantity::{Milli, Replicas, Resources};
use homeostat::core::time::{Span, Time};
use homeostat::core::world::{
    Condition, Node, Owner, POOL_LABEL, Pod, PodPhase, REMOVAL_TAINT, Status, Taint, Toleration,
};

pub const START: Time = Time::from_secs(1_800_000_000);

pub fn span(text: &str) -> Span {
    text.parse().unwrap_or_else(|e| panic!("{text}: {e}"))
}

pub fn key(name: &str) -> PolicyKey {
    PolicyKey::new(PolicyKind::NodePoolPolicy, "", name)
}

/// A policy with one pool `a` of 0 to 10 nodes of 4 processors and 16Gi; nodes go after 10m, and have 15m to come.
pub fn policy(name: &str) -> NodePoolPolicy {
    NodePoolPolicy {
        meta: Meta {
            key: key(name),
            uid: Uid(format!("uid-{name}")),
            generation: 1,
            created: START,
            suspend: false,
            mode: Mode::Enforce,
        },
        provider: ProviderKind::Kwok {
            registration_delay: Span::ZERO,
        },
        pools: vec![pool("a:0-10:4:16Gi")],
        provision_timeout: Span::from_mins(15),
        consolidation: Consolidation::Empty,
        unneeded_for: Span::from_mins(10),
    }
}

/// `a:0-10:4:16Gi`, with a weight as fifth part.
fn pool(text: &str) -> NodePool {
    let parts: Vec<&str> = text.split(':').collect();
    let (min, max) = parts[1].split_once('-').unwrap();
    let shape = resources(parts[2], parts[3], 110);
    NodePool {
        name: parts[0].into(),
        min: Replicas::new(min.parse().unwrap()),
        max: Replicas::new(max.parse().unwrap()),
        weight: parts.get(4).map_or(0, |w| w.parse().unwrap()),
        template: NodeTemplate {
            capacity: shape.clone(),
            allocatable: shape,
            ..NodeTemplate::default()
        },
    }
}

fn resources(cpu: &str, memory: &str, pods: i64) -> Resources {
    Resources {
        cpu_milli: cpu.parse::<Milli>().unwrap().thousandths(),
        memory_bytes: memory.parse::<Milli>().unwrap().ceil_units(),
        pods,
        other: BTreeMap::new(),
    }
}

/// `k=v:NoSchedule`, `k:NoSchedule`.
pub fn taint(text: &str) -> Taint {
    let (key, effect) = text.rsplit_once(':').unwrap();
    let (key, value) = key.split_once('=').unwrap_or((key, ""));
    Taint {
        key: key.into(),
        value: value.into(),
        effect: effect.into(),
    }
}

/// Changes a policy by short forms such as `pools=a:0-10:4:16Gi,b:1-2:8:32Gi:50`, `taint=b/gpu:NoSchedule`, `unneeded=5m`.
pub fn change(policy: &mut NodePoolPolicy, word: &str) {
    let (name, value) = word.split_once('=').unwrap_or((word, "true"));
    let of_pool = |policy: &mut NodePoolPolicy, change: &dyn Fn(&mut NodePool, &str)| {
        let (name, rest) = value.split_once('/').unwrap();
        let pool = policy.pools.iter_mut().find(|p| p.name == name).unwrap();
        change(pool, rest);
    };
    match name {
        "pools" => policy.pools = value.split(',').map(pool).collect(),
        "taint" => of_pool(policy, &|pool, text| pool.template.taints.push(taint(text))),
        "label" => of_pool(policy, &|pool, text| {
            let (key, value) = text.split_once('=').unwrap();
            pool.template.labels.insert(key.into(), value.into());
        }),
        "other" => of_pool(policy, &|pool, text| {
            let (key, value) = text.split_once('=').unwrap();
            let amount = value.parse().unwrap();
            pool.template.allocatable.other.insert(key.into(), amount);
        }),
        "unneeded" => policy.unneeded_for = span(value),
        "timeout" => policy.provision_timeout = span(value),
        "created" => policy.meta.created = START + span(value),
        "suspend" => policy.meta.suspend = value == "true",
        "mode" => policy.meta.mode = if value == "DryRun" { Mode::DryRun } else { Mode::Enforce },
        "consolidation" => {
            policy.consolidation = if value == "None" {
                Consolidation::None
            } else {
                Consolidation::Empty
            }
        }
        other => panic!("unknown policy setting {other}"),
    }
}

/// `web-0/1/2Gi`, then any of `sel:k=v`, `tol:k`, `tol:k=v`, `tol:*`, `other:name=n`, `unsupported:hostPort`, `gated`,
/// `deleting`, `done`, `fresh` (the scheduler has not said anything), `daemon:NAME`, `mirror`, `on:NODE`.
pub fn pod(text: &str, now: Time) -> Pod {
    let parts: Vec<&str> = text.split('/').collect();
    let mut pod = Pod {
        key: ObjectKey::new("shop", parts[0]),
        uid: Uid(format!("pod-{}", parts[0])),
        created: now,
        unschedulable_since: Some(now),
        requests: resources(parts[1], parts[2], 1),
        ..Pod::default()
    };
    for part in &parts[3..] {
        let (name, value) = part.split_once(':').unwrap_or((part, ""));
        let pair = || value.split_once('=').unwrap_or((value, ""));
        match name {
            "sel" => drop(pod.node_selector.insert(pair().0.into(), pair().1.into())),
            "tol" => pod.tolerations.push(Toleration {
                key: if value == "*" { String::new() } else { pair().0.into() },
                operator: if pair().1.is_empty() { "Exists" } else { "Equal" }.into(),
                value: pair().1.into(),
                effect: String::new(),
            }),
            "other" => drop(pod.requests.other.insert(pair().0.into(), pair().1.parse().unwrap())),
            "unsupported" => drop(pod.unsupported.insert(value.into())),
            "gated" => pod.gated = true,
            "deleting" => pod.deleting = Some(now),
            "done" => pod.phase = PodPhase::Succeeded,
            "fresh" => pod.unschedulable_since = None,
            "on" => bind(&mut pod, value),
            "daemon" | "mirror" => {
                pod.owner = Some(Owner {
                    api_version: "v1".into(),
                    kind: if name == "daemon" { "DaemonSet" } else { "Node" }.into(),
                    name: value.into(),
                    uid: Uid(format!("owner-{value}")),
                });
            }
            other => panic!("unknown pod setting {other}"),
        }
    }
    pod
}

pub fn bind(pod: &mut Pod, node: &str) {
    pod.node = Some(node.into());
    pod.unschedulable_since = None;
    if pod.phase == PodPhase::Pending {
        pod.phase = PodPhase::Running;
    }
}

/// The condition Ready, as a node has it.
#[allow(clippy::unnecessary_wraps)]
pub fn condition(ready: bool, since: Time) -> Option<Condition> {
    Some(Condition {
        status: if ready { Status::True } else { Status::False },
        since,
        reason: String::new(),
    })
}

/// `n1/4/16Gi`, then any of `pool:general.a`, `label:k=v`, `taint:k=v:NoSchedule`, `cordoned`, `marked`, `protected`,
/// `control`, `unready`, `age:1h`.
pub fn node(text: &str, now: Time) -> Node {
    let parts: Vec<&str> = text.split('/').collect();
    let mut node = bare_node(parts[0], resources(parts[1], parts[2], 110), now);
    node.created = now - Span::from_mins(60);
    node.ready = condition(true, node.created);
    for part in &parts[3..] {
        let (name, value) = part.split_once(':').unwrap_or((part, ""));
        match name {
            "pool" => drop(node.labels.insert(POOL_LABEL.into(), value.into())),
            "label" => {
                let (key, value) = value.split_once('=').unwrap();
                node.labels.insert(key.into(), value.into());
            }
            "taint" => node.taints.push(taint(value)),
            "cordoned" => node.unschedulable = true,
            "protected" => node.do_not_remove = true,
            "marked" => set_mark(&mut node, true),
            "control" => drop(
                node.labels
                    .insert("node-role.kubernetes.io/control-plane".into(), String::new()),
            ),
            "unready" => node.ready = condition(false, now),
            "age" => {
                node.created = now - span(value);
                node.ready = condition(true, node.created);
            }
            other => panic!("unknown node setting {other}"),
        }
    }
    node
}

/// A node without a status.
pub fn bare_node(name: &str, allocatable: Resources, now: Time) -> Node {
    Node {
        name: name.into(),
        labels: BTreeMap::from([("kubernetes.io/hostname".to_owned(), name.to_owned())]),
        allocatable,
        created: now,
        ..Node::default()
    }
}

pub fn set_mark(node: &mut Node, marked: bool) {
    node.taints.retain(|t| t.key != REMOVAL_TAINT);
    if marked {
        node.taints.push(taint(&format!("{REMOVAL_TAINT}:NoSchedule")));
    }
}
