//! The `homeostat` command: parse and dispatch only.
fn main() {}
