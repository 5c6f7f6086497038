//! One file a subcommand, no logic.
