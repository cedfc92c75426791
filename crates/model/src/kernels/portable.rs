//! The blocked algorithms in plain Rust, for processors without a backend of their own.

use super::tile::{Isa, Operand, Reach, assert_tile_in_bounds};
use crate::matrix::{Lanes, PANEL};

/// Whatever the compiler makes of it for the build's target.
pub struct Portable;

/// Sums kept in registers at once.
const ROWS: usize = 4;
const COLUMNS: usize = 8;

impl Isa for Portable {
    const NAME: &'static str = "portable";

    #[inline(always)]
    fn run<R>(f: impl FnOnce() -> R) -> R {
        f()
    }

    fn tile(sums: &mut [Lanes], start: Option<&Lanes>, a: Operand<'_>, panel: &[Lanes], reach: Reach) {
        assert_tile_in_bounds(sums.len(), a, panel, reach);
        if let Some(start) = start {
            sums.fill(*start);
        }
        let rows = sums.len();
        let depth = |row: usize| match reach {
            Reach::Even => panel.len(),
            Reach::Causal => panel.len() - (rows - 1 - row),
        };
        for (block, sums) in sums.chunks_mut(ROWS).enumerate() {
            let first = block * ROWS;
            let x = |row: usize, k: usize| a.values[(first + row) * a.row_stride + k * a.depth_stride];
            for column in (0..PANEL).step_by(COLUMNS) {
                let mut block = [[0.0; COLUMNS]; ROWS];
                for (block, sums) in block.iter_mut().zip(&*sums) {
                    block.copy_from_slice(&sums[column..column + COLUMNS]);
                }
                let extend = |sums: &mut [f32; COLUMNS], x: f32, k: usize| {
                    for (sum, weight) in sums.iter_mut().zip(&panel[k][column..column + COLUMNS]) {
                        *sum = x.mul_add(*weight, *sum);
                    }
                };
                // Together as far as all rows reach, then each row on its own.
                let shared = if sums.len() == ROWS { depth(first) } else { 0 };
                for k in 0..shared {
                    for (row, sums) in block.iter_mut().enumerate() {
                        extend(sums, x(row, k), k);
                    }
                }
                for (row, sums) in block[..sums.len()].iter_mut().enumerate() {
                    for k in shared..depth(first + row) {
                        extend(sums, x(row, k), k);
                    }
                }
                for (block, sums) in block.iter().zip(&mut *sums) {
                    sums[column..column + COLUMNS].copy_from_slice(block);
                }
            }
        }
    }
}
