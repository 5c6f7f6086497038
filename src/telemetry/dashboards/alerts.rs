//! The rules themselves. Every alert has a section in `docs/runbooks.md` and a test in `dashboards/tests`.
//!
//! State of policies is exposed by the leader alone, so alerts aggregate over replicas: a change of leader does not start
//! their time anew.

use super::promql::{Query, Scope, is, like, unlike};
use super::rules::Severity::{Critical, Info, Warning};
use super::rules::{Alert, Group, Record, Rule};
use crate::telemetry::metrics::Catalogue;

const FIVE_MINUTES: Scope = Scope {
    matchers: &[],
    range: "5m",
};
const QUARTER: Scope = Scope {
    matchers: &[],
    range: "15m",
};

const FLEET: &str = "/d/homeostat-fleet";
const POLICY: &str = "/d/homeostat-policy?var-namespace={{ $labels.namespace }}&var-policy={{ $labels.name }}";

/// One policy.
const ONE: [&str; 3] = ["cluster", "namespace", "name"];
/// One policy of any kind.
const ANY: [&str; 4] = ["cluster", "kind", "namespace", "name"];
/// One pool.
const POOL: [&str; 3] = ["cluster", "policy", "pool"];

/// Share of queries without a usable answer.
const QUERY_FAILURES: &str = "cluster_server:homeostat_queries_failed:ratio_rate5m";
/// Share of actions that failed.
const ACTION_FAILURES: &str = "cluster_action:homeostat_actions_failed:ratio_rate15m";
/// How long the slowest steps take.
const SLOW_STEPS: &str = "cluster_job:homeostat_step_seconds:p99_5m";
/// Policies by kind and condition Ready.
const POLICIES: &str = "cluster_kind_status:homeostat_policies:count";

/// All groups. What is recorded is recorded in the group that uses it: rules of one group are evaluated in their order.
pub(super) fn groups(m: &Catalogue) -> Vec<Group> {
    let group = |name, records: Vec<Record>, alerts: Vec<Alert>| Group {
        name,
        rules: records
            .into_iter()
            .map(Rule::Record)
            .chain(alerts.into_iter().map(Rule::Alert))
            .collect(),
    };
    vec![
        group("homeostat.operator", vec![slow_steps(m)], operator(m)),
        group("homeostat.policies", records(m), policies(m)),
        group("homeostat.nodes", Vec::new(), nodes(m)),
        group("homeostat.healing", Vec::new(), healing(m)),
        group("homeostat.git", Vec::new(), vec![git(m)]),
    ]
}

fn slow_steps(m: &Catalogue) -> Record {
    Record {
        name: SLOW_STEPS,
        query: FIVE_MINUTES.quantile("0.99", &m.step_seconds, &["cluster", "job"]),
    }
}

fn records(m: &Catalogue) -> Vec<Record> {
    let share = |part: Query, all: Query, by: &[&str]| part.sum(by).with("/", all.sum(by).compare(">", "0"));
    let unusable = FIVE_MINUTES.rate(&m.queries, &[unlike("outcome", "Value|Empty")]);
    let failed = QUARTER.rate(&m.actions, &[like("outcome", "Failed|Unknown")]);
    vec![
        Record {
            name: POLICIES,
            query: FIVE_MINUTES
                .gauge(&m.policy_ready, &[])
                .count(&["cluster", "kind", "status"]),
        },
        Record {
            name: QUERY_FAILURES,
            query: share(unusable, FIVE_MINUTES.rate(&m.queries, &[]), &["cluster", "server"]),
        },
        Record {
            name: ACTION_FAILURES,
            query: share(failed, QUARTER.rate(&m.actions, &[]), &["cluster", "action"]),
        },
    ]
}

