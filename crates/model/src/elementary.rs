//! exp, log, erf, sin and cos in binary32 from `+ - * /`, fused multiply-add and bit operations only, so they
//! give the same bits on every machine (docs/scoring-spec.md, section 4). Error at most 2 ulp over the ranges
//! stated, measured against binary64 in the tests below.
//!
//! Everything here is free of branches and marked `inline(always)`: called in a loop from a function
//! compiled for a wider instruction set, the same source becomes vector code with the same results.
//! Coefficients are minimax fits made for this project, rounded to binary32 one after the other.

/// Adding and subtracting 1.5 * 2^23 rounds to an integer, which also stands in the low mantissa bits.
const ROUND: f32 = 12_582_912.0;

const LN_2_HIGH: f32 = std::f32::consts::LN_2;
const LN_2_LOW: f32 = -1.904_654_2e-9;

/// `2^exponent` for `exponent` in [-126, 127].
#[inline(always)]
fn power_of_two(exponent: i32) -> f32 {
    f32::from_bits((exponent.wrapping_add(127) as u32) << 23)
}

/// e^x for every x: 0 below -104, infinite above 89, subnormal results included. NaN stays NaN.
#[inline(always)]
#[must_use]
pub fn exp(x: f32) -> f32 {
    let clamped = if x > -104.5 { x } else { -104.5 };
    let clamped = if clamped < 89.0 { clamped } else { 89.0 };
    let shifted = clamped.mul_add(std::f32::consts::LOG2_E, ROUND);
    let count = shifted - ROUND;
    let r = count.mul_add(-LN_2_HIGH, clamped);
    let r = count.mul_add(-LN_2_LOW, r);
    let mut p: f32 = 1.394_186_8e-3;
    p = p.mul_add(r, 8.368_678e-3);
    p = p.mul_add(r, 4.166_639e-2);
    p = p.mul_add(r, 1.666_652_1e-1);
    p = p.mul_add(r, 0.5);
    p = (r * r).mul_add(p, r) + 1.0;
    // Two factors, so that results outside the normal range round once, in the last multiplication.
    let exponent = shifted.to_bits().wrapping_sub(ROUND.to_bits()) as i32;
    let half = exponent >> 1;
    let y = p * power_of_two(half) * power_of_two(exponent.wrapping_sub(half));
    if x.is_nan() { x } else { y }
}

/// Natural logarithm of a positive finite x (subnormals included); x itself when it is infinite or
/// NaN, and minus infinity at zero. Negative arguments give NaN.
#[inline(always)]
#[must_use]
pub fn ln(x: f32) -> f32 {
    let tiny = x < f32::MIN_POSITIVE;
    let scaled = if tiny { x * 8_388_608.0 } else { x };
    let bias = if tiny { -23.0 } else { 0.0 };
    // The mantissa in [sqrt(1/2), sqrt(2)): subtract the bits of sqrt(1/2) and take the exponent.
    let offset = scaled.to_bits().wrapping_sub(0x3f35_04f3);
    let exponent = ((offset as i32) >> 23) as f32 + bias;
    let m = f32::from_bits((offset & 0x007f_ffff).wrapping_add(0x3f35_04f3));
    let f = m - 1.0;
    let mut q: f32 = 6.915_611e-2;
    q = q.mul_add(f, -1.178_937e-1);
    q = q.mul_add(f, 1.187_261_9e-1);
    q = q.mul_add(f, -1.238_440_2e-1);
    q = q.mul_add(f, 1.421_871_6e-1);
    q = q.mul_add(f, -1.666_925e-1);
    q = q.mul_add(f, 2.000_222_4e-1);
    q = q.mul_add(f, -2.499_998_7e-1);
    q = q.mul_add(f, 3.333_331e-1);
    let square = f * f;
    let tail = exponent.mul_add(LN_2_LOW, (square * f).mul_add(q, -0.5 * square));
    let y = exponent.mul_add(LN_2_HIGH, f + tail);
    let y = if x == 0.0 { f32::NEG_INFINITY } else { y };
    let y = if x < 0.0 { f32::NAN } else { y };
    if x < f32::INFINITY { y } else { x }
}

