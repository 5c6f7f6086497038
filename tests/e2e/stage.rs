//! What every story needs: a cluster with Homeostat's definitions and rights, Prometheus with a load that the story sets,
//! and the operator as a process.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use homeostat_cluster::guarded::{Guarded, Spec};
use homeostat_cluster::{Cluster, Options, Prometheus, binaries, objects, port, prometheus, wait};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::api::{Api, DeleteParams, DynamicObject};
use serde_json::Value;

/// How long anything may take at most.
pub const LIMIT: Duration = Duration::from_mins(1);

/// Who the operator is.
pub const ACCOUNT: &str = "system:serviceaccount:homeostat-system:homeostat";

/// The numbers that Prometheus scrapes; a story sets them.
#[derive(Clone, Default)]
pub struct Gauges(Arc<Mutex<BTreeMap<String, f64>>>);

impl Gauges {
    /// Sets a number.
    pub fn set(&self, name: &str, value: f64) {
        self.0.lock().unwrap().insert(name.to_owned(), value);
    }

    /// Takes a number away: the series ends.
    pub fn remove(&self, name: &str) {
        self.0.lock().unwrap().remove(name);
    }

    async fn serve(&self) -> u16 {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let gauges = self.clone();
        let text = move || async move {
            let map = gauges.0.lock().unwrap();
            map.iter()
                .map(|(name, value)| format!("{name} {value}\n"))
                .collect::<String>()
        };
        tokio::spawn(async move { axum::serve(listener, Router::new().route("/metrics", get(text))).await });
        port
    }
}

/// The scene of a story.
pub struct Stage {
    pub cluster: Cluster,
    pub prometheus: Prometheus,
    pub gauges: Gauges,
    pub client: Client,
    pub dir: tempfile::TempDir,
    kubeconfig: PathBuf,
}

impl Stage {
    /// A cluster with one node of 8 processors, and Prometheus; the operator does not run yet.
    pub async fn set() -> Self {
        Self::with(Options::default()).await
    }

