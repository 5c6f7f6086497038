//! `homeostat replay`: whether a journal's events give the very plans that it recorded.

use std::path::PathBuf;

use clap::Args as ClapArgs;

use crate::operator::replay::{ReplayError, replay};

/// Run a journal's events through the engine again and compare every plan, byte for byte.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Example:\n  homeostat replay --journal ./journal")]
pub struct Args {
    /// Folder of the operator's journal.
    #[arg(long)]
    journal: PathBuf,
}

/// Replays, and says how much it went through.
///
/// # Errors
/// The journal cannot be read, or a plan came out otherwise.
pub fn run(args: &Args) -> Result<(), ReplayError> {
    let seen = replay(&args.journal)?;
    println!(
        "{} segments, {} events, {} steps: all {} plans came out as recorded ({} gaps, {} segments cut off at the end)",
        seen.segments, seen.events, seen.steps, seen.plans, seen.gaps, seen.torn
    );
    Ok(())
}
