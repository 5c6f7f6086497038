//! Go's conversions of floats to integers on amd64: what does not fit becomes the lowest number there is, without a word.
//! (Rust's `as` saturates, and makes zero of NaN.)

/// `int32(f)`.
pub fn int32(f: f64) -> i32 {
    let whole = f.trunc();
    if (-2_147_483_648.0..2_147_483_648.0).contains(&whole) {
        whole as i32
    } else {
        i32::MIN
    }
}

/// `int64(f)`.
pub fn int64(f: f64) -> i64 {
    let whole = f.trunc();
    if (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&whole) {
        whole as i64
    } else {
        i64::MIN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_becomes_the_lowest() {
        for (f, expected) in [
            (2.9, 2),
            (-2.9, -2),
            (2_147_483_647.9, i32::MAX),
            (-2_147_483_648.9, i32::MIN),
            (2_147_483_648.0, i32::MIN),
            (4_294_967_297.0, i32::MIN),
            (f64::NAN, i32::MIN),
            (f64::INFINITY, i32::MIN),
        ] {
            assert_eq!(int32(f), expected, "{f}");
        }
        assert_eq!(int64(1e300), i64::MIN);
        assert_eq!(int64(f64::NAN), i64::MIN);
        assert_eq!(int64(-4e9), -4_000_000_000);
    }
}
