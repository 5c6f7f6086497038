//! The `homeostat` command: parse and dispatch only.

use std::process::ExitCode;

fn main() -> ExitCode {
    homeostat::cli::main()
}
