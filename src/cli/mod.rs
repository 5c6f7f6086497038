//! One file a subcommand, no logic.

pub mod crds;
