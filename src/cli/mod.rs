//! One file a subcommand, no logic.

pub mod capture;
pub mod convert;
pub mod crds;
pub mod dashboards;
pub mod explain;
pub mod plan;
pub mod replay;
pub mod run;
pub mod top;

use std::fmt::Display;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Scales a Kubernetes cluster and heals it, from policies kept in Git.
#[derive(Debug, Parser)]
#[command(name = "homeostat", version, max_term_width = 100)]
#[command(
    after_help = "Exit codes: 0 done; 1 it failed, the reason is on standard error; 2 the command line cannot be used."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the operator until SIGTERM.
    Run(run::Args),
    /// Say in plain words why a policy decided as it did.
    Explain(explain::Args),
    /// Say what policies would do, from a snapshot file and without a cluster.
    Plan(plan::Args),
    /// Write a snapshot of a live cluster for `homeostat plan`.
    Capture(capture::Args),
    /// Turn HorizontalPodAutoscalers and KEDA's ScaledObjects into ScalingPolicies.
    Convert(convert::Args),
    /// Show all ScalingPolicies live, those that need a look first.
    Top(top::Args),
    /// Check that a journal's events give the very plans that it recorded.
    Replay(replay::Args),
    /// Write the custom resource definitions.
    #[command(after_help = "Examples:\n  homeostat crds | kubectl apply -f -\n  homeostat crds --dir crds")]
    Crds {
        /// Folder for one file a kind; without it, all are printed.
        #[arg(long)]
        dir: Option<PathBuf>,
    },
    /// Write Grafana boards and Prometheus rules.
    #[command(after_help = "Example:\n  homeostat dashboards --dir dashboards")]
    Dashboards {
        /// Folder for the files; without it, their names are printed.
        #[arg(long)]
        dir: Option<PathBuf>,
    },
}

/// Parses the command line and dispatches.
#[must_use]
pub fn main() -> ExitCode {
    // The one place where the process chooses its cryptography; nothing else may have before.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match Cli::parse().command {
        Command::Run(args) => finish(run::run(args)),
        Command::Explain(args) => finish(explain::run(&args)),
        Command::Plan(args) => finish(plan::run(&args)),
        Command::Capture(args) => finish(capture::run(&args)),
        Command::Convert(args) => finish(convert::run(&args)),
        Command::Top(args) => finish(top::run(&args)),
        Command::Replay(args) => finish(replay::run(&args)),
        Command::Crds { dir } => finish(crds::run(dir.as_deref())),
        Command::Dashboards { dir } => finish(dashboards::run(dir.as_deref())),
    }
}

fn finish<E: Display>(result: Result<(), E>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("homeostat: {error}");
            ExitCode::FAILURE
        }
    }
}
