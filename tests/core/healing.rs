//! Healing: cases as data, and what each safeguard is for.

#[path = "healing/bench.rs"]
mod bench;
#[path = "healing/cases.rs"]
mod cases;
#[path = "healing/safeguards.rs"]
mod safeguards;
