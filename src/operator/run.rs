//! `homeostat run`: everything that lives as long as the process, and one term after the other.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use kube::{Client, Config};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::http::{self, Probes};
use super::journal::{Bounds, Destination, JournalError};
use super::term::{self, End, Surroundings};
use crate::core::lease::LeaseConfig;
use crate::core::names::ObjectKey;
use crate::core::time::Span;
use crate::core::world::OwnIdentity;
use crate::edge::clock;
use crate::edge::kube::events::Notices;
use crate::edge::kube::lease::contend;
use crate::telemetry::metrics::{BuildLabels, Metrics};

/// Name of the Lease.
pub const LEASE: &str = "homeostat";
/// Tasks that have not ended this long after the signal are left behind.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(10);

/// How the operator runs.
#[derive(Clone, Debug)]
pub struct Options {
    /// Its own namespace: where its Lease and its Secrets are.
    pub namespace: String,
    /// The name of its pod, distinct among replicas.
    pub pod_name: String,
    /// The node that it runs on.
    pub node_name: Option<String>,
    /// Where probes and metrics are served.
    pub listen: SocketAddr,
    /// Where the journal goes.
    pub journal: Destination,
    /// How much is written and kept of it.
    pub journal_bounds: Bounds,
    /// Where repositories are kept.
    pub work_dir: PathBuf,
    /// Leader election: how long an abandoned Lease counts.
    pub lease_duration: Span,
}

/// Why the operator ended.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// There is no usable configuration for the API server.
    #[error("no Kubernetes configuration: {0}; run in a cluster, or set KUBECONFIG")]
    Config(#[source] Box<kube::Error>),
    /// The client could not be made.
    #[error("no Kubernetes client: {0}")]
    Client(#[source] Box<kube::Error>),
    /// The address of probes and metrics is taken.
    #[error("cannot listen on {address}: {source}; choose another with --listen")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The journal's folder cannot be made.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// Signals cannot be received.
    #[error("signals cannot be received: {0}")]
    Signal(std::io::Error),
}

/// Runs until SIGTERM or SIGINT.
///
/// # Errors
/// See [`RunError`].
pub async fn run(options: Options) -> Result<(), RunError> {
    let config = Config::infer()
        .await
        .map_err(|e| RunError::Config(Box::new(kube::Error::InferConfig(e))))?;
    run_with(config, options).await
}

/// Runs with a given configuration of the client; see [`run`].
///
/// # Errors
/// See [`RunError`].
pub async fn run_with(mut config: Config, options: Options) -> Result<(), RunError> {
    // kube would try again by itself for minutes, evictions that a PodDisruptionBudget forbids among them.
    config.default_retry = false;
    config.connect_timeout = Some(Duration::from_secs(5));
    let client = Client::try_from(config.clone()).map_err(|e| RunError::Client(Box::new(e)))?;
    let shutdown = CancellationToken::new();
    cancel_on_signals(&shutdown)?;
    let metrics = Metrics::default();
    metrics
        .build_info
        .get_or_create(&BuildLabels {
            version: env!("CARGO_PKG_VERSION").into(),
        })
        .set(1);
    let probes = Probes::default();
    let address = http::serve(options.listen, metrics.clone(), probes.clone(), shutdown.clone())
        .await
        .map_err(|source| RunError::Listen {
            address: options.listen,
            source,
        })?;
    tracing::info!(%address, version = env!("CARGO_PKG_VERSION"), pod = options.pod_name, "homeostat is up");

    let identity = format!("{}_{:x}", options.pod_name, clock_salt());
    // The Lease is released only after the last term has ended: nobody may lead while this replica still acts.
    let released = CancellationToken::new();
    let periods = lease_periods(options.lease_duration);
    let (leadership, election) = contend(
        client.clone(),
        &options.namespace,
        LEASE,
        &identity,
        periods,
        released.clone(),
    );
    probes.tell_leadership(leadership.clone());
    let told = CancellationToken::new();
    let (notices, telling) = Notices::spawn(client.clone(), &options.pod_name, metrics.clone(), told.clone());
    let surroundings = Surroundings {
        config,
        notices,
        client,
        leadership,
        metrics,
        probes,
        own: OwnIdentity {
            pod: ObjectKey::new(&options.namespace, &options.pod_name),
            node: options.node_name.clone(),
        },
        namespace: options.namespace,
        journal: options.journal,
        journal_bounds: options.journal_bounds,
        work_dir: options.work_dir,
    };
    loop {
        match term::run(&surroundings, shutdown.child_token()).await? {
            End::Shutdown => break,
            End::LostLeadership => tracing::warn!("leadership was lost: observing anew"),
        }
    }
    told.cancel();
    released.cancel();
    let _ = tokio::time::timeout(SHUTDOWN_LIMIT, async { tokio::join!(election, telling) }).await;
    tracing::info!("ended");
    Ok(())
}

/// The renew deadline is two thirds of the duration and the retry period two fifteenths, as in client-go's defaults.
fn lease_periods(duration: Span) -> LeaseConfig {
    let millis = duration.as_millis();
    LeaseConfig {
        duration,
        renew_deadline: Span::from_millis(millis * 2 / 3),
        retry: Span::from_millis(millis * 2 / 15),
    }
}

/// Tells two processes of one pod name apart.
fn clock_salt() -> i64 {
    clock::now().as_millis() & 0xff_ffff
}

fn cancel_on_signals(shutdown: &CancellationToken) -> Result<(), RunError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(RunError::Signal)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(RunError::Signal)?;
    let shutdown = shutdown.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("shutting down");
        shutdown.cancel();
    });
    Ok(())
}
