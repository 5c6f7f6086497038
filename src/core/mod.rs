//! The engine: it is told what is seen ([`event::Event`]), and decides what is to be done ([`plan::Plan`]).
//!
//! Pure and synchronous. Nothing in here reads a clock, draws a random number, does I/O, or knows kube or tokio: time and
//! observations come in as data, so that the operator, the simulator and a replay of the journal give the same answers.

pub mod names;
pub mod quantity;
pub mod sample;
pub mod time;
