//! The board of all policies: is Homeostat well, what does it do, what does it refuse?

mod subsystems;

use super::board::Look::{Bars, Lines, Stat, Steps, Table, Timeline};
use super::board::Unit::{BytesPerSecond, Count, PerSecond, Seconds, Share};
use super::board::{Annotation, Board, Panel, Row, Variable};
use super::promql::{Query, Scope, is, is_not, like, unlike};
use crate::telemetry::metrics::{Catalogue, Described};
use subsystems::{git, healing, nodes};

/// Every series of the operators chosen.
const ALL: Scope = Scope {
    matchers: &[like("job", "$job"), like("instance", "$instance")],
    range: "$__rate_interval",
};
/// Variables are not limited by themselves.
const NONE: Scope = Scope {
    matchers: &[],
    range: "$__rate_interval",
};
const JOB: Scope = Scope {
    matchers: &[like("job", "$job")],
    range: "$__rate_interval",
};

/// The variables `job` and `instance`.
pub(super) fn operators(m: &Catalogue) -> Vec<Variable> {
    vec![
        Variable {
            name: "job",
            label: "Job",
            query: NONE.values(&m.build_info, &[], "job"),
            multi: true,
        },
        Variable {
            name: "instance",
            label: "Instance",
            query: JOB.values(&m.build_info, &[], "instance"),
            multi: true,
        },
    ]
}

/// Marks of scale events and healing actions.
pub(super) fn marks(m: &Catalogue, scope: &Scope) -> Vec<Annotation> {
    let scaled = scope.moves(&m.scale_events, &[], "2m");
    let healed = scope.moves(&m.heal_actions, &[is("outcome", "Done")], "2m");
    vec![
        Annotation {
            name: "Scale events",
            query: scaled
                .sum(&["namespace", "name", "direction", "reason"])
                .compare(">", "0"),
            title: "{{namespace}}/{{name}} scaled {{direction}}: {{reason}}",
            color: "blue",
        },
        Annotation {
            name: "Healing",
            query: healed.sum(&["namespace", "action"]).compare(">", "0"),
            title: "{{action}} in {{namespace}}",
            color: "purple",
        },
    ]
}

/// Median and 99th percentile.
fn quantiles(metric: &Described) -> Vec<(Query, &'static str)> {
    vec![
        (ALL.quantile("0.5", metric, &[]), "half of them"),
        (ALL.quantile("0.99", metric, &[]), "99 of 100"),
    ]
}

/// The board.
pub(super) fn board(m: &Catalogue) -> Board {
    let mut rows = vec![
        overview(m),
        policies(m),
        scaling(m),
        actions(m),
        nodes(m),
        healing(m),
        git(m),
    ];
    rows.extend([queries(m), operator(m)]);
    Board {
        uid: "homeostat-fleet",
        title: "Homeostat / Fleet",
        description: "All policies: is Homeostat well, what does it do, and what does it refuse?",
        from: "now-6h",
        variables: operators(m),
        annotations: marks(m, &ALL),
        rows,
    }
}

