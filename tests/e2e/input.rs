//! Bad input: each gives a condition that says what to do, an Event and a metric; nothing else stops, nothing is scaled down.

mod config;
mod queries;
mod stored;
mod targets;

use crate::fake::{Answer, Fake};
use crate::stage::{Operator, Stage, deployment, scaling};

/// The replicas that every target has while its policy cannot be followed.
const HELD: i64 = 6;

/// What these stories share.
struct Scene {
    stage: Stage,
    fake: Fake,
    operator: Operator,
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_is_named_and_stops_nothing_else() {
    let stage = Stage::set().await;
    let fake = Fake::serve().await;
    stage.apply(&config::servers(&stage, &fake)).await;
    stored::store_what_no_longer_parses(&stage).await;
    stage.apply(&deployment("well", 1, "10m")).await;
    stage.apply(&asks("well", "default", "load")).await;
    stage.gauges.set("load", 200.0);
    let operator = stage.operator("one").await;
    let scene = Scene { stage, fake, operator };

    tokio::join!(
        targets::that_do_not_exist(&scene),
        targets::of_unknown_kinds(&scene),
        targets::that_two_policies_name(&scene),
        queries::that_give_no_number(&scene),
        stored::objects_that_no_longer_parse(&scene),
    );
    // Amid all that, whoever is well is served.
    scene.stage.gauges.set("load", 400.0);
    scene.stage.wants("well", 4).await;
    assert_eq!(scene.operator.metric("homeostat_leader ").await, Some(1.0));

    tokio::join!(
        queries::that_give_a_number_again(&scene),
        config::with_a_secret_that_comes_later(&scene)
    );
    config::that_is_gone_or_cannot_be_used(&scene).await;
}

impl Scene {
    /// Waits for a condition with all of these words, for an Event of the same reason, and for the metric of policies that
    /// are not Ready; the condition's message.
    async fn told(&self, name: &str, condition: &str, reason: &str, words: &[&str]) {
        let status = if condition == "Stalled" { "True" } else { "False" };
        let found = self
            .stage
            .condition("ScalingPolicy", name, condition, status, reason)
            .await;
        let message = found["message"].as_str().unwrap_or_default();
        for word in words {
            assert!(message.contains(word), "{name}: no `{word}` in: {message}");
        }
        self.stage.event(name, reason).await;
    }

    /// Whether the metric of conditions says that a policy is not Ready for this reason.
    async fn is_counted(&self, name: &str, reason: &str) {
        let series = format!(
            r#"homeostat_policy_ready{{kind="ScalingPolicy",namespace="default",name="{name}",status="False",reason="{reason}"}}"#
        );
        assert_eq!(self.operator.metric(&series).await, Some(1.0), "{series}");
    }
}

/// A policy for the Deployment of its name that asks a server.
fn asks(name: &str, server: &str, query: &str) -> String {
    scaling(name, &format!("{query}', server: '{server}"), "")
}

/// A Deployment with [`HELD`] replicas and such a policy for it.
async fn held(stage: &Stage, name: &str, server: &str, query: &str) {
    stage.apply(&deployment(name, HELD as u32, "10m")).await;
    stage.apply(&asks(name, server, query)).await;
}

fn answer_all(fake: &Fake, exprs: &[&str], answer: Answer) {
    for expr in exprs {
        fake.set(expr, answer);
    }
}
