//! Asks Prometheus, within bounds, and says exactly what it answered.

pub(crate) mod answer;
pub mod batch;
pub mod client;
pub mod fuse;
pub mod question;
pub mod tls;