fn overview(m: &Catalogue) -> Row {
    let leaders = ALL.gauge(&m.leader, &[]).sum(&[]);
    let ready = ALL.gauge(&m.policy_ready, &[is("status", "True")]).sum(&[]);
    let all = ALL.gauge(&m.policy_ready, &[]).sum(&[]);
    let stalled = ALL.gauge(&m.policy_stalled, &[]).sum(&[]).or_zero();
    let suspended = ALL.gauge(&m.policy_suspended, &[]).sum(&[]).or_zero();
    let open = ALL.gauge(&m.open_incidents, &[]).sum(&[]).or_zero();
    let storm = ALL.gauge(&m.storm, &[]).max(&[]);
    let mut leader = Panel::new(
        Stat,
        Count,
        "Leaders",
        "Replicas that lead. Exactly one should: without a leader nothing is decided.",
        vec![(leaders, "leaders")],
    );
    leader.words = vec![(0.0, "none", "red"), (1.0, "1", "green")];
    let ready = Panel::new(
        Stat,
        Share,
        "Policies that are Ready",
        "Share of all policies whose condition Ready is True.",
        vec![(ready.with("/", all), "ready")],
    );
    let stalled = Panel::new(
        Stat,
        Count,
        "Stalled policies",
        "Policies that cannot go on until a person changes something.",
        vec![(stalled, "stalled")],
    );
    let suspended = Panel::new(
        Stat,
        Count,
        "Suspended policies",
        "Policies with spec.suspend: they act not at all.",
        vec![(suspended, "suspended")],
    );
    let open = Panel::new(
        Stat,
        Count,
        "Open incidents",
        "Things that are wrong and that a HealingPolicy deals with.",
        vec![(open, "open")],
    );
    let storm = Panel::new(
        Stat,
        Count,
        "Storm brake",
        "Healing of pods stops when much breaks at once, until it has been calm for a while.",
        vec![(storm, "storm")],
    );
    Row {
        title: "Overview",
        panels: vec![
            leader,
            ready,
            stalled.alarm_at(1.0),
            suspended.warn_at(1.0),
            open.warn_at(1.0),
            storm.word(0.0, "calm", "green").word(1.0, "braking", "red"),
        ],
    }
}

fn policies(m: &Catalogue) -> Row {
    let by_status = ALL.gauge(&m.policy_ready, &[]).sum(&["kind", "status"]);
    let unwell = ALL.gauge(&m.policy_ready, &[is_not("status", "True")]);
    let unwell = unwell.max(&["kind", "namespace", "name", "status", "reason"]);
    let modes = ALL.gauge(&m.policy_info, &[]).sum(&["kind", "mode"]);
    Row {
        title: "Policies",
        panels: vec![
            Panel::new(
                Steps,
                Count,
                "Policies by condition Ready",
                "How many policies of each kind are Ready, are not, or do not know yet.",
                vec![(by_status, "{{kind}} {{status}}")],
            ),
            Panel::new(
                Table,
                Count,
                "Policies that are not Ready",
                "Each with its reason; `homeostat explain` and the policy's status say more.",
                vec![(unwell, "")],
            ),
            Panel::new(
                Steps,
                Count,
                "Policies by mode",
                "Enforce acts; DryRun decides and shows, and does not act.",
                vec![(modes, "{{kind}} {{mode}}")],
            ),
        ],
    }
}

fn scaling(m: &Catalogue) -> Row {
    let events = ALL.increase(&m.scale_events, &[]).sum(&["direction", "reason"]);
    let current = ALL.gauge(&m.current_replicas, &[]).sum(&[]);
    let desired = ALL.gauge(&m.desired_replicas, &[]).sum(&[]);
    let limited = ALL.gauge(&m.limited, &[]).sum(&["reason"]);
    let missing = ALL.gauge(&m.signal_missing, &[]).max(&["namespace", "name", "trigger"]);
    Row {
        title: "Scaling",
        panels: vec![
            Panel::new(
                Bars,
                Count,
                "Scale events by reason",
                "Changes of replicas that were made, by direction and reason.",
                vec![(events, "{{direction}} {{reason}}")],
            )
            .wide(6),
            Panel::new(
                Steps,
                Count,
                "Replicas of all targets",
                "All targets of ScalingPolicies together: replicas now, and replicas that are wanted.",
                vec![(current, "current"), (desired, "desired")],
            )
            .wide(6),
            Panel::new(
                Steps,
                Count,
                "Policies held by a limit",
                "How many policies a limit keeps from what their triggers ask for.",
                vec![(limited, "{{reason}}")],
            )
            .wide(6),
            Panel::new(
                Timeline,
                Count,
                "Triggers without data",
                "While a trigger has no usable data its policy never scales down.",
                vec![(missing.compare(">", "0"), "{{namespace}}/{{name}} {{trigger}}")],
            )
            .alarm_at(1.0)
            .wide(6),
        ],
    }
}

