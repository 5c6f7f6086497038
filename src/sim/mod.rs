//! The simulator: the very same engine in virtual time, against a simulated cluster with load and faults. Seeded: a seed
//! gives the same run on every machine.
//!
//! Pure, as the engine is: no clock, no I/O, no threads; whoever wants many seeds at once brings the threads.
//!
//! | module | what it is |
//! |---|---|
//! | [`scenario`] | a story before it is told: cluster, policies, load, troubles, all drawn from one seed |
//! | [`run`](mod@run) | tells it: the loop, what the operator's edge does, what people do |
//! | [`cluster`], [`metrics`], [`policies`], [`declared`] | the truth: workloads and nodes, Prometheus, stored policies, declared objects |
//! | [`wires`] | the watches through which the operator sees the truth, late or not at all |
//! | [`check`] | what must always hold, by a picture of its own |
//! | [`story`], [`shrink`] | what happened, for people; the shortest story with the same end |
//! | [`score`] | how well supply followed demand |

pub mod check;
pub mod clock;
pub mod cluster;
pub mod declared;
pub mod load;
pub mod metrics;
pub mod policies;
pub mod random;
pub mod run;
pub mod scenario;
pub mod score;
pub mod shrink;
pub mod story;
pub mod wires;

pub use run::{Ending, Options, Stats, run};
pub use scenario::Scenario;
