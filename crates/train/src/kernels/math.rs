//! Elementary functions, written without branches so that the compiler vectorises loops over them, and
//! reductions over lanes. Accurate to about 1e-7 relative (erf: 2e-7 absolute), which training does not
//! notice.

/// Lanes of a reduction: one AVX-512 register, two of AVX2, four of NEON.
pub const LANES: usize = 16;

/// 1.5 * 2^23: adding it to a float of magnitude below 2^22 leaves the nearest integer in the low mantissa
/// bits.
const ROUND: f32 = 12_582_912.0;

/// e^x; 0 below -87, and capped at e^88.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    let x = x.clamp(-87.0, 88.0);
    let shifted = x.mul_add(std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    // ln 2 in two parts, so that the remainder keeps its low bits.
    let r = n.mul_add(-0.693_359_4, x);
    let r = n.mul_add(2.121_944_4e-4, r);
    let p = 1.987_569_1e-4_f32;
    let p = p.mul_add(r, 1.398_2e-3);
    let p = p.mul_add(r, 8.333_452e-3);
    let p = p.mul_add(r, 4.166_579_6e-2);
    let p = p.mul_add(r, 1.666_666_5e-1);
    let p = p.mul_add(r, 5e-1);
    let p = (p * r).mul_add(r, r) + 1.0;
    // 2^n, by writing n into the exponent: the low bits of `shifted` hold n.
    let scale = f32::from_bits((shifted.to_bits() << 23).wrapping_add(0x3f80_0000));
    p * scale
}

/// (sin x, cos x) for |x| below about 10 000.
#[inline(always)]
pub fn sin_cos(x: f32) -> (f32, f32) {
    let shifted = x.mul_add(std::f32::consts::FRAC_2_PI, ROUND);
    let quadrant = shifted.to_bits();
    let n = shifted - ROUND;
    // pi / 2 in three parts.
    let r = n.mul_add(-1.570_312_5, x);
    let r = n.mul_add(-4.837_513e-4, r);
    let r = n.mul_add(-7.549_79e-8, r);
    let z = r * r;
    let s = (-1.951_529_6e-4_f32).mul_add(z, 8.332_161e-3);
    let s = s.mul_add(z, -1.666_665_5e-1);
    let s = (s * z).mul_add(r, r);
    let c = 2.443_315_7e-5_f32.mul_add(z, -1.388_731_6e-3);
    let c = c.mul_add(z, 4.166_664_6e-2);
    let c = (c * z).mul_add(z, (-0.5_f32).mul_add(z, 1.0));
    let swap = quadrant & 1 == 1;
    let (sin, cos) = if swap { (c, s) } else { (s, c) };
    let sin_sign = (quadrant & 2) << 30;
    let cos_sign = (quadrant.wrapping_add(1) & 2) << 30;
    (
        f32::from_bits(sin.to_bits() ^ sin_sign),
        f32::from_bits(cos.to_bits() ^ cos_sign),
    )
}

/// The exact GELU x Phi(x), and its derivative Phi(x) + x phi(x). Both come from one exponential:
/// 1 - erf(u) = (a polynomial in 1 / (1 + p u)) e^(-u^2), Abramowitz and Stegun 7.1.26.
#[inline(always)]
pub fn gelu(x: f32) -> (f32, f32) {
    let u = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let gauss = exp(-u * u);
    let t = 1.0 / 0.327_591_1_f32.mul_add(u, 1.0);
    let p = 1.061_405_4_f32.mul_add(t, -1.453_152);
    let p = p.mul_add(t, 1.421_413_7);
    let p = p.mul_add(t, -0.284_496_74);
    let p = p.mul_add(t, 0.254_829_6);
    let tail = 0.5 * p * t * gauss;
    let phi = if x < 0.0 { tail } else { 1.0 - tail };
    // 1 / sqrt(2 pi)
    let density = 0.398_942_3 * gauss;
    (x * phi, x.mul_add(density, phi))
}

