//! Row operations in the reference's order, written over 32 lanes so that a compiler which may use
//! wide registers does. All are `inline(always)`: they take on the instruction set of their caller.

use super::{CHARACTERISTIC_ONE, POINT_STEP, POINTS, REPRESENTATION_ONE};
use crate::{
    elementary::{exp, gelu, ln, sin_cos},
    matrix::{Lanes, PANEL},
};
use soma_types::architecture::LAYER_NORM_EPSILON;

/// Adds lanes by halves. Not inlined: seeing this tree beside the loop that fills the lanes, the compiler
/// would cut the loop's registers to fit the tree.
#[inline(never)]
pub fn fold(lanes: &Lanes) -> f32 {
    let mut lanes = *lanes;
    for half in [16, 8, 4, 2, 1] {
        for lane in 0..half {
            lanes[lane] += lanes[lane + half];
        }
    }
    lanes[0]
}

/// As [`fold`], for the largest.
#[inline(never)]
fn fold_max(lanes: &Lanes) -> f32 {
    let mut lanes = *lanes;
    for half in [16, 8, 4, 2, 1] {
        for lane in 0..half {
            lanes[lane] = larger(lanes[lane], lanes[lane + half]);
        }
    }
    lanes[0]
}

/// The larger; a NaN is passed over.
#[inline(always)]
fn larger(a: f32, b: f32) -> f32 {
    if b > a { b } else { a }
}

#[inline(always)]
fn accumulate(x: &[f32], step: impl Fn(f32, f32) -> f32) -> Lanes {
    let (blocks, rest) = x.as_chunks::<PANEL>();
    let mut lanes = [0.0; PANEL];
    for block in blocks {
        for lane in 0..PANEL {
            lanes[lane] = step(lanes[lane], block[lane]);
        }
    }
    for (lane, x) in lanes.iter_mut().zip(rest) {
        *lane = step(*lane, *x);
    }
    lanes
}

#[inline(always)]
fn sum(x: &[f32]) -> f32 {
    fold(&accumulate(
        x,
        #[inline(always)]
        |lane, x| lane + x,
    ))
}

#[inline(always)]
pub fn layer_norm_row(out: &mut [f32], x: &[f32], gamma: &[f32], beta: &[f32]) {
    let width = x.len();
    let mean = sum(x) / width as f32;
    let squares = accumulate(
        x,
        #[inline(always)]
        |lane, x| (x - mean).mul_add(x - mean, lane),
    );
    let scale = 1.0 / (fold(&squares) / width as f32 + LAYER_NORM_EPSILON).sqrt();
    for (((out, x), gamma), beta) in out.iter_mut().zip(x).zip(gamma).zip(beta) {
        *out = ((*x - mean) * scale).mul_add(*gamma, *beta);
    }
}

#[inline(always)]
pub fn gelu_all(x: &mut [f32]) {
    for x in x {
        *x = gelu(*x);
    }
}

#[inline(always)]
pub fn add(x: &mut [f32], y: &[f32]) {
    for (x, y) in x.iter_mut().zip(y) {
        *x += *y;
    }
}

#[inline(always)]
pub fn plus(mut lanes: Lanes, more: &Lanes) -> Lanes {
    for lane in 0..PANEL {
        lanes[lane] += more[lane];
    }
    lanes
}

#[inline(always)]
pub fn times(mut lanes: Lanes, factor: f32) -> Lanes {
    for x in &mut lanes {
        *x *= factor;
    }
    lanes
}

#[inline(always)]
pub fn over(mut lanes: Lanes, divisor: f32) -> Lanes {
    for x in &mut lanes {
        *x /= divisor;
    }
    lanes
}

#[inline(always)]
pub fn rope_row(row: &mut [f32], cosines: &[f32], sines: &[f32]) {
    let half = cosines.len();
    for head in row.chunks_exact_mut(2 * half) {
        let (first, second) = head.split_at_mut(half);
        for (((first, second), cosine), sine) in first.iter_mut().zip(second).zip(cosines).zip(sines) {
            let (a, b) = (*first, *second);
            *first = a.mul_add(*cosine, -(b * *sine));
            *second = b.mul_add(*cosine, a * *sine);
        }
    }
}

/// The largest of a row of `count` values. Lanes past the row become minus infinity: never the largest, and
/// [`softmax_row`] makes 0 of them, which changes no sum, so the row is as if it ended where it does.
///
/// # Panics
/// When the row does not end in the last block.
#[inline(always)]
pub fn row_max(blocks: &mut [Lanes], count: usize) -> f32 {
    let (last, whole) = blocks.split_last_mut().expect("a row is not empty");
    let filled = (count - whole.len() * PANEL) as u32;
    for (lane, x) in last.iter_mut().enumerate() {
        let x_or_none = [f32::NEG_INFINITY, *x];
        *x = x_or_none[usize::from((lane as u32) < filled)];
    }
    let mut lanes = *last;
    for block in whole {
        for lane in 0..PANEL {
            lanes[lane] = larger(lanes[lane], block[lane]);
        }
    }
    fold_max(&lanes)
}

