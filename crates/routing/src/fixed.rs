//! Fixed-point mathematics. Qn is an integer in units of 2^-n. All results are exact by definition:
//! the integer method below *is* the function.

/// ln 2 in Q64, rounded down.
const LN_2_Q64: u128 = 0xB172_17F7_D1CF_79AB;

/// Fraction bits of [`ln_q46`]: so that kappa (Q16) times a dot product (Q30) adds to it directly.
pub const LN_FRACTION_BITS: u32 = 46;

/// The natural logarithm of `x` in Q46, within 2^-44 of the true value. `ln_q46(0)` is taken as
/// `ln_q46(1) = 0`.
///
/// The binary logarithm is found bit by bit by repeated squaring of the mantissa in Q63, then
/// scaled by ln 2. Each truncation is worth at most 2^-63 of the mantissa at its place.
#[must_use]
pub fn ln_q46(x: u64) -> i64 {
    let x = x.max(1);
    let exponent = x.ilog2();
    let mut mantissa = u128::from(x) << (63 - exponent);
    let mut log2 = u128::from(exponent);
    for _ in 0..LN_FRACTION_BITS {
        mantissa = (mantissa * mantissa) >> 63;
        let bit = mantissa >> 64;
        mantissa >>= bit;
        log2 = (log2 << 1) | bit;
    }
    // Below 2^52, so the product fits and the result is below 2^52 too.
    ((log2 * LN_2_Q64) >> 64) as i64
}

/// The square root of `x` in Q16, rounded down.
#[must_use]
pub const fn sqrt_q16(x: u32) -> u64 {
    ((x as u64) << 32).isqrt()
}

/// `a * b / c` rounded down, in 128 bits; `None` on overflow or a zero divisor.
#[must_use]
pub const fn mul_div(a: u128, b: u128, c: u128) -> Option<u128> {
    match a.checked_mul(b) {
        Some(product) => product.checked_div(c),
        None => None,
    }
}

/// `a * b / c` rounded up, in 128 bits; `None` on overflow or a zero divisor.
#[must_use]
pub const fn mul_div_up(a: u128, b: u128, c: u128) -> Option<u128> {
    match a.checked_mul(b) {
        Some(product) if c > 0 => Some(product.div_ceil(c)),
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::float_arithmetic)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn logarithms_of_powers_of_two() {
        assert_eq!(ln_q46(0), 0);
        assert_eq!(ln_q46(1), 0);
        assert_eq!(ln_q46(2), 48_775_896_626_291); // floor(ln 2 * 2^46)
        assert!((ln_q46(1 << 63) - 63 * ln_q46(2)).abs() <= 63);
    }

    proptest! {
        #[test]
        fn logarithms_are_close_and_monotone(x in 1..u64::MAX) {
            let exact = (x as f64).ln() * (1_u64 << 46) as f64;
            prop_assert!((exact - ln_q46(x) as f64).abs() < 16.0, "{x}: {} for {exact}", ln_q46(x));
            prop_assert!(ln_q46(x) <= ln_q46(x + 1));
        }

        #[test]
        fn roots_are_rounded_down(x in 0_u32..=8192) {
            let root = u128::from(sqrt_q16(x));
            prop_assert!(root * root <= u128::from(x) << 32);
            prop_assert!((root + 1) * (root + 1) > u128::from(x) << 32);
        }
    }
}
