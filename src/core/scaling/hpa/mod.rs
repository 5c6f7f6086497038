//! The exact answers of the `HorizontalPodAutoscaler` controller of Kubernetes 1.36 with default feature gates, for policies
//! that say `compat: HPAv2`: its integers, its floats, its truncations and its quirks, on purpose and without judgement.
//! What is better than the HPA lives beside this folder, never in it.
//!
//! Source of every algorithm: `pkg/controller/podautoscaler` of Kubernetes v1.36.3 (`horizontal.go`, `replica_calculator.go`
//! and `metrics/`), on amd64. A differential test (`tests/hpa`) asks that very code and this one the same questions.
//!
//! | module | what of the controller it is |
//! |---|---|
//! | [`input`] | what it reads: spec, scale, pods, metrics, its memory, its flags |
//! | [`decide`] | `reconcileAutoscaler` |
//! | `combine` | `computeReplicasForMetrics` |
//! | `calculate`, `pods` | the replica calculator |
//! | `normalize` | stabilization, rate limits, bounds, with and without `behavior` |
//! | [`history`] | recommendations and scale events |
//! | [`quantity`] | how a quantity becomes a number |
//! | `go` | Go's arithmetic where it differs from Rust's |
//!
//! With the default gates: tolerances of `behavior` count (`HPAConfigurableTolerance`), pod-level requests count
//! (`PodLevelResources`), and nothing leaves zero (`HPAScaleToZero` is off).
//!
//! On instants: the controller's clock has nanoseconds, so that what it decides always comes a little after what it has read.
//! Where whole milliseconds show two instants as the same, `now` therefore counts as the later.
//!
//! Not here: which pods the selector chooses, the check that no other autoscaler selects them (`AmbiguousSelector`), the
//! writing, and the defaults that the API server sets on `metrics` (an empty list is one CPU metric of 80 % there).
//!
//! Pure: reads no clock, and only [`History`] changes.

mod answer;
mod calculate;
mod combine;
mod decide;
mod go;
pub mod history;
pub mod input;
mod normalize;
mod pods;
pub mod quantity;

pub use answer::{Answer, Condition, Conditions, Course, Limit, MetricError, Normalized, Proposal, Stabilized, Why};
pub use decide::decide;
pub use history::History;
pub use input::Input;
