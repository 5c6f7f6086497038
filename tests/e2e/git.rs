//! A repository is the state of the cluster: what is pushed is applied, what is changed by hand comes back, what is removed
//! goes, and what would do harm does not.

use std::time::{Duration, Instant};

use homeostat_cluster::wait;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};

use crate::repo::Repo;
use crate::stage::{LIMIT, Stage, deployment, scaling};

/// Drift is to be brought back within two seconds; a machine that does much else at once gets some grace.
const AT_ONCE: Duration = Duration::from_secs(4);

/// The ServiceAccount that may apply what these stories hold.
const DEPLOYER: &str = "
apiVersion: v1
kind: ServiceAccount
metadata: {name: deployer, namespace: default}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: deployer}
rules:
- apiGroups: ['', apps, homeostat.dev, apiextensions.k8s.io, example.com]
  resources: ['*']
  verbs: [get, list, watch, create, patch, delete]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: deployer}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: deployer}
subjects: [{kind: ServiceAccount, name: deployer, namespace: default}]
";

const SERVICE: &str =
    "{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {selector: {app: web}, ports: [{port: 80}]}}";

const DEFINITION: &str = "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.com}
spec:
  group: example.com
  names: {kind: Widget, plural: widgets}
  scope: Namespaced
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {size: {type: integer}}}}}}
";

/// A GitSource of the namespace default that may hold what these stories need.
fn source(name: &str, url: &str, more: &str) -> String {
    format!(
        "apiVersion: homeostat.dev/v1alpha1
kind: GitSource
metadata: {{name: {name}, namespace: default}}
spec:
  url: {url}
  ref: {{branch: main}}
  interval: 5s
  serviceAccountName: deployer
  kinds:
  - {{group: homeostat.dev, kind: '*'}}
  - {{group: '', kind: Namespace}}
  - {{group: '', kind: Service}}
  - {{group: '', kind: ConfigMap}}
  - {{group: apps, kind: Deployment}}
  - {{group: apiextensions.k8s.io, kind: CustomResourceDefinition}}
  - {{group: example.com, kind: '*'}}
{more}"
    )
}

fn config_map(name: &str, value: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata: {{value: '{value}'}}\n")
}

