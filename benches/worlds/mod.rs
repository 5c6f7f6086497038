//! Clusters as events.

use std::collections::BTreeMap;

use homeostat::core::engine::Engine;
use homeostat::core::event::Event;
use homeostat::core::names::{ObjectKey, ObjectRef, PolicyKey, PolicyKind, QueryKey, Uid};
use homeostat::core::policy::{
    Budget, Cause, HealingPolicy, HealingRule, Meta, MetricTarget, Mode, PodSymptom, Remedy, RemedyAction,
    ScalingPolicy, Share, Trigger,
};
use homeostat::core::quantity::{Milli, Replicas};
use homeostat::core::report::ScalingHistory;
use homeostat::core::sample::Reading;
use homeostat::core::time::{Span, Time};
use homeostat::core::world::{Condition, LabelSelector, Owner, Pod, PodPhase, Status, Target, View, ViewState};

/// When every benchmark begins.
pub const START: Time = Time::from_secs(1_800_000_000);

/// All views are complete.
pub fn see(engine: &mut Engine) {
    for view in [View::Pods, View::Nodes, View::Policies] {
        engine.observe(
            START,
            Event::View {
                view,
                state: ViewState::Current,
            },
        );
    }
}

fn meta(kind: PolicyKind, name: String) -> Meta {
    Meta {
        uid: Uid(format!("uid-{name}")),
        key: PolicyKey::new(kind, "shop", name),
        generation: 1,
        created: START,
        suspend: false,
        mode: Mode::Enforce,
    }
}

fn object(i: usize) -> ObjectRef {
    ObjectRef::new("apps/v1", "Deployment", "shop", &format!("web-{i}"))
}

/// The query of policy `i`.
pub fn query(i: usize) -> QueryKey {
    let expr = format!("sum(rate(http_requests_total{{namespace=\"shop\",app=\"web-{i}\"}}[1m]))");
    QueryKey::prometheus("default", &expr)
}

/// A Deployment of four replicas for each policy.
pub fn targets(count: usize) -> impl Iterator<Item = Event> {
    (0..count).map(|i| {
        let target = Target {
            uid: Uid(format!("target-{i}")),
            replicas: Replicas::new(4),
            status_replicas: Replicas::new(4),
            selector: LabelSelector {
                match_labels: BTreeMap::from([("app".to_owned(), format!("web-{i}"))]),
                match_expressions: Vec::new(),
            },
            writer: None,
            deleting: false,
            other_scaler: None,
        };
        Event::Target {
            object: object(i),
            target: Some(Box::new(target)),
        }
    })
}

/// Policies with one trigger each.
pub fn policies(count: usize) -> impl Iterator<Item = Event> {
    (0..count).map(|i| {
        let target = MetricTarget::AverageValue(Milli::from_units(100));
        let policy = ScalingPolicy::new(
            meta(PolicyKind::ScalingPolicy, format!("web-{i}")),
            object(i),
            (Replicas::new(1), Replicas::new(100)),
            vec![Trigger::new("rps", query(i), target, Span::from_mins(2))],
            Span::from_secs(15),
        );
        Event::ScalingPolicy {
            policy: Box::new(policy),
            history: ScalingHistory::default(),
        }
    })
}

/// A value, taken now.
pub fn sample(query: QueryKey, value: i64, now: Time) -> Event {
    Event::Sample {
        query,
        reading: Reading::Value {
            value: Milli::from_units(value),
            sampled_at: now,
            contributors: None,
        },
    }
}

/// Evicts a crash-looping pod of the namespace.
pub fn healing_policy() -> Event {
    let policy = HealingPolicy {
        meta: meta(PolicyKind::HealingPolicy, "shop".into()),
        selector: LabelSelector::default(),
        budget: Budget {
            in_flight: 1,
            per_hour: 10,
            max_unhealthy: Share::Percent(40),
        },
        rules: vec![HealingRule {
            name: "crashing".into(),
            when: Cause::Pod(PodSymptom::CrashLoopBackOff),
            lasting: Span::from_mins(3),
            remedies: vec![Remedy {
                name: "move".into(),
                action: RemedyAction::Evict,
                attempts: 2,
                wait: Span::from_mins(5),
            }],
        }],
    };
    Event::HealingPolicy {
        policy: Box::new(policy),
        incidents: Vec::new(),
    }
}

fn pod(i: usize, since: Time) -> Pod {
    Pod {
        key: ObjectKey::new("shop", format!("web-{i}")),
        uid: Uid(format!("pod-{i}")),
        labels: BTreeMap::from([("app".to_owned(), format!("web-{}", i / 10))]),
        owner: Some(Owner {
            api_version: "apps/v1".into(),
            kind: "ReplicaSet".into(),
            name: format!("web-{}", i / 10),
            uid: Uid(format!("rs-{}", i / 10)),
        }),
        phase: PodPhase::Running,
        node: Some(format!("n{}", i / 30)),
        created: START,
        ready: Some(Condition {
            status: Status::True,
            since,
            reason: String::new(),
        }),
        ..Pod::default()
    }
}

/// Ready pods, ten an owner, thirty a node.
pub fn pods(count: usize) -> impl Iterator<Item = Event> {
    (0..count).map(|i| Event::Pod(Box::new(pod(i, START))))
}

/// A pod that has just become Ready again.
pub fn restarted_pod(i: i64, now: Time) -> Event {
    Event::Pod(Box::new(pod(i.unsigned_abs() as usize, now)))
}
