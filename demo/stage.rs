//! Everything that must stand before the story begins: definitions, rights, Prometheus, the repository, the operator.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use homeostat::api::all_crds;
use homeostat_cluster::guarded::{Guarded, Spec};
use homeostat_cluster::{Error, Prometheus, Result, binaries, objects, port, prometheus, root, wait};
use kube::{Client, ResourceExt};
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::leftovers::Before;
use crate::load::Load;
use crate::place::Place;
use crate::repository::Repository;

/// How long anything may take to come up.
const LIMIT: Duration = Duration::from_mins(2);

/// What stands. Whatever of it is there is taken down by [`Stage::clear`], however the story ended.
pub struct Stage {
    dir: TempDir,
    place: Option<Place>,
    before: Option<Before>,
    prometheus: Option<Prometheus>,
    operator: Option<Guarded>,
    repository: Option<Repository>,
}

impl Stage {
    /// An empty one.
    ///
    /// # Errors
    /// No folder can be made.
    pub fn new() -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("homeostat-demo-").tempdir();
        Ok(Self {
            dir: dir.map_err(|e| Error::new("make a folder", e))?,
            place: None,
            before: None,
            prometheus: None,
            operator: None,
            repository: None,
        })
    }

    /// Builds it up, step by step; `say` is told of each.
    ///
    /// # Errors
    /// Something does not come up, or is in the way.
    pub async fn set(
        &mut self,
        context: Option<&str>,
        load: &Load,
        tasks: &mut JoinSet<()>,
        say: &impl Fn(&str),
    ) -> Result<()> {
        let operator = tokio::task::spawn_blocking(binaries::operator)
            .await
            .map_err(|e| Error::new("build", e))??;
        let mut place = self.find_place(context, say).await?;
        place.start_kwok(self.dir.path())?;
        let place = self.place.insert(place);
        install(&place.client, self.before.as_ref()).await?;
        say("Homeostat's definitions, ServiceAccount and rights are applied");

        let exporter = load.serve(tasks).await?;
        let metrics = port::free()?;
        self.prometheus = Some(start_prometheus(place, [("shop", exporter), ("homeostat", metrics)]).await?);
        say("Prometheus is up and scrapes the shop");

        let kubeconfig = place
            .kubeconfig_for("homeostat-system", "homeostat", self.dir.path())
            .await?;
        let running = start_operator(place, &operator, &kubeconfig, self.dir.path(), metrics)?;
        let running = self.operator.insert(running);
        let url = format!("http://127.0.0.1:{metrics}/readyz");
        let ready = || async { reqwest::get(&url).await.ok().filter(|r| r.status().is_success()) };
        let ready = wait::until("the operator", LIMIT, ready).await;
        ready.map_err(|e| Error::new(e, format!("\n{}", running.log_tail())))?;
        say("the operator runs, with the rights of ServiceAccount homeostat-system/homeostat and no others");

        let shop = root().join("examples/shop");
        self.repository = Some(Repository::create(self.dir.path(), &shop)?);
        say("examples/shop is pushed to a new Git repository");
        Ok(())
    }

    async fn find_place(&mut self, context: Option<&str>, say: &impl Fn(&str)) -> Result<Place> {
        if let Some(context) = context {
            let place = Place::existing(context, self.dir.path()).await?;
            self.before = Some(Before::look(&place.client).await?);
            say(&format!(
                "the cluster of context {context} answers, and nothing is in the way"
            ));
            Ok(place)
        } else {
            let place = Place::own().await?;
            say("the control plane is up: etcd, API server, controller manager, scheduler");
            Ok(place)
        }
    }

    /// Applies the shop's namespace, its ServiceAccount and the GitSource, as a platform team would.
    ///
    /// # Errors
    /// The API server refuses something.
    pub async fn bootstrap(&self) -> Result<()> {
        let client = self.client()?;
        for file in ["namespace", "account", "gitsource"] {
            let path = root().join(format!("examples/shop/bootstrap/{file}.yaml"));
            let text = std::fs::read_to_string(&path).map_err(|e| Error::new(path.display(), e))?;
            let text = text.replace("https://git.example.com/shop/deploy.git", &self.repository()?.url());
            objects::apply_yaml(&client, &text).await?;
        }
        Ok(())
    }

    /// A client with the rights of whoever runs the demo.
    ///
    /// # Errors
    /// The stage is not set.
    pub fn client(&self) -> Result<Client> {
        self.place.as_ref().map(|p| p.client.clone()).ok_or_else(unset)
    }

    /// The repository.
    ///
    /// # Errors
    /// The stage is not set.
    pub fn repository(&self) -> Result<&Repository> {
        self.repository.as_ref().ok_or_else(unset)
    }

    /// Where the operator writes its journal.
    #[must_use]
    pub fn journal(&self) -> PathBuf {
        self.dir.path().join("journal")
    }

    /// The end of the operator's log, for when something went wrong.
    #[must_use]
    pub fn operator_log(&self) -> Option<String> {
        self.operator.as_ref().map(Guarded::log_tail)
    }

    /// How to look around while everything is left running.
    #[must_use]
    pub fn how_to_look(&self, context: Option<&str>) -> String {
        let kubectl = match (context, &self.place) {
            (Some(context), _) => format!("kubectl config use-context {context}"),
            (None, Some(place)) => format!("export KUBECONFIG={}", place.kubeconfig.display()),
            (None, None) => String::new(),
        };
        let homeostat = binaries::operator()
            .map(|path| path.display().to_string())
            .unwrap_or_default();
        let journal = self.journal().display().to_string();
        let clone = self.repository.as_ref().map(|r| r.clone_dir().display().to_string());
        let mut lines = vec![
            kubectl,
            "kubectl get homeostat -A".into(),
            "kubectl get scalingpolicies -A -w".into(),
            "kubectl get deployments,pods,services -n shop; kubectl get nodes".into(),
            format!("{homeostat} explain scalingpolicy/checkout -n shop --journal {journal}"),
            format!("{homeostat} explain nodepoolpolicy/shop --journal {journal}"),
            format!("{homeostat} explain healingpolicy/shop -n shop --journal {journal}"),
            format!(
                "cd {}   # commit and push to change the shop",
                clone.unwrap_or_default()
            ),
        ];
        if let Some(prometheus) = &self.prometheus {
            lines.push(format!("Prometheus: {}", prometheus.url()));
        }
        if let Some(operator) = &self.operator {
            lines.push(format!("the operator's log: {}", operator.log().display()));
        }
        format!("  {}\n", lines.join("\n  "))
    }

    /// Takes everything down: processes end, and in an existing cluster everything that was made is removed. `nodes` are all
    /// that there ever were.
    ///
    /// # Errors
    /// Something is still there.
    pub async fn clear(mut self, nodes: BTreeSet<String>, say: &impl Fn(&str)) -> Result<()> {
        // First who would make things again.
        if let Some(mut operator) = self.operator.take() {
            let _ = tokio::task::spawn_blocking(move || operator.terminate(Duration::from_secs(15))).await;
        }
        self.prometheus = None;
        if std::env::var_os("KEEP_LOGS").is_some() {
            self.dir.disable_cleanup(true);
            say(&format!("logs and journal are in {}", self.dir.path().display()));
        }
        if let Some(before) = self.before.take() {
            say("removing what the demo made from the cluster");
            before.restore(nodes).await?;
            say("nothing is left behind");
        }
        if let Some(mut place) = self.place.take() {
            place.stop_kwok();
            let _ = tokio::task::spawn_blocking(move || drop(place)).await;
        }
        Ok(())
    }
}

