//! How a quantity becomes a number: `apimachinery/pkg/api/resource` v0.36.3, with what it does to numbers that are too large.
//! Amounts that real clusters have come out as everywhere else in this crate.

use std::fmt;
use std::str::FromStr;

/// A number as Kubernetes keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quantity {
    /// Times ten to the power of `scale`.
    value: i128,
    scale: i32,
    /// Kept in 64 bits and not in a decimal of any length, which overflows in other ways.
    small: bool,
}

/// A text that is no quantity, or one beyond 10²⁹, which Kubernetes still reads.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a quantity such as 250m, 1.5 or 2Gi")]
pub struct ParseQuantityError {
    /// What was given.
    pub text: String,
}

impl FromStr for Quantity {
    type Err = ParseQuantityError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text).ok_or_else(|| ParseQuantityError {
            text: text.chars().take(64).collect(),
        })
    }
}

/// What a suffix means.
enum Suffix {
    /// Times ten to this power.
    Ten(i32),
    /// Times two to this power.
    Two(u32),
}

impl Quantity {
    /// `MilliValue`: in thousandths, rounded away from zero. What does not fit becomes 0, or for long decimals whatever bits
    /// are left.
    #[must_use]
    pub fn milli(self) -> i64 {
        let shift = self.scale + 3;
        if self.small {
            return match u32::try_from(shift) {
                Ok(up) => times_ten(self.value, up)
                    .and_then(|v| i64::try_from(v).ok())
                    .unwrap_or_else(|| overflown(self.value as i64, up)),
                Err(_) => away_from_zero(self.value, shift.unsigned_abs()) as i64,
            };
        }
        match u32::try_from(shift) {
            Ok(0) => self.value as i64,
            Ok(up) => (self.value as i64).wrapping_mul(10_i64.wrapping_pow(up)),
            Err(_) => round_up(self.value, shift.unsigned_abs()),
        }
    }

    /// `AsApproximateFloat64`.
    #[must_use]
    pub fn approximate(self) -> f64 {
        let power = 10_f64.powi(self.scale.abs());
        match self.scale {
            0 => self.value as f64,
            1.. => self.value as f64 * power,
            // One divided by the power is the nearest float to it; multiplied, not divided, by as the original.
            _ => self.value as f64 * (1.0 / power),
        }
    }

    /// What the API server keeps of it: the number in the canonical form, whose float may be another. It keeps 0.3 as 300m, which
    /// becomes 0.3, while 0.3 itself becomes 0.30000000000000004.
    #[must_use]
    pub fn stored(self) -> Self {
        let (mut value, mut scale) = (self.value, self.scale);
        while value != 0 && value % 10 == 0 {
            value /= 10;
            scale += 1;
        }
        let excess = scale.rem_euclid(3).unsigned_abs();
        let canonical = times_ten(value, excess).map(|value| format!("{value}e{}", scale - excess as i32));
        canonical.and_then(|text| parse(&text)).unwrap_or(self)
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}e{}", self.value, self.scale)
    }
}

/// `ParseQuantity`.
fn parse(text: &str) -> Option<Quantity> {
    let (negative, body) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let body = body.trim_start_matches('0');
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let (whole, rest) = body.split_at(digits(body));
    let (fraction, suffix) = match rest.strip_prefix('.') {
        Some(rest) => rest.split_at(digits(rest)),
        None => ("", rest),
    };
    let whole = if whole.is_empty() { "0" } else { whole };
    let length = (whole.len() + fraction.len()) as i32;
    let sign = if negative { -1 } else { 1 };
    let suffix = suffix_of(suffix)?;
    let magnitude: i128 = format!("{whole}{fraction}").parse().ok()?;
    let scale = -(fraction.len() as i32);
    if let Some((value, scale)) = small(magnitude, length, scale, &suffix) {
        return Some(Quantity {
            value: sign * value,
            scale,
            small: true,
        });
    }
    let number = text.split(|c: char| c.is_ascii_alphabetic()).next().unwrap_or_default();
    if !number.contains(|c: char| c.is_ascii_digit()) {
        // The original takes a suffix alone for nothing at all, but only in 64 bits.
        return None;
    }
    let (value, scale) = match suffix {
        Suffix::Ten(exponent) => (billionths(magnitude, scale + exponent)?, -9),
        Suffix::Two(exponent) => {
            // Capped. What does not even fit in 128 bits is far above.
            let most = i128::from(i64::MAX);
            let value = magnitude
                .checked_mul(1 << exponent)
                .and_then(|value| billionths(value, scale));
            match value.filter(|value| times_ten(most, 9).is_some_and(|most| *value <= most)) {
                Some(value) => (value, -9),
                None if scale >= -18 => (most, 0),
                None => return None,
            }
        }
    };
    Some(Quantity {
        value: sign * value,
        // Nothing is kept as nothing.
        scale: if value == 0 { 0 } else { scale },
        small: false,
    })
}

