//! The definition of exact scoring: plain loops, written to be read. Every other backend equals this
//! one bit for bit (docs/scoring-spec.md, section 4).
//!
//! Buffers are flat and row-major. T is tokens (rows), C the model's width, H heads, D a head's width.

use super::{CHARACTERISTIC_ONE, Kernels, POINT_STEP, POINTS, REPRESENTATION_ONE, Rope};
use crate::{
    elementary::{exp, gelu, ln, sin_cos},
    matrix::{Matrix, PANEL},
};
use soma_types::architecture::LAYER_NORM_EPSILON;

/// Lanes of a row reduction.
const LANES: usize = PANEL;

/// The reference backend.
pub struct Scalar;

/// Sums `terms` in the order that every backend uses: lane l takes terms l, l + 32, ... ascending,
/// then lanes fold by halves.
fn reduce(terms: impl Iterator<Item = f32>, accumulate: impl Fn(f32, f32) -> f32) -> f32 {
    let mut lanes = [0.0; LANES];
    for (index, term) in terms.enumerate() {
        let lane = &mut lanes[index % LANES];
        *lane = accumulate(*lane, term);
    }
    for half in [16, 8, 4, 2, 1] {
        for lane in 0..half {
            lanes[lane] += lanes[lane + half];
        }
    }
    lanes[0]
}

fn sum(terms: impl Iterator<Item = f32>) -> f32 {
    reduce(terms, |lane, term| lane + term)
}

fn sum_of_squares(terms: impl Iterator<Item = f32>) -> f32 {
    reduce(terms, |lane, term| term.mul_add(term, lane))
}

/// The largest value; a NaN is passed over (it shows up again in what the maximum is used for).
fn max(values: impl Iterator<Item = f32>) -> f32 {
    values.fold(
        f32::NEG_INFINITY,
        |largest, value| if value > largest { value } else { largest },
    )
}

/// `acc = fma(x[k], w[k], acc)` for k ascending.
fn chain(acc: f32, pairs: impl Iterator<Item = (f32, f32)>) -> f32 {
    pairs.fold(acc, |acc, (x, w)| x.mul_add(w, acc))
}

impl Kernels for Scalar {
    fn name(&self) -> &'static str {
        "scalar"
    }

    fn linear(&self, out: &mut [f32], x: &[f32], weight: &Matrix, bias: Option<&[f32]>) {
        for (out, x) in out
            .chunks_exact_mut(weight.outputs())
            .zip(x.chunks_exact(weight.inputs()))
        {
            for (o, out) in out.iter_mut().enumerate() {
                let start = bias.map_or(0.0, |bias| bias[o]);
                *out = chain(start, x.iter().enumerate().map(|(k, x)| (*x, weight.get(k, o))));
            }
        }
    }

    fn layer_norm(&self, out: &mut [f32], x: &[f32], gamma: &[f32], beta: &[f32]) {
        let width = gamma.len();
        for (out, x) in out.chunks_exact_mut(width).zip(x.chunks_exact(width)) {
            let mean = sum(x.iter().copied()) / width as f32;
            let variance = sum_of_squares(x.iter().map(|x| x - mean)) / width as f32;
            let scale = 1.0 / (variance + LAYER_NORM_EPSILON).sqrt();
            for (c, out) in out.iter_mut().enumerate() {
                *out = ((x[c] - mean) * scale).mul_add(gamma[c], beta[c]);
            }
        }
    }

    fn gelu(&self, x: &mut [f32]) {
        for x in x {
            *x = gelu(*x);
        }
    }

    fn add(&self, x: &mut [f32], y: &[f32]) {
        for (x, y) in x.iter_mut().zip(y) {
            *x += y;
        }
    }

    fn rope(&self, x: &mut [f32], table: &Rope, heads: usize, first: usize) {
        let half = table.half();
        for (row, position) in x.chunks_exact_mut(heads * 2 * half).zip(first..) {
            let (cosines, sines) = table.at(position);
            for head in row.chunks_exact_mut(2 * half) {
                let (first, second) = head.split_at_mut(half);
                for i in 0..half {
                    let (a, b) = (first[i], second[i]);
                    first[i] = a.mul_add(cosines[i], -(b * sines[i]));
                    second[i] = b.mul_add(cosines[i], a * sines[i]);
                }
            }
        }
    }

    fn attention(&self, out: &mut [f32], q: &[f32], k: &[f32], v: &[f32], heads: usize, width: usize) {
        let d = width / heads;
        let scale = 1.0 / (d as f32).sqrt();
        let head = |x: &[f32], token: usize, h: usize, c: usize| x[token * width + h * d + c];
        let first = (k.len() - q.len()) / width;
        for h in 0..heads {
            for i in 0..q.len() / width {
                // Keys after the query's position do not exist.
                let scores: Vec<f32> = (0..=first + i)
                    .map(|j| chain(0.0, (0..d).map(|c| (head(q, i, h, c), head(k, j, h, c)))) * scale)
                    .collect();
                let largest = max(scores.iter().copied());
                let weights: Vec<f32> = scores.iter().map(|score| exp(score - largest)).collect();
                let total = sum(weights.iter().copied());
                for c in 0..d {
                    let value = chain(
                        0.0,
                        weights.iter().enumerate().map(|(j, w)| (*w, head(v, j, h, c))),
                    );
                    out[i * width + h * d + c] = value / total;
                }
            }
        }
    }

    fn token_losses(&self, out: &mut [f32], logits: &mut [f32], targets: &[u16]) {
        let vocab = logits.len() / targets.len().max(1);
        for ((out, logits), target) in out.iter_mut().zip(logits.chunks_exact(vocab)).zip(targets) {
            let largest = max(logits.iter().copied());
            let total = sum(logits.iter().map(|logit| exp(logit - largest)));
            *out = ln(total) - (logits[usize::from(*target)] - largest);
        }
    }

    fn characteristic(&self, sums: &mut [i64], projections: &[f32], directions: usize) {
        for row in projections.chunks_exact(directions) {
            for (s, projection) in row.iter().enumerate() {
                let (sine_1, cosine_1) = sin_cos(projection * POINT_STEP);
                let (mut sine, mut cosine) = (sine_1, cosine_1);
                for point in 0..POINTS {
                    let at = 2 * point * directions + s;
                    sums[at] += (cosine * CHARACTERISTIC_ONE).round_ties_even() as i64;
                    sums[at + directions] += (sine * CHARACTERISTIC_ONE).round_ties_even() as i64;
                    // The next point is one step further: angle addition.
                    (cosine, sine) = (
                        cosine.mul_add(cosine_1, -(sine * sine_1)),
                        sine.mul_add(cosine_1, cosine * sine_1),
                    );
                }
            }
        }
    }

    fn sum_rows(&self, sums: &mut [i64], x: &[f32]) {
        for row in x.chunks_exact(sums.len()) {
            for (sum, x) in sums.iter_mut().zip(row) {
                *sum += (f64::from(*x) * REPRESENTATION_ONE).round_ties_even() as i64;
            }
        }
    }
}
