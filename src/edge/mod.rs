//! Turns the world into events and plans into deeds. Async and thin: no decision is taken here.

pub mod clock;
pub mod git;
pub mod kube;
pub mod metrics;
pub mod poll;
pub mod prometheus;
pub mod retry;
pub mod sync;
