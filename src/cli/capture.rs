//! `homeostat capture`: a snapshot of a live cluster.

use std::io::{self, Write};

use clap::{Args as ClapArgs, ValueEnum};
use kube::{Client, Config};

use crate::offline::capture::{CaptureError, Wish, capture};

/// Write a snapshot of a live cluster for `homeostat plan`.
///
/// It holds scaling policies, their targets and pods, and what Prometheus and the metrics APIs answer now. Secrets, and
/// environment, commands, volumes and annotations of pods, are never written. Nothing is changed anywhere.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  homeostat capture -n shop > snapshot.yaml
  homeostat capture -A -o json > snapshot.json
  homeostat capture -n shop --policy checkout --prometheus default=http://localhost:9090 > checkout.yaml")]
pub struct Args {
    /// Namespace of the policies.
    #[arg(short, long, default_value = "default")]
    namespace: String,
    /// The policies of all namespaces.
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    all_namespaces: bool,
    /// Only the policy of this name.
    #[arg(long, value_name = "NAME")]
    policy: Option<String>,
    /// A Prometheus server that is reached from here by another URL than the operator's. May be repeated.
    #[arg(long, value_name = "NAME=URL", value_parser = server)]
    prometheus: Vec<(String, String)>,
    /// Where the operator runs: the Secrets of its Prometheus servers are there.
    #[arg(long, default_value = "homeostat-system")]
    operator_namespace: String,
    /// Form of the file.
    #[arg(short, long, value_enum, default_value_t = Output::Yaml)]
    output: Output,
}

/// Form of the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people and machines.
    #[default]
    Yaml,
    /// On one line.
    Json,
}

/// Why there is no snapshot.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no way to the API server.
    #[error("no way to the API server: {0}; set KUBECONFIG")]
    Client(String),
    /// See [`CaptureError`].
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// It cannot be written.
    #[error("cannot write the snapshot: {0}")]
    Write(io::Error),
    /// The runtime cannot be started.
    #[error("the runtime cannot be started: {0}")]
    Runtime(io::Error),
}

fn server(text: &str) -> Result<(String, String), String> {
    let (name, url) = text.split_once('=').ok_or("must be NAME=URL")?;
    Ok((name.to_owned(), url.to_owned()))
}

/// Captures, and writes to standard output.
///
/// # Errors
/// See [`Error`].
pub fn run(args: &Args) -> Result<(), Error> {
    let wish = Wish {
        namespace: (!args.all_namespaces).then(|| args.namespace.clone()),
        policy: args.policy.clone(),
        operator_namespace: args.operator_namespace.clone(),
        servers: args.prometheus.iter().cloned().collect(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::Runtime)?;
    let captured = runtime.block_on(async {
        let mut config = Config::infer().await.map_err(|e| Error::Client(e.to_string()))?;
        config.default_retry = false;
        let client = Client::try_from(config).map_err(|e| Error::Client(e.to_string()))?;
        Ok::<_, Error>(capture(&client, &wish).await?)
    })?;
    for note in &captured.notes {
        eprintln!("note: {note}");
    }
    let text = match args.output {
        Output::Yaml => serde_saphyr::to_string(&captured.snapshot).map_err(|e| Error::Write(io::Error::other(e)))?,
        Output::Json => serde_json::to_string(&captured.snapshot).map_err(|e| Error::Write(e.into()))?,
    };
    writeln!(io::stdout(), "{}", text.trim_end()).map_err(Error::Write)
}
