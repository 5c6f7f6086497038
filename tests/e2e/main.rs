//! End to end: the operator as a process under its own ServiceAccount, on the real control plane with real Prometheus.

mod git;
mod git_bad;
mod healing;
mod leadership;
mod manifests;
mod repo;
mod restarts;
mod rights;
mod scaling;
mod source;
mod stage;
mod ward;
