//! The engine: it is told what is seen ([`event::Event`]), and decides what is to be done ([`plan::Plan`]).
//!
//! Pure and synchronous. Nothing in here reads a clock, draws a random number, does I/O, or knows kube or tokio: time and
//! observations come in as data, so that the operator, the simulator and a replay of the journal give the same answers.
//!
//! | module | what it is |
//! |---|---|
//! | [`names`], [`quantity`], [`time`], [`sample`] | the vocabulary |
//! | [`policy`] | what people want, validated |
//! | [`world`] | what is seen: pods, nodes, targets, declared objects |
//! | [`event`] → [`engine`] → [`plan`] | the one way in, the one place that decides, the one way out |
//! | [`scaling`], [`nodes`], [`healing`] | the rules, one folder a subsystem |
//! | [`schedule`] | windows of time that come again |
//! | [`guard`] | what holds whatever the rules say: budgets, brakes, in-flight actions |
//! | [`state`] | what is remembered between steps; serialisable |
//! | [`table`] | numbers instead of long keys |

pub mod engine;
pub mod event;
pub mod guard;
pub mod healing;
pub mod lease;
pub mod names;
pub mod nodes;
pub mod plan;
pub mod policy;
pub mod quantity;
pub mod reason;
pub mod report;
pub mod sample;
pub mod scaling;
pub mod schedule;
pub mod state;
pub mod table;
pub mod time;
pub mod world;
