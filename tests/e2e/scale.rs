//! Replicas are written through `/scale`, only from the value that was decided upon, and only where nobody else decides.

mod deletion;
mod others;
mod rollout;
mod write;

use crate::fake::Fake;
use crate::stage::{Operator, Stage, scaling};

/// What these stories share.
struct Scene {
    stage: Stage,
    fake: Fake,
    operator: Operator,
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_are_written_by_compare_and_set_and_left_to_others_who_write_them() {
    let stage = Stage::set().await;
    let fake = Fake::serve().await;
    let config = format!(
        "{{apiVersion: homeostat.dev/v1alpha1, kind: OperatorConfig, metadata: {{name: default}},
  spec: {{prometheus: [{{name: default, url: '{}', timeout: 2s}}]}}}}",
        fake.url()
    );
    stage.apply(&config).await;
    let operator = stage.operator("one").await;
    let scene = Scene { stage, fake, operator };
    tokio::join!(
        write::leaves_the_mark_of_one_manager(&scene),
        write::of_a_stateful_set(&scene),
        write::of_a_custom_resource(&scene),
        rollout::of_another_project(&scene),
        write::from_a_value_that_has_changed_does_nothing(&scene),
        others::another_autoscaler(&scene),
        others::somebody_who_sets_it_back(&scene),
        others::a_person_who_switches_it_off(&scene),
        others::policies_that_must_not_write(&scene),
        deletion::leaves_the_size_or_gives_the_former_one_back(&scene),
    );
}

/// A policy for the Deployment of its name, which asks for the query of its name.
fn policy(name: &str, more: &str) -> String {
    scaling(name, name, more)
}