/// `x = exp(x - largest)` in each lane; returns the sums of lanes.
#[inline(always)]
pub fn softmax_row(blocks: &mut [Lanes], largest: f32) -> Lanes {
    let mut lanes = [0.0; PANEL];
    for block in blocks {
        for lane in 0..PANEL {
            block[lane] = exp(block[lane] - largest);
            lanes[lane] += block[lane];
        }
    }
    lanes
}

/// `padded` is room for the row in whole blocks.
#[inline(always)]
pub fn token_loss(logits: &[f32], target: usize, padded: &mut [Lanes]) -> f32 {
    padded.as_flattened_mut()[..logits.len()].copy_from_slice(logits);
    let largest = row_max(padded, logits.len());
    ln(fold(&softmax_row(padded, largest))) - (logits[target] - largest)
}

/// Directions handled at once in [`characteristic`]: two registers of AVX-512, whose steps fill each other's
/// waits.
const WIDTH: usize = 32;
/// Rows whose sums of cosines (at most 2^21 each, a little more by rounding) fit 32 bits.
const ROWS: usize = 512;
/// 6 + x has an ulp of 2^-21 for |x| < 2: adding it rounds x to that grid, and the bits count it.
const GRID: f32 = 6.0;
const _: () = assert!(CHARACTERISTIC_ONE == 2_097_152.0 && ROWS <= 1 << 9);

#[inline(always)]
pub fn characteristic(sums: &mut [i64], projections: &[f32], directions: usize) {
    let whole = directions - directions % WIDTH;
    for block in projections.chunks(ROWS * directions) {
        // What the grid's own bits will have added is taken off beforehand.
        let rows = (block.len() / directions) as u32;
        let start = [[[rows.wrapping_mul(GRID.to_bits()).wrapping_neg(); WIDTH]; 2]; POINTS];
        for first in (0..whole).step_by(WIDTH) {
            let mut partial = start;
            for row in block.chunks_exact(directions) {
                let mut angles = [0.0; WIDTH];
                angles.copy_from_slice(&row[first..first + WIDTH]);
                points(&mut partial, &angles);
            }
            flush(sums, &partial, first, WIDTH, directions);
        }
        if whole < directions {
            let width = directions - whole;
            let mut partial = start;
            for row in block.chunks_exact(directions) {
                let mut angles = [0.0; WIDTH];
                angles[..width].copy_from_slice(&row[whole..]);
                points(&mut partial, &angles);
            }
            flush(sums, &partial, whole, width, directions);
        }
    }
}

#[inline(always)]
fn points(partial: &mut [[[u32; WIDTH]; 2]; POINTS], projections: &[f32; WIDTH]) {
    let (mut sine, mut cosine) = ([0.0; WIDTH], [0.0; WIDTH]);
    for lane in 0..WIDTH {
        (sine[lane], cosine[lane]) = sin_cos(projections[lane] * POINT_STEP);
    }
    let (sine_1, cosine_1) = (sine, cosine);
    for [cosines, sines] in partial {
        for lane in 0..WIDTH {
            cosines[lane] = cosines[lane].wrapping_add((cosine[lane] + GRID).to_bits());
            sines[lane] = sines[lane].wrapping_add((sine[lane] + GRID).to_bits());
            let (s, c) = (sine[lane], cosine[lane]);
            cosine[lane] = c.mul_add(cosine_1[lane], -(s * sine_1[lane]));
            sine[lane] = s.mul_add(cosine_1[lane], c * sine_1[lane]);
        }
    }
}

#[inline(always)]
fn flush(
    sums: &mut [i64],
    partial: &[[[u32; WIDTH]; 2]; POINTS],
    first: usize,
    width: usize,
    directions: usize,
) {
    for (point, halves) in partial.iter().enumerate() {
        for (half, values) in halves.iter().enumerate() {
            let start = (2 * point + half) * directions + first;
            for (sum, value) in sums[start..start + width].iter_mut().zip(values) {
                *sum += i64::from(*value as i32);
            }
        }
    }
}

#[inline(always)]
pub fn sum_row(sums: &mut [i64], row: &[f32]) {
    /// 1.5 * 2^52: adding it rounds to an integer, which the bits then count.
    const GRID: f64 = 6_755_399_441_055_744.0;
    for (sum, x) in sums.iter_mut().zip(row) {
        let bits = (f64::from(*x) * REPRESENTATION_ONE + GRID).to_bits();
        *sum = sum.wrapping_add(bits.wrapping_sub(GRID.to_bits()) as i64);
    }
}
