//! Tiles: what an instruction set computes at once, the operands it takes, and how rows and columns are cut
//! into tiles and tasks.

#[cfg(test)]
mod tests;

use std::{ops::Range, slice};

use crate::{
    matrix::{Lanes, PANEL},
    tensor::bf16_to_f32,
};

/// Rows of a full tile: with 32 columns, 24 accumulators of AVX-512; of NEON with 8 of them.
pub const TILE_ROWS: usize = 12;
/// Panels that one row takes at once: with 32 columns each, 8 accumulators of AVX-512, whose additions fill
/// each other's waits.
pub const ROW_PANELS: usize = 4;
/// Steps of k per stretch of a panel.
pub const DEPTH: usize = 512;
/// Fewest multiply-adds worth a task of their own.
pub const TASK_WORK_MIN: usize = 1 << 20;
/// Rows up to this length are read where they are. The longer they are, the more of them begin in the
/// same few sets of the L1 cache and evict each other: those are packed.
const DIRECT_MAX: usize = 512;

/// An instruction set.
pub trait Isa: Send + Sync + 'static {
    /// As in `SOMA_SIMD`.
    const NAME: &'static str;

    /// Runs `f` compiled for the instruction set (`f` and what it calls must be `inline(always)`).
    fn run<R>(f: impl FnOnce() -> R) -> R;

    /// `sums[row][c] = fma(a(row, k), panel[k][c], sums[row][c])` for each k ascending, in at most
    /// [`TILE_ROWS`] rows. Sums begin as `start` where it is given, else as they are.
    ///
    /// # Panics
    /// When `a` or a causal panel is too short, or there are too many rows.
    fn tile(sums: &mut [Lanes], start: Option<&Lanes>, a: Operand<'_>, panel: &[Lanes], reach: Reach);

    /// One row: `sums[p][c] = fma(x[k], panels[p][k][c], sums[p][c])` for each k ascending, in at most
    /// [`ROW_PANELS`] panels.
    ///
    /// # Panics
    /// When a panel is not as long as the row, or there are more or fewer than sums, or too many.
    fn row(sums: &mut [Lanes], x: &[f32], panels: &[&[Lanes]]) {
        assert_row_in_bounds(sums, x, panels);
        let a = Operand {
            values: x,
            row_stride: x.len(),
            depth_stride: 1,
        };
        for (sums, panel) in sums.iter_mut().zip(panels) {
            Self::tile(slice::from_mut(sums), None, a, panel, Reach::Even);
        }
    }

    /// [`Self::row`] of weights in BF16.
    ///
    /// # Panics
    /// As [`Self::row`].
    fn row_bf16(sums: &mut [Lanes], x: &[f32], panels: &[&[[u16; PANEL]]]) {
        assert_row_in_bounds(sums, x, panels);
        let mut wide = [[0.0; PANEL]; WIDENED];
        for (sums, panel) in sums.iter_mut().zip(panels) {
            for (x, panel) in x.chunks(WIDENED).zip(panel.chunks(WIDENED)) {
                Self::run(
                    #[inline(always)]
                    || {
                        for (wide, narrow) in wide.iter_mut().zip(panel) {
                            for lane in 0..PANEL {
                                wide[lane] = bf16_to_f32(narrow[lane]);
                            }
                        }
                    },
                );
                Self::row(slice::from_mut(sums), x, &[&wide[..panel.len()]]);
            }
        }
    }
}

/// Steps of k that a row widens at once (8 KiB).
const WIDENED: usize = 64;

/// An operand of a tile: element (row, k) is `values[row * row_stride + k * depth_stride]`. Either the k of
/// a row are side by side (`depth_stride` 1), or the rows of a k and nothing else (`row_stride` 1).
#[derive(Clone, Copy)]
pub struct Operand<'a> {
    pub values: &'a [f32],
    pub row_stride: usize,
    pub depth_stride: usize,
}

/// Which k the rows of a tile take.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// All rows all of the panel.
    Even,
    /// The last row all of the panel, each row before it one step less than the next.
    Causal,
}

/// Panics unless every element that a tile reads lies within its slices.
#[inline(always)]
pub fn assert_tile_in_bounds(rows: usize, a: Operand<'_>, panel: &[Lanes], reach: Reach) {
    assert!((1..=TILE_ROWS).contains(&rows), "a tile of {rows} rows");
    let last = (rows - 1)
        .checked_mul(a.row_stride)
        .zip(panel.len().saturating_sub(1).checked_mul(a.depth_stride))
        .and_then(|(row, column)| row.checked_add(column));
    assert!(
        panel.is_empty() || last.is_some_and(|last| last < a.values.len()),
        "a tile reads beyond its operand"
    );
    assert!(
        reach == Reach::Even || panel.len() >= rows,
        "a causal tile reaches back before its panel"
    );
}

