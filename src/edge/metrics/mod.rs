//! Asks the metrics APIs of the cluster: what pods use (`metrics.k8s.io`), and what adapters serve (`custom.metrics.k8s.io`,
//! `external.metrics.k8s.io`). Says exactly what was answered, and never takes an error for a number.

mod answer;
pub mod client;
mod kinds;
mod path;
mod refusal;

use std::time::Duration;

/// An API must answer within this time.
const TIMEOUT: Duration = Duration::from_secs(10);
/// An answer may not be larger, in bytes.
const BODY_MAX: usize = 8 << 20;
