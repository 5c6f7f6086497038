//! Amounts: Kubernetes quantities in thousandths, replica counts, and bundles of node resources.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A number in thousandths, as the HPA computes with. Range: that of `i64`; arithmetic saturates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Milli(i64);

impl Milli {
    /// From thousandths.
    #[must_use]
    pub const fn new(thousandths: i64) -> Self {
        Self(thousandths)
    }

    /// From whole units.
    #[must_use]
    pub const fn from_units(units: i64) -> Self {
        Self(units.saturating_mul(1000))
    }

    /// From a finite float, rounded up to the next thousandth as Kubernetes does, saturating at the ends of the range;
    /// `None` for NaN and infinities, which are no amounts.
    #[must_use]
    pub fn from_f64(value: f64) -> Option<Self> {
        value.is_finite().then(|| Self((value * 1000.0).ceil() as i64))
    }

    /// In thousandths.
    #[must_use]
    pub const fn thousandths(self) -> i64 {
        self.0
    }

    /// In whole units, rounded up.
    #[must_use]
    pub const fn ceil_units(self) -> i64 {
        self.0.div_euclid(1000) + (self.0.rem_euclid(1000) > 0) as i64
    }

    /// As a float of whole units.
    #[must_use]
    pub fn as_f64(self) -> f64 {
        self.0 as f64 / 1000.0
    }
}

/// Whole units without a fraction, otherwise up to three decimals.
impl fmt::Display for Milli {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 % 1000 == 0 {
            return write!(f, "{}", self.0 / 1000);
        }
        let sign = if self.0 < 0 { "-" } else { "" };
        let (units, rest) = (self.0.unsigned_abs() / 1000, self.0.unsigned_abs() % 1000);
        write!(f, "{sign}{units}.{}", format!("{rest:03}").trim_end_matches('0'))
    }
}

/// A text that is not a Kubernetes quantity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a quantity such as 100, 250m, 1.5 or 2Gi")]
pub struct ParseQuantityError {
    /// What was given.
    pub text: String,
}

/// Kubernetes' quantity: a decimal number with an optional suffix (`n u m k M G T P E`, `Ki Mi Gi Ti Pi Ei`, `e3`).
/// Fractions below a thousandth are rounded up, away from zero.
impl FromStr for Milli {
    type Err = ParseQuantityError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse_quantity(text).map(Self).ok_or_else(|| ParseQuantityError {
            text: text.chars().take(64).collect(),
        })
    }
}

fn parse_quantity(text: &str) -> Option<i64> {
    let (negative, body) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let end = body
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(body.len());
    let (number, suffix) = body.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.len() + fraction.len() == 0 || whole.len() + fraction.len() > 30 || fraction.contains('.') {
        return None;
    }
    let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
    let (multiplier, divisor) = suffix_scale(suffix)?;
    let scale = 10_i128
        .checked_pow(u32::try_from(fraction.len()).ok()?)?
        .checked_mul(divisor)?;
    let thousandths = digits.checked_mul(multiplier)?.checked_mul(1000)?;
    let rounded_up = (thousandths + scale - 1) / scale;
    let clamped = i64::try_from(rounded_up).unwrap_or(i64::MAX);
    Some(if negative { -clamped } else { clamped })
}

/// The suffix as multiplier and divisor.
fn suffix_scale(suffix: &str) -> Option<(i128, i128)> {
    Some(match suffix {
        "" => (1, 1),
        "n" => (1, 1_000_000_000),
        "u" => (1, 1_000_000),
        "m" => (1, 1000),
        "k" => (1000, 1),
        "M" => (1_000_000, 1),
        "G" => (1_000_000_000, 1),
        "T" => (1_000_000_000_000, 1),
        "P" => (1_000_000_000_000_000, 1),
        "E" => (1_000_000_000_000_000_000, 1),
        "Ki" => (1 << 10, 1),
        "Mi" => (1 << 20, 1),
        "Gi" => (1 << 30, 1),
        "Ti" => (1 << 40, 1),
        "Pi" => (1 << 50, 1),
        "Ei" => (1 << 60, 1),
        _ => {
            let exponent: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
            if !(-9..=18).contains(&exponent) {
                return None;
            }
            let power = 10_i128.pow(exponent.unsigned_abs());
            if exponent < 0 { (1, power) } else { (power, 1) }
        }
    })
}