/// The error function of every x. NaN stays NaN.
#[inline(always)]
#[must_use]
pub fn erf(x: f32) -> f32 {
    let a = f32::from_bits(x.to_bits() & 0x7fff_ffff);
    // Below 1: x + x P(x^2).
    let z = x * x;
    let mut p: f32 = 7.920_368e-5;
    p = p.mul_add(z, -8.030_761_4e-4);
    p = p.mul_add(z, 5.190_734e-3);
    p = p.mul_add(z, -2.685_512_6e-2);
    p = p.mul_add(z, 1.128_361_8e-1);
    p = p.mul_add(z, -3.761_263e-1);
    p = p.mul_add(z, 1.283_791_7e-1);
    let small = p.mul_add(x, x);
    // Above: 1 - exp(-Q(|x|)), where Q(x) = -ln(erfc(x)). Beyond 4 the result is 1.
    let a_clamped = if a < 4.0 { a } else { 4.0 };
    let mut q: f32 = 2.168_461_5e-5;
    q = q.mul_add(a_clamped, -4.413_105e-4);
    q = q.mul_add(a_clamped, 4.204_443e-3);
    q = q.mul_add(a_clamped, -2.520_797_8e-2);
    q = q.mul_add(a_clamped, 1.084_182_2e-1);
    q = q.mul_add(a_clamped, 6.332_201_4e-1);
    q = q.mul_add(a_clamped, 1.129_578_4);
    q = q.mul_add(a_clamped, -1.880_364_4e-4);
    let large = 1.0 - exp(-q);
    let large = f32::from_bits(large.to_bits() | (x.to_bits() & 0x8000_0000));
    let y = if a < 1.0 { small } else { large };
    if x.is_nan() { x } else { y }
}

/// x/2 (1 + erf(x / sqrt 2)).
#[inline(always)]
#[must_use]
pub fn gelu(x: f32) -> f32 {
    (0.5 * x) * (1.0 + erf(x * std::f32::consts::FRAC_1_SQRT_2))
}

/// Angles beyond this are taken as 0: no sane representation projects so far, and angle 0 is what
/// SIGReg punishes most.
pub const ANGLE_MAX: f32 = 65_536.0;

