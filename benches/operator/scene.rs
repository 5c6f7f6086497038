//! The scene: a control plane without controllers, Prometheus with one series a policy, and the operator with the flags of its
//! manifests, itself watched by that Prometheus.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use axum::Router;
use axum::routing::get;
use homeostat_cluster::guarded::{Guarded, Spec};
use homeostat_cluster::{Cluster, Component, Options, Prometheus, binaries, objects as apply, port};
use kube::Client;

use crate::objects::{self, QUICK};
use crate::ready::Rows;

/// Requests of the benchmark to the API server at once.
const AT_ONCE: usize = 32;
/// Reasons of a policy that is still looking around.
const LOOKING: [&str; 3] = ["", "NotSampledYet", "ViewIncomplete"];

/// What Prometheus scrapes of the workloads.
#[derive(Clone, Default)]
pub struct Load {
    scrapes: Arc<AtomicUsize>,
    quick: Arc<AtomicU64>,
}

impl Load {
    /// Sets what the one policy asks of which the reaction is measured.
    pub fn set_quick(&self, value: u64) {
        self.quick.store(value, Ordering::SeqCst);
    }

    /// Every value moves with every scrape, within the tolerance of the decisions on it.
    fn text(&self, count: usize) -> String {
        let scrape = self.scrapes.fetch_add(1, Ordering::Relaxed);
        let value = |i: usize| 96 + (i + scrape) % 9;
        (0..count)
            .map(|i| format!("bench_load{{app=\"{}\"}} {}\n", objects::name(i), value(i)))
            .collect()
    }

    async fn serve(&self, count: usize) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (all, one) = (self.clone(), self.clone());
        let router = Router::new()
            .route("/metrics", get(move || async move { all.text(count) }))
            .route(
                "/quick",
                get(move || async move { format!("bench_quick {}\n", one.quick.load(Ordering::SeqCst)) }),
            );
        tokio::spawn(async move { axum::serve(listener, router).await });
        address
    }
}

/// The scene.
pub struct Scene {
    pub client: Client,
    pub prometheus: Prometheus,
    pub load: Load,
    /// Of policies that ask every 15 s.
    pub count: usize,
    cluster: Cluster,
    program: PathBuf,
    kubeconfig: PathBuf,
    operator_port: u16,
}

impl Scene {
    /// All but the operator.
    pub async fn set(count: usize) -> Self {
        let program = match std::env::var_os("OPERATOR") {
            Some(path) => path.into(),
            None => tokio::task::spawn_blocking(binaries::operator_release)
                .await
                .unwrap()
                .unwrap(),
        };
        let options = Options {
            kwok: false,
            ..Options::default()
        };
        let mut cluster = Cluster::start(options).await.unwrap();
        let client = cluster.client().unwrap();
        let root = homeostat_cluster::root();
        apply::apply_dir(&client, &root.join("crds")).await.unwrap();
        for file in ["namespace", "rbac"] {
            let text = std::fs::read_to_string(root.join(format!("manifests/base/{file}.yaml"))).unwrap();
            apply::apply_yaml(&client, &text).await.unwrap();
        }
        let kubeconfig = cluster.kubeconfig_for("homeostat-system", "homeostat").await.unwrap();
        cluster.stop(Component::ControllerManager);
        cluster.stop(Component::Scheduler);
        let load = Load::default();
        load.set_quick(100);
        let operator_port = port::free().unwrap();
        let config = config(&load.serve(count).await, operator_port);
        let prometheus = Prometheus::with_config(cluster.binaries(), &config).await.unwrap();
        let scene = Self {
            client,
            prometheus,
            load,
            count,
            cluster,
            program,
            kubeconfig,
            operator_port,
        };
        scene.fill().await;
        scene
    }