/// A number of replicas or nodes. Range 0 to 2³¹−1, as Kubernetes stores it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Replicas(u32);

impl Replicas {
    /// None.
    pub const ZERO: Self = Self(0);
    /// As many as Kubernetes can say.
    pub const MAX: Self = Self(i32::MAX as u32);

    /// From a count, cut to the range.
    #[must_use]
    pub const fn new(count: u32) -> Self {
        if count > i32::MAX as u32 {
            Self::MAX
        } else {
            Self(count)
        }
    }

    /// From a signed count, cut to the range.
    #[must_use]
    pub fn from_i64(count: i64) -> Self {
        Self(count.clamp(0, i64::from(i32::MAX)) as u32)
    }

    /// The count.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }

    /// The count, signed, as Kubernetes' fields want it.
    #[must_use]
    pub const fn as_i32(self) -> i32 {
        self.0 as i32
    }
}

impl fmt::Display for Replicas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a pod asks for or a node offers.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Resources {
    /// Processors, in thousandths of one.
    pub cpu_milli: i64,
    /// Memory in bytes.
    pub memory_bytes: i64,
    /// Pods: 1 for a pod, the maximum for a node.
    pub pods: i64,
    /// Extended resources by name, in whole units; ephemeral storage in bytes.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub other: BTreeMap<String, i64>,
}

impl Resources {
    /// Adds the other's amounts, saturating.
    pub fn add(&mut self, other: &Self) {
        self.combine(other, i64::saturating_add);
    }

    /// Takes the other's amounts away, saturating; may become negative.
    pub fn subtract(&mut self, other: &Self) {
        self.combine(other, i64::saturating_sub);
    }

    fn combine(&mut self, other: &Self, f: fn(i64, i64) -> i64) {
        self.cpu_milli = f(self.cpu_milli, other.cpu_milli);
        self.memory_bytes = f(self.memory_bytes, other.memory_bytes);
        self.pods = f(self.pods, other.pods);
        for (name, amount) in &other.other {
            let mine = self.other.entry(name.clone()).or_default();
            *mine = f(*mine, *amount);
        }
    }

    /// Whether all that is asked for is free here; what a request does not name is not looked at.
    #[must_use]
    pub fn covers(&self, request: &Self) -> bool {
        request.cpu_milli <= self.cpu_milli.max(0)
            && request.memory_bytes <= self.memory_bytes.max(0)
            && request.pods <= self.pods.max(0)
            && request
                .other
                .iter()
                .all(|(name, amount)| *amount <= self.other.get(name).copied().unwrap_or(0).max(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_as_kubernetes_reads_them() {
        for (text, thousandths) in [
            ("100", 100_000),
            ("250m", 250),
            ("1.5", 1500),
            ("0.0001", 1),
            ("2Gi", 2_147_483_648_000),
            ("1e3", 1_000_000),
            ("5E", i64::MAX),
            ("-3", -3000),
            ("100n", 1),
            (".5", 500),
        ] {
            assert_eq!(text.parse::<Milli>().map(Milli::thousandths), Ok(thousandths), "{text}");
        }
        for bad in ["", "abc", "1.2.3", "1 Gi", "1Zi", "--1", "e3", "1e99", "NaN"] {
            assert!(bad.parse::<Milli>().is_err(), "{bad}");
        }
    }

    #[test]
    fn floats_that_are_no_amounts_are_refused() {
        assert_eq!(Milli::from_f64(f64::NAN), None);
        assert_eq!(Milli::from_f64(f64::INFINITY), None);
        assert_eq!(Milli::from_f64(1e300), Some(Milli::new(i64::MAX)));
        assert_eq!(Milli::from_f64(0.25).map(|m| m.to_string()), Some("0.25".into()));
    }
}
