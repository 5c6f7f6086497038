//! Homeostat keeps a Kubernetes cluster at its declared state: it scales workloads and node pools and heals what breaks,
//! from policies that people review in Git.
//!
//! [`core`] decides, and is pure: no clock, no I/O, no randomness, no kube, no tokio. [`sim`] drives the same engine in
//! virtual time. Everything that talks to the world is behind the feature `cluster`.

pub mod core;
pub mod sim;

#[cfg(feature = "cluster")]
pub mod api;
#[cfg(feature = "cluster")]
pub mod cli;
#[cfg(feature = "cluster")]
pub mod columns;
#[cfg(feature = "cluster")]
pub mod edge;
#[cfg(feature = "cluster")]
pub mod offline;
#[cfg(feature = "cluster")]
pub mod operator;
#[cfg(feature = "cluster")]
pub mod telemetry;