    /// The same on a cluster with these options.
    pub async fn with(options: Options) -> Self {
        let options = Options {
            audited: vec![ACCOUNT.into()],
            ..options
        };
        let cluster = Cluster::start(options).await.unwrap();
        let client = cluster.client().unwrap();
        let root = homeostat_cluster::root();
        objects::apply_dir(&client, &root.join("crds")).await.unwrap();
        for file in ["namespace", "rbac"] {
            let text = std::fs::read_to_string(root.join(format!("manifests/base/{file}.yaml"))).unwrap();
            objects::apply_yaml(&client, &text).await.unwrap();
        }
        objects::apply_yaml(&client, &objects::node("n1", "8", "32Gi", 110))
            .await
            .unwrap();
        let gauges = Gauges::default();
        let target = format!("127.0.0.1:{}", gauges.serve().await);
        let jobs = vec![("load".to_owned(), vec![target])];
        let options = prometheus::Options {
            interval: Duration::from_secs(1),
            jobs,
        };
        let prometheus = Prometheus::start(cluster.binaries(), &options).await.unwrap();
        let config = format!(
            "{{apiVersion: homeostat.dev/v1alpha1, kind: OperatorConfig, metadata: {{name: default}},
  spec: {{prometheus: [{{name: default, url: '{}', timeout: 2s}}]}}}}",
            prometheus.url()
        );
        objects::apply_yaml(&client, &config).await.unwrap();
        let kubeconfig = cluster.kubeconfig_for("homeostat-system", "homeostat").await.unwrap();
        Self {
            cluster,
            prometheus,
            gauges,
            client,
            dir: tempfile::Builder::new()
                .disable_cleanup(std::env::var_os("KEEP_LOGS").is_some())
                .tempdir()
                .unwrap(),
            kubeconfig,
        }
    }

    /// Starts a replica of the operator and waits until it sees the cluster.
    pub async fn operator(&self, name: &str) -> Operator {
        let mut operator = self.operator_unready(name);
        let ready = wait::until(format!("{name} to be ready"), LIMIT, || operator.get("/readyz")).await;
        assert!(ready.is_ok(), "{ready:?}\n{}", operator.process.log_tail());
        assert!(operator.process.is_running());
        operator
    }

    /// Starts a replica of the operator.
    pub fn operator_unready(&self, name: &str) -> Operator {
        self.operator_with(name, &[])
    }

    /// Starts a replica of the operator with further flags.
    pub fn operator_with(&self, name: &str, flags: &[&str]) -> Operator {
        let port = port::free().unwrap();
        let file = |end: &str| self.dir.path().join(format!("{name}{end}")).display().to_string();
        let command = [
            &binaries::operator().unwrap().display().to_string(),
            "run",
            "--pod-name",
            name,
            "--listen",
            &format!("127.0.0.1:{port}"),
            "--journal",
            &file("-journal"),
            "--work-dir",
            &file("-git"),
            "--lease-duration",
            "4s",
            "--log-level",
            "homeostat=debug,info",
        ];
        let kubeconfig = self.kubeconfig.display().to_string();
        let spec = Spec {
            command: command.iter().chain(flags).map(Into::into).collect(),
            env: BTreeMap::from([("KUBECONFIG".into(), kubeconfig)]),
            log: self.cluster.dir().join(format!("{name}.log")),
            kill: false,
        };
        let process = Guarded::start(self.cluster.binaries(), &spec).unwrap();
        Operator { process, port }
    }

    /// Every request of the operator that the API server has answered.
    pub fn audit(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.cluster.audit_log()).unwrap();
        text.lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    }

    /// Runs a command of `homeostat` as the administrator: exit code, standard output, standard error.
    pub fn homeostat(&self, args: &[&str]) -> (Option<i32>, String, String) {
        let mut command = std::process::Command::new(binaries::operator().unwrap());
        let output = command
            .args(args)
            .env("KUBECONFIG", self.cluster.kubeconfig())
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    }

    /// Applies YAML as the administrator.
    pub async fn apply(&self, yaml: &str) {
        objects::apply_yaml(&self.client, yaml).await.unwrap();
    }

    /// An object as JSON; null when it is not there.
    pub async fn read(&self, api_version: &str, kind: &str, namespace: &str, name: &str) -> Value {
        let yaml =
            format!("{{apiVersion: {api_version}, kind: {kind}, metadata: {{name: {name}, namespace: {namespace}}}}}");
        let object = objects::parse(&yaml).unwrap().remove(0);
        let api: Api<DynamicObject> = objects::api_of(&self.client, &object).await.unwrap();
        api.get_opt(name)
            .await
            .unwrap()
            .map_or(Value::Null, |o| serde_json::to_value(o).unwrap())
    }

    /// Deletes an object of the namespace `default`, or one that has no namespace.
    pub async fn delete(&self, api_version: &str, kind: &str, name: &str) {
        let yaml =
            format!("{{apiVersion: {api_version}, kind: {kind}, metadata: {{name: {name}, namespace: default}}}}");
        let object = objects::parse(&yaml).unwrap().remove(0);
        let api: Api<DynamicObject> = objects::api_of(&self.client, &object).await.unwrap();
        api.delete(name, &DeleteParams::default()).await.unwrap();
    }

    /// A policy's status.
    pub async fn status(&self, kind: &str, name: &str) -> Value {
        self.read("homeostat.dev/v1alpha1", kind, "default", name).await["status"].clone()
    }

    /// Waits until a condition of a policy has a status and a reason; the condition.
    pub async fn condition(&self, kind: &str, name: &str, condition: &str, status: &str, reason: &str) -> Value {
        let awaited = format!("{kind}/{name} to be {condition}={status} {reason}");
        let found = wait::until(awaited, LIMIT, || async {
            let stored = self.status(kind, name).await;
            let found = stored["conditions"]
                .as_array()?
                .iter()
                .find(|c| c["type"] == condition)?
                .clone();
            (found["status"] == status && found["reason"] == reason).then_some(found)
        });
        match found.await {
            Ok(found) => found,
            Err(error) => panic!("{error}; it is {:#}", self.status(kind, name).await),
        }
    }

    /// Waits until a Deployment wants so many replicas.
    pub async fn wants(&self, name: &str, replicas: i64) {
        let found = wait::until(format!("{name} to want {replicas} replicas"), LIMIT, || async {
            (self.replicas(name).await == replicas).then_some(())
        });
        if let Err(error) = found.await {
            panic!(
                "{error}; it wants {}; {:#}",
                self.replicas(name).await,
                self.status("ScalingPolicy", name).await
            );
        }
    }

    /// The replicas that a Deployment wants.
    pub async fn replicas(&self, name: &str) -> i64 {
        self.read("apps/v1", "Deployment", "default", name).await["spec"]["replicas"]
            .as_i64()
            .unwrap_or(-1)
    }

    /// Waits for an Event with this reason, about an object of this name.
    pub async fn event(&self, about: &str, reason: &str) {
        self.event_like(about, reason, |_| true).await;
    }

    /// Waits for an Event with this reason that `kubectl describe` shows for an object.
    pub async fn event_on(&self, kind: &str, name: &str, reason: &str) {
        let version = if kind == "Deployment" {
            "apps/v1"
        } else {
            "homeostat.dev/v1alpha1"
        };
        let object = self.read(version, kind, "default", name).await;
        let uid = object["metadata"]["uid"].as_str().map(str::to_owned);
        self.event_like(name, reason, |about| {
            about.kind.as_deref() == Some(kind) && about.uid == uid
        })
        .await;
    }

    async fn event_like(&self, about: &str, reason: &str, more: impl Fn(&ObjectReference) -> bool) {
        let api: Api<k8s_openapi::api::events::v1::Event> = Api::all(self.client.clone());
        wait::until(format!("an Event {reason} about {about}"), LIMIT, || async {
            let list = api.list(&kube::api::ListParams::default()).await.ok()?;
            list.into_iter().find(|e| {
                let named = |r: &ObjectReference| r.name.as_deref() == Some(about) && more(r);
                e.reason.as_deref() == Some(reason) && e.regarding.as_ref().is_some_and(named)
            })
        })
        .await
        .unwrap();
    }
}

