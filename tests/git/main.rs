//! The Git reader against real repositories: made by `git`, served from disk and by `git http-backend`.

mod content;
mod http;
mod local;
mod random;
mod support;
mod values;
