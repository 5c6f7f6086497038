//! Asks Prometheus, within bounds, and says exactly what it answered.

mod answer;
pub mod client;
pub mod poller;
