//! Rows of the board: node pools, healing, Git.

use super::super::board::Look::{Bars, Lines, Steps, Timeline};
use super::super::board::Unit::{Count, Seconds, Share};
use super::super::board::{Panel, Row};
use super::ALL;
use crate::telemetry::metrics::Catalogue;

pub(super) fn nodes(m: &Catalogue) -> Row {
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

pub(super) fn healing(m: &Catalogue) -> Row {
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

pub(super) fn git(m: &Catalogue) -> Row {
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
