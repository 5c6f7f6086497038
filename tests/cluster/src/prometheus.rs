//! A real Prometheus.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::binaries::{self, Binaries};
use crate::guarded::{Guarded, Spec};
use crate::{Error, Result, port, wait};

/// What Prometheus scrapes.
#[derive(Clone, Debug)]
pub struct Options {
    /// How often.
    pub interval: Duration,
    /// Jobs and their targets (`host:port`).
    pub jobs: Vec<(String, Vec<String>)>,
}

/// A running Prometheus; stops when dropped.
pub struct Prometheus {
    binaries: Binaries,
    dir: TempDir,
    port: u16,
    process: Option<Guarded>,
}

impl Prometheus {
    /// Starts Prometheus and waits until it is ready.
    ///
    /// # Errors
    /// It is not installed or does not come up.
    pub async fn start(binaries: &Binaries, options: &Options) -> Result<Self> {
        let interval = options.interval.as_millis();
        let mut config = format!(
            "global: {{scrape_interval: {interval}ms, scrape_timeout: {interval}ms, evaluation_interval: {interval}ms}}\nscrape_configs:\n"
        );
        for (job, targets) in &options.jobs {
            let targets = targets.iter().map(|t| format!("'{t}'")).collect::<Vec<_>>().join(", ");
            let _ = writeln!(
                config,
                "- job_name: {job}\n  static_configs: [{{targets: [{targets}]}}]"
            );
        }
        Self::with_config(binaries, &config).await
    }

    /// The same by a configuration of its own (`prometheus.yml`).
    ///
    /// # Errors
    /// It is not installed or does not come up.
    pub async fn with_config(binaries: &Binaries, config: &str) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("homeostat-prometheus-").tempdir();
        let dir = dir.map_err(|e| Error::new("make a folder", e))?;
        fs::write(dir.path().join("prometheus.yml"), config).map_err(|e| Error::new("write prometheus.yml", e))?;
        let mut prometheus = Self {
            binaries: binaries.clone(),
            dir,
            port: port::free()?,
            process: None,
        };
        prometheus.start_again().await?;
        Ok(prometheus)
    }

    /// Starts it again after [`Self::stop`], on its old port and data.
    ///
    /// # Errors
    /// It does not come up.
    pub async fn start_again(&mut self) -> Result<()> {
        let program: PathBuf = binaries::find("prometheus", "prometheus")?;
        let file = |name: &str| self.dir.path().join(name).display().to_string();
        let command = vec![
            program.into(),
            format!("--config.file={}", file("prometheus.yml")).into(),
            format!("--storage.tsdb.path={}", file("data")).into(),
            format!("--web.listen-address=127.0.0.1:{}", self.port).into(),
            "--web.enable-lifecycle".into(),
            "--log.level=warn".into(),
        ];
        let spec = Spec {
            command,
            log: self.dir.path().join("prometheus.log"),
            kill: true,
            ..Spec::default()
        };
        self.process = Some(Guarded::start(&self.binaries, &spec)?);
        let url = format!("{}/-/ready", self.url());
        let ready = || async { reqwest::get(&url).await.ok().filter(|r| r.status().is_success()) };
        wait::until("Prometheus", Duration::from_mins(1), ready)
            .await
            .map(|_| ())
            .map_err(|e| {
                let log = self.process.as_ref().map(Guarded::log_tail).unwrap_or_default();
                Error::new(e, log)
            })
    }

    /// Kills it.
    pub fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill();
        }
    }

    /// It hangs: connections are accepted and nothing is answered.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// It goes on.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        if let Some(process) = &self.process {
            process.signal(signal);
        }
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        self.resume();
    }
}
