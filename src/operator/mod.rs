//! The loop: wiring, leadership, shutdown.

pub mod clock;
pub mod lease;
