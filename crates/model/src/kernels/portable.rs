//! The blocked algorithms in plain Rust, for processors without a backend of their own.

use super::blocked::{Isa, assert_tile_in_bounds};
use crate::matrix::PANEL;

/// Whatever the compiler makes of it for the build's target.
pub struct Portable;

impl Isa for Portable {
    const NAME: &'static str = "portable";

    #[inline(always)]
    fn run<R>(f: impl FnOnce() -> R) -> R {
        f()
    }

    fn tile<const ROWS: usize>(
        acc: &mut [[f32; PANEL]; ROWS],
        a: &[f32],
        row_stride: usize,
        depth_stride: usize,
        panel: &[f32],
    ) {
        /// Accumulators per row kept in registers at once.
        const COLUMNS: usize = 8;
        assert_tile_in_bounds(a, ROWS, row_stride, depth_stride, panel);
        for column in (0..PANEL).step_by(COLUMNS) {
            for (row, acc) in acc.iter_mut().enumerate() {
                let mut sums = [0.0; COLUMNS];
                sums.copy_from_slice(&acc[column..column + COLUMNS]);
                for (k, weights) in panel.chunks_exact(PANEL).enumerate() {
                    let x = a[row * row_stride + k * depth_stride];
                    for (sum, weight) in sums.iter_mut().zip(&weights[column..column + COLUMNS]) {
                        *sum = x.mul_add(*weight, *sum);
                    }
                }
                acc[column..column + COLUMNS].copy_from_slice(&sums);
            }
        }
    }
}
