//! The two losses and their gradients: cross entropy of logits, and SIGReg of representations.

use soma_model::{elementary, elementary64};

use super::{
    gemm::{Former, Matrix, multiply},
    math::{LANES, exp_shifted, max, sin_cos},
    vectorised,
};

/// Sum over rows of `-log softmax(row)[target]`, and its gradient (softmax - one-hot). Rows without a target
/// (`None`) count nothing. The sum is in f64.
pub fn cross_entropy(logits: &[f32], targets: &[Option<u16>]) -> (f64, Vec<f32>) {
    let width = logits.len() / targets.len().max(1);
    let mut grad = logits.to_vec();
    let mut total = 0.0_f64;
    vectorised(
        #[inline(always)]
        || {
            for ((row, logits), target) in grad
                .chunks_exact_mut(width)
                .zip(logits.chunks_exact(width))
                .zip(targets)
            {
                let Some(target) = target else {
                    row.fill(0.0);
                    continue;
                };
                let shift = max(row);
                let sum = exp_shifted(row, shift);
                let inverse = 1.0 / sum;
                for p in row.iter_mut() {
                    *p *= inverse;
                }
                row[usize::from(*target)] -= 1.0;
                total += f64::from(elementary::ln(sum) + shift - logits[usize::from(*target)]);
            }
        },
    );
    (total, grad)
}

/// Points t on [0, 3] at which characteristic functions are compared (SCORING, section 3).
pub const POINTS: usize = 17;
/// Distance of the points.
pub const STEP: f32 = 3.0 / 16.0;
/// 0.02 * 32.
pub const WEIGHT: f64 = 0.64;

/// Trapezoid weight times phi(t), and phi(t), of point j.
fn point(j: usize) -> (f64, f64) {
    let t = f64::from(STEP) * j as f64;
    let phi = elementary64::exp(-t * t / 2.0);
    let ends = j == 0 || j + 1 == POINTS;
    (
        if ends {
            f64::from(STEP)
        } else {
            2.0 * f64::from(STEP)
        } * phi,
        phi,
    )
}

/// SIGReg of the rows of `x` (each `width` wide) for which `counts` is true, and the gradient of every row.
///
/// `directions` is `[width][count]`, columns of length 1. All 17 angles of a projection follow from the first
/// by turning.
///
/// # Panics
/// If the lengths do not agree: a caller's bug.
pub fn sigreg(x: &[f32], counts: &[bool], width: usize, directions: &[f32]) -> (f64, Vec<f32>) {
    let rows = counts.len();
    let samples = counts.iter().filter(|c| **c).count();
    let count = directions.len() / width;
    assert!(
        x.len() == rows * width && directions.len() == count * width,
        "sizes of SIGReg's arguments differ"
    );
    let mut grad = vec![0.0; x.len()];
    if samples == 0 || count == 0 {
        return (0.0, grad);
    }
    // Padded to whole lanes, so that the loops below have a fixed width; what stands in the padding counts
    // nothing.
    let padded = count.next_multiple_of(LANES);
    let mut projected = vec![0.0; rows * padded];
    let x = Matrix::new(x, rows, width, width);
    let a = Matrix::new(directions, width, count, count);
    multiply(&mut projected, padded, Former::Replace, x, a);

    let mut total = 0.0_f64;
    for base in (0..padded).step_by(LANES) {
        let real = LANES.min(count - base);
        let (cos_sum, sin_sum) = vectorised(
            #[inline(always)]
            || sums(&projected, padded, base, counts),
        );
        // Derivatives of the loss by each mean, per sample.
        let (mut by_cos, mut by_sin) = ([[0.0_f32; LANES]; POINTS], [[0.0_f32; LANES]; POINTS]);
        for j in 0..POINTS {
            let (w, phi) = point(j);
            let t = f64::from(STEP) * j as f64;
            for l in 0..real {
                let dc = f64::from(cos_sum[j][l]) / samples as f64 - phi;
                let ds = f64::from(sin_sum[j][l]) / samples as f64;
                total += w * (dc * dc + ds * ds);
                let scale = WEIGHT / count as f64 * w * 2.0 * t / samples as f64;
                by_cos[j][l] = (scale * dc) as f32;
                by_sin[j][l] = (scale * ds) as f32;
            }
        }
        vectorised(
            #[inline(always)]
            || slopes(&mut projected, padded, base, counts, &by_cos, &by_sin),
        );
    }
    let dp = Matrix::new(&projected, rows, count, padded);
    multiply(&mut grad, width, Former::Replace, dp, a.transposed());
    (WEIGHT * total / count as f64, grad)
}