fn unset() -> Error {
    Error("the stage is not set".into())
}

async fn install(client: &Client, before: Option<&Before>) -> Result<()> {
    for crd in all_crds() {
        let name = crd.name_any();
        if before.is_some_and(|before| before.has_crd(&name)) {
            continue;
        }
        let text = serde_json::to_string(&crd).map_err(|e| Error::new(&name, e))?;
        objects::apply_yaml(client, &text).await?;
    }
    for file in ["namespace", "rbac"] {
        let path = root().join(format!("manifests/base/{file}.yaml"));
        let text = std::fs::read_to_string(&path).map_err(|e| Error::new(path.display(), e))?;
        objects::apply_yaml(client, &text).await?;
    }
    Ok(())
}

fn start_operator(place: &Place, program: &Path, kubeconfig: &Path, dir: &Path, port: u16) -> Result<Guarded> {
    let file = |name: &str| dir.join(name).display().to_string();
    let arguments = [
        "run".into(),
        "--pod-name=homeostat-demo".into(),
        format!("--listen=127.0.0.1:{port}"),
        format!("--journal={}", file("journal")),
        format!("--work-dir={}", file("git")),
    ];
    let mut command = vec![program.into()];
    command.extend(arguments.iter().map(Into::into));
    let spec = Spec {
        command,
        env: BTreeMap::from([("KUBECONFIG".into(), kubeconfig.display().to_string())]),
        log: dir.join("operator.log"),
        kill: false,
    };
    Guarded::start(&place.binaries, &spec)
}

/// Prometheus, scraping these jobs; the operator learns of it.
async fn start_prometheus(place: &Place, jobs: [(&str, u16); 2]) -> Result<Prometheus> {
    let options = prometheus::Options {
        interval: Duration::from_secs(1),
        jobs: jobs
            .map(|(job, port)| (job.into(), vec![format!("127.0.0.1:{port}")]))
            .into(),
    };
    let prometheus = Prometheus::start(&place.binaries, &options).await?;
    let config = format!(
        "{{apiVersion: homeostat.dev/v1alpha1, kind: OperatorConfig, metadata: {{name: default}},
  spec: {{prometheus: [{{name: default, url: '{}'}}]}}}}",
        prometheus.url()
    );
    objects::apply_yaml(&place.client, &config).await?;
    Ok(prometheus)
}
