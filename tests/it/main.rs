//! Integration tests: what people see of Homeostat, without a cluster.

#![allow(clippy::doc_markdown, clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod convert;
mod crds;
mod dashboards;
mod examples;
#[path = "../tls/mod.rs"]
mod private;
mod rules;
mod snapshots;
mod tls;
