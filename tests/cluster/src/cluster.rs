//! A control plane of its own: etcd, API server, controller manager, scheduler, kwok.

mod components;
mod config;
mod front_proxy;

use std::path::{Path, PathBuf};
use std::time::Duration;

use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use kube::Client;
use kube::api::{Api, PostParams};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::binaries::{self, Binaries};
use crate::guarded::{Guarded, Spec, tail};
use crate::{Error, Result, aggregation, port, wait};

pub use components::Component;

/// How a cluster is started.
#[derive(Clone, Debug)]
pub struct Options {
    /// Further flags of the controller manager, such as `--node-monitor-grace-period=10s`.
    pub controller_manager: Vec<String>,
    /// Whether kwok runs: fake nodes and pods come to life.
    pub kwok: bool,
    /// The users whose every request the API server writes to [`Cluster::audit_log`].
    pub audited: Vec<String>,
    /// Whether metrics-server runs, on what kwok says that pods use (`stages/metrics.yaml`).
    pub metrics: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            controller_manager: Vec::new(),
            kwok: true,
            audited: Vec::new(),
            metrics: false,
        }
    }
}

/// A running cluster. Dropping it stops it and removes its folder; the folder stays when `KEEP_LOGS` is set or the thread
/// is panicking.
pub struct Cluster {
    binaries: Binaries,
    options: Options,
    ports: components::Ports,
    running: Vec<(Component, Guarded)>,
    client: Option<Client>,
    dir: Option<TempDir>,
    path: PathBuf,
}