fn operator(m: &Catalogue) -> Vec<Alert> {
    let leaders = FIVE_MINUTES.gauge(&m.leader, &[]).sum(&["cluster", "job"]);
    let views = FIVE_MINUTES.gauge(&m.view_current, &[]);
    let slow = Query::recorded(SLOW_STEPS, &["cluster", "job"]);
    let unwritten = FIVE_MINUTES.increase(&m.status_writes, &[is("outcome", "Failed")]);
    let gaps = QUARTER.increase(&m.journal_gaps, &[]);
    vec![
        Alert {
            name: "HomeostatAbsent",
            query: FIVE_MINUTES.absent(&m.build_info),
            lasting: "5m",
            severity: Critical,
            summary: "No replica of Homeostat is seen by Prometheus.",
            description: "Nothing is scaled or healed by Homeostat, or Prometheus does not scrape it.",
            board: FLEET,
        },
        Alert {
            name: "HomeostatNoLeader",
            query: leaders.compare("<", "1"),
            lasting: "2m",
            severity: Critical,
            summary: "No replica of Homeostat leads.",
            description: "Replicas of {{ $labels.job }} run and none of them leads: nothing is decided.",
            board: FLEET,
        },
        Alert {
            name: "HomeostatViewStale",
            query: views.min(&["cluster", "job", "view"]).compare("<", "1"),
            lasting: "5m",
            severity: Warning,
            summary: "Homeostat does not see the whole cluster.",
            description: "A replica of {{ $labels.job }} has no complete and current view of {{ $labels.view }}: \
                          what needs it is held.",
            board: FLEET,
        },
        Alert {
            name: "HomeostatStepsSlow",
            query: slow.compare(">", "1"),
            lasting: "10m",
            severity: Warning,
            summary: "Homeostat takes long to decide.",
            description: "One step in a hundred of {{ $labels.job }} takes more than {{ $value | humanizeDuration }}.",
            board: FLEET,
        },
        Alert {
            name: "HomeostatStatusWritesFailing",
            query: unwritten.sum(&["cluster", "job"]).compare(">", "0"),
            lasting: "10m",
            severity: Warning,
            summary: "Homeostat cannot write the status of policies.",
            description: "{{ $value | humanize }} writes failed within 5 minutes; remedies whose intent cannot be \
                          recorded are not carried out.",
            board: FLEET,
        },
        Alert {
            name: "HomeostatJournalGaps",
            query: gaps.sum(&["cluster", "job"]).compare(">", "0"),
            lasting: "1m",
            severity: Info,
            summary: "The journal has gaps.",
            description: "The journal of {{ $labels.job }} has used up its budget of this hour: what happens until the \
                          next segment cannot be replayed.",
            board: FLEET,
        },
    ]
}

fn policies(m: &Catalogue) -> Vec<Alert> {
    let unready = FIVE_MINUTES.gauge(&m.policy_ready, &[is("status", "False")]).max(&ANY);
    let stalled = FIVE_MINUTES.gauge(&m.policy_stalled, &[]).max(&ANY);
    let missing = FIVE_MINUTES.gauge(&m.signal_missing, &[]);
    let missing = missing.max(&["cluster", "namespace", "name", "trigger"]);
    let pinned = FIVE_MINUTES
        .gauge(&m.limited, &[is("reason", "TooManyReplicas")])
        .max(&ONE);
    vec![
        Alert {
            name: "HomeostatPolicyNotReady",
            query: unready.compare(">", "0"),
            lasting: "15m",
            severity: Warning,
            summary: "A policy is not Ready.",
            description: "{{ $labels.kind }} {{ $labels.namespace }}/{{ $labels.name }} is not Ready; its status says why.",
            board: FLEET,
        },
        Alert {
            name: "HomeostatPolicyStalled",
            query: stalled.compare(">", "0"),
            lasting: "5m",
            severity: Warning,
            summary: "A policy cannot go on until a person changes something.",
            description: "{{ $labels.kind }} {{ $labels.namespace }}/{{ $labels.name }} is Stalled; its status says what \
                          to change.",
            board: FLEET,
        },
        Alert {
            name: "HomeostatMetricsMissing",
            query: missing.compare(">", "0"),
            lasting: "5m",
            severity: Warning,
            summary: "A trigger has no usable data.",
            description: "Trigger {{ $labels.trigger }} of ScalingPolicy {{ $labels.namespace }}/{{ $labels.name }} has no \
                          usable data: its target is not scaled down.",
            board: POLICY,
        },
        Alert {
            name: "HomeostatPinnedAtMaximum",
            query: pinned.compare(">", "0"),
            lasting: "15m",
            severity: Warning,
            summary: "A policy wants more replicas than its maximum.",
            description: "The triggers of ScalingPolicy {{ $labels.namespace }}/{{ $labels.name }} ask for more than its \
                          maxReplicas.",
            board: POLICY,
        },
        Alert {
            name: "HomeostatQueriesFailing",
            query: Query::recorded(QUERY_FAILURES, &["cluster", "server"]).compare(">", "0.5"),
            lasting: "5m",
            severity: Warning,
            summary: "Most queries to a Prometheus server have no usable answer.",
            description: "{{ $value | humanizePercentage }} of the queries to server {{ $labels.server }} have no usable \
                          answer: nothing is scaled down by them.",
            board: FLEET,
        },
        Alert {
            name: "HomeostatActionsFailing",
            query: Query::recorded(ACTION_FAILURES, &["cluster", "action"]).compare(">", "0.5"),
            lasting: "10m",
            severity: Warning,
            summary: "Most actions of one kind fail.",
            description: "{{ $value | humanizePercentage }} of the actions {{ $labels.action }} fail.",
            board: FLEET,
        },
    ]
}

