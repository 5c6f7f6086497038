//! Draws a cluster, its policies and its load. At least 20 nodes and 200 pods.

use super::{Scenario, Workload, extras};
use crate::core::names::{ObjectRef, PolicyKey, PolicyKind, QueryKey, Uid};
use crate::core::policy::{
    Behavior, Budget, Cause, Consolidation, Direction, HealingPolicy, HealingRule, Limits, Meta, MetricTarget, Mode,
    NodePool, NodePoolPolicy, NodeTemplate, PodSymptom, ProviderKind, RateKind, RatePolicy, Remedy, RemedyAction,
    ScalingPolicy, SelectPolicy, Share, Trigger,
};
use crate::core::quantity::{Milli, Replicas};
use crate::core::time::Span;
use crate::core::world::LabelSelector;
use crate::sim::cluster::size;
use crate::sim::load::Load;
use crate::sim::metrics::Question;
use crate::sim::policies::Spec;
use crate::sim::random::Random;
use crate::sim::scenario::START;

/// What one pod can serve, in units of load.
pub const UNITS: i64 = 100;
/// What a node's pods can use.
pub const NODE_CPU_MILLI: i64 = 2800;
/// How many pods a node takes.
pub const NODE_PODS: i64 = 40;
/// Namespaces with workloads of users.
const NAMESPACES: [&str; 3] = ["shop", "pay", "web"];
/// Where the operator lives.
const HOME: &str = "homeostat";

pub(super) fn random(random: &Random, seed: u64, length: Span) -> Scenario {
    let mut draw = random.fork("setup");
    let mut scenario = Scenario {
        seed,
        length,
        nodes: u32::try_from(draw.between(20, 22)).unwrap_or(22),
        workloads: vec![
            workload(HOME, "homeostat", 3, 100, 0),
            Workload {
                daemon: true,
                ..workload(HOME, "agent", 0, 100, 0)
            },
        ],
        questions: Vec::new(),
        policies: vec![Spec::Healing(healing(&mut draw, HOME))],
        sources: Vec::new(),
        limits: Limits {
            healing_per_window: u32::try_from(draw.between(3, 8)).unwrap_or(8),
            storm_share_percent: u32::try_from(draw.between(15, 30)).unwrap_or(30),
            ..Limits::default()
        },
        troubles: Vec::new(),
    };
    let pools = pools(&mut draw);
    scenario.policies.push(Spec::Nodes(pools));
    for namespace in NAMESPACES {
        fill(&mut scenario, &mut draw, namespace);
    }
    scenario
}

fn workload(namespace: &str, name: &str, replicas: u32, cpu_milli: i64, min_available: u32) -> Workload {
    Workload {
        namespace: namespace.into(),
        name: name.into(),
        replicas,
        cpu_milli,
        min_available,
        daemon: false,
    }
}

fn fill(scenario: &mut Scenario, draw: &mut Random, namespace: &str) {
    for i in 0..5 {
        let replicas = u32::try_from(draw.between(12, 15)).unwrap_or(12);
        let kept = if draw.chance(30) { replicas - 1 } else { 0 };
        scenario
            .workloads
            .push(workload(namespace, &format!("static{i}"), replicas, 200, kept));
    }
    for i in 0..2 {
        let name = format!("scaled{i}");
        let id = scenario.workloads.len();
        scenario.workloads.push(workload(namespace, &name, 4, 250, 0));
        let per_pod = draw.chance(25);
        let asked = if draw.chance(40) && !per_pod { 2 } else { 1 };
        let mut triggers = Vec::new();
        for n in 0..asked {
            let expr = format!("load{n}_{namespace}_{name}");
            let key = QueryKey::prometheus("main", &expr);
            triggers.push(trigger(draw, n, &key, per_pod));
            scenario.questions.push(Question {
                key,
                workload: id,
                per_pod,
                load: load(draw),
            });
        }
        let target = ObjectRef::new("apps/v1", "Deployment", namespace, &name);
        scenario.policies.push(Spec::Scaling(Box::new(scaling(
            draw, namespace, &name, target, triggers,
        ))));
    }
    let policy = healing(draw, namespace);
    scenario.policies.push(Spec::Healing(policy));
    let objects: Vec<ObjectRef> = (0..5)
        .map(|i| {
            ObjectRef::new(
                "v1",
                if i < 3 { "Service" } else { "ConfigMap" },
                namespace,
                &format!("o{i}"),
            )
        })
        .collect();
    let source = PolicyKey::new(PolicyKind::GitSource, namespace, "deploy");
    scenario.sources.push((source, namespace != "pay", objects));
}

fn pools(draw: &mut Random) -> NodePoolPolicy {
    let node = size(NODE_CPU_MILLI, NODE_PODS);
    let mut pool = |name: &str| {
        let min = draw.below(2);
        let max = min + 1 + draw.below(2);
        NodePool {
            name: name.into(),
            min: Replicas::new(u32::try_from(min).unwrap_or(0)),
            max: Replicas::new(u32::try_from(max).unwrap_or(1)),
            weight: 1,
            template: NodeTemplate {
                allocatable: node.clone(),
                capacity: node.clone(),
                ..NodeTemplate::default()
            },
        }
    };
    NodePoolPolicy {
        pools: vec![pool("burst"), pool("spare")],
        meta: meta(PolicyKind::NodePoolPolicy, "", "pools"),
        provider: ProviderKind::Kwok {
            registration_delay: Span::from_secs(draw.between(10, 90)),
        },
        provision_timeout: Span::from_mins(5),
        consolidation: Consolidation::Empty,
        unneeded_for: Span::from_mins(draw.between(2, 6)),
    }
}

