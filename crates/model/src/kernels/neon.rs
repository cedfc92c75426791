//! The register tile of 64-bit Arm, whose baseline has all that it takes.
//!
//! Twelve rows by eight columns are 24 of the 32 registers; the others hold weights of two k and some x. A
//! multiply-add takes one element of a register as the factor of all lanes, so that x is loaded as vectors
//! and never spread out. Operands are slices cut to the tile: bounds are checked once, outside of all loops.
#![allow(unsafe_code)]

use std::{
    arch::{
        aarch64::{float32x2_t, float32x4_t, vdupq_n_f32, vfmaq_lane_f32, vfmaq_laneq_f32, vfmaq_n_f32},
        is_aarch64_feature_detected,
    },
    array,
    mem::transmute,
};

use super::tile::{Isa, Operand, Reach, assert_tile_in_bounds, with_rows};
use crate::matrix::{Lanes, PANEL};

/// 64-bit Arm.
pub struct Neon;

/// Registers that hold a row's sums, and the columns in them.
const VECTORS: usize = 2;
const COLUMNS: usize = 4 * VECTORS;

/// A row's sums, or weights, at some columns.
type Vectors = [float32x4_t; VECTORS];

impl Neon {
    /// Whether this processor has it. Every one that runs Linux or macOS does.
    pub fn detected() -> bool {
        is_aarch64_feature_detected!("neon")
    }
}

impl Isa for Neon {
    const NAME: &'static str = "neon";

    #[inline(always)]
    fn run<R>(f: impl FnOnce() -> R) -> R {
        #[target_feature(enable = "neon")]
        fn with_neon<R>(f: impl FnOnce() -> R) -> R {
            f()
        }
        // SAFETY: this backend is handed out only after `detected()`.
        unsafe { with_neon(f) }
    }

    fn tile(sums: &mut [Lanes], start: Option<&Lanes>, a: Operand<'_>, panel: &[Lanes], reach: Reach) {
        let rows = sums.len();
        assert_tile_in_bounds(rows, a, panel, reach);
        let packed = reach == Reach::Even && a.row_stride == 1 && a.depth_stride == rows;
        assert!(
            packed || a.depth_stride == 1,
            "neither the rows of a k nor the k of a row are side by side"
        );
        // SAFETY: this backend is handed out only after `detected()`.
        unsafe {
            match (packed, reach) {
                (true, _) => {
                    with_rows!(rows, [1 2 3 4 5 6 7 8 9 10 11 12], tile, true, false, (sums, start, a, panel));
                }
                (false, Reach::Even) => {
                    with_rows!(rows, [1 2 3 4 5 6 7 8 9 10 11 12], tile, false, false, (sums, start, a, panel));
                }
                (false, Reach::Causal) => {
                    with_rows!(rows, [1 2 3 4 5 6 7 8 9 10 11 12], tile, false, true, (sums, start, a, panel));
                }
            }
        }
    }
}

/// A whole tile, some columns at a time. Where it is `PACKED`, the rows of one k are side by side; elsewhere
/// the k of one row. (Not inlined: each stands in the machine code by its name,
/// where `benches/scoring/neon` counts its instructions.)
#[target_feature(enable = "neon")]
#[inline(never)]
fn tile<const ROWS: usize, const PACKED: bool, const CAUSAL: bool>(
    sums: &mut [Lanes],
    start: Option<&Lanes>,
    a: Operand<'_>,
    panel: &[Lanes],
) {
    let sums: &mut [Lanes; ROWS] = sums.try_into().expect("as many rows as the caller chose");
    // What all rows take, and what ever fewer of them do.
    let (shared, tail) = panel.split_at(panel.len() - if CAUSAL { ROWS - 1 } else { 0 });
    let (pairs, odd) = shared.as_chunks();
    let rows: [(&[f32], &[f32]); ROWS] = array::from_fn(|row| match (PACKED, CAUSAL) {
        (true, _) => Default::default(),
        (_, false) => (&a.values[row * a.row_stride..][..shared.len()], &[][..]),
        (_, true) => a.values[row * a.row_stride..][..shared.len() + row].split_at(shared.len()),
    });
    for first in (0..PANEL).step_by(COLUMNS) {
        let mut acc = [[vdupq_n_f32(0.0); VECTORS]; ROWS];
        for (acc, sums) in acc.iter_mut().zip(sums.iter()) {
            *acc = columns(start.unwrap_or(sums), first);
        }
        if PACKED {
            let (steps, _) = a.values.as_chunks();
            for (x, weights) in steps.iter().zip(shared) {
                step_packed(&mut acc, x, columns(weights, first));
            }
        } else {
            let pairs_of_rows = rows.map(|(row, _)| &row.as_chunks().0[..pairs.len()]);
            for (k, [one, two]) in pairs.iter().enumerate() {
                let weights = [columns(one, first), columns(two, first)];
                for (acc, row) in acc.iter_mut().zip(pairs_of_rows) {
                    // SAFETY: each row is cut to as many pairs. (The compiler forgets it, and would check.)
                    two_steps(acc, unsafe { *row.get_unchecked(k) }, weights);
                }
            }
            if let [weights] = odd {
                for (acc, (row, _)) in acc.iter_mut().zip(rows) {
                    step(acc, row[shared.len() - 1], columns(weights, first));
                }
            }
        }
        if CAUSAL {
            #[expect(
                clippy::needless_range_loop,
                reason = "a constant count is unrolled, which keeps sums in registers"
            )]
            for k in 0..ROWS - 1 {
                let weights = columns(&tail[k], first);
                for (row, acc) in acc.iter_mut().enumerate() {
                    if row > k {
                        step(acc, rows[row].1[k], weights);
                    }
                }
            }
        }
        for (sums, acc) in sums.iter_mut().zip(acc) {
            // SAFETY: plain numbers of the same size.
            let acc: [f32; COLUMNS] = unsafe { transmute(acc) };
            sums[first..first + COLUMNS].copy_from_slice(&acc);
        }
    }
}

