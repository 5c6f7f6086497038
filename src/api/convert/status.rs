//! Reports → statuses.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time as MetaTime;
use k8s_openapi::jiff::Timestamp;
use serde_json::Value;

use crate::api::common::Condition;
use crate::api::healing_policy as healing;
use crate::api::node_pool_policy as nodes;
use crate::api::scaling_status as scaling;
use crate::core::names::ObjectRef;
use crate::core::quantity::Replicas;
use crate::core::report::{ConditionReport, Decision, Detail, Incident, IncidentPhase, NodesReport, Report};
use crate::core::scaling::contributors::Baseline;
use crate::core::time::Time;
use crate::core::world::Status;

/// A status as it is written.
#[derive(Clone, Debug, PartialEq)]
pub struct StatusBody(pub Value);

/// The longest message of a condition; the schema refuses longer ones.
const MESSAGE_MAX: usize = 1000;

/// The status that a report asks for. `old` are the conditions as they were last written: the time of a condition's last
/// transition moves only when its status does.
///
/// # Errors
/// When it cannot be serialised, which would be a bug.
pub fn status_of(report: &Report, old: &[Condition], now: Time) -> Result<StatusBody, serde_json::Error> {
    let observed_generation = Some(report.generation);
    let conditions = conditions(report, old, now);
    let body = match &report.detail {
        Detail::None => serde_json::json!({"observedGeneration": observed_generation, "conditions": conditions}),
        Detail::Scaling(detail) => serde_json::to_value(scaling::ScalingPolicyStatus {
            observed_generation,
            conditions,
            source: None,
            decision: detail.decision.as_ref().map(decision),
            scale_events: detail
                .history
                .scale_events
                .iter()
                .map(|e| scaling::ScaleEvent {
                    at: e.at,
                    from: e.from.as_i32(),
                    to: e.to.as_i32(),
                })
                .collect(),
            recommendations: detail
                .history
                .recommendations
                .iter()
                .map(|r| scaling::Recommendation {
                    at: r.at,
                    replicas: r.replicas.as_i32(),
                })
                .collect(),
            last_active_at: detail.history.last_active,
            missing_since: detail.history.missing_since.clone(),
            original: detail.history.original.as_ref().map(|o| scaling::Original {
                replicas: o.replicas.as_i32(),
                target_uid: o.uid.0.clone(),
            }),
            contributors: detail.history.contributors.iter().map(contributors).collect(),
        })?,
        Detail::Nodes(detail) => serde_json::to_value(node_status(observed_generation, conditions, detail))?,
        Detail::Healing(detail) => serde_json::to_value(healing::HealingPolicyStatus {
            observed_generation,
            conditions,
            source: None,
            incidents: detail.incidents.iter().map(incident).collect(),
        })?,
    };
    Ok(StatusBody(body))
}

fn contributors((trigger, before): (&String, &Baseline)) -> scaling::Contributors {
    scaling::Contributors {
        trigger: trigger.clone(),
        series: before.series.into(),
        targets: before.targets.into(),
        ready: before.ready.into(),
        since: before.since,
    }
}

fn conditions(report: &Report, old: &[Condition], now: Time) -> Vec<Condition> {
    let before: BTreeMap<&str, &Condition> = old.iter().map(|c| (c.type_.as_str(), c)).collect();
    report
        .conditions
        .iter()
        .map(|new| condition(new, before.get(new.kind.as_str()).copied(), report, now))
        .collect()
}

fn condition(new: &ConditionReport, old: Option<&Condition>, report: &Report, now: Time) -> Condition {
    let status = match new.status {
        Status::True => "True",
        Status::False => "False",
        Status::Unknown => "Unknown",
    };
    let since = old
        .filter(|o| o.status == status)
        .map(|o| o.last_transition_time.clone());
    let now = MetaTime(Timestamp::from_second(now.as_millis() / 1000).unwrap_or_default());
    Condition {
        type_: new.kind.clone(),
        status: status.into(),
        reason: new.reason.as_str().into(),
        message: shorten(&new.message, MESSAGE_MAX),
        last_transition_time: since.unwrap_or(now),
        observed_generation: Some(report.generation),
    }
}

fn decision(decision: &Decision) -> scaling::Decision {
    scaling::Decision {
        at: decision.at,
        from: decision.from.as_i32(),
        proposed: decision.proposed.map(Replicas::as_i32),
        stabilized: Some(decision.stabilized.as_i32()),
        desired: decision.desired.as_i32(),
        limited_by: decision.limited_by.map(|r| r.as_str().to_owned()),
        next_at: None,
        message: shorten(&decision.message, 2000),
        triggers: decision
            .triggers
            .iter()
            .map(|t| scaling::TriggerStatus {
                name: t.name.clone(),
                value: t.value_in_words(),
                sampled_at: t.sampled_at,
                proposal: t.proposal.map(Replicas::as_i32),
                state: t.reason.as_str().into(),
                message: shorten(&t.message, MESSAGE_MAX),
            })
            .collect(),
    }
}

