//! Replicas of workloads: validate → gather → propose → combine → decide (stabilize, limit) → plan → report.
//!
//! Gives the answers of the `HorizontalPodAutoscaler` (`autoscaling/v2` with `behavior`), except where its answer is a known
//! flaw; every such place says so. With `compat: HPAv2` it gives them without exception: [`hpa`] is its algorithm, `compat` the
//! way there.
//!
//! * [`propose`]: a proposal never goes against its trigger's own direction; `AverageValue` measures its tolerance against
//!   `spec.replicas`; no Ready pod at all is "no data", not "no load".
//! * `per_pod`: exact ratios; a pod that requests nothing does not stop the others.
//! * `pods`: a target's pods are its own by their owner.
//! * [`limit`]: percent limits can leave zero.
//! * [`stabilize`]: after a gap in the data as long as the window, scaling down waits for a whole window again.
//! * Own scale events survive a restart (they are part of the report).
//!
//! Never reads a clock, never writes anything but [`Memory`], the draft and the agenda.

pub mod combine;
mod compat;
pub mod conflict;
pub mod contributors;
mod decide;
pub mod formula;
pub mod gather;
pub mod hpa;
mod leave;
pub mod limit;
mod memory;
mod per_pod;
mod plan;
mod pods;
pub mod propose;
mod report;
mod settle;
pub mod stabilize;
mod track;
mod validate;

pub use conflict::FIELD_MANAGER;
pub use leave::{Leaving, depart};
pub use memory::{Memory, Trouble, Unsure, Written};
pub use plan::evaluate;
pub use report::means_the_same;
pub use settle::{observe_target, observe_unusable, settle};
pub use track::{Tracked, accept, acted_elsewhere, drop_unnamed, forget, restore};
