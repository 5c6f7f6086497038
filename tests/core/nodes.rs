//! Node pools: tables of cases, laws over random stories, and the proof that every safeguard is needed.

mod bench;
mod cases;
mod forms;
mod laws;
mod safeguards;
