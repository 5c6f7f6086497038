//! The metric registry, logs, and what is generated from them: dashboards and rules.

pub mod dashboards;
pub mod logs;
pub mod metrics;
mod record;
