//! The loop: wiring, leadership, shutdown.

pub mod explain;
pub mod http;
pub mod journal;
pub mod observe;
pub mod replay;
pub mod run;
mod term;
pub mod top;
