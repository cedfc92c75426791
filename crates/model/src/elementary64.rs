//! exp, ln, sin and cos in binary64 from `+ - * /` only: for tables (RoPE), constants (SIGReg's
//! weights) and the mixture's posterior, where speed does not matter and every machine must agree.
//! Relative error a few 1e-16 over the ranges stated.

const LN_2_HIGH: f64 = 6.931_471_803_691_238e-1; // the low 32 bits are zero, so n * LN_2_HIGH is exact
const LN_2_LOW: f64 = 1.908_214_929_270_587_7e-10;

/// e^x for x in [-700, 700], clamped to it.
#[must_use]
pub fn exp(x: f64) -> f64 {
    let x = if x > -700.0 { x } else { -700.0 };
    let x = if x < 700.0 { x } else { 700.0 };
    let scaled = x * std::f64::consts::LOG2_E;
    let count = (if scaled < 0.0 { scaled - 0.5 } else { scaled + 0.5 }) as i64;
    let r = (x - count as f64 * LN_2_HIGH) - count as f64 * LN_2_LOW;
    let mut sum = 1.0;
    for n in (1..=14).rev() {
        sum = 1.0 + sum * r / f64::from(n);
    }
    sum * f64::from_bits(((1023 + count) as u64) << 52)
}

/// Natural logarithm of a positive, normal, finite x.
#[must_use]
pub fn ln(x: f64) -> f64 {
    debug_assert!(x >= f64::MIN_POSITIVE && x.is_finite(), "ln of {x}");
    let bits = x.to_bits();
    let mut exponent = (bits >> 52) as i64 - 1023;
    let mut m = f64::from_bits((bits & ((1 << 52) - 1)) | (1023 << 52));
    if m > std::f64::consts::SQRT_2 {
        m *= 0.5;
        exponent += 1;
    }
    // ln m = 2 artanh((m - 1) / (m + 1)), |s| <= 0.172.
    let s = (m - 1.0) / (m + 1.0);
    let square = s * s;
    let mut sum = 0.0;
    for n in (0..=12).rev() {
        sum = sum * square + 1.0 / f64::from(2 * n + 1);
    }
    exponent as f64 * LN_2_HIGH + (2.0 * s * sum + exponent as f64 * LN_2_LOW)
}

/// (sin x, cos x) for x in [0, 2^20]. Absolute error below 1e-15 plus 2e-16 relative to x.
#[must_use]
pub fn sin_cos(x: f64) -> (f64, f64) {
    debug_assert!((0.0..=1_048_576.0).contains(&x), "angle {x}");
    // pi/2 in three parts; the first two have 33 bits, so their products with the count are exact.
    const PARTS: [f64; 3] = [
        1.570_796_326_734_125_6,
        6.077_100_506_303_966e-11,
        2.022_266_248_795_950_6e-21,
    ];
    let count = (x * std::f64::consts::FRAC_2_PI + 0.5) as i64;
    let r = PARTS.iter().fold(x, |r, part| r - count as f64 * part);
    let square = r * r;
    let (mut sine, mut cosine) = (1.0, 1.0);
    for n in (1..=9).rev() {
        sine = 1.0 - sine * square / f64::from(2 * n * (2 * n + 1));
        cosine = 1.0 - cosine * square / f64::from(2 * n * (2 * n - 1));
    }
    sine *= r;
    match count & 3 {
        0 => (sine, cosine),
        1 => (cosine, -sine),
        2 => (-sine, -cosine),
        _ => (-cosine, sine),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agree_with_the_platform() {
        for i in 0..200_000 {
            let x = f64::from(i) * 0.007 - 700.0;
            assert!((exp(x) / x.exp() - 1.0).abs() < 1e-15, "exp {x}");
            let y = 1.0 + f64::from(i) * 1e-5;
            for y in [y, 1.0 / y, y * 1e200, y * 1e-300] {
                assert!((ln(y) - y.ln()).abs() <= 5e-16 * y.ln().abs().max(1e-3), "ln {y}");
            }
            let angle = f64::from(i) * 0.33;
            let (sine, cosine) = sin_cos(angle);
            assert!((sine - angle.sin()).abs() < 1e-15, "sin {angle}");
            assert!((cosine - angle.cos()).abs() < 1e-15, "cos {angle}");
        }
    }
}
