//! `homeostat convert`: HorizontalPodAutoscalers and ScaledObjects → ScalingPolicies, and what to do by hand.

use std::path::PathBuf;

use clap::{ArgGroup, Args as ClapArgs, ValueEnum};

use crate::offline::convert::live::{self, LiveError};
use crate::offline::convert::report::Report;
use crate::offline::convert::write::{self, WriteError};
use crate::offline::convert::{Options, convert, read};

/// Turn HorizontalPodAutoscalers and KEDA's ScaledObjects into ScalingPolicies.
#[derive(Debug, ClapArgs)]
#[command(group = ArgGroup::new("from").required(true).args(["paths", "namespace", "all_namespaces"]))]
#[command(after_help = "The policies go to standard output, the report to standard error.

Examples:
  homeostat convert deploy/ --output policies/ --dry-run
  kubectl get hpa,scaledobject -o yaml | homeostat convert -
  homeostat convert --all-namespaces --report report.json -o json > policies.yaml")]
pub struct Args {
    /// Files, folders (all YAML and JSON files below them), or - for standard input.
    #[arg(value_name = "PATH")]
    paths: Vec<String>,
    /// Read this namespace of the cluster instead.
    #[arg(short, long)]
    namespace: Option<String>,
    /// Read all namespaces of the cluster instead.
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// Folder for one file a policy; without it, all are printed.
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// File for the report; without it, it goes to standard error.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// How the report is said.
    #[arg(short = 'o', long = "report-format", value_enum, default_value_t = Format::Text)]
    format: Format,
    /// A HorizontalPodAutoscaler becomes a policy without compat: HPAv2, which decides better and not the same.
    #[arg(long)]
    native: bool,
    /// Every policy has mode: DryRun, to run beside the old autoscaler.
    #[arg(long)]
    dry_run: bool,
}

/// How the report is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    #[default]
    Text,
    /// For machines.
    Json,
}

/// Not all was converted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no way to the cluster.
    #[error(transparent)]
    Live(#[from] LiveError),
    /// The policies cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The report cannot be written.
    #[error("cannot write the report to {}: {source}", path.display())]
    Report {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The report cannot be rendered.
    #[error("cannot render the report: {0}")]
    Render(#[from] serde_json::Error),
    /// Some objects could not be read or converted.
    #[error("{0} could not be read or converted, as the report says; the rest was converted")]
    Some(usize),
}

/// Converts.
///
/// # Errors
/// See [`Error`].
pub fn run(args: &Args) -> Result<(), Error> {
    let input = if args.paths.is_empty() {
        live::read(args.namespace.as_deref())?
    } else {
        read::read(&args.paths)
    };
    let options = Options {
        native: args.native,
        dry_run: args.dry_run,
    };
    let conversion = convert(&input.sources, input.problems, options);
    match &args.output {
        Some(folder) => write::files(&conversion.policies, folder)?,
        None => write::print(&conversion.policies, &mut std::io::stdout().lock())?,
    }
    tell(&conversion.report, args)?;
    match conversion.report.failures() {
        0 => Ok(()),
        count => Err(Error::Some(count)),
    }
}

fn tell(report: &Report, args: &Args) -> Result<(), Error> {
    let text = match args.format {
        Format::Text => report.text(),
        Format::Json => report.json()?,
    };
    match &args.report {
        None => eprint!("{text}"),
        Some(path) => std::fs::write(path, text).map_err(|source| Error::Report {
            path: path.clone(),
            source,
        })?,
    }
    Ok(())
}