/// One k of one row.
#[target_feature(enable = "neon")]
#[inline]
fn step(acc: &mut Vectors, x: f32, weights: Vectors) {
    for (acc, weights) in acc.iter_mut().zip(weights) {
        *acc = vfmaq_n_f32(*acc, weights, x);
    }
}

/// Two k of one row.
#[target_feature(enable = "neon")]
#[inline]
fn two_steps(acc: &mut Vectors, x: [f32; 2], [one, two]: [Vectors; 2]) {
    // SAFETY: plain numbers of the same size.
    let x: float32x2_t = unsafe { transmute(x) };
    for (acc, (one, two)) in acc.iter_mut().zip(one.into_iter().zip(two)) {
        *acc = vfmaq_lane_f32::<0>(*acc, one, x);
        *acc = vfmaq_lane_f32::<1>(*acc, two, x);
    }
}

/// One k of all rows.
#[target_feature(enable = "neon")]
#[inline]
fn step_packed<const ROWS: usize>(acc: &mut [Vectors; ROWS], x: &[f32; ROWS], weights: Vectors) {
    let ((x_fours, x_others), (fours, others)) = (x.as_chunks::<4>(), acc.as_chunks_mut());
    for ([a, b, c, d], x) in fours.iter_mut().zip(x_fours) {
        // SAFETY: plain numbers of the same size.
        let x: float32x4_t = unsafe { transmute(*x) };
        for (vector, weights) in weights.into_iter().enumerate() {
            a[vector] = vfmaq_laneq_f32::<0>(a[vector], weights, x);
            b[vector] = vfmaq_laneq_f32::<1>(b[vector], weights, x);
            c[vector] = vfmaq_laneq_f32::<2>(c[vector], weights, x);
            d[vector] = vfmaq_laneq_f32::<3>(d[vector], weights, x);
        }
    }
    for (acc, x) in others.iter_mut().zip(x_others) {
        step(acc, *x, weights);
    }
}

/// Some columns of a row as vectors. (Not a load intrinsic: in debug builds those carry checks.)
#[inline(always)]
fn columns(row: &Lanes, first: usize) -> Vectors {
    let columns: &[f32; COLUMNS] = row[first..].first_chunk().expect("columns of a panel");
    // SAFETY: plain numbers of the same size.
    unsafe { transmute(*columns) }
}

#[cfg(test)]
mod tests {
    use std::arch::asm;

    use super::super::{BackendError, floating_point_is_ieee};

    /// Runs `f` with other rounding or subnormal handling, as some libraries leave a thread behind.
    fn with_control<R>(flags: u64, f: impl FnOnce() -> R) -> R {
        let original: u64;
        // SAFETY: the control register is read, changed for `f`, and put back; `f` hides its arithmetic
        // from the compiler.
        unsafe {
            asm!("mrs {}, fpcr", out(reg) original);
            asm!("msr fpcr, {}", in(reg) original | flags);
            let result = f();
            asm!("msr fpcr, {}", in(reg) original);
            result
        }
    }

    #[test]
    fn changed_arithmetic_is_noticed() {
        const FLUSH_TO_ZERO: u64 = 1 << 24;
        assert_eq!(with_control(0, floating_point_is_ieee), Ok(()));
        for flags in [FLUSH_TO_ZERO, 1 << 22, 2 << 22, 3 << 22] {
            let result = with_control(flags, floating_point_is_ieee);
            assert!(
                matches!(result, Err(BackendError::FloatingPoint(_))),
                "{flags:#x}: {result:?}"
            );
        }
    }
}
