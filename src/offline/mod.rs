//! Decisions without a cluster: a snapshot file holds all that the engine would have seen, the same engine decides, and the
//! answer says what it would do. Also writes such files from a live cluster, and
//! policies from the autoscalers of others ([`convert`]).
//!
//! Knows no rule of its own: what is not in the file is not seen, and what the engine says is what is printed. Nothing here
//! changes a cluster.

// Descriptions become the schema that people read.
pub mod answers;
pub mod capture;
pub mod convert;
pub mod events;
pub mod fields;
pub mod metrics;
pub mod plan;
pub mod policies;
pub mod print;
pub mod read;
pub mod scalar;
pub mod schema;
pub mod snapshot;
pub mod stated;
pub mod text;
pub mod trim;

#[cfg(test)]
mod laws;