/// Sums of cos(t_j p) and sin(t_j p) over the rows that count, for one group of lanes.
#[inline(always)]
fn sums(
    projected: &[f32],
    stride: usize,
    base: usize,
    counts: &[bool],
) -> ([[f32; LANES]; POINTS], [[f32; LANES]; POINTS]) {
    let (mut cos_sum, mut sin_sum) = ([[0.0_f32; LANES]; POINTS], [[0.0_f32; LANES]; POINTS]);
    for (row, counted) in projected.chunks_exact(stride).zip(counts) {
        if !counted {
            continue;
        }
        let turn = Turn::new(&row[base..base + LANES]);
        let (mut c, mut s) = ([1.0_f32; LANES], [0.0_f32; LANES]);
        for j in 0..POINTS {
            for l in 0..LANES {
                cos_sum[j][l] += c[l];
                sin_sum[j][l] += s[l];
            }
            turn.apply(&mut c, &mut s);
        }
    }
    (cos_sum, sin_sum)
}

/// Replaces projections by the loss's slope along them: sum_j by_sin cos(t_j p) - by_cos sin(t_j p).
#[inline(always)]
fn slopes(
    projected: &mut [f32],
    stride: usize,
    base: usize,
    counts: &[bool],
    by_cos: &[[f32; LANES]; POINTS],
    by_sin: &[[f32; LANES]; POINTS],
) {
    for (row, counted) in projected.chunks_exact_mut(stride).zip(counts) {
        let row = &mut row[base..base + LANES];
        if !counted {
            row.fill(0.0);
            continue;
        }
        let turn = Turn::new(row);
        let (mut c, mut s) = ([1.0_f32; LANES], [0.0_f32; LANES]);
        let mut slope = [0.0_f32; LANES];
        for j in 0..POINTS {
            for l in 0..LANES {
                slope[l] = by_sin[j][l].mul_add(c[l], (-by_cos[j][l]).mul_add(s[l], slope[l]));
            }
            turn.apply(&mut c, &mut s);
        }
        row.copy_from_slice(&slope);
    }
}

/// A turn by the angle STEP * p in every lane.
struct Turn {
    cos: [f32; LANES],
    sin: [f32; LANES],
}

impl Turn {
    #[inline(always)]
    fn new(p: &[f32]) -> Self {
        let (mut cos, mut sin) = ([0.0; LANES], [0.0; LANES]);
        for l in 0..LANES {
            (sin[l], cos[l]) = sin_cos(p[l] * STEP);
        }
        Self { cos, sin }
    }

    #[inline(always)]
    fn apply(&self, c: &mut [f32; LANES], s: &mut [f32; LANES]) {
        for l in 0..LANES {
            let turned = c[l].mul_add(self.cos[l], -(s[l] * self.sin[l]));
            s[l] = s[l].mul_add(self.cos[l], c[l] * self.sin[l]);
            c[l] = turned;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cross_entropy_of_even_logits_is_log_of_the_classes() {
        let (loss, grad) = cross_entropy(&[0.5; 12], &[Some(1), None, Some(3)]);
        assert!((loss - 2.0 * 4.0_f64.ln()).abs() < 1e-6);
        assert_eq!(
            grad,
            [
                0.25, -0.75, 0.25, 0.25, 0.0, 0.0, 0.0, 0.0, 0.25, 0.25, 0.25, -0.75
            ]
        );
    }

    #[test]
    fn sigreg_matches_the_reference_vectors() {
        for case in crate::vectors::sigreg() {
            let (rows, width) = (case.samples.len(), case.samples[0].len());
            let x: Vec<f32> = case.samples.iter().flatten().map(|v| *v as f32).collect();
            let count = case.directions[0].len();
            let mut directions = vec![0.0_f32; width * count];
            for s in 0..count {
                let norm = (0..width)
                    .map(|d| case.directions[d][s].powi(2))
                    .sum::<f64>()
                    .sqrt();
                for d in 0..width {
                    directions[d * count + s] = (case.directions[d][s] / norm) as f32;
                }
            }
            let (loss, grad) = sigreg(&x, &vec![true; rows], width, &directions);
            assert!(
                (loss - case.sigreg).abs() < 1e-5,
                "{}: {loss}, not {}",
                case.kind,
                case.sigreg
            );
            // The gradient, against differences.
            for at in [0, 3, x.len() / 2, x.len() - 1] {
                let moved = |by: f32| {
                    let mut x = x.clone();
                    x[at] += by;
                    sigreg(&x, &vec![true; rows], width, &directions).0
                };
                let slope = (moved(0.02) - moved(-0.02)) / 0.04;
                assert!(
                    (slope - f64::from(grad[at])).abs() < 2e-5,
                    "{}: {slope}, not {}",
                    case.kind,
                    grad[at]
                );
            }
        }
    }

    #[test]
    fn rows_that_do_not_count_change_nothing() {
        let x: Vec<f32> = (0..40).map(|i| (i as f32 * 0.7).sin()).collect();
        let directions: Vec<f32> = (0..12).map(|i| if i % 4 == i / 4 { 1.0 } else { 0.0 }).collect();
        let (all, _) = sigreg(&x[..32], &[true; 8], 4, &directions);
        let counts = [true, true, true, true, true, true, true, true, false, false];
        let (some, grad) = sigreg(&x, &counts, 4, &directions);
        assert!((all - some).abs() < 1e-9);
        assert!(grad[32..].iter().all(|g| *g == 0.0));
    }
}