/// Panics unless a row's panels are as long as it is, one for each of its sums, and not too many.
#[inline(always)]
pub fn assert_row_in_bounds<T>(sums: &[Lanes], x: &[f32], panels: &[&[T]]) {
    assert!(
        (1..=ROW_PANELS).contains(&sums.len()) && sums.len() == panels.len(),
        "a row of {} panels and {} sums",
        panels.len(),
        sums.len()
    );
    assert!(
        panels.iter().all(|panel| panel.len() == x.len()),
        "a row and its panels differ in length"
    );
}

/// Calls `$tile` with the number of rows as a constant.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
macro_rules! with_rows {
    ($count:expr, [$($rows:literal)*], $tile:ident, $packed:literal, $causal:literal, $arguments:tt) => {
        match $count {
            $($rows => $tile::<$rows, $packed, $causal>$arguments,)*
            rows => unreachable!("a tile of {rows} rows"),
        }
    };
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
pub(super) use with_rows;

/// Rows as operands of tiles: where they are, or packed so that a tile reads them in sequence.
pub struct Operands<'a> {
    values: &'a [f32],
    rows: usize,
    /// Between rows that are not packed.
    stride: Option<usize>,
}

impl<'a> Operands<'a> {
    /// The first `depth` values of `rows` rows, `stride` apart.
    pub fn new(x: &'a [f32], rows: usize, stride: usize, depth: usize, packed: &'a mut Vec<f32>) -> Self {
        if stride <= DIRECT_MAX {
            return Self {
                values: x,
                rows,
                stride: Some(stride),
            };
        }
        packed.resize(packed.len().max(rows * depth), 0.0);
        for depth in cut(0..depth, DEPTH) {
            for tile in cut(0..rows, TILE_ROWS) {
                let height = tile.len();
                let at = depth.start * rows + depth.len() * tile.start;
                let packed = &mut packed[at..at + depth.len() * height];
                for (r, row) in tile.enumerate() {
                    let x = &x[row * stride..][depth.clone()];
                    for (packed, x) in packed.chunks_exact_mut(height).zip(x) {
                        packed[r] = *x;
                    }
                }
            }
        }
        Self {
            values: packed,
            rows,
            stride: None,
        }
    }

    /// A tile's rows over one stretch. Both are as [`cut`] makes them.
    pub fn tile(&self, tile: &Range<usize>, depth: &Range<usize>) -> Operand<'a> {
        match self.stride {
            Some(stride) => Operand {
                values: &self.values[tile.start * stride + depth.start..],
                row_stride: stride,
                depth_stride: 1,
            },
            None => Operand {
                values: &self.values[depth.start * self.rows + depth.len() * tile.start..],
                row_stride: 1,
                depth_stride: tile.len(),
            },
        }
    }
}

/// Consecutive ranges of at most `step`.
pub fn cut(range: Range<usize>, step: usize) -> impl Iterator<Item = Range<usize>> {
    range
        .clone()
        .step_by(step)
        .map(move |at| at..range.end.min(at + step))
}

/// Cuts rows of `width` into tasks of `task_rows` rows by `task_columns` columns, row by row of tasks.
pub fn grid(out: &mut [f32], width: usize, task_rows: usize, task_columns: usize) -> Vec<Vec<&mut [f32]>> {
    let mut tasks = Vec::new();
    for block in out.chunks_mut(task_rows * width) {
        let first = tasks.len();
        let rows = block.len() / width;
        tasks.resize_with(first + width.div_ceil(task_columns), || Vec::with_capacity(rows));
        for row in block.chunks_exact_mut(width) {
            for (task, part) in tasks[first..].iter_mut().zip(row.chunks_mut(task_columns)) {
                task.push(part);
            }
        }
    }
    tasks
}

/// A whole panel's width at a known size, or the narrow last one.
#[inline(always)]
pub fn store(out: &mut [f32], sums: &Lanes) {
    match out.first_chunk_mut::<PANEL>() {
        Some(out) => *out = *sums,
        None => out.copy_from_slice(&sums[..out.len()]),
    }
}
