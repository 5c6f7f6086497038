//! The Git reader against real repositories: made by `git`, served from disk and by `git http-backend`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod content;
mod http;
mod local;
mod random;
mod support;
mod values;