fn node_status(
    generation: Option<i64>,
    conditions: Vec<Condition>,
    report: &NodesReport,
) -> nodes::NodePoolPolicyStatus {
    let sum = |of: fn(&crate::core::report::PoolReport) -> u32| {
        Some(Replicas::from_i64(report.pools.iter().map(|p| i64::from(of(p))).sum()).as_i32())
    };
    nodes::NodePoolPolicyStatus {
        observed_generation: generation,
        conditions,
        source: None,
        nodes: sum(|p| p.nodes.get()),
        nodes_requested: sum(|p| p.incoming.get()),
        pending_pods: Some(Replicas::new(report.waiting_pods).as_i32()),
        pools: report
            .pools
            .iter()
            .map(|pool| nodes::PoolStatus {
                name: pool.name.clone(),
                nodes: pool.nodes.as_i32(),
                incoming: Some(pool.incoming.as_i32()),
                target: pool.target.as_i32(),
                pending_pods: Some(Replicas::new(pool.waiting_pods).as_i32()),
                reason: Some(pool.reason.as_str().to_owned()),
            })
            .collect(),
    }
}

fn incident(incident: &Incident) -> healing::Incident {
    let object = |o: &ObjectRef, uid: &str| healing::IncidentObject {
        api_version: o.api_version.clone(),
        kind: o.kind.clone(),
        name: o.name.clone(),
        uid: uid.to_owned(),
    };
    healing::Incident {
        id: incident.id.clone(),
        rule: incident.rule.clone(),
        remedy: None,
        object: object(&incident.object, &incident.uid.0),
        owner: (incident.owner != incident.object).then(|| object(&incident.owner, "")),
        attempts: Replicas::new(incident.attempts).as_i32(),
        phase: match incident.phase {
            IncidentPhase::Intended => healing::IncidentPhase::Intended,
            IncidentPhase::Acted => healing::IncidentPhase::Acted,
            IncidentPhase::Blocked => healing::IncidentPhase::Blocked,
            IncidentPhase::GaveUp => healing::IncidentPhase::GaveUp,
            IncidentPhase::Recovered => healing::IncidentPhase::Recovered,
        },
        since: incident.since,
        last_attempt_at: incident.last_attempt,
        message: shorten(&incident.message, MESSAGE_MAX),
    }
}

/// At most so many bytes, ending with an ellipsis where something was cut.
pub(crate) fn shorten(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let end = text
        .char_indices()
        .map(|(i, _)| i)
        .take_while(|i| *i <= most - 3)
        .last()
        .unwrap_or(0);
    format!("{}…", &text[..end])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::core::names::{PolicyKey, PolicyKind};
    use crate::core::quantity::Milli;
    use crate::core::reason::Reason;
    use crate::core::report::{PoolReport, TriggerReport};

    #[test]
    fn a_utilization_is_said_in_percent() {
        let trigger = |name: &str, is_share| TriggerReport {
            name: name.into(),
            value: Some(Milli::new(613)),
            is_share,
            sampled_at: None,
            proposal: Some(Replicas::new(6)),
            reason: Reason::WithinTolerance,
            error: None,
            message: String::new(),
        };
        let decided = Decision {
            at: Time::from_secs(0),
            from: Replicas::new(6),
            proposed: None,
            stabilized: Replicas::new(6),
            desired: Replicas::new(6),
            limited_by: None,
            triggers: vec![trigger("cpu", true), trigger("rps", false)],
            message: String::new(),
        };
        let values: Vec<_> = decision(&decided).triggers.into_iter().map(|t| t.value).collect();
        assert_eq!(values, [Some("61.3%".to_owned()), Some("0.613".to_owned())]);
    }

    #[test]
    fn a_node_pool_policy_says_how_each_pool_stands() {
        let pool = |name: &str, nodes, waiting_pods, reason| PoolReport {
            name: name.into(),
            nodes: Replicas::new(nodes),
            incoming: Replicas::new(1),
            target: Replicas::new(nodes + 1),
            waiting_pods,
            reason,
        };
        let report = Report {
            policy: PolicyKey::new(PolicyKind::NodePoolPolicy, "", "general"),
            generation: 3,
            conditions: Vec::new(),
            detail: Detail::Nodes(NodesReport {
                pools: vec![
                    pool("a", 2, 0, Reason::Provisioning),
                    pool("b", 4, 5, Reason::PoolAtMaximum),
                ],
                waiting_pods: 7,
            }),
        };
        let status = status_of(&report, &[], Time::from_secs(0)).unwrap();
        let expected = json!({
            "observedGeneration": 3,
            "nodes": 6,
            "nodesRequested": 2,
            "pendingPods": 7,
            "pools": [
                {"name": "a", "nodes": 2, "incoming": 1, "target": 3, "pendingPods": 0, "reason": "Provisioning"},
                {"name": "b", "nodes": 4, "incoming": 1, "target": 5, "pendingPods": 5, "reason": "PoolAtMaximum"},
            ],
        });
        assert_eq!(status.0, expected);
    }
}