/// Never finer than that; a decimal always gets exactly nine places. Rounded away from zero.
fn billionths(value: i128, scale: i32) -> Option<i128> {
    match u32::try_from(scale + 9) {
        Ok(up) => times_ten(value, up),
        Err(_) => Some(away_from_zero(value, (scale + 9).unsigned_abs())),
    }
}

/// The number in 64 bits, where the original expects it to fit, and it does.
fn small(magnitude: i128, length: i32, scale: i32, suffix: &Suffix) -> Option<(i128, i32)> {
    let (room, scale, factor) = match suffix {
        Suffix::Ten(exponent) => (18 - length, scale + exponent, 1),
        Suffix::Two(exponent) if scale == 0 => (15 - length - (*exponent as i32 * 3 / 10) - 1, 0, 1 << exponent),
        Suffix::Two(_) => return None,
    };
    let value = magnitude.checked_mul(factor)?;
    let fits = room >= 0 && scale >= -9 && i64::try_from(value).is_ok();
    fits.then_some((value, scale))
}

/// Only exponents that any number of a cluster may have are read: up to three digits.
fn suffix_of(text: &str) -> Option<Suffix> {
    Some(match text {
        "n" => Suffix::Ten(-9),
        "u" => Suffix::Ten(-6),
        "m" => Suffix::Ten(-3),
        "" => Suffix::Ten(0),
        "k" => Suffix::Ten(3),
        "M" => Suffix::Ten(6),
        "G" => Suffix::Ten(9),
        "T" => Suffix::Ten(12),
        "P" => Suffix::Ten(15),
        "E" => Suffix::Ten(18),
        "Ki" => Suffix::Two(10),
        "Mi" => Suffix::Two(20),
        "Gi" => Suffix::Two(30),
        "Ti" => Suffix::Two(40),
        "Pi" => Suffix::Two(50),
        "Ei" => Suffix::Two(60),
        _ => {
            let exponent: i32 = text.strip_prefix(['e', 'E'])?.parse().ok()?;
            if exponent.abs() > 999 {
                return None;
            }
            Suffix::Ten(exponent)
        }
    })
}

fn times_ten(value: i128, power: u32) -> Option<i128> {
    if value == 0 {
        return Some(0);
    }
    value.checked_mul(10_i128.checked_pow(power)?)
}

/// What `positiveScaleInt64` leaves of a product that does not fit, its caller not asking whether it did.
const fn overflown(value: i64, power: u32) -> i64 {
    match power {
        1 | 2 | 3 | 6 | 9 => value.wrapping_mul(10_i64.pow(power)),
        _ => 0,
    }
}

/// Divided by ten to this power, rounded away from zero.
fn away_from_zero(value: i128, power: u32) -> i128 {
    match 10_i128.checked_pow(power) {
        Some(divisor) => value / divisor + (value % divisor).signum(),
        None => value.signum(),
    }
}

/// `scaledValue` downwards: rounded up, also below zero where 64 bits cannot hold the number; and where they can, one more than
/// the part before the point.
fn round_up(value: i128, power: u32) -> i64 {
    let divisor = 10_i128.checked_pow(power).unwrap_or(i128::MAX);
    let value = if value < i128::from(i64::MAX) {
        i128::from(value as i64)
    } else {
        value
    };
    let more = i64::from(value % divisor != 0);
    ((value / divisor) as i64).wrapping_add(more)
}
