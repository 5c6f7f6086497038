//! The write itself.

use homeostat::core::event::Outcome;
use homeostat::core::names::{ObjectRef, Uid};
use homeostat::core::quantity::Replicas;
use homeostat::edge::kube::scale;
use homeostat_cluster::wait;
use serde_json::Value;

use super::{Scene, policy};
use crate::fake::Answer;
use crate::stage::{LIMIT, Stage, deployment};

pub async fn leaves_the_mark_of_one_manager(scene: &Scene) {
    let Scene { stage, fake, .. } = scene;
    fake.set("marked", Answer::Value(300.0));
    stage.apply(&deployment("marked", 1, "10m")).await;
    stage.apply(&policy("marked", "")).await;
    stage.wants("marked", 3).await;
    let object = stage.read("apps/v1", "Deployment", "default", "marked").await;
    let entries = object["metadata"]["managedFields"].as_array().unwrap();
    let owners: Vec<&Value> = entries
        .iter()
        .filter(|e| !e["fieldsV1"]["f:spec"]["f:replicas"].is_null())
        .collect();
    assert_eq!(owners.len(), 1, "{owners:#?}");
    assert_eq!(owners[0]["manager"], "homeostat");
    assert_eq!(owners[0]["subresource"], "scale");
    // The Event is found from the policy and from the target.
    for kind in ["ScalingPolicy", "Deployment"] {
        stage.event_on(kind, "marked", "ScaleUp").await;
    }
}

pub async fn of_a_stateful_set(scene: &Scene) {
    let Scene { stage, fake, .. } = scene;
    fake.set("ordered", Answer::Value(200.0));
    stage
        .apply(&deployment("ordered", 1, "10m").replace("kind: Deployment", "kind: StatefulSet"))
        .await;
    stage
        .apply(&policy("ordered", "").replace("kind: Deployment", "kind: StatefulSet"))
        .await;
    replicas(stage, "apps/v1", "StatefulSet", "ordered", 2).await;
}

pub async fn of_a_custom_resource(scene: &Scene) {
    let Scene { stage, fake, .. } = scene;
    fake.set("saturn", Answer::Value(400.0));
    let saturn = policy("saturn", "").replace("{kind: Deployment,", "{apiVersion: space.example.com/v1, kind: Rocket,");
    stage.apply(&saturn).await;
    let message = stalled(stage, "no kind Rocket").await;
    assert!(message.contains("install its CustomResourceDefinition"), "{message}");
    stage.apply(ROCKETS).await;
    stage.apply(SATURN).await;
    let message = stalled(stage, "the operator may not scale rockets").await;
    assert!(message.contains("get and patch on rockets/scale"), "{message}");
    stage.apply(RIGHTS).await;
    replicas(stage, "space.example.com/v1", "Rocket", "saturn", 4).await;
    stage
        .condition("ScalingPolicy", "saturn", "Ready", "True", "Accepted")
        .await;
    // Its changes are seen by watch.
    fake.set("saturn", Answer::Value(900.0));
    replicas(stage, "space.example.com/v1", "Rocket", "saturn", 9).await;
}

async fn stalled(stage: &Stage, words: &str) -> String {
    wait::until(format!("saturn to be stalled: {words}"), LIMIT, || async {
        let found = stage
            .condition("ScalingPolicy", "saturn", "Stalled", "True", "TargetUnusable")
            .await;
        let message = found["message"].as_str()?.to_owned();
        message.contains(words).then_some(message)
    })
    .await
    .unwrap()
}

async fn replicas(stage: &Stage, version: &str, kind: &str, name: &str, wanted: i64) {
    let found = wait::until(format!("{kind} {name} to want {wanted}"), LIMIT, || async {
        let object = stage.read(version, kind, "default", name).await;
        (object["spec"]["replicas"] == wanted).then_some(())
    });
    if let Err(error) = found.await {
        panic!("{error}; {:#}", stage.status("ScalingPolicy", name).await);
    }
}

pub async fn from_a_value_that_has_changed_does_nothing(scene: &Scene) {
    let stage = &scene.stage;
    stage.apply(&deployment("raced", 4, "10m")).await;
    let object = stage.read("apps/v1", "Deployment", "default", "raced").await;
    let uid = Uid(object["metadata"]["uid"].as_str().unwrap().to_owned());
    let target = ObjectRef::new("apps/v1", "Deployment", "default", "raced");
    let resource = scale::known_resource(&target).unwrap();
    let api = scale::api(stage.client.clone(), &resource, &target);
    let set = async |uid: &Uid, from: u32, to: u32| {
        scale::set(&api, &target, uid, Replicas::new(from), Replicas::new(to)).await
    };
    let conflict = |outcome: &Outcome, words: &str, replicas: Option<u32>| match outcome {
        Outcome::Conflict { message, found } => message.contains(words) && *found == replicas.map(Replicas::new),
        _ => false,
    };
    let stale = set(&uid, 3, 5).await;
    assert!(conflict(&stale, "has 4 replicas instead of 3", Some(4)), "{stale:?}");
    let other = set(&Uid("another".into()), 4, 5).await;
    assert!(conflict(&other, "is another object now", None), "{other:?}");
    assert_eq!(stage.replicas("raced").await, 4, "a stale write has no effect");
    // The server omits a zero, and still tells it from any other value.
    assert_eq!(set(&uid, 4, 0).await, Outcome::Done);
    let stale = set(&uid, 4, 5).await;
    assert!(conflict(&stale, "has 0 replicas", Some(0)), "{stale:?}");
    assert_eq!(set(&uid, 0, 2).await, Outcome::Done);
    let stale = set(&uid, 0, 5).await;
    assert!(conflict(&stale, "has 2 replicas", Some(2)), "{stale:?}");
    stage.delete("apps/v1", "Deployment", "raced").await;
    let gone = set(&uid, 2, 5).await;
    assert!(conflict(&gone, "is gone", None), "{gone:?}");
}

const ROCKETS: &str = "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: rockets.space.example.com}
spec:
  group: space.example.com
  scope: Namespaced
  names: {kind: Rocket, plural: rockets, singular: rocket}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec: {type: object, properties: {replicas: {type: integer}}}
          status: {type: object, properties: {replicas: {type: integer}, selector: {type: string}}}
    subresources:
      status: {}
      scale: {specReplicasPath: .spec.replicas, statusReplicasPath: .status.replicas, labelSelectorPath: .status.selector}
";

const SATURN: &str = "{apiVersion: space.example.com/v1, kind: Rocket, metadata: {name: saturn, namespace: default}, spec: {replicas: 1}}";

const RIGHTS: &str = "
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: rockets}
rules:
- {apiGroups: [space.example.com], resources: [rockets], verbs: [get, list, watch]}
- {apiGroups: [space.example.com], resources: [rockets/scale], verbs: [get, patch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: rockets}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: rockets}
subjects: [{kind: ServiceAccount, name: homeostat, namespace: homeostat-system}]
";
