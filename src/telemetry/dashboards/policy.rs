//! The board of one ScalingPolicy: what its triggers said, what was wanted, what stood in the way.

use super::board::Look::{Bars, Lines, Stat, Steps, Timeline};
use super::board::Unit::{Count, Seconds, Share};
use super::board::{Board, Panel, Row, Variable};
use super::fleet::{marks, operators};
use super::promql::{Scope, is, is_not, like};
use crate::telemetry::metrics::{Catalogue, Described};

/// The policy chosen.
const ONE: Scope = Scope {
    matchers: &[
        like("job", "$job"),
        like("instance", "$instance"),
        is("kind", "ScalingPolicy"),
        is("namespace", "$namespace"),
        is("name", "$policy"),
    ],
    range: "$__rate_interval",
};
const KIND: Scope = Scope {
    matchers: &[like("job", "$job"), is("kind", "ScalingPolicy")],
    range: "$__rate_interval",
};
const NAMESPACE: Scope = Scope {
    matchers: &[
        like("job", "$job"),
        is("kind", "ScalingPolicy"),
        is("namespace", "$namespace"),
    ],
    range: "$__rate_interval",
};

/// The board.
pub(super) fn board(m: &Catalogue) -> Board {
    let mut variables = operators(m);
    variables.push(Variable {
        name: "namespace",
        label: "Namespace",
        query: KIND.values(&m.policy_ready, &[], "namespace"),
        multi: false,
    });
    variables.push(Variable {
        name: "policy",
        label: "Policy",
        query: NAMESPACE.values(&m.policy_ready, &[], "name"),
        multi: false,
    });
    Board {
        uid: "homeostat-policy",
        title: "Homeostat / Policy",
        description: "One ScalingPolicy: what its triggers said, what was wanted, and what stood in the way.",
        from: "now-1h",
        variables,
        annotations: marks(m, &ONE),
        rows: vec![now(m), replicas(m), signals(m), events(m)],
    }
}

fn stat(title: &'static str, description: &'static str, metric: &Described) -> Panel {
    let query = ONE.gauge(metric, &[]).max(&[]);
    Panel::new(Stat, Count, title, description, vec![(query, "")])
}

fn now(m: &Catalogue) -> Row {
    let unready = ONE.gauge(&m.policy_ready, &[is_not("status", "True")]).max(&["reason"]);
    let ready = ONE.gauge(&m.policy_ready, &[is("status", "True")]).sum(&[]).or_zero();
    Row {
        title: "Now",
        panels: vec![
            Panel::new(
                Stat,
                Count,
                "Ready",
                "Whether the policy is accepted and at work.",
                vec![(ready, "ready")],
            )
            .word(0.0, "no", "red")
            .word(1.0, "yes", "green"),
            stat("Current replicas", "Replicas of the target now.", &m.current_replicas),
            stat(
                "Desired replicas",
                "Replicas that the policy wants.",
                &m.desired_replicas,
            ),
            stat("Minimum", "The least replicas that the policy allows.", &m.min_replicas),
            stat("Maximum", "The most replicas that the policy allows.", &m.max_replicas),
            stat("Suspended", "Whether spec.suspend is set.", &m.policy_suspended)
                .word(0.0, "no", "green")
                .word(1.0, "yes", "orange"),
            Panel::new(
                Timeline,
                Count,
                "Not Ready, by reason",
                "When the policy was not Ready, and why; empty when it was Ready all the time.",
                vec![(unready, "{{reason}}")],
            )
            .alarm_at(1.0)
            .wide(24),
        ],
    }
}

fn replicas(m: &Catalogue) -> Row {
    let of = |metric| ONE.gauge(metric, &[]).max(&[]);
    let limited = ONE.gauge(&m.limited, &[]).max(&["reason"]);
    Row {
        title: "Replicas and limits",
        panels: vec![
            Panel::new(
                Steps,
                Count,
                "Replicas",
                "Recommendation: what the triggers ask for. Desired: after windows, rate limits and bounds.",
                vec![
                    (of(&m.current_replicas), "current"),
                    (of(&m.desired_replicas), "desired"),
                    (of(&m.recommendation_replicas), "recommendation"),
                    (of(&m.min_replicas), "minimum"),
                    (of(&m.max_replicas), "maximum"),
                ],
            )
            .dashed(&["minimum", "maximum"])
            .wide(16),
            Panel::new(
                Timeline,
                Count,
                "Limits",
                "Which limit keeps the policy from what its triggers ask for.",
                vec![(limited, "{{reason}}")],
            )
            .word(0.0, "free", "green")
            .word(1.0, "limited", "orange"),
        ],
    }
}

fn signals(m: &Catalogue) -> Row {
    let of = |metric| ONE.gauge(metric, &[]).max(&["trigger"]);
    let ratio = of(&m.signal_value).with("/", of(&m.signal_target));
    let age = of(&m.signal_timestamp_seconds).age();
    Row {
        title: "Signals",
        panels: vec![
            Panel::new(
                Lines,
                Count,
                "Signal and target",
                "The trigger's value, and the value at which it would ask for exactly the replicas that there are.",
                vec![
                    (of(&m.signal_value), "{{trigger}}"),
                    (of(&m.signal_target), "{{trigger}} target"),
                ],
            )
            .wide(12),
            Panel::new(
                Lines,
                Share,
                "Signal as a share of its target",
                "Above 100 % the trigger asks for more replicas, below for fewer, within the tolerance for neither.",
                vec![(ratio, "{{trigger}}")],
            )
            .wide(12),
            Panel::new(
                Lines,
                Seconds,
                "Age of the last sample",
                "Older than the trigger's maxAge it is stale, and the policy does not scale down.",
                vec![(age, "{{trigger}}")],
            )
            .wide(12),
            Panel::new(
                Timeline,
                Count,
                "Missing data",
                "When a trigger had no usable data: no result, several, stale, not a number, or a failed query.",
                vec![(of(&m.signal_missing), "{{trigger}}")],
            )
            .word(0.0, "there", "green")
            .word(1.0, "missing", "red")
            .wide(12),
        ],
    }
}

fn events(m: &Catalogue) -> Row {
    let scaled = ONE.increase(&m.scale_events, &[]).sum(&["direction", "reason"]);
    let refused = ONE.increase(&m.refusals, &[]).sum(&["action", "reason"]);
    Row {
        title: "Events",
        panels: vec![
            Panel::new(
                Bars,
                Count,
                "Scale events",
                "Changes of the target's replicas that this policy made.",
                vec![(scaled, "{{direction}} {{reason}}")],
            )
            .wide(12),
            Panel::new(
                Bars,
                Count,
                "Refusals",
                "What this policy wanted and was not done; counted when a refusal begins or its reason changes.",
                vec![(refused, "{{action}} {{reason}}")],
            )
            .wide(12),
        ],
    }
}
