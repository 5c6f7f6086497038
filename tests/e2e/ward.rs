//! A namespace with workloads that fall ill, and what a story asks of it.

use homeostat_cluster::wait;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{Api, ListParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::stage::{LIMIT, Stage, deployment};

/// A namespace.
pub struct Ward<'a> {
    pub stage: &'a Stage,
    pub namespace: String,
}

/// A HealingPolicy that evicts pods which crash for a second, four seconds apart.
pub fn healing(name: &str, namespace: &str, attempts: u32, more: &str) -> String {
    format!(
        "apiVersion: homeostat.dev/v1alpha1
kind: HealingPolicy
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  rules:
  - name: crashing
    when: {{pod: CrashLoopBackOff, for: 1s}}
    remedies: [{{name: move, do: {{evict: {{}}}}, attempts: {attempts}, wait: 4s}}]
{more}"
    )
}

impl<'a> Ward<'a> {
    /// A new namespace.
    pub async fn open(stage: &'a Stage, namespace: &str) -> Self {
        let yaml = format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {namespace}}}}}");
        stage.apply(&yaml).await;
        Self {
            stage,
            namespace: namespace.to_owned(),
        }
    }

    /// A Deployment all of whose pods are Ready.
    pub async fn deploy(&self, name: &str, replicas: u32) {
        let yaml =
            deployment(name, replicas, "10m").replace("namespace: default", &format!("namespace: {}", self.namespace));
        self.stage.apply(&yaml).await;
        self.all_ready(name, replicas).await;
    }

    /// Waits until so many pods of a Deployment are there and Ready.
    pub async fn all_ready(&self, app: &str, replicas: u32) {
        let what = format!("{replicas} Ready pods of {}/{app}", self.namespace);
        let ready = wait::until(what, LIMIT, || async {
            let pods = self.pods(app).await;
            (pods.len() == replicas as usize && pods.iter().all(is_ready)).then_some(())
        });
        ready.await.unwrap();
    }

    /// The pods of a Deployment that are not going away, oldest first.
    pub async fn pods(&self, app: &str) -> Vec<Pod> {
        let api: Api<Pod> = Api::namespaced(self.stage.client.clone(), &self.namespace);
        let list = api
            .list(&ListParams::default().labels(&format!("app={app}")))
            .await
            .unwrap();
        let mut pods = list.items;
        pods.retain(|pod| pod.metadata.deletion_timestamp.is_none());
        pods.sort_by_key(|pod| (pod.metadata.creation_timestamp.clone(), pod.name_any()));
        pods
    }

    /// Makes one Ready pod of a Deployment crash; its name.
    pub async fn crash(&self, app: &str) -> String {
        let pod = self.pods(app).await.into_iter().find(is_ready).unwrap().name_any();
        self.sim(&pod, Some("crashloop")).await;
        pod
    }

    /// Makes a pod fail, or lets it recover and waits until it has. One that is gone is fine.
    pub async fn sim(&self, pod: &str, how: Option<&str>) {
        let api: Api<Pod> = Api::namespaced(self.stage.client.clone(), &self.namespace);
        let patch = json!({"metadata": {"annotations": {"homeostat.dev/sim": how}}});
        match api.patch(pod, &PatchParams::default(), &Patch::Merge(patch)).await {
            Err(kube::Error::Api(status)) if status.code == 404 => return,
            result => drop(result.unwrap()),
        }
        let what = format!("pod {}/{pod} to recover", self.namespace);
        let recovered = wait::until(what, LIMIT, || async {
            let now = api.get_opt(pod).await.ok()?;
            (how.is_some() || now.is_none_or(|pod| is_ready(&pod))).then_some(())
        });
        recovered.await.unwrap();
    }

    /// Waits until a pod is gone.
    pub async fn gone(&self, pod: &str) {
        let api: Api<Pod> = Api::namespaced(self.stage.client.clone(), &self.namespace);
        let gone = wait::until(format!("pod {}/{pod} to go", self.namespace), LIMIT, || async {
            api.get_opt(pod).await.ok()?.is_none().then_some(())
        });
        if let Err(error) = gone.await {
            panic!("{error}; {:#}", self.status("shop").await);
        }
    }

    /// The names of the pods that the operator has evicted here, as the API server saw it.
    pub fn evicted(&self) -> Vec<String> {
        evictions(self.stage, &self.namespace, 201)
    }

    /// The status of a HealingPolicy.
    pub async fn status(&self, policy: &str) -> Value {
        let object = self
            .stage
            .read("homeostat.dev/v1alpha1", "HealingPolicy", &self.namespace, policy);
        object.await["status"].clone()
    }

    /// Waits until a condition of a HealingPolicy has a status and a reason; its message.
    pub async fn condition(&self, policy: &str, kind: &str, status: &str, reason: &str) -> String {
        let what = format!(
            "HealingPolicy {}/{policy} to be {kind}={status} {reason}",
            self.namespace
        );
        let found = wait::until(what, LIMIT, || async {
            let stored = self.status(policy).await;
            let conditions = stored["conditions"].as_array()?;
            let found = conditions.iter().find(|c| c["type"] == kind)?;
            let holds = found["status"] == status && found["reason"] == reason;
            holds.then(|| found["message"].as_str().unwrap().to_owned())
        });
        match found.await {
            Ok(message) => message,
            Err(error) => panic!("{error}; it is {:#}", self.status(policy).await),
        }
    }

    /// The one incident of a HealingPolicy that has this phase.
    pub async fn incident(&self, policy: &str, phase: &str) -> Value {
        let what = format!("an incident of {}/{policy} to be {phase}", self.namespace);
        let found = wait::until(what, LIMIT, || async {
            let stored = self.status(policy).await;
            stored["incidents"]
                .as_array()?
                .iter()
                .find(|i| i["phase"] == phase)
                .cloned()
        });
        match found.await {
            Ok(incident) => incident,
            Err(error) => panic!("{error}; it is {:#}", self.status(policy).await),
        }
    }
}

/// Whether a pod is Ready.
pub fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|s| s.conditions.as_ref());
    conditions.is_some_and(|all| all.iter().any(|c| c.type_ == "Ready" && c.status == "True"))
}

/// The pods of a namespace whose eviction the API server answered with this code, in that order.
pub fn evictions(stage: &Stage, namespace: &str, code: u64) -> Vec<String> {
    let of_here = |event: &Value| {
        let object = &event["objectRef"];
        let evicts = object["resource"] == "pods" && object["subresource"] == "eviction";
        (evicts && object["namespace"] == namespace && event["responseStatus"]["code"] == code)
            .then(|| object["name"].as_str().unwrap().to_owned())
    };
    stage.audit().iter().filter_map(of_here).collect()
}

/// How much healing, and what is a storm.
pub async fn limits(stage: &Stage, per_hour: u32, storm: &str) {
    let config = format!(
        "{{apiVersion: homeostat.dev/v1alpha1, kind: OperatorConfig, metadata: {{name: default}},
  spec: {{prometheus: [{{name: default, url: '{}', timeout: 2s}}],
    healing: {{perHour: {per_hour}, storm: {storm}}}}}}}",
        stage.prometheus.url()
    );
    stage.apply(&config).await;
}

/// A time as the API server writes it.
pub fn time(text: &Value) -> k8s_openapi::jiff::Timestamp {
    text.as_str().unwrap().parse().unwrap()
}
