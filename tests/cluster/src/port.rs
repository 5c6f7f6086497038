//! Free ports on loopback.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::sync::{Mutex, PoisonError};

use crate::{Error, Result};

/// Below the range from which the system takes ports for outgoing connections: whatever is found free here is not taken by a
/// client before the server has it.
const FIRST: u16 = 15_000;
const COUNT: u16 = 15_000;

/// A port that is free, and was not given to anybody else in this process. Processes begin at places of their own.
///
/// # Errors
/// No port can be bound at all.
pub fn free() -> Result<u16> {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    let start = std::process::id().wrapping_mul(7919) % u32::from(COUNT);
    for step in 0..u32::from(COUNT) {
        let offset = u16::try_from((start + step) % u32::from(COUNT)).unwrap_or_default();
        let port = FIRST + offset;
        if !given.contains(&port) && TcpListener::bind(("127.0.0.1", port)).is_ok() {
            given.insert(port);
            return Ok(port);
        }
    }
    Err(Error::new("find a free port", format!("none from {FIRST} on")))
}
