//! Scaling rules: tables of cases, laws over random inputs, and the proof that every safeguard is needed.

mod bench;
mod cases;
mod field;
mod hpa;
mod laws;
mod safeguards;
