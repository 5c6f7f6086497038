//! `homeostat top`: all ScalingPolicies, live in the terminal.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use clap::{Args as ClapArgs, ValueEnum};
use kube::api::{Api, ListParams};
use kube::{Client, Config};

use crate::api::ScalingPolicy;
use crate::edge::kube::{CallError, call};
use crate::operator::top::{Row, rows, table};

/// Show all ScalingPolicies, those that are blind, stuck or limited first; in a terminal again and again.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  homeostat top
  homeostat top -n shop --once
  homeostat top -o json | jq '.[] | select(.trouble != \"None\")'")]
pub struct Args {
    /// Only this namespace.
    #[arg(short, long)]
    namespace: Option<String>,
    /// Show them once, and not again and again.
    #[arg(long)]
    once: bool,
    /// Seconds between two looks.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=3600))]
    interval: u64,
    /// How it is said; json and yaml once.
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// How it is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people.
    #[default]
    Text,
    /// For machines.
    Json,
    /// For machines and people.
    Yaml,
}

/// Why nothing is shown.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no way to the API server.
    #[error("no way to the API server: {0}; set KUBECONFIG")]
    Client(String),
    /// The policies cannot be listed.
    #[error(transparent)]
    Call(#[from] CallError),
    /// It cannot be rendered.
    #[error("cannot be rendered: {0}")]
    Render(String),
    /// It cannot be written.
    #[error("cannot be written: {0}")]
    Write(#[from] io::Error),
    /// The runtime cannot be started.
    #[error("the runtime cannot be started: {0}")]
    Runtime(io::Error),
}

/// Shows.
///
/// # Errors
/// See [`Error`].
pub fn run(args: &Args) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::Runtime)?;
    runtime.block_on(show(args))
}

async fn show(args: &Args) -> Result<(), Error> {
    let mut config = Config::infer().await.map_err(|e| Error::Client(e.to_string()))?;
    config.default_retry = false;
    let client = Client::try_from(config).map_err(|e| Error::Client(e.to_string()))?;
    let api: Api<ScalingPolicy> = match &args.namespace {
        Some(namespace) => Api::namespaced(client, namespace),
        None => Api::all(client),
    };
    let live = args.output == Output::Text && !args.once && io::stdout().is_terminal();
    loop {
        let list = call("list ScalingPolicies", api.list(&ListParams::default())).await;
        let text = match list {
            Ok(list) => render(&rows(&list.items), args.output)?,
            // A look that fails is said, and the next one may do better.
            Err(error) if live => format!("{error}\n"),
            Err(error) => return Err(error.into()),
        };
        let mut out = io::stdout().lock();
        if live {
            write!(out, "\u{1b}[H\u{1b}[J")?;
        }
        out.write_all(text.as_bytes())?;
        out.flush()?;
        drop(out);
        if !live {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_secs(args.interval)).await;
    }
}

fn render(rows: &[Row], output: Output) -> Result<String, Error> {
    match output {
        Output::Text if rows.is_empty() => Ok("There are no ScalingPolicies.\n".into()),
        Output::Text => Ok(table(rows)),
        Output::Json => serde_json::to_string_pretty(rows)
            .map(|text| text + "\n")
            .map_err(|e| Error::Render(e.to_string())),
        Output::Yaml => serde_saphyr::to_string(&rows).map_err(|e| Error::Render(e.to_string())),
    }
}