/// Sum of `f(i)` over 0..len, in lanes.
#[inline(always)]
fn reduce(len: usize, f: impl Fn(usize) -> f32) -> f32 {
    let mut lanes = [0.0_f32; LANES];
    let whole = len / LANES * LANES;
    let mut base = 0;
    while base < whole {
        for (l, lane) in lanes.iter_mut().enumerate() {
            *lane += f(base + l);
        }
        base += LANES;
    }
    for i in whole..len {
        lanes[i - whole] += f(i);
    }
    lanes.iter().sum()
}

/// The sum of a row.
#[inline(always)]
pub fn sum(x: &[f32]) -> f32 {
    reduce(x.len(), |i| x[i])
}

/// The inner product of two rows of equal length.
#[inline(always)]
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    let b = &b[..a.len()];
    reduce(a.len(), |i| a[i] * b[i])
}

/// The largest element; -infinity for an empty row.
#[inline(always)]
pub fn max(x: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let chunks = x.chunks_exact(LANES);
    let rest = chunks.remainder();
    for chunk in chunks {
        for l in 0..LANES {
            lanes[l] = if chunk[l] > lanes[l] { chunk[l] } else { lanes[l] };
        }
    }
    rest.iter()
        .chain(&lanes)
        .fold(f32::NEG_INFINITY, |m, v| m.max(*v))
}

/// Replaces each x by e^(x - shift), and returns their sum.
#[inline(always)]
pub fn exp_shifted(x: &mut [f32], shift: f32) -> f32 {
    for v in x.iter_mut() {
        *v = exp(*v - shift);
    }
    sum(x)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_matches_f64() {
        for i in -8700..=8800_i32 {
            let x = i as f32 / 100.0;
            let (got, want) = (f64::from(exp(x)), f64::from(x).exp());
            assert!((got - want).abs() <= 3e-7 * want, "exp({x}) = {got}, not {want}");
        }
        assert!(exp(-1e9) < 1e-37);
        assert!(exp(f32::INFINITY).is_finite());
    }

    #[test]
    fn sin_cos_match_f64() {
        for i in -40_000..=40_000_i32 {
            let x = i as f32 / 1000.0;
            let (s, c) = sin_cos(x);
            assert!((f64::from(s) - f64::from(x).sin()).abs() < 5e-7, "sin({x}) = {s}");
            assert!((f64::from(c) - f64::from(x).cos()).abs() < 5e-7, "cos({x}) = {c}");
        }
    }

    #[test]
    fn gelu_has_known_values_and_its_slope() {
        // x Phi(x), from tables of the normal distribution.
        for (x, want) in [
            (0.0, 0.0),
            (1.0, 0.841_344_7),
            (-1.0, -0.158_655_25),
            (3.0, 2.995_950_3),
            (-3.0, -0.004_049_7),
        ] {
            assert!((gelu(x).0 - want).abs() < 1e-6, "gelu({x}) = {}", gelu(x).0);
        }
        for i in -600..=600_i32 {
            let x = i as f32 / 100.0;
            let slope = (gelu(x + 5e-3).0 - gelu(x - 5e-3).0) / 1e-2;
            assert!(
                (gelu(x).1 - slope).abs() < 3e-4,
                "gelu'({x}) = {}, differences say {slope}",
                gelu(x).1
            );
        }
    }

    #[test]
    fn reductions_cover_ragged_rows() {
        for len in 0..70_usize {
            let x: Vec<f32> = (0..len).map(|i| (i * 7 % 11) as f32 - 5.0).collect();
            assert_eq!(sum(&x), x.iter().sum::<f32>());
            assert_eq!(dot(&x, &x), x.iter().map(|v| v * v).sum::<f32>());
            assert_eq!(max(&x), x.iter().copied().fold(f32::NEG_INFINITY, f32::max));
        }
    }
}