fn actions(m: &Catalogue) -> Row {
    let by_outcome = ALL.increase(&m.actions, &[]).sum(&["action", "outcome"]);
    let refusals = ALL.increase(&m.refusals, &[]).sum(&["action", "reason"]);
    Row {
        title: "Actions and refusals",
        panels: vec![
            Panel::new(
                Bars,
                Count,
                "Actions by outcome",
                "What was carried out, and how it went. Conflict: the object had changed, so nothing was done.",
                vec![(by_outcome, "{{action}} {{outcome}}")],
            ),
            Panel::new(
                Bars,
                Count,
                "Refusals by reason",
                "What was wanted and not done; counted when a refusal begins or its reason changes.",
                vec![(refusals, "{{action}} {{reason}}")],
            ),
            Panel::new(
                Lines,
                Seconds,
                "Time of actions",
                "From the start of an action to the API server's answer.",
                quantiles(&m.action_seconds),
            ),
        ],
    }
}

fn queries(m: &Catalogue) -> Row {
    let rate = ALL.rate(&m.queries, &[]).sum(&["server"]);
    let failed = ALL.rate(&m.queries, &[unlike("outcome", "Value|Empty")]);
    Row {
        title: "Queries to Prometheus",
        panels: vec![
            Panel::new(
                Lines,
                PerSecond,
                "Queries",
                "Queries a second, by server.",
                vec![(rate, "{{server}}")],
            ),
            Panel::new(
                Lines,
                PerSecond,
                "Queries without a usable answer",
                "Errors, and answers that are no single finite number. Such an answer never scales down.",
                vec![(failed.sum(&["server", "outcome"]), "{{server}} {{outcome}}")],
            ),
            Panel::new(
                Lines,
                Seconds,
                "Time of queries",
                "From the question to the whole answer.",
                quantiles(&m.query_seconds),
            ),
        ],
    }
}

fn operator(m: &Catalogue) -> Row {
    let views = ALL.gauge(&m.view_current, &[]).min(&["instance", "view"]);
    let events = ALL.rate(&m.events_observed, &[]).sum(&["event"]);
    let writes = ALL.rate(&m.status_writes, &[]).sum(&["outcome"]);
    let versions = ALL.gauge(&m.build_info, &[]).count(&["version"]);
    Row {
        title: "Operator",
        panels: vec![
            Panel::new(
                Timeline,
                Count,
                "Views of the cluster",
                "Whether each replica sees all pods, nodes and policies; without, nothing is healed or removed.",
                vec![(views, "{{instance}} {{view}}")],
            )
            .word(0.0, "not current", "red")
            .word(1.0, "current", "green"),
            Panel::new(
                Lines,
                Seconds,
                "Time of steps",
                "How long the engine takes to decide.",
                quantiles(&m.step_seconds),
            ),
            Panel::new(
                Lines,
                PerSecond,
                "Steps and events",
                "Steps of the engine and events it has seen, by kind.",
                vec![
                    (ALL.rate(&m.steps, &[]).sum(&[]), "steps"),
                    (events, "{{event}} events"),
                ],
            ),
            Panel::new(
                Lines,
                Count,
                "Events that wait",
                "Events that the engine has not looked at yet.",
                vec![(ALL.gauge(&m.events_waiting, &[]).max(&["instance"]), "{{instance}}")],
            )
            .wide(6),
            Panel::new(
                Lines,
                PerSecond,
                "Status writes",
                "Writes of policies' statuses, by outcome; quiet when nothing changes.",
                vec![(writes, "{{outcome}}")],
            )
            .wide(6),
            Panel::new(
                Lines,
                BytesPerSecond,
                "Journal",
                "Bytes written to the journal.",
                vec![(ALL.rate(&m.journal_bytes, &[]).sum(&["instance"]), "{{instance}}")],
            )
            .wide(6),
            Panel::new(
                Steps,
                Count,
                "Versions and gaps",
                "Replicas by version; gaps in the journal, after which a replay is not complete.",
                vec![
                    (versions, "{{version}}"),
                    (ALL.increase(&m.journal_gaps, &[]).sum(&[]), "journal gaps"),
                ],
            )
            .wide(6),
        ],
    }
}
