//! Asks Prometheus, within bounds, and says exactly what it answered.

pub(crate) mod answer;
pub mod client;
pub mod poller;
pub mod tls;
