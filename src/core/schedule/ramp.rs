//! From one number to another, bit by bit.

use crate::core::time::{Span, Time};

/// What a number that goes from `from` at `start` to `to` after `length` is now, in a straight line. Before the start it is
/// `from`, from the end on it is `to`; without a length it is `to` from the start on. Between two whole numbers it is the greater, so
/// that there are never fewer replicas than the line says.
#[must_use]
pub fn ramp(from: u32, to: u32, start: Time, length: Span, now: Time) -> u32 {
    let (passed, whole) = (i128::from(now.since(start).as_millis()), i128::from(length.as_millis()));
    if passed < 0 {
        return from;
    }
    if passed >= whole {
        return to;
    }
    let (from, to) = (i128::from(from), i128::from(to));
    // Here 0 <= passed < whole, so the result lies between the two.
    let line = from * whole + (to - from) * passed;
    ((line + whole - 1) / whole) as u32
}