/// A running replica of the operator.
pub struct Operator {
    pub process: Guarded,
    pub port: u16,
}

impl Operator {
    /// What it answers at a path, if it answers well.
    pub async fn get(&self, path: &str) -> Option<String> {
        let answer = reqwest::get(format!("http://127.0.0.1:{}{path}", self.port))
            .await
            .ok()?;
        if answer.status().is_success() {
            answer.text().await.ok()
        } else {
            None
        }
    }

    /// The value of a metric with exactly these labels.
    pub async fn metric(&self, series: &str) -> Option<f64> {
        let text = self.get("/metrics").await?;
        text.lines()
            .find_map(|line| line.strip_prefix(series)?.trim().parse().ok())
    }
}

/// A Deployment of `replicas` pods that each ask for so much processor.
pub fn deployment(name: &str, replicas: u32, cpu: &str) -> String {
    format!(
        "{{apiVersion: apps/v1, kind: Deployment, metadata: {{name: {name}, namespace: default}}, spec: {{replicas: {replicas},
  selector: {{matchLabels: {{app: {name}}}}}, template: {{metadata: {{labels: {{app: {name}}}}},
  spec: {{containers: [{{name: app, image: app, resources: {{requests: {{cpu: '{cpu}', memory: 64Mi}}}}}}]}}}}}}}}"
    )
}

/// A ScalingPolicy for the Deployment of its name: the query's value, 100 a replica, asked every second.
pub fn scaling(name: &str, query: &str, more: &str) -> String {
    format!(
        "apiVersion: homeostat.dev/v1alpha1
kind: ScalingPolicy
metadata: {{name: {name}, namespace: default}}
spec:
  scaleTargetRef: {{kind: Deployment, name: {name}}}
  minReplicas: 1
  maxReplicas: 10
  interval: 1s
  triggers:
  - name: load
    prometheus: {{query: '{query}', maxAge: 5s}}
    target: {{averageValue: '100'}}
  behavior:
    scaleUp: {{policies: [{{type: Pods, value: 10, periodSeconds: 1}}]}}
    scaleDown: {{stabilizationWindowSeconds: 3}}
{more}"
    )
}