/// (sin x, cos x) for |x| up to [`ANGLE_MAX`]; (0, 1) beyond. NaN stays NaN.
#[inline(always)]
#[must_use]
pub fn sin_cos(x: f32) -> (f32, f32) {
    let a = f32::from_bits(x.to_bits() & 0x7fff_ffff);
    let angle = if a <= ANGLE_MAX { x } else { 0.0 };
    let shifted = angle.mul_add(std::f32::consts::FRAC_2_PI, ROUND);
    let count = shifted - ROUND;
    let r = count.mul_add(-1.570_796_4, angle);
    let r = count.mul_add(4.371_139e-8, r);
    let r = count.mul_add(1.715_124_5e-15, r);
    let z = r * r;
    let mut s: f32 = -1.951_860_9e-4;
    s = s.mul_add(z, 8.332_191e-3);
    s = s.mul_add(z, -1.666_665_5e-1);
    let sine = (s * z).mul_add(r, r);
    let mut c: f32 = 2.443_066_8e-5;
    c = c.mul_add(z, -1.388_730_1e-3);
    c = c.mul_add(z, 4.166_664_6e-2);
    let cosine = (z * z).mul_add(c, (-0.5_f32).mul_add(z, 1.0));
    let quadrant = shifted.to_bits();
    let odd = quadrant & 1 == 1;
    let (sine, cosine) = (if odd { cosine } else { sine }, if odd { sine } else { cosine });
    let sine = f32::from_bits(sine.to_bits() ^ ((quadrant & 2) << 30));
    let cosine = f32::from_bits(cosine.to_bits() ^ ((quadrant.wrapping_add(1) & 2) << 30));
    if x.is_nan() { (x, x) } else { (sine, cosine) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Distance of `got` from the exact value, in units of the last place of binary32 at `exact`.
    fn ulps(got: f32, exact: f64) -> f64 {
        let exponent = (exact.abs().log2().floor() as i32).max(-126);
        (f64::from(got) - exact).abs() / 2_f64.powi(exponent - 23)
    }

    /// Sweeps [from, to] by bit patterns and by value; returns the worst error and where.
    fn worst(from: f32, to: f32, got: impl Fn(f32) -> f32, exact: impl Fn(f64) -> f64) -> (f64, f32) {
        let mut worst = (0.0, 0.0);
        let mut check = |x: f32| {
            let want = exact(f64::from(x));
            let error = if want == 0.0 {
                f64::from(got(x).abs()) * 1e30
            } else {
                ulps(got(x), want)
            };
            if error > worst.0 || error.is_nan() {
                worst = (error, x);
            }
        };
        let steps = 400_000;
        for i in 0..=steps {
            check(from + (to - from) * (i as f32 / steps as f32));
        }
        for bits in (0..0x7f80_0000_u32).step_by(4099) {
            for x in [f32::from_bits(bits), -f32::from_bits(bits)] {
                if (from..=to).contains(&x) {
                    check(x);
                }
            }
        }
        worst
    }

    fn assert_accurate(name: &str, (error, at): (f64, f32)) {
        println!("{name}: {error:.3} ulp at {at:e}");
        assert!(error <= 2.0, "{name}: {error} ulp at {at:e}");
    }

    #[test]
    fn exp_is_accurate() {
        assert_accurate("exp", worst(-104.0, 88.7, exp, f64::exp));
        assert_eq!(exp(-105.0), 0.0);
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        assert_eq!(exp(90.0), f32::INFINITY);
        assert_eq!(exp(0.0), 1.0);
        assert!(exp(f32::NAN).is_nan());
    }

    #[test]
    fn ln_is_accurate() {
        assert_accurate("ln", worst(f32::from_bits(1), f32::MAX, ln, f64::ln));
        assert_accurate("ln near 1", worst(0.5, 2.0, ln, f64::ln));
        assert_eq!(ln(1.0), 0.0);
        assert_eq!(ln(0.0), f32::NEG_INFINITY);
        assert_eq!(ln(f32::INFINITY), f32::INFINITY);
        assert!(ln(-1.0).is_nan() && ln(f32::NAN).is_nan());
    }

    #[test]
    fn sin_and_cos_are_accurate() {
        for limit in [4.0, 300.0, ANGLE_MAX] {
            assert_accurate("sin", worst(-limit, limit, |x| sin_cos(x).0, f64::sin));
            assert_accurate("cos", worst(-limit, limit, |x| sin_cos(x).1, f64::cos));
        }
        for far in [ANGLE_MAX * 1.01, f32::MAX, f32::INFINITY] {
            assert_eq!(sin_cos(far), (0.0, 1.0));
        }
        assert!(sin_cos(f32::NAN).0.is_nan());
    }

    /// erf by its Taylor series (small x) or the continued fraction of erfc, in binary64.
    fn erf64(x: f64) -> f64 {
        if x < 0.0 {
            return -erf64(-x);
        }
        if x < 3.0 {
            let (mut term, mut sum) = (x, x);
            for n in 1..120 {
                term *= -x * x / f64::from(n);
                sum += term / f64::from(2 * n + 1);
            }
            return sum * std::f64::consts::FRAC_2_SQRT_PI;
        }
        let mut fraction = x;
        for n in (1..60).rev() {
            fraction = x + f64::from(n) / 2.0 / fraction;
        }
        1.0 - (-x * x).exp() / fraction * std::f64::consts::FRAC_2_SQRT_PI / 2.0
    }

    #[test]
    fn erf_is_accurate() {
        assert_accurate("erf", worst(-6.0, 6.0, erf, erf64));
        assert_eq!(
            (erf(f32::INFINITY), erf(f32::NEG_INFINITY), erf(30.0)),
            (1.0, -1.0, 1.0)
        );
        assert!(erf(f32::NAN).is_nan() && gelu(f32::NAN).is_nan());
        assert!((gelu(1.0) - 0.841_344_7).abs() < 1e-7);
    }

    /// These functions are consensus: their bits may not change.
    #[test]
    fn bits_are_pinned() {
        let mut hasher = blake3::Hasher::new();
        for bits in (0..=u32::MAX).step_by(65_521) {
            let x = f32::from_bits(bits);
            let (s, c) = sin_cos(x);
            for y in [exp(x), ln(x), erf(x), gelu(x), s, c] {
                // Which NaN is the machine's choice.
                let y = if y.is_nan() { f32::NAN } else { y };
                hasher.update(&y.to_bits().to_le_bytes());
            }
        }
        assert_eq!(hasher.finalize().to_hex()[..16], *PINNED);
    }
    const PINNED: &str = "7b64efde6da6c9a3";
}
