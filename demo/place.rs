//! Where the demo plays: a control plane of its own, or an existing cluster that a kubeconfig context names. In the latter,
//! its kwok handles the demo's own fake nodes and no others.

use std::fs;
use std::path::{Path, PathBuf};

use homeostat_cluster::binaries::{self, Binaries};
use homeostat_cluster::guarded::{Guarded, Spec};
use homeostat_cluster::{Cluster, Error, Options, Result, port};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::{Api, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

/// The label by which the demo's nodes are known: that of its one pool.
pub const NODES: &str = "homeostat.dev/pool=shop.small";

/// A cluster with the demo's fake nodes alive.
pub struct Place {
    /// With the rights of whoever runs the demo.
    pub client: Client,
    /// The same, as a file.
    pub kubeconfig: PathBuf,
    /// What the harness runs.
    pub binaries: Binaries,
    config: Kubeconfig,
    kwok: Option<Guarded>,
    cluster: Option<Cluster>,
}

impl Place {
    /// A control plane that exists only for the demo.
    ///
    /// # Errors
    /// It does not come up.
    pub async fn own() -> Result<Self> {
        let cluster = Cluster::start(Options::default()).await?;
        let kubeconfig = cluster.kubeconfig();
        let config = Kubeconfig::read_from(&kubeconfig).map_err(|e| Error::new(kubeconfig.display(), e))?;
        Ok(Self {
            client: cluster.client()?,
            kubeconfig,
            binaries: cluster.binaries().clone(),
            config,
            kwok: None,
            cluster: Some(cluster),
        })
    }

    /// The cluster that a context of the user's kubeconfig names; files go to `dir`.
    ///
    /// # Errors
    /// There is no such context, or the cluster does not answer.
    pub async fn existing(context: &str, dir: &Path) -> Result<Self> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let all = Kubeconfig::read().map_err(|e| Error::new("read the kubeconfig", e))?;
        if !all.contexts.iter().any(|c| c.name == context) {
            let known: Vec<&str> = all.contexts.iter().map(|c| c.name.as_str()).collect();
            let known = known.join(", ");
            return Err(Error(format!(
                "the kubeconfig has no context `{context}`; it has: {known}"
            )));
        }
        let config = Kubeconfig {
            current_context: Some(context.to_owned()),
            ..all
        };
        let kubeconfig = dir.join("kubeconfig");
        write(&kubeconfig, &config)?;
        let client = client(&config).await?;
        let version = client.apiserver_version().await;
        version.map_err(|e| Error::new(format!("the cluster of context `{context}`"), e))?;
        let binaries = tokio::task::spawn_blocking(binaries::ensure)
            .await
            .map_err(|e| Error::new("build", e))??;
        Ok(Self {
            client,
            kubeconfig,
            binaries,
            config,
            kwok: None,
            cluster: None,
        })
    }

    /// Lets kwok look after the demo's nodes, where the cluster's own does not.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start_kwok(&mut self, dir: &Path) -> Result<()> {
        if self.cluster.is_some() {
            return Ok(());
        }
        let stages = homeostat_cluster::root().join("tests/cluster/stages");
        let mut command = vec![
            self.binaries.kwok.clone().into(),
            format!("--kubeconfig={}", self.kubeconfig.display()).into(),
            format!("--manage-nodes-with-label-selector={NODES}").into(),
            "--node-lease-duration-seconds=40".into(),
            format!("--server-address=127.0.0.1:{}", port::free()?).into(),
        ];
        command.extend(
            ["node", "node-chaos", "pod", "pod-chaos"]
                .map(|s| format!("--config={}/{s}.yaml", stages.display()).into()),
        );
        let spec = Spec {
            command,
            log: dir.join("kwok.log"),
            kill: true,
            ..Spec::default()
        };
        self.kwok = Some(Guarded::start(&self.binaries, &spec)?);
        Ok(())
    }

    /// A kubeconfig, written to `dir`, with the rights of a ServiceAccount and nothing more.
    ///
    /// # Errors
    /// The ServiceAccount does not exist, or the file cannot be written.
    pub async fn kubeconfig_for(&self, namespace: &str, account: &str, dir: &Path) -> Result<PathBuf> {
        let what = format!("token of {namespace}/{account}");
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client.clone(), namespace);
        let spec = TokenRequestSpec {
            expiration_seconds: Some(86_400),
            ..TokenRequestSpec::default()
        };
        let request = TokenRequest {
            spec: Some(spec),
            ..TokenRequest::default()
        };
        let params = PostParams::default();
        let answer = accounts.create_token_request(account, &params, &request).await;
        let answer = answer.map_err(|e| Error::new(&what, e))?;
        let token = answer.status.and_then(|s| s.token);
        let token = token.ok_or_else(|| Error::new(&what, "the API server gave none"))?;
        let context = self
            .config
            .contexts
            .iter()
            .find(|c| Some(&c.name) == self.config.current_context.as_ref());
        let cluster = context.and_then(|c| c.context.as_ref()).map(|c| c.cluster.clone());
        let cluster = self.config.clusters.iter().find(|c| Some(&c.name) == cluster.as_ref());
        let cluster = cluster.ok_or_else(|| Error("the kubeconfig's context names no cluster".into()))?;
        let config = serde_json::json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "homeostat",
            "clusters": [{"name": "demo", "cluster": cluster.cluster}],
            "users": [{"name": "homeostat", "user": {"token": token}}],
            "contexts": [{"name": "homeostat", "context": {"cluster": "demo", "user": "homeostat"}}],
        });
        let path = dir.join(format!("{account}.kubeconfig"));
        write(&path, &config)?;
        Ok(path)
    }

    /// Kwok no longer looks after the demo's nodes.
    pub fn stop_kwok(&mut self) {
        self.kwok = None;
    }
}

async fn client(config: &Kubeconfig) -> Result<Client> {
    let err = |e: String| Error::new("the kubeconfig", e);
    let config = Config::from_custom_kubeconfig(config.clone(), &KubeConfigOptions::default()).await;
    let mut config = config.map_err(|e| err(e.to_string()))?;
    config.default_retry = false;
    Client::try_from(config).map_err(|e| err(e.to_string()))
}

/// JSON is YAML too.
fn write(path: &Path, config: &impl serde::Serialize) -> Result<()> {
    let text = serde_json::to_vec(config).map_err(|e| Error::new(path.display(), e))?;
    fs::write(path, text).map_err(|e| Error::new(path.display(), e))
}
