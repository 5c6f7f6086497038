//! A status of every kind with every field set.

use homeostat::api::{common, git_source, healing_policy, node_pool_policy, operator_config, scaling_status};
use homeostat::core::time::Time;
use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;
use serde_json::{Value, json};

/// One object of each kind, its spec being that of the small case.
pub fn full() -> Vec<Value> {
    [
        ("ScalingPolicy", "scalingpolicy", to_value(&scaling())),
        ("NodePoolPolicy", "nodepoolpolicy", to_value(&node_pools())),
        ("HealingPolicy", "healingpolicy", to_value(&healing())),
        ("GitSource", "gitsource", to_value(&git_source())),
        ("OperatorConfig", "operatorconfig", to_value(&operator_config())),
    ]
    .into_iter()
    .map(|(kind, dir, status)| {
        let cases = super::cases::load();
        let small = cases.iter().find(|c| c.name == format!("{dir}/good-small.yaml"));
        let mut object = small.unwrap_or_else(|| panic!("no small {kind}")).object.clone();
        object["status"] = status;
        object
    })
    .collect()
}

/// Whether the object has something at a path of the schema; of lists and maps the first member is looked at.
pub fn has(object: &Value, path: &str) -> bool {
    let steps = path.replace("[]", ".0");
    let pointer = steps
        .split('.')
        .fold(String::new(), |pointer, step| format!("{pointer}/{step}"));
    object.pointer(&pointer).is_some()
}

/// By way of the types, so that what is written is what is read.
fn to_value<T>(status: &T) -> Value
where
    T: serde::Serialize + serde::de::DeserializeOwned + PartialEq + std::fmt::Debug,
{
    let value = serde_json::to_value(status).unwrap();
    assert_eq!(serde_json::from_value::<T>(value.clone()).unwrap(), *status);
    value
}

fn at() -> Time {
    "2026-11-24T09:00:05.250Z".parse().unwrap()
}

fn conditions() -> Vec<common::Condition> {
    let time: meta::Time = serde_json::from_value(json!("2026-11-24T09:00:05Z")).unwrap();
    vec![common::Condition {
        last_transition_time: time,
        message: "the policy is accepted and at work".into(),
        observed_generation: Some(3),
        reason: "Accepted".into(),
        status: "True".into(),
        type_: common::condition::READY.into(),
    }]
}

fn source() -> common::Provenance {
    common::Provenance {
        repository: "https://git.example.com/shop/deploy".into(),
        revision: "main@sha1:4f2c9e1".into(),
        path: "prod/checkout.yaml".into(),
        tool: "flux".into(),
    }
}

fn scaling() -> scaling_status::ScalingPolicyStatus {
    let trigger = scaling_status::TriggerStatus {
        name: "rps".into(),
        value: Some("1180".into()),
        sampled_at: Some(at()),
        proposal: Some(12),
        state: "ScaleUp".into(),
        message: "1180 / 100 = 11.8".into(),
    };
    let decision = scaling_status::Decision {
        at: at(),
        from: 6,
        proposed: Some(12),
        stabilized: Some(12),
        desired: 9,
        limited_by: Some("ScaleUpLimit".into()),
        next_at: Some(at()),
        message: "12 are asked for, 9 are allowed until 09:00:45".into(),
        triggers: vec![trigger],
    };
    scaling_status::ScalingPolicyStatus {
        observed_generation: Some(3),
        conditions: conditions(),
        source: Some(source()),
        decision: Some(decision),
        scale_events: vec![scaling_status::ScaleEvent {
            at: at(),
            from: 6,
            to: 9,
        }],
        recommendations: vec![scaling_status::Recommendation { at: at(), replicas: 12 }],
        last_active_at: Some(at()),
        missing_since: [("cpu".to_owned(), at())].into(),
        original: Some(scaling_status::Original {
            replicas: 3,
            target_uid: "5d3f9a1e-0000-4000-8000-000000000000".into(),
        }),
        contributors: vec![scaling_status::Contributors {
            trigger: "rps".into(),
            series: 40,
            targets: 10,
            ready: 10,
            since: Some(at()),
        }],
    }
}

fn node_pools() -> node_pool_policy::NodePoolPolicyStatus {
    let pool = node_pool_policy::PoolStatus {
        name: "amd64".into(),
        nodes: 3,
        incoming: Some(2),
        target: 5,
        pending_pods: Some(4),
        reason: Some("PodsUnschedulable".into()),
    };
    node_pool_policy::NodePoolPolicyStatus {
        observed_generation: Some(3),
        conditions: conditions(),
        source: Some(source()),
        nodes: Some(3),
        nodes_requested: Some(2),
        pending_pods: Some(4),
        pools: vec![pool],
    }
}

fn healing() -> healing_policy::HealingPolicyStatus {
    let object = |api_version: &str, kind: &str, name: &str| healing_policy::IncidentObject {
        api_version: api_version.into(),
        kind: kind.into(),
        name: name.into(),
        uid: "8f14e45f-ceea-467f-a8e9-2d1b0c3c7b11".into(),
    };
    let incident = healing_policy::Incident {
        id: "crashing/apps.ReplicaSet/checkout-7d9f".into(),
        rule: "crashing".into(),
        remedy: Some("move".into()),
        object: object("v1", "Pod", "checkout-7d9f-x2x4c"),
        owner: Some(object("apps/v1", "ReplicaSet", "checkout-7d9f")),
        attempts: 1,
        phase: healing_policy::IncidentPhase::Acted,
        since: at(),
        last_attempt_at: Some(at()),
        message: "evicted; waiting 5m for its effect".into(),
    };
    healing_policy::HealingPolicyStatus {
        observed_generation: Some(3),
        conditions: conditions(),
        source: Some(source()),
        incidents: vec![incident],
    }
}

fn git_source() -> git_source::GitSourceStatus {
    let entry = git_source::InventoryEntry {
        id: "shop_checkout_homeostat.dev_ScalingPolicy".into(),
        v: "v1alpha1".into(),
    };
    git_source::GitSourceStatus {
        observed_generation: Some(3),
        conditions: conditions(),
        source: Some(source()),
        last_attempted_revision: Some("main@sha1:4f2c9e1".into()),
        last_applied_revision: Some("main@sha1:4f2c9e1".into()),
        last_handled_reconcile_at: Some("2026-11-24T09:00:05Z".into()),
        inventory: Some(git_source::Inventory { entries: vec![entry] }),
    }
}

fn operator_config() -> operator_config::OperatorConfigStatus {
    operator_config::OperatorConfigStatus {
        observed_generation: Some(3),
        conditions: conditions(),
        source: Some(source()),
    }
}
