//! The board of all policies: is Homeostat well, what does it do, what does it refuse?

use super::board::Look::{Bars, Lines, Stat, Steps, Table, Timeline};
use super::board::Unit::{BytesPerSecond, Count, PerSecond, Seconds, Share};
use super::board::{Annotation, Board, Panel, Row, Variable};
use super::promql::{Query, Scope, is, is_not, like, unlike};
use crate::telemetry::metrics::{Catalogue, Described};

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

fn nodes(m: &Catalogue) -> Row {
    let of = |metric| ALL.gauge(metric, &[]).max(&["policy", "pool"]);
    let waiting = ALL.gauge(&m.waiting_pods, &[]).max(&["policy"]);
    let ready = |q| ALL.quantile(q, &m.node_pool_time_to_ready_seconds, &["policy", "pool"]);
    Row {
        title: "Node pools",
        panels: vec![
            Panel::new(
                Steps,
                Count,
                "Nodes",
                "Nodes that are there, nodes that are wanted, and the pool's maximum.",
                vec![
                    (of(&m.node_pool_nodes), "{{policy}}.{{pool}}"),
                    (of(&m.node_pool_target_nodes), "{{policy}}.{{pool}} wanted"),
                    (of(&m.node_pool_min_nodes), "{{policy}}.{{pool}} minimum"),
                    (of(&m.node_pool_max_nodes), "{{policy}}.{{pool}} maximum"),
                ],
            ),
            Panel::new(
                Steps,
                Count,
                "Nodes on their way, pods that wait",
                "Nodes that were asked for and are not Ready yet; pods that need more nodes than there may be, or fit on none.",
                vec![
                    (of(&m.node_pool_incoming_nodes), "{{policy}}.{{pool}} incoming nodes"),
                    (of(&m.node_pool_waiting_pods), "{{policy}}.{{pool}} waiting pods"),
                    (waiting, "{{policy}} pods without help"),
                ],
            ),
            Panel::new(
                Lines,
                Seconds,
                "Time until a node is Ready",
                "From the request for a node until it was Ready.",
                vec![
                    (ready("0.5"), "{{policy}}.{{pool}} half of them"),
                    (ready("0.9"), "{{policy}}.{{pool}} 9 of 10"),
                ],
            ),
        ],
    }
}

fn healing(m: &Catalogue) -> Row {
    let by_outcome = ALL.increase(&m.heal_actions, &[]).sum(&["action", "outcome"]);
    let of = |metric| ALL.gauge(metric, &[]).max(&["namespace", "name"]);
    let budget = ALL.gauge(&m.heal_budget_remaining, &[]).max(&["namespace"]);
    let pods = ALL.gauge(&m.unhealthy_pods, &[]).max(&[]);
    let share = pods.with("/", ALL.gauge(&m.observed_pods, &[]).max(&[]).compare(">", "0"));
    let recover = |q| ALL.quantile(q, &m.heal_time_to_recover_seconds, &[]);
    Row {
        title: "Healing",
        panels: vec![
            Panel::new(
                Bars,
                Count,
                "Healing actions by outcome",
                "Evictions and restored objects. Blocked: a PodDisruptionBudget did not allow it for now.",
                vec![(by_outcome, "{{action}} {{outcome}}")],
            ),
            Panel::new(
                Steps,
                Count,
                "Incidents",
                "Open incidents; exhausted ones have had every remedy and need a person.",
                vec![
                    (of(&m.open_incidents), "{{namespace}}/{{name}} open"),
                    (of(&m.exhausted_incidents), "{{namespace}}/{{name}} exhausted"),
                ],
            ),
            Panel::new(
                Lines,
                Seconds,
                "Time to recover",
                "From the first sight of an incident until everything concerned was well again.",
                vec![(recover("0.5"), "half of them"), (recover("0.9"), "9 of 10")],
            ),
            Panel::new(
                Lines,
                Share,
                "Unhealthy pods",
                "Share of all observed pods that are unhealthy; the storm brake looks at it.",
                vec![(share, "unhealthy")],
            )
            .wide(12),
            Panel::new(
                Steps,
                Count,
                "Budget that is left",
                "Healing actions that a namespace may still have within the present window.",
                vec![(budget, "{{namespace}}")],
            )
            .wide(12),
        ],
    }
}

fn git(m: &Catalogue) -> Row {
    let syncs = ALL.increase(&m.git_syncs, &[]).sum(&["namespace", "name", "outcome"]);
    let objects = ALL.gauge(&m.git_objects, &[]).max(&["namespace", "name"]);
    let ready = ALL.gauge(&m.git_ready, &[]).max(&["namespace", "name"]);
    Row {
        title: "Git",
        panels: vec![
            Panel::new(
                Bars,
                Count,
                "Syncs by outcome",
                "Syncs of GitSources. After a failed one the last good revision stays in force.",
                vec![(syncs, "{{namespace}}/{{name}} {{outcome}}")],
            ),
            Panel::new(
                Timeline,
                Count,
                "GitSources",
                "Whether each GitSource's repository is applied and nothing is wrong.",
                vec![(ready, "{{namespace}}/{{name}}")],
            )
            .word(0.0, "not applied", "red")
            .word(1.0, "applied", "green"),
            Panel::new(
                Steps,
                Count,
                "Declared objects",
                "Objects that each GitSource's applied revision declares.",
                vec![(objects, "{{namespace}}/{{name}}")],
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
