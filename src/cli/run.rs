//! `homeostat run`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args as ClapArgs;

use crate::core::time::Span;
use crate::operator::journal::{Bounds, Destination};
use crate::operator::run::{Options, RunError, run as operate};
use crate::telemetry::logs::{Format, init};

/// How long blocking work may take after all else has ended.
const LAST_GRACE: Duration = Duration::from_millis(500);

/// Run the operator until SIGTERM.
///
/// It speaks to the API server by the service account of its pod, or by KUBECONFIG. Of several replicas one leads and acts;
/// the others observe and take over when it goes.
#[derive(Debug, ClapArgs)]
#[command(
    after_help = "Example:\n  KUBECONFIG=~/.kube/config homeostat run --namespace homeostat-system --journal ./journal"
)]
pub struct Args {
    /// The operator's own namespace: its Lease and its Secrets are there.
    #[arg(long, env = "POD_NAMESPACE", default_value = "homeostat-system")]
    namespace: String,
    /// The name of its pod, distinct among replicas.
    #[arg(long, env = "POD_NAME", default_value = "homeostat")]
    pod_name: String,
    /// The node that it runs on, which it never removes.
    #[arg(long, env = "NODE_NAME")]
    node_name: Option<String>,
    /// Where /healthz, /readyz and /metrics are served.
    #[arg(long, default_value = "0.0.0.0:8080")]
    listen: SocketAddr,
    /// Where the journal goes: `none`, `stdout`, or a folder.
    #[arg(long, default_value = "none")]
    journal: String,
    /// Megabytes of journal an hour at most, compressed as it is.
    #[arg(long, default_value_t = 256)]
    journal_mb_per_hour: u64,
    /// Folder for copies of repositories.
    #[arg(long, default_value = "/tmp/homeostat")]
    work_dir: PathBuf,
    /// How long an abandoned Lease counts, 3s to 5m.
    #[arg(long, default_value = "15s", value_parser = lease_duration)]
    lease_duration: Span,
    /// How log lines look.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    log_format: Format,
    /// What is logged: a level, or a filter such as `homeostat=debug,warn`.
    #[arg(long, env = "HOMEOSTAT_LOG", default_value = "info")]
    log_level: String,
}

/// Why the operator did not run or ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Logging cannot be set up as wished.
    #[error("{0}")]
    Logs(String),
    /// The runtime cannot be started.
    #[error("the runtime cannot be started: {0}")]
    Runtime(std::io::Error),
    /// See [`RunError`].
    #[error(transparent)]
    Run(#[from] RunError),
}

fn lease_duration(text: &str) -> Result<Span, String> {
    let span: Span = text.parse().map_err(|e| format!("{e}"))?;
    let (least, most) = (Span::from_secs(3), Span::from_mins(5));
    if (least..=most).contains(&span) {
        Ok(span)
    } else {
        Err(format!("must be from {least} to {most}"))
    }
}

/// Runs the operator.
///
/// # Errors
/// See [`Error`].
pub fn run(args: Args) -> Result<(), Error> {
    init(args.log_format, &args.log_level).map_err(Error::Logs)?;
    let journal = match args.journal.as_str() {
        "none" => Destination::None,
        "stdout" => Destination::Stdout,
        folder => Destination::Folder(folder.into()),
    };
    let bounds = Bounds {
        bytes_per_hour: args.journal_mb_per_hour << 20,
        ..Bounds::default()
    };
    let options = Options {
        namespace: args.namespace,
        pod_name: args.pod_name,
        node_name: args.node_name,
        listen: args.listen,
        journal,
        journal_bounds: bounds,
        work_dir: args.work_dir,
        lease_duration: args.lease_duration,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(Error::Runtime)?;
    let ended = runtime.block_on(operate(options)).map_err(Error::from);
    // A fetch of a repository that hangs in its thread must not hold up the end.
    runtime.shutdown_timeout(LAST_GRACE);
    ended
}
