//! The simulator: many seeded stories, every promise checked after every step; and the proof that every guard is needed.

mod guards;
mod runs;
mod seeds;
mod support;
