//! Asks Prometheus, within bounds, and says exactly what it answered.

pub(crate) mod answer;
pub mod batch;
pub mod client;
pub mod fuse;
mod probe;
pub mod question;
pub mod tls;
