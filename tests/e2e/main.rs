//! End to end: the operator as a process under its own ServiceAccount, on the real control plane with real Prometheus.

#![allow(clippy::doc_markdown, clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod crds;
mod fake;
mod git;
mod input;
mod nodes;
mod repo;
mod scale;
mod scaling;
mod stage;
mod steady;
