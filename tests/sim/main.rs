//! The simulator: many seeded stories, every promise checked after every step; and the proof that every guard is needed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod guards;
mod runs;
mod seeds;
mod support;