impl Cluster {
    /// Starts a cluster and waits until it is usable: the API server is ready, service accounts are being made.
    ///
    /// # Errors
    /// A component does not come up; the error has the end of its log.
    pub async fn start(options: Options) -> Result<Self> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let metrics = options.metrics;
        let built = tokio::task::spawn_blocking(move || {
            let mut binaries = binaries::ensure()?;
            if metrics {
                binaries.metrics_server = Some(binaries::metrics_server()?);
            }
            Ok(binaries)
        });
        let binaries = built.await.map_err(|e| Error::new("build", e))??;
        let dir = tempfile::Builder::new().prefix("homeostat-cluster-").tempdir();
        let dir = dir.map_err(|e| Error::new("make a folder", e))?;
        let path = dir.path().to_owned();
        let ports = components::Ports {
            etcd: port::free()?,
            peer: port::free()?,
            api: port::free()?,
            kwok: port::free()?,
            metrics: port::free()?,
        };
        config::write_keys_and_tokens(&binaries, &path)?;
        front_proxy::write(&path)?;
        if !options.audited.is_empty() {
            config::write_audit_policy(&path, &options.audited)?;
        }
        let mut cluster = Self {
            binaries,
            options,
            ports,
            running: Vec::new(),
            client: None,
            dir: Some(dir),
            path,
        };
        cluster.boot().await?;
        Ok(cluster)
    }

    async fn boot(&mut self) -> Result<()> {
        self.launch(Component::Etcd)?;
        self.launch(Component::ApiServer)?;
        let ca = self.ca_file();
        let serving = "the API server's certificate";
        wait::until(serving, Duration::from_mins(1), || async { ca.exists().then_some(()) })
            .await
            .map_err(|e| self.explain(Component::ApiServer, &e))?;
        for (name, token) in config::IDENTITIES {
            config::write_kubeconfig(&self.kubeconfig_path(name), &self.url(), &ca, token)?;
        }
        self.client = Some(config::client(&self.kubeconfig()).await?);
        self.wait_ready().await?;
        self.launch(Component::ControllerManager)?;
        self.launch(Component::Scheduler)?;
        if self.options.kwok {
            self.launch(Component::Kwok)?;
        }
        if self.options.metrics {
            self.launch(Component::MetricsServer)?;
            aggregation::register(&self.client()?, "metrics.k8s.io", "v1beta1", self.ports.metrics)
                .await
                .map_err(|e| self.explain(Component::MetricsServer, &e))?;
        }
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client()?, "default");
        wait::until("the default ServiceAccount", Duration::from_mins(1), || async {
            accounts.get_opt("default").await.ok().flatten()
        })
        .await
        .map_err(|e| self.explain(Component::ControllerManager, &e))?;
        Ok(())
    }

    fn launch(&mut self, component: Component) -> Result<()> {
        let command = component.command(&self.binaries, &self.path, self.ports, &self.options);
        let log = self.path.join(format!("{}.log", component.name()));
        // A terminated API server lingers for up to a minute while watches are open: it is killed.
        let kill = !matches!(component, Component::Etcd);
        let started = Guarded::start(
            &self.binaries,
            &Spec {
                command,
                log,
                kill,
                ..Spec::default()
            },
        )?;
        self.running.push((component, started));
        Ok(())
    }

    async fn wait_ready(&self) -> Result<()> {
        let namespaces: Api<Namespace> = Api::all(self.client()?);
        let ready = || async { namespaces.get_opt("default").await.ok().flatten() };
        wait::until("the API server", Duration::from_secs(90), ready)
            .await
            .map(|_| ())
            .map_err(|e| self.explain(Component::ApiServer, &e))
    }

    fn explain(&self, component: Component, error: &Error) -> Error {
        let log = self.path.join(format!("{}.log", component.name()));
        Error::new(error, format!("\n{}", tail(&log)))
    }

    /// A client with every right.
    ///
    /// # Errors
    /// The cluster has not come up.
    pub fn client(&self) -> Result<Client> {
        self.client.clone().ok_or_else(|| Error("the cluster is not up".into()))
    }

    /// Where the API server is.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.ports.api)
    }

    /// The certificate that clients trust.
    #[must_use]
    pub fn ca_file(&self) -> PathBuf {
        self.path.join("certs/apiserver.crt")
    }

    /// The folder with data and logs.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.path
    }

    /// What audited users asked of the API server, one JSON object a line; written before each answer is sent.
    #[must_use]
    pub fn audit_log(&self) -> PathBuf {
        self.path.join("audit.log")
    }

    /// The programs that it runs.
    #[must_use]
    pub fn binaries(&self) -> &Binaries {
        &self.binaries
    }

    /// A kubeconfig with every right.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.kubeconfig_path("admin")
    }

    fn kubeconfig_path(&self, name: &str) -> PathBuf {
        self.path.join(format!("{name}.kubeconfig"))
    }

    /// A token of a ServiceAccount, good for a day.
    ///
    /// # Errors
    /// The ServiceAccount does not exist.
    pub async fn token_for(&self, namespace: &str, account: &str) -> Result<String> {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client()?, namespace);
        let spec = TokenRequestSpec {
            expiration_seconds: Some(86_400),
            ..TokenRequestSpec::default()
        };
        let request = TokenRequest {
            spec: Some(spec),
            ..TokenRequest::default()
        };
        let answer = accounts
            .create_token_request(account, &PostParams::default(), &request)
            .await;
        let answer = answer.map_err(|e| Error::new(format!("token of {namespace}/{account}"), e))?;
        answer
            .status
            .and_then(|s| s.token)
            .ok_or_else(|| Error("the API server gave no token".into()))
    }

    /// A kubeconfig with the rights of a ServiceAccount.
    ///
    /// # Errors
    /// The ServiceAccount does not exist.
    pub async fn kubeconfig_for(&self, namespace: &str, account: &str) -> Result<PathBuf> {
        let token = self.token_for(namespace, account).await?;
        let path = self.kubeconfig_path(&format!("{namespace}-{account}"));
        config::write_kubeconfig(&path, &self.url(), &self.ca_file(), &token)?;
        Ok(path)
    }

    /// Kills a component.
    pub fn stop(&mut self, component: Component) {
        self.running.retain_mut(|(running, process)| {
            if *running == component {
                process.kill();
            }
            *running != component
        });
    }

    /// Starts a stopped component again, on its old port and data.
    ///
    /// # Errors
    /// It does not come up.
    pub async fn start_again(&mut self, component: Component) -> Result<()> {
        self.launch(component)?;
        if component == Component::ApiServer {
            self.wait_ready().await
        } else {
            Ok(())
        }
    }

    /// Stops a component's clock: it hangs.
    pub fn pause(&self, component: Component) {
        self.signal(component, Signal::STOP);
    }

    /// Lets a paused component go on.
    pub fn resume(&self, component: Component) {
        self.signal(component, Signal::CONT);
    }

    fn signal(&self, component: Component, signal: Signal) {
        for (_, process) in self.running.iter().filter(|(running, _)| *running == component) {
            process.signal(signal);
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // What writes goes before what it writes to.
        while let Some((component, mut process)) = self.running.pop() {
            self.signal(component, Signal::CONT);
            process.kill();
        }
        if (std::thread::panicking() || std::env::var_os("KEEP_LOGS").is_some())
            && let Some(dir) = self.dir.take()
        {
            eprintln!("the cluster's logs are in {}", dir.keep().display());
        }
    }
}
