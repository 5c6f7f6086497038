//! Free ports on loopback.

use std::net::TcpListener;

use crate::{Error, Result};

/// A port that was free a moment ago.
///
/// # Errors
/// No port can be bound at all.
pub fn free() -> Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(|e| Error::new("find a free port", e))?;
    listener
        .local_addr()
        .map(|a| a.port())
        .map_err(|e| Error::new("find a free port", e))
}
