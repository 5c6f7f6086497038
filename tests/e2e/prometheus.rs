//! The contract with Prometheus: many questions in one get the answers that each would get alone, and what answers are made
//! from is told.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use homeostat::core::sample::{Contributors, QueryError, Reading};
use homeostat::edge::prometheus::batch::{self, Company};
use homeostat::edge::prometheus::client::{Auth, PrometheusClient, ServerConfig};
use homeostat::edge::prometheus::question::Question;
use homeostat_cluster::{Prometheus, binaries, prometheus, wait};
use tokio::task::JoinHandle;

use crate::stage::LIMIT;

/// A pod that is scraped, until it is aborted.
async fn target(load: u32) -> (String, JoinHandle<()>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let text = format!(
        "load {load}\nother{{path=\"/a\\\"b\\\\c\",code=\"200\"}} 7\nother{{path=\"/x\",code=\"500\"}} 3\nmany{{l=\"{load}\"}} 1\n"
    );
    let router = Router::new().route("/metrics", get(move || async move { text }));
    let served = tokio::spawn(async move {
        let _ = axum::serve(listener, router).await;
    });
    (address, served)
}

fn client(prometheus: &Prometheus) -> PrometheusClient {
    PrometheusClient::new(&ServerConfig {
        name: "default".into(),
        url: prometheus.url(),
        timeout: Duration::from_secs(5),
        auth: Auth::None,
        headers: [].into(),
        tls: None,
    })
    .unwrap()
}

async fn ask(client: &PrometheusClient, queries: &[&str]) -> Vec<(Reading, Company)> {
    let questions: Vec<_> = queries.iter().map(|query| Arc::new(Question::new(query))).collect();
    assert!(questions.iter().all(|q| q.parts.is_some()), "all can be read");
    let mut answers = batch::ask(client, &questions).await;
    answers.sort_by_key(|a| a.index);
    assert_eq!(
        answers.iter().map(|a| a.index).collect::<Vec<_>>(),
        (0..queries.len()).collect::<Vec<_>>()
    );
    answers.into_iter().map(|a| (a.part.reading, a.company)).collect()
}

/// Without times, and what it was made from.
fn plain(reading: &Reading) -> String {
    match reading {
        Reading::Value { value, .. } => format!("{value}"),
        Reading::Many {
            series, sum, highest, ..
        } => format!("{series}: {sum} {highest}"),
        Reading::Failed { error, .. } => format!("{error}"),
        other => format!("{other:?}"),
    }
}

fn contributors(reading: &Reading) -> Contributors {
    match reading {
        Reading::Value { contributors, .. } | Reading::Many { contributors, .. } => contributors.unwrap(),
        other => panic!("{other:?}"),
    }
}

const FINE: [&str; 16] = [
    "sum(load)",
    "sum(load) # and a comment",
    "42",
    "scalar(sum(load)) * 2",
    "load",
    "count(load > 1e9)",
    "sum(no_such) or vector(0)",
    "vector(0) / 0",
    "max by (code) (other)",
    r#"sum(other{path="/a\"b\\c"})"#,
    r"sum(other{path=~'/a.b.+|/x{1}'})",
    r#"sum(load) and on () count({__name__=~"load|other", job="web"}) > 2"#,
    "sum(max_over_time(load[1m:10s])) - sum(load offset 1s)",
    "sum by (job) (rate(load[1m]) * 0 + 1)",
    "-sum(load)",
    r#"count(load) + on () group_left () sum(other{code!="200"}) # ) or ("#,
];
/// Each is refused for a reason of its own, only when it is evaluated.
const BAD: [&str; 3] = [
    "load + on (job) group_left () other",
    "label_replace(load, 'x', '$1', 'job', '(')",
    "load + on (job) load",
];

#[tokio::test(flavor = "multi_thread")]
async fn many_questions_in_one_are_answered_as_each_alone() {
    rustls::crypto::ring::default_provider().install_default().ok();
    let (mut addresses, mut served) = (Vec::new(), Vec::new());
    for load in [10, 20, 30] {
        let (address, task) = target(load).await;
        addresses.push(address);
        served.push(task);
    }
    let options = prometheus::Options {
        interval: Duration::from_secs(1),
        jobs: vec![("web".into(), addresses)],
    };
    let prometheus = Prometheus::start(&binaries::ensure().unwrap(), &options).await.unwrap();
    let client = client(&prometheus);
    wait::until("all targets and two scrapes of each", LIMIT, || async {
        let ready = "count(count_over_time(load[1m]) > 2) == 3 and sum(up) == 3";
        matches!(batch::alone(&client, ready).await, Reading::Value { .. }).then_some(())
    })
    .await
    .unwrap();

    let together = ask(&client, &FINE).await;
    for (query, (reading, company)) in FINE.iter().zip(&together) {
        assert_eq!(plain(reading), plain(&batch::alone(&client, query).await), "{query}");
        assert_eq!(*company, Company::Good(FINE.len()), "{query}");
    }
    let all = contributors(&together[0].0);
    assert_eq!((all.series, all.targets, all.down), (3, 3, 0));
    assert_eq!(contributors(&together[6].0).series, 0);
    let Reading::Value { sampled_at, .. } = together[0].0 else {
        panic!()
    };
    assert!(all.oldest.unwrap() <= sampled_at);

    // What is wrong spoils nothing, and is asked alone from now on.
    let mixed: Vec<&str> = FINE.into_iter().chain(BAD).collect();
    for (query, (reading, company)) in mixed.iter().zip(ask(&client, &mixed).await) {
        assert_eq!(plain(&reading), plain(&batch::alone(&client, query).await), "{query}");
        let is_bad = BAD.contains(query);
        assert_eq!(company == Company::AtMost(1), is_bad, "{query} {company:?}");
        let failed = matches!(
            reading,
            Reading::Failed {
                error: QueryError::BadQuery,
                ..
            }
        );
        assert_eq!(failed, is_bad, "{query}");
    }

    // A scrape that fails makes the sum smaller: that it is one is told.
    served.pop().unwrap().abort();
    wait::until("a target that can't be scraped", LIMIT, || async {
        let reading = &ask(&client, &["sum(load)", "sum(rate(load[1m]))"]).await;
        let now: Vec<_> = reading.iter().map(|(reading, _)| contributors(reading)).collect();
        now.iter()
            .all(|c| (c.series, c.targets, c.down) == (2, 2, 1))
            .then_some(())
    })
    .await
    .unwrap();
    assert_eq!(plain(&batch::alone(&client, "sum(load)").await), "30");
}
