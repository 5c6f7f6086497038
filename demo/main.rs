//! The demo: on a real control plane, with policies from Git and a real Prometheus, Homeostat scales a shop through a
//! recorded day, sizes its nodes, and brings back what breaks. Ends with a table, a report, and an exit code that says
//! whether the story happened.

#![allow(missing_docs, clippy::doc_markdown)]

mod eyes;
mod journal;
mod leftovers;
mod load;
mod place;
mod record;
mod replay;
mod report;
mod repository;
mod shop;
mod stage;
mod story;
mod trace;
mod view;

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use futures::FutureExt;
use homeostat::core::time::Time;
use homeostat_cluster::{Error, Result};
use k8s_openapi::jiff::Timestamp;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

use eyes::Eyes;
use journal::Follower;
use load::Load;
use record::Record;
use replay::Replay;
use stage::Stage;
use story::Scene;
use trace::{Gap, Trace};
use view::View;

/// Shows Homeostat at work: scaling, node pools, healing, Git. Takes about five minutes.
#[derive(Debug, Parser)]
#[command(name = "demo", max_term_width = 100)]
#[command(
    after_help = "Exit codes: 0 the story happened; 1 it did not, the table says where; 2 the command line cannot be used."
)]
struct Args {
    /// Leave everything running at the end, until Ctrl-C, and say how to look around.
    #[arg(long, env = "KEEP", num_args = 0..=1, default_missing_value = "true", default_value = "false", value_parser = flag)]
    keep: bool,
    /// Play in the existing cluster that this kubeconfig context names, and leave nothing behind there.
    ///
    /// The shop runs on fake nodes of its own, where no workload of yours can land, save DaemonSets that tolerate every taint
    /// and choose no operating system; what the cluster's controllers tell of those in Events expires by itself. The demo
    /// refuses where a Homeostat is at home or a name is taken.
    #[arg(long, env = "CONTEXT")]
    context: Option<String>,
    /// Where the report goes.
    #[arg(long, default_value = "demo-report.html")]
    report: PathBuf,
    /// What holds in the gaps of the recorded load.
    #[arg(long, value_enum, default_value = "hold")]
    gap: Gap,
}

fn flag(text: &str) -> std::result::Result<bool, String> {
    match text {
        "1" | "true" | "yes" => Ok(true),
        "" | "0" | "false" | "no" => Ok(false),
        _ => Err("must be 1 or 0".into()),
    }
}

fn main() -> ExitCode {
    let args = Args::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("the runtime cannot be started: {error}");
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(run(args));
    // A build that was interrupted is not waited for.
    runtime.shutdown_timeout(Duration::from_secs(1));
    code
}

async fn run(args: Args) -> ExitCode {
    let view = View::of_stdout();
    let context = args.context.clone().filter(|context| !context.is_empty());
    let (record, mut stage) = (
        Record::default(),
        match Stage::new() {
            Ok(stage) => stage,
            Err(error) => {
                eprintln!("{error}");
                return ExitCode::FAILURE;
            }
        },
    );
    let playing = AssertUnwindSafe(perform(&args, context.as_deref(), &mut stage, &record, view)).catch_unwind();
    let told = tokio::select! {
        told = playing => told.unwrap_or_else(|_| Err(Error("the demo itself broke; this is a bug".into()))),
        () = interrupted() => Err(Error("interrupted".into())),
    };
    view.finish(&record);
    let happened = finish(&args, &told, &stage, &record);
    if args.keep && told.is_ok() {
        println!(
            "\nEverything is left running. To look around:\n{}\nCtrl-C ends it.",
            stage.how_to_look(context.as_deref())
        );
        interrupted().await;
    }
    let nodes = nodes_of(&record);
    let say = |text: &str| view.say(text);
    let cleared = tokio::select! {
        cleared = stage.clear(nodes, &say) => cleared,
        () = insisted() => Err(Error("interrupted again while cleaning up: something may be left".into())),
    };
    if let Err(error) = &cleared {
        eprintln!("{error}");
    }
    if happened && cleared.is_ok() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Sets the stage and plays the story.
async fn perform(args: &Args, context: Option<&str>, stage: &mut Stage, record: &Record, view: View) -> Result<()> {
    let trace = homeostat_cluster::root().join("examples/traces/nasa_http_1min.csv");
    let trace = Trace::read(&trace, 60.0)?;
    // The shop has not opened yet.
    let load = Load::new(Some(0.0));
    let (eyes, replay) = (Eyes::default(), Replay::default());
    let mut tasks = JoinSet::new();
    stage.set(context, &load, &mut tasks, &|text| view.say(text)).await?;
    record.start();
    let began = Time::from_millis(Timestamp::now().as_millisecond());
    let follower = Follower::new(stage.journal(), record.clone(), began);
    let client = stage.client()?;
    let watching = eyes
        .clone()
        .watch(client.clone(), load.clone(), replay.clone(), record.clone(), follower);
    tasks.spawn(watching);
    tasks.spawn(view.show(record.clone()));
    let scene = Scene {
        client,
        eyes,
        replay,
        record: record.clone(),
    };
    story::play(stage, &scene, &load, trace, args.gap, &mut tasks).await?;
    if scene.is_told() {
        Ok(())
    } else {
        Err(Error(
            "the story did not happen as it should; the table says where".into(),
        ))
    }
}

/// The table and the report; whether the story happened.
fn finish(args: &Args, told: &Result<()>, stage: &Stage, record: &Record) -> bool {
    let book = record.with(|book| book.clone());
    if !book.acts.is_empty() {
        println!("\n{}", view::summary(&book));
        let written = std::fs::write(&args.report, report::render(&book));
        let place = std::path::absolute(&args.report).unwrap_or_else(|_| args.report.clone());
        match written {
            Ok(()) => println!(
                "The report, with plots and the explanation of every action: {}",
                place.display()
            ),
            Err(error) => eprintln!("{}: {error}", place.display()),
        }
    }
    if let Err(error) = told {
        eprintln!("{error}");
        if error.to_string() != "interrupted"
            && let Some(log) = stage.operator_log()
        {
            eprintln!("\nThe end of the operator's log:\n{log}");
        }
    }
    told.is_ok()
}

/// Every node that the demo ever had.
fn nodes_of(record: &Record) -> BTreeSet<String> {
    record.with(|book| {
        let subjects = book.deeds.iter().map(|deed| deed.subject.as_str());
        subjects
            .filter_map(|s| s.strip_prefix("Node "))
            .map(str::to_owned)
            .collect()
    })
}

/// Ctrl-C, or a polite request to end.
async fn interrupted() {
    let wait = |kind| async move {
        match signal(kind) {
            Ok(mut signal) => signal.recv().await,
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = wait(SignalKind::interrupt()) => {}
        _ = wait(SignalKind::terminate()) => {}
        _ = wait(SignalKind::hangup()) => {}
    }
}

/// Three more of these: whoever insists gets their way.
async fn insisted() {
    for _ in 0..3 {
        interrupted().await;
    }
}