    async fn fill(&self) {
        let config = format!(
            "{{apiVersion: homeostat.dev/v1alpha1, kind: OperatorConfig, metadata: {{name: default}},
  spec: {{prometheus: [{{name: default, url: '{}'}}]}}}}",
            self.prometheus.url()
        );
        let namespaces = objects::namespaces(self.count);
        let yaml: String = namespaces
            .iter()
            .map(|name| format!("\n---\n{{apiVersion: v1, kind: Namespace, metadata: {{name: {name}}}}}"))
            .collect();
        apply::apply_yaml(&self.client, &(config + &yaml)).await.unwrap();
        for objects in [objects::deployments(self.count), objects::policies(self.count)] {
            apply::create_many(&self.client, &objects, AT_ONCE).await.unwrap();
        }
    }

    /// Starts the operator.
    pub fn operator(&self) -> Operator {
        let file = |name: &str| self.cluster.dir().join(name).display().to_string();
        let command = [
            &self.program.display().to_string(),
            "run",
            "--log-format=json",
            &format!("--journal={}", file("journal")),
            &format!("--work-dir={}", file("git")),
            &format!("--listen=127.0.0.1:{}", self.operator_port),
        ];
        let spec = Spec {
            command: command.iter().map(Into::into).collect(),
            env: BTreeMap::from([("KUBECONFIG".into(), self.kubeconfig.display().to_string())]),
            log: self.cluster.dir().join("operator.log"),
            kill: false,
        };
        Operator {
            process: Guarded::start(self.cluster.binaries(), &spec).unwrap(),
            port: self.operator_port,
        }
    }

    /// Whether every policy says how it fares: it decides, or has no data.
    pub fn all_settled(&self, rows: &Rows) -> bool {
        rows.len() > self.count && self.unsettled(rows).is_empty()
    }

    /// Some of the policies that do not say yet how they fare.
    pub fn unsettled<'a>(&self, rows: &'a Rows) -> Vec<(&'a String, &'a (String, String))> {
        let names = (0..self.count).map(|i| (objects::name(i), objects::is_broken(i)));
        let names = names.chain([(QUICK.to_owned(), false)]);
        let open = names.filter_map(|(name, broken)| {
            let (key, said) = rows.get_key_value(&name)?;
            let (status, reason) = said;
            let looks_around = LOOKING.contains(&reason.as_str());
            (looks_around || (status == "True") == broken).then_some((key, said))
        });
        open.take(20).collect()
    }

    /// How many requests that write the API server has answered; Leases are renewed all the time and do not count.
    pub async fn api_writes(&self) -> f64 {
        let request = http::Request::get("/metrics").body(Vec::new()).unwrap();
        let text = self.client.request_text(request).await.unwrap();
        sum(&text, |series| {
            let reads = [r#"verb="GET""#, r#"verb="LIST""#, r#"verb="WATCH""#];
            series.starts_with("apiserver_request_total{")
                && !series.contains(r#"resource="leases""#)
                && !reads.iter().any(|verb| series.contains(verb))
        })
    }

    /// How many requests for data Prometheus has answered.
    pub async fn prometheus_requests(&self) -> f64 {
        let url = format!("{}/metrics", self.prometheus.url());
        let text = reqwest::get(url).await.unwrap().text().await.unwrap();
        sum(&text, |series| {
            series.starts_with("prometheus_http_requests_total{") && series.contains(r#"handler="/api/v1/"#)
        })
    }
}

/// The operator as a process.
pub struct Operator {
    pub process: Guarded,
    port: u16,
}

impl Operator {
    /// The sum of all series of one of its metrics.
    pub async fn counter(&self, name: &str) -> f64 {
        let url = format!("http://127.0.0.1:{}/metrics", self.port);
        let text = reqwest::get(url).await.unwrap().text().await.unwrap();
        sum(&text, |series| {
            series == name || series.strip_prefix(name).is_some_and(|rest| rest.starts_with('{'))
        })
    }
}

/// The sum of the series of an exposition that are meant.
fn sum(text: &str, meant: impl Fn(&str) -> bool) -> f64 {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let values = lines
        .filter_map(|line| line.rsplit_once(' '))
        .filter(|(series, _)| meant(series));
    values.filter_map(|(_, value)| value.parse::<f64>().ok()).sum()
}

/// The workloads as often as they are asked for, the one of which the reaction is measured every second, and the operator as often
/// as is usual.
fn config(load: &str, operator_port: u16) -> String {
    let job = |name: &str, path: &str, interval: &str, target: &str| {
        format!(
            "- {{job_name: {name}, metrics_path: {path}, scrape_interval: {interval}, scrape_timeout: {interval}, \
             static_configs: [{{targets: ['{target}']}}]}}\n"
        )
    };
    "scrape_configs:\n".to_owned()
        + &job("load", "/metrics", "15s", load)
        + &job("quick", "/quick", "1s", load)
        + &job("operator", "/metrics", "30s", &format!("127.0.0.1:{operator_port}"))
}