fn nodes(m: &Catalogue) -> Vec<Alert> {
    let of = |metric| FIVE_MINUTES.gauge(metric, &[]).max(&POOL);
    let waiting = FIVE_MINUTES.gauge(&m.waiting_pods, &[]);
    let full = of(&m.node_pool_target_nodes).with(">=", of(&m.node_pool_max_nodes));
    let can_grow = of(&m.node_pool_max_nodes).with(">", of(&m.node_pool_min_nodes));
    vec![
        Alert {
            name: "HomeostatPodsWaiting",
            query: waiting.max(&["cluster", "policy"]).compare(">", "0"),
            lasting: "10m",
            severity: Warning,
            summary: "Pods wait that no node pool can help.",
            description: "{{ $value }} unschedulable pods wait, and no pool of NodePoolPolicy {{ $labels.policy }} can help \
                          them.",
            board: FLEET,
        },
        Alert {
            name: "HomeostatPoolAtMaximum",
            query: full.with("and", can_grow),
            lasting: "15m",
            severity: Info,
            summary: "A node pool has as many nodes as it may have.",
            description: "Pool {{ $labels.pool }} of NodePoolPolicy {{ $labels.policy }} is at its maximum of {{ $value }} \
                          nodes.",
            board: FLEET,
        },
        Alert {
            name: "HomeostatNodesNotComing",
            query: of(&m.node_pool_incoming_nodes).compare(">", "0"),
            lasting: "30m",
            severity: Warning,
            summary: "Nodes that were asked for do not become Ready.",
            description: "For half an hour pool {{ $labels.pool }} of NodePoolPolicy {{ $labels.policy }} has been waiting \
                          for nodes; {{ $value }} are on their way.",
            board: FLEET,
        },
    ]
}

fn healing(m: &Catalogue) -> Vec<Alert> {
    let of = |metric| FIVE_MINUTES.gauge(metric, &[]).max(&ONE);
    let storm = FIVE_MINUTES.gauge(&m.storm, &[]).max(&["cluster", "job"]);
    let budget = FIVE_MINUTES.gauge(&m.heal_budget_remaining, &[]);
    vec![
        Alert {
            name: "HomeostatLadderExhausted",
            query: of(&m.exhausted_incidents).compare(">", "0"),
            lasting: "1m",
            severity: Warning,
            summary: "Every remedy has been tried and something is still wrong.",
            description: "HealingPolicy {{ $labels.namespace }}/{{ $labels.name }} has given up on {{ $value }} incidents: \
                          a person has to look.",
            board: FLEET,
        },
        Alert {
            name: "HomeostatIncidentOpen",
            query: of(&m.open_incidents).compare(">", "0"),
            lasting: "1h",
            severity: Warning,
            summary: "Something has been wrong for an hour.",
            description: "HealingPolicy {{ $labels.namespace }}/{{ $labels.name }} has had open incidents for an hour; \
                          {{ $value }} are open.",
            board: FLEET,
        },
        Alert {
            name: "HomeostatStormBrake",
            query: storm.compare(">", "0"),
            lasting: "1m",
            severity: Critical,
            summary: "Much broke at once, and healing of pods is stopped.",
            description: "{{ $labels.job }} has stopped healing pods until the cluster has been calm for a while.",
            board: FLEET,
        },
        Alert {
            name: "HomeostatHealBudgetExhausted",
            query: budget.max(&["cluster", "namespace"]).compare("<", "1"),
            lasting: "5m",
            severity: Warning,
            summary: "A namespace has used up its budget of healing actions.",
            description: "Nothing more is healed in namespace {{ $labels.namespace }} until earlier healing actions have \
                          left the window.",
            board: FLEET,
        },
    ]
}

fn git(m: &Catalogue) -> Alert {
    let failed = QUARTER.increase(&m.git_syncs, &[unlike("outcome", "Applied|Unchanged|Suspended")]);
    let synced = QUARTER
        .increase(&m.git_syncs, &[like("outcome", "Applied|Unchanged")])
        .sum(&ONE);
    Alert {
        name: "HomeostatGitSyncFailing",
        query: failed
            .sum(&ONE)
            .compare(">", "0")
            .with("unless", synced.compare(">", "0")),
        lasting: "5m",
        severity: Warning,
        summary: "A GitSource does not sync.",
        description: "GitSource {{ $labels.namespace }}/{{ $labels.name }} has failed to sync and has not succeeded for \
                      15 minutes; the last good revision stays in force.",
        board: FLEET,
    }
}