fn meta(kind: PolicyKind, namespace: &str, name: &str) -> Meta {
    let key = PolicyKey::new(kind, namespace, name);
    Meta {
        uid: Uid(format!("{key}-1")),
        key,
        generation: 1,
        created: START,
        suspend: false,
        mode: Mode::Enforce,
    }
}

fn trigger(draw: &mut Random, n: usize, query: &QueryKey, per_pod: bool) -> Trigger {
    let aim = Milli::from_units(UNITS);
    let target = if per_pod {
        MetricTarget::Value(aim)
    } else {
        MetricTarget::AverageValue(aim)
    };
    let max_age = Span::from_mins(draw.between(2, 3));
    Trigger::new(&format!("t{n}"), query.clone(), target, max_age)
}

fn scaling(draw: &mut Random, namespace: &str, name: &str, target: ObjectRef, triggers: Vec<Trigger>) -> ScalingPolicy {
    let mut behavior = Behavior::default();
    behavior.down.stabilization = Span::from_mins(draw.between(0, 5));
    behavior.up.stabilization = Span::from_mins(i64::from(draw.chance(30)));
    if draw.chance(50) {
        let kind = |percent| if percent { RateKind::Percent } else { RateKind::Pods };
        for rules in [&mut behavior.up, &mut behavior.down] {
            let policy = |draw: &mut Random| {
                let percent = draw.chance(50);
                RatePolicy {
                    kind: kind(percent),
                    value: u32::try_from(draw.between(1, 3)).unwrap_or(1) * if percent { 15 } else { 1 },
                    period: Span::from_secs(draw.between(15, 90)),
                }
            };
            rules.policies = vec![policy(draw), policy(draw)];
            rules.select = if draw.chance(50) {
                SelectPolicy::Max
            } else {
                SelectPolicy::Min
            };
        }
    }
    let min = Replicas::new(u32::try_from(draw.between(1, 3)).unwrap_or(1));
    let max = Replicas::new(u32::try_from(draw.between(10, 20)).unwrap_or(10));
    let direction = match draw.below(12) {
        0 => Direction::UpOnly,
        1 => Direction::DownOnly,
        _ => Direction::Both,
    };
    let interval = Span::from_secs([15, 30, 60][draw.index(3)]);
    let meta = meta(PolicyKind::ScalingPolicy, namespace, name);
    let extras = draw.fork(&format!("extras of {namespace}/{name}"));
    let policy = ScalingPolicy {
        direction,
        behavior,
        ..ScalingPolicy::new(meta, target, (min, max), triggers, interval)
    };
    extras::add(extras, policy)
}

fn load(draw: &mut Random) -> Load {
    let mut level = |low, high| (draw.between(low, high) * UNITS) as f64;
    let (low, high) = (level(1, 5), level(6, 22));
    let minutes = |draw: &mut Random, low, high| Span::from_mins(draw.between(low, high));
    match draw.below(5) {
        0 => Load::Constant(high / 2.0),
        1 => Load::Ramp {
            from: low,
            to: high,
            over: minutes(draw, 20, 200),
        },
        2 => Load::Spikes {
            base: low,
            peak: high,
            every: minutes(draw, 30, 90),
            lasts: minutes(draw, 3, 15),
        },
        3 => Load::Replay {
            values: (0..48).map(|_| (draw.between(50, 2000)) as f64).collect(),
            step: minutes(draw, 5, 15),
        },
        _ => Load::Diurnal {
            low,
            high,
            day: minutes(draw, 120, 600),
        },
    }
}

fn healing(draw: &mut Random, namespace: &str) -> HealingPolicy {
    let mut rule = |name: &str, when, lasting| HealingRule {
        name: name.into(),
        when,
        lasting: Span::from_mins(lasting),
        remedies: vec![Remedy {
            name: "move".into(),
            action: if when == Cause::Drift {
                RemedyAction::Restore
            } else {
                RemedyAction::Evict
            },
            attempts: u32::try_from(draw.between(1, 3)).unwrap_or(1),
            wait: Span::from_mins(draw.between(3, 6)),
        }],
    };
    let mut rules = vec![
        rule("crashing", Cause::Pod(PodSymptom::CrashLoopBackOff), 2),
        rule("unready", Cause::Pod(PodSymptom::NotReady), 4),
    ];
    if namespace == "pay" {
        rules.push(rule("declared", Cause::Drift, 0));
    }
    HealingPolicy {
        meta: meta(PolicyKind::HealingPolicy, namespace, "heal"),
        selector: LabelSelector::default(),
        budget: Budget {
            in_flight: u32::try_from(draw.between(1, 3)).unwrap_or(1),
            per_hour: u32::try_from(draw.between(4, 10)).unwrap_or(4),
            max_unhealthy: Share::Percent(40),
        },
        rules,
    }
}
