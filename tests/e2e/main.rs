//! End to end: the operator as a process under its own ServiceAccount, on the real control plane with real Prometheus.

mod git;
mod repo;
mod scaling;
mod stage;
