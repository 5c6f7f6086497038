//! `homeostat-cluster build` builds what clusters need; `homeostat-cluster up` runs one until it is interrupted.

use std::process::ExitCode;

use homeostat_cluster::{Cluster, Options, Result, binaries, objects};

#[tokio::main]
async fn main() -> ExitCode {
    let result = match std::env::args().nth(1).as_deref() {
        Some("build") => binaries::ensure().and(binaries::metrics_server()).map(|_| ()),
        Some("up") => up().await,
        _ => {
            eprintln!("usage: homeostat-cluster build | up");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn up() -> Result<()> {
    let cluster = Cluster::start(Options::default()).await?;
    for name in ["node-1", "node-2", "node-3"] {
        objects::apply_yaml(&cluster.client()?, &objects::node(name, "8", "16Gi", 110)).await?;
    }
    println!("export KUBECONFIG={}", cluster.kubeconfig().display());
    let _ = tokio::signal::ctrl_c().await;
    Ok(())
}
