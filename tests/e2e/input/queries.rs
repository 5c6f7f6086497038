//! Queries without a number that can be used.

use super::{HELD, Scene, answer_all, held};
use crate::fake::Answer;

/// Name, server, query; then reason and words of the condition MetricsAvailable, and the outcome in the metric of queries.
type Case<'a> = (&'a str, &'a str, &'a str, &'a str, &'a [&'a str], &'a str);

const CASES: [Case; 13] = [
    (
        "syntax",
        "default",
        "sum(load",
        "QueryFailed",
        &["correct the trigger", "parse error"],
        "BadQuery",
    ),
    (
        "nothing",
        "default",
        "no_such_series",
        "NoData",
        &["no result", "or vector(0)"],
        "Empty",
    ),
    (
        "many",
        "default",
        "sum by (l) (many)",
        "ManySeries",
        &["2 elements", "sum()"],
        "Many",
    ),
    (
        "nan",
        "default",
        "vector(0) / 0",
        "NotANumber",
        &["NaN", "guard the division"],
        "NotFinite",
    ),
    (
        "yesterday",
        "fake",
        "yesterday",
        "StaleData",
        &["old, more than 5s (maxAge)"],
        "Value",
    ),
    (
        "html",
        "fake",
        "html",
        "QueryFailed",
        &["Malformed", "check its url in the OperatorConfig"],
        "Malformed",
    ),
    (
        "huge",
        "fake",
        "huge",
        "QueryFailed",
        &["TooLarge", "the query must give one number"],
        "TooLarge",
    ),
    (
        "busy",
        "fake",
        "busy",
        "QueryFailed",
        &["HTTP 503", "overloaded or starting"],
        "Status",
    ),
    (
        "hang",
        "fake",
        "hang",
        "QueryFailed",
        &["Timeout", "no answer within 1s"],
        "Timeout",
    ),
    (
        "nowhere",
        "nowhere",
        "x",
        "QueryFailed",
        &["no Prometheus server of this name", "default, down, fake, locked"],
        "UnknownServer",
    ),
    (
        "down",
        "down",
        "x",
        "QueryFailed",
        &["no connection to http", "is it up"],
        "Unreachable",
    ),
    (
        "locked",
        "locked",
        "x",
        "QueryFailed",
        &["no Secret homeostat-system/prom", "key token"],
        "UnknownServer",
    ),
    ("fine", "fake", "fine", "", &[], "Value"),
];

const EVIL: [&str; 5] = ["yesterday", "html", "huge", "busy", "hang"];

pub async fn that_give_no_number(scene: &Scene) {
    let Scene { stage, fake, operator } = scene;
    for (expr, answer) in EVIL.into_iter().zip([
        Answer::Yesterday(10.0),
        Answer::Html,
        Answer::Huge,
        Answer::Status(503),
        Answer::Hang,
    ]) {
        fake.set(expr, answer);
    }
    fake.set("fine", Answer::Value(600.0));
    stage.gauges.set(r#"many{l="a"}"#, 1.0);
    stage.gauges.set(r#"many{l="b"}"#, 1.0);
    for (name, server, query, ..) in CASES {
        held(stage, name, server, query).await;
    }
    for (name, server, _, reason, words, outcome) in CASES {
        if name != "fine" {
            scene.told(name, "MetricsAvailable", reason, words).await;
            let series = format!(r#"homeostat_signal_missing{{namespace="default",name="{name}",trigger="load"}}"#);
            assert_eq!(operator.metric(&series).await, Some(1.0), "{series}");
            stage.event(name, "DataMissing").await;
        }
        let series = format!(r#"homeostat_queries_total{{server="{server}",outcome="{outcome}"}}"#);
        assert!(operator.metric(&series).await.is_some_and(|n| n >= 1.0), "{series}");
    }
    for expr in EVIL {
        fake.asked_more(expr, 3).await;
    }
    // Who asks the same server for something reasonable gets it.
    stage
        .condition("ScalingPolicy", "fine", "MetricsAvailable", "True", "Accepted")
        .await;
    for (name, ..) in CASES {
        assert_eq!(stage.replicas(name).await, HELD, "{name} is held");
    }
}

pub async fn that_give_a_number_again(scene: &Scene) {
    answer_all(&scene.fake, &EVIL, Answer::Value(300.0));
    for name in EVIL {
        scene.stage.wants(name, 3).await;
        scene
            .stage
            .condition("ScalingPolicy", name, "MetricsAvailable", "True", "Accepted")
            .await;
    }
}
