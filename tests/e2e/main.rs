//! End to end: the operator as a process under its own ServiceAccount, on the real control plane with real Prometheus.

#![allow(
    clippy::doc_markdown,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests"
)]
#![allow(clippy::float_cmp, reason = "counters are whole numbers")]

#[path = "../contract/mod.rs"]
mod contract;
mod crds;
mod fake;
mod git;
mod git_bad;
mod healing;
mod hpa;
mod input;
mod leadership;
mod manifests;
mod metrics;
mod nodes;
mod offline;
#[path = "../tls/mod.rs"]
mod private;
mod prometheus;
mod repo;
mod restarts;
mod rights;
mod scale;
mod scaling;
mod source;
mod stage;
mod steady;
mod tls;
mod ward;
