//! All ScalingPolicies at a glance, from their statuses: who is blind or stuck first, then who is limited.

use kube::ResourceExt;
use serde::Serialize;

use crate::api::ScalingPolicy;
use crate::api::common::Condition;
use crate::columns::columns;

/// One policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// How much it needs a look.
    pub trouble: Trouble,
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Kind and name of what it scales.
    pub target: String,
    /// Replicas at its last decision.
    pub now: Option<i32>,
    /// Replicas that it wants.
    pub wanted: Option<i32>,
    /// Its bounds.
    pub min: i32,
    /// Its bounds.
    pub max: i32,
    /// What its triggers ask for, before windows and limits.
    pub proposed: Option<i32>,
    /// Which limit bit.
    pub limited_by: Option<String>,
    /// Triggers without a value that can be used.
    pub blind: Vec<String>,
    /// The reason of its condition Ready.
    pub reason: String,
}

/// How much a policy needs a look; the most first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Trouble {
    /// It decides nothing until a person helps.
    Stalled,
    /// Some trigger has no value that can be used.
    Blind,
    /// It is not Ready for another reason.
    NotReady,
    /// A bound or a rate limit holds it back.
    Limited,
    /// None.
    None,
}

/// The rows of these policies, those that need a look first.
#[must_use]
pub fn rows(policies: &[ScalingPolicy]) -> Vec<Row> {
    let mut rows: Vec<Row> = policies.iter().map(row).collect();
    rows.sort_by(|a, b| (a.trouble, &a.namespace, &a.name).cmp(&(b.trouble, &b.namespace, &b.name)));
    rows
}

fn row(policy: &ScalingPolicy) -> Row {
    let (spec, status) = (&policy.spec, policy.status.as_ref());
    let decision = status.and_then(|s| s.decision.as_ref());
    let condition = |kind: &str| -> Option<&Condition> { status?.conditions.iter().find(|c| c.type_ == kind) };
    let is = |kind: &str, wanted: &str| condition(kind).is_some_and(|c| c.status == wanted);
    let blind = status
        .map(|s| s.missing_since.keys().cloned().collect())
        .unwrap_or_default();
    let trouble = if is("Stalled", "True") {
        Trouble::Stalled
    } else if is("MetricsAvailable", "False") {
        Trouble::Blind
    } else if !is("Ready", "True") {
        Trouble::NotReady
    } else if is("Limited", "True") {
        Trouble::Limited
    } else {
        Trouble::None
    };
    Row {
        trouble,
        namespace: policy.namespace().unwrap_or_default(),
        name: policy.name_any(),
        target: format!("{}/{}", spec.scale_target_ref.kind, spec.scale_target_ref.name),
        now: decision.map(|d| d.from),
        wanted: decision.map(|d| d.desired),
        min: spec.min_replicas.unwrap_or(1),
        max: spec.max_replicas,
        proposed: decision.and_then(|d| d.proposed),
        limited_by: decision.and_then(|d| d.limited_by.clone()),
        blind,
        reason: condition("Ready").map_or_else(|| "NotSeenYet".into(), |c| c.reason.clone()),
    }
}

/// As a table.
#[must_use]
pub fn table(rows: &[Row]) -> String {
    let number = |n: Option<i32>| n.map_or("-".to_owned(), |n| n.to_string());
    let head = [
        "NAMESPACE",
        "NAME",
        "TARGET",
        "NOW",
        "WANTED",
        "ASKED",
        "BOUNDS",
        "LIMITED BY",
        "BLIND",
        "READY",
    ];
    let mut lines = vec![head.map(str::to_owned)];
    lines.extend(rows.iter().map(|row| {
        [
            row.namespace.clone(),
            row.name.clone(),
            row.target.clone(),
            number(row.now),
            number(row.wanted),
            number(row.proposed),
            format!("{}-{}", row.min, row.max),
            row.limited_by.clone().unwrap_or_else(|| "-".into()),
            if row.blind.is_empty() {
                "-".into()
            } else {
                row.blind.join(",")
            },
            row.reason.clone(),
        ]
    }));
    columns(&lines)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn policy(name: &str, conditions: &[(&str, &str, &str)], limited: Option<&str>, missing: &[&str]) -> ScalingPolicy {
        let at = "2026-11-24T09:00:00Z";
        let conditions: Vec<_> = conditions
            .iter()
            .map(|(kind, status, reason)| {
                json!({"type": kind, "status": status, "reason": reason, "message": "", "lastTransitionTime": at})
            })
            .collect();
        let missing: serde_json::Map<_, _> = missing.iter().map(|t| ((*t).to_owned(), at.into())).collect();
        serde_json::from_value(json!({
            "apiVersion": "homeostat.dev/v1alpha1", "kind": "ScalingPolicy",
            "metadata": {"name": name, "namespace": "shop"},
            "spec": {"scaleTargetRef": {"kind": "Deployment", "name": name}, "maxReplicas": 9, "triggers": []},
            "status": {"conditions": conditions, "missingSince": missing,
                "decision": {"at": at, "from": 3, "desired": 6, "proposed": 12, "limitedBy": limited}},
        }))
        .unwrap()
    }

    #[test]
    fn who_needs_a_look_comes_first() {
        let ready = ("Ready", "True", "Accepted");
        let seen = ("MetricsAvailable", "True", "Accepted");
        let policies = [
            policy("fine", &[ready, seen], None, &[]),
            policy(
                "limited",
                &[ready, seen, ("Limited", "True", "ScaleUpLimit")],
                Some("ScaleUpLimit"),
                &[],
            ),
            policy(
                "blind",
                &[
                    ("Ready", "False", "DataMissing"),
                    ("MetricsAvailable", "False", "NoData"),
                ],
                None,
                &["rps"],
            ),
            policy(
                "stuck",
                &[
                    ("Ready", "False", "TargetConflict"),
                    ("Stalled", "True", "TargetConflict"),
                ],
                None,
                &[],
            ),
        ];
        let text = table(&rows(&policies));
        let names: Vec<_> = text.lines().filter_map(|l| l.split_whitespace().nth(1)).collect();
        assert_eq!(names, ["NAME", "stuck", "blind", "limited", "fine"]);
        assert!(
            text.contains(
                "shop       limited  Deployment/limited  3    6       12     1-9     ScaleUpLimit  -      Accepted"
            ),
            "{text}"
        );
        assert!(text.lines().nth(2).is_some_and(|l| l.contains(" rps ")), "{text}");
    }
}
