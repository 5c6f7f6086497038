//! What stories about GitSources need: a ServiceAccount that applies, manifests, and words for what is awaited.

use std::time::{Duration, Instant};

use homeostat_cluster::{objects, wait};
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};

use crate::stage::{LIMIT, Stage};

/// Drift is to be brought back within two seconds; a machine that does much else at once gets some grace.
pub const AT_ONCE: Duration = Duration::from_secs(4);

/// The ServiceAccount that may apply what these stories hold.
pub const DEPLOYER: &str = "
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

pub const SERVICE: &str =
    "{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {selector: {app: web}, ports: [{port: 80}]}}";

pub const DEFINITION: &str = "
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
pub fn source(name: &str, url: &str, more: &str) -> String {
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

pub fn config_map(name: &str, value: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata: {{value: '{value}'}}\n")
}

impl Stage {
    /// Asks a source to look at once, as Flux's tools do.
    pub async fn ask(&self, name: &str) {
        let api = self.api_of("homeostat.dev/v1alpha1", "GitSource", name).await;
        let now = format!("{:?}", Instant::now());
        let patch = json!({"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": now}}});
        api.patch(name, &PatchParams::default(), &Patch::Merge(patch))
            .await
            .unwrap();
    }

    pub async fn api_of(&self, api_version: &str, kind: &str, name: &str) -> Api<DynamicObject> {
        let yaml =
            format!("{{apiVersion: {api_version}, kind: {kind}, metadata: {{name: {name}, namespace: default}}}}");
        let object = objects::parse(&yaml).unwrap().remove(0);
        objects::api_of(&self.client, &object).await.unwrap()
    }

    /// Changes an object of the namespace default as somebody with kubectl would.
    pub async fn edit(&self, api_version: &str, kind: &str, name: &str, patch: Value) {
        let api = self.api_of(api_version, kind, name).await;
        let params = PatchParams {
            field_manager: Some("somebody".into()),
            ..PatchParams::default()
        };
        api.patch(name, &params, &Patch::Merge(patch)).await.unwrap();
    }

    /// Waits until a source says that it has applied a revision.
    pub async fn applies(&self, name: &str, revision: &str) {
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
    pub async fn stalls(&self, name: &str, reason: &str, words: &[&str]) {
        self.ask(name).await;
        let found = wait::until(format!("{name} to be Stalled {reason}"), LIMIT, || async {
            let status = self.status("GitSource", name).await;
            let find = |kind: &str| {
                status["conditions"]
                    .as_array()?
                    .iter()
                    .find(|c| c["type"] == kind)
                    .cloned()
            };
            let (ready, stalled) = (find("Ready")?, find("Stalled")?);
            let message = stalled["message"].as_str()?;
            let all = words.iter().all(|word| message.contains(word)) && stalled["reason"] == reason;
            (all && ready["status"] == "False" && ready["message"] == stalled["message"]).then_some(())
        });
        if let Err(error) = found.await {
            panic!("{error}: {words:?}; it is {:#}", self.status("GitSource", name).await);
        }
    }

    /// Waits until an object is as it should be; how long that took.
    pub async fn comes_back(
        &self,
        api_version: &str,
        kind: &str,
        name: &str,
        pointer: &str,
        value: &Value,
    ) -> Duration {
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
    pub async fn still_keeps(&self, name: &str) {
        self.delete("v1", "ConfigMap", name).await;
        let took = self
            .comes_back("v1", "ConfigMap", name, "/metadata/name", &json!(name))
            .await;
        assert!(took < AT_ONCE, "{took:?}");
    }
}
