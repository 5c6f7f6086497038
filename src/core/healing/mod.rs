//! Healing: detect → diagnose → next rung of the ladder → guard → act → await the outcome.
//!
//! * [`detect`]: what is wrong, and since when, by the objects' own timestamps.
//! * [`diagnose`]: is it this pod alone? Where its siblings, its node or much of the cluster are unwell too, a restart of
//!   one pod cannot help and is refused.
//! * [`ladder`]: which remedy is next. Attempts count per rule and owner, since an evicted pod comes back under a new name.
//! * [`drift`]: declared objects that are missing or were changed, for a GitSource that enforces them.
//!
//! Never deletes: pods go by the eviction API, objects come back by being applied. Never reads a clock.

pub mod detect;
mod diagnose;
mod drift;
mod ladder;
mod memory;
mod plan;
mod report;
mod settle;

pub use detect::is_unhealthy;
pub use drift::{DriftMemory, evaluate_drift, settle_drift};
pub use memory::{Memory, accept, acted_elsewhere};
pub use plan::evaluate;
pub use settle::settle;