impl Stage {
    /// Asks a source to look at once, as Flux's tools do.
    async fn ask(&self, name: &str) {
        let api = self.api_of("homeostat.dev/v1alpha1", "GitSource", name).await;
        let now = format!("{:?}", Instant::now());
        let patch = json!({"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": now}}});
        api.patch(name, &PatchParams::default(), &Patch::Merge(patch))
            .await
            .unwrap();
    }

    async fn api_of(&self, api_version: &str, kind: &str, name: &str) -> Api<DynamicObject> {
        let yaml =
            format!("{{apiVersion: {api_version}, kind: {kind}, metadata: {{name: {name}, namespace: default}}}}");
        let object = homeostat_cluster::objects::parse(&yaml).unwrap().remove(0);
        homeostat_cluster::objects::api_of(&self.client, &object).await.unwrap()
    }

    /// Changes an object of the namespace default as somebody with kubectl would.
    async fn edit(&self, api_version: &str, kind: &str, name: &str, patch: Value) {
        let api = self.api_of(api_version, kind, name).await;
        let params = PatchParams {
            field_manager: Some("somebody".into()),
            ..PatchParams::default()
        };
        api.patch(name, &params, &Patch::Merge(patch)).await.unwrap();
    }

    /// Waits until a source says that it has applied a revision.
    async fn applies(&self, name: &str, revision: &str) {
        self.ask(name).await;
        let found = wait::until(format!("{name} to apply {revision}"), LIMIT, || async {
            let status = self.status("GitSource", name).await;
            let ready = status["conditions"][0]["status"] == "True";
            (ready && status["lastAppliedRevision"] == revision).then_some(())
        });
        if let Err(error) = found.await {
            panic!("{error}; it is {:#}", self.status("GitSource", name).await);
        }
    }

    /// Waits until a source is stuck, with a message that has these words in it.
    async fn stalls(&self, name: &str, reason: &str, words: &[&str]) {
        self.ask(name).await;
        let found = self.condition("GitSource", name, "Stalled", "True", reason).await;
        let message = found["message"].as_str().unwrap_or_default();
        for word in words {
            assert!(message.contains(word), "{word} is not in: {message}");
        }
        let ready = self.condition("GitSource", name, "Ready", "False", reason).await;
        assert_eq!(ready["message"], found["message"]);
    }

    /// Waits until an object is as it should be; how long that took.
    async fn comes_back(&self, api_version: &str, kind: &str, name: &str, pointer: &str, value: &Value) -> Duration {
        let began = Instant::now();
        let back = wait::until(format!("{kind} {name} to come back"), LIMIT, || async {
            let object = self.read(api_version, kind, "default", name).await;
            (object.pointer(pointer) == Some(value)).then_some(())
        });
        if let Err(error) = back.await {
            panic!("{error}; {:#}", self.status("GitSource", "deploy").await);
        }
        let took = began.elapsed();
        println!("{kind} {name} was back after {took:?}");
        took
    }

    /// Deletes a ConfigMap by hand, and expects it back: what was applied is still kept.
    async fn still_keeps(&self, name: &str) {
        self.delete("v1", "ConfigMap", name).await;
        self.comes_back("v1", "ConfigMap", name, "/metadata/name", &json!(name))
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_pushed_is_applied_and_what_is_changed_by_hand_comes_back() {
    let stage = Stage::set().await;
    stage.apply(DEPLOYER).await;
    let repo = Repo::empty();
    repo.write("web/deployment.yaml", deployment("web", 2, "100m"));
    repo.write("web/service.yaml", SERVICE);
    repo.write("web/policy.yaml", scaling("web", "sum(load)", ""));
    repo.write("web/a.yaml", config_map("a", "1") + "---\n" + &config_map("b", "1"));
    repo.write(
        "team/namespace.yaml",
        "{apiVersion: v1, kind: Namespace, metadata: {name: team}}",
    );
    repo.write(
        "team/map.yaml",
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: c, namespace: team}, data: {value: '1'}}",
    );
    repo.write("widgets/definition.yaml", DEFINITION);
    repo.write(
        "widgets/widget.yaml",
        "{apiVersion: example.com/v1, kind: Widget, metadata: {name: small}, spec: {size: 1}}",
    );
    let first = repo.push("first");
    stage.gauges.set("load", 430.0);
    let operator = stage.operator("one").await;
    stage.apply(&source("deploy", &repo.url(), "")).await;
    stage.applies("deploy", &first).await;
    let status = stage.status("GitSource", "deploy").await;
    assert_eq!(
        status["inventory"]["entries"].as_array().map(Vec::len),
        Some(9),
        "{status:#}"
    );
    stage.event("deploy", "Applied").await;
    let widget = stage.read("example.com/v1", "Widget", "default", "small").await;
    assert_eq!(widget["spec"]["size"], 1);
    let map = stage.read("v1", "ConfigMap", "team", "c").await;
    assert_eq!(map["metadata"]["annotations"]["homeostat.dev/source"], "default/deploy");

    // The policy owns the replicas, whatever the repository says.
    stage.wants("web", 5).await;

    stage.delete("v1", "Service", "web").await;
    let took = stage
        .comes_back("v1", "Service", "web", "/spec/ports/0/port", &json!(80))
        .await;
    assert!(took < AT_ONCE, "{took:?}");
    stage.event("deploy", "ObjectDeleted").await;
    let image = json!({"spec": {"template": {"spec": {"containers": [{"name": "app", "image": "other"}]}}}});
    stage.edit("apps/v1", "Deployment", "web", image).await;
    let image = "/spec/template/spec/containers/0/image";
    let took = stage
        .comes_back("apps/v1", "Deployment", "web", image, &json!("app"))
        .await;
    assert!(took < AT_ONCE, "{took:?}");
    stage.event("deploy", "ObjectDrifted").await;
    assert_eq!(stage.replicas("web").await, 5);

    repo.write("web/a.yaml", config_map("a", "2"));
    repo.write("web/deployment.yaml", deployment("web", 3, "200m"));
    let second = repo.push("a changes, b goes");
    stage.applies("deploy", &second).await;
    assert_eq!(
        stage.read("v1", "ConfigMap", "default", "a").await["data"]["value"],
        "2"
    );
    assert_eq!(stage.read("v1", "ConfigMap", "default", "b").await, Value::Null);
    assert_eq!(stage.replicas("web").await, 5, "the policy's, not the repository's");
    assert_eq!(
        operator
            .metric("homeostat_git_objects{namespace=\"default\",name=\"deploy\"}")
            .await,
        Some(8.0)
    );
}
