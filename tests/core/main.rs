//! The pure engine through its public interface.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod formula;
mod healing;
mod nodes;
mod scaling;
mod schedule;
mod tables;
