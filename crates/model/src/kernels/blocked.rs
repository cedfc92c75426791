//! The fast backends: register tiles, cache blocking, packing and threads, generic over the instruction
//! set. Safe code; only [`Isa`]'s implementations for real instruction sets are not.
//!
//! One output element is one chain of fused multiply-adds over ascending k, whatever the blocking: a
//! tile's sums are loaded, extended by a stretch of k, and stored. So rows, columns and k may be cut
//! anywhere. A linear map is cut like this, from the outside in:
//!
//! 1. tasks of at most [`TASK_ROWS_MAX`] rows by some panels of columns, on any thread;
//! 2. groups of [`GROUP`] panels of 32 columns each, whose sums (132 KiB at most) stay in the L2 cache;
//! 3. stretches of [`DEPTH`] steps of k: the task's rows over a stretch (528 KiB) stay in the L2 cache for
//!    the group, and a panel's stretch (64 KiB) while
//! 4. tiles of [`TILE_ROWS`] rows pass over it.

use std::{cell::RefCell, marker::PhantomData, ops::Range};

use rayon::prelude::*;

use super::{Kernels, Rope, attention, lanes};
use crate::matrix::{Lanes, Matrix, PANEL};

/// An operand of a tile: element (row, k) is `values[row * row_stride + k * depth_stride]`. Either the k of a row
/// are side by side (`depth_stride` 1), or the rows of a k and nothing else (`row_stride` 1).
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

/// Rows of a full tile: with 32 columns, 24 accumulators of AVX-512; of NEON with 8 of them.
pub const TILE_ROWS: usize = 12;
/// Steps of k per stretch of a panel.
pub const DEPTH: usize = 512;
/// Panels per group.
const GROUP: usize = 4;
/// Most rows per task.
const TASK_ROWS_MAX: usize = 22 * TILE_ROWS;
/// Fewest multiply-adds worth a task of their own.
pub const TASK_WORK_MIN: usize = 1 << 20;
/// Rows up to this length are read where they are. The longer they are, the more of them begin in the
/// same few sets of the L1 cache and evict each other: those are packed.
const DIRECT_MAX: usize = 512;
const ZEROS: Lanes = [0.0; PANEL];

/// What happens to a linear map's results.
#[derive(Clone, Copy)]
enum Then {
    Store,
    Gelu,
    Add,
}

/// Buffers of one task, kept by the thread for its next. Packed rows are the most: 9 MiB in V1.
#[derive(Default)]
struct Scratch {
    packed: Vec<f32>,
    sums: Vec<Lanes>,
    widened: Vec<Lanes>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// The blocked backend on one instruction set.
pub struct Blocked<I>(PhantomData<I>);

impl<I: Isa> Blocked<I> {
    /// It has no state.
    pub const NEW: Self = Self(PhantomData);

    fn linear_then(out: &mut [f32], x: &[f32], weight: &Matrix, bias: Option<&[f32]>, then: Then) {
        let (inputs, outputs) = (weight.inputs(), weight.outputs());
        let rows = x.len() / inputs;
        let (task_rows, task_columns) = task_shape(rows, inputs, outputs);
        let column_tasks = outputs.div_ceil(task_columns);
        grid(&mut out[..rows * outputs], outputs, task_rows, task_columns)
            .into_par_iter()
            .enumerate()
            .for_each(|(index, mut out)| {
                let x = &x[index / column_tasks * task_rows * inputs..][..out.len() * inputs];
                let first = index % column_tasks * task_columns;
                SCRATCH.with_borrow_mut(|scratch| {
                    Self::linear_task(&mut out, x, weight, first, bias, then, scratch);
                });
            });
    }

    /// Some rows of a linear map: the columns from `first` on that `out` has room for.
    fn linear_task(
        out: &mut [&mut [f32]],
        x: &[f32],
        weight: &Matrix,
        first: usize,
        bias: Option<&[f32]>,
        then: Then,
        scratch: &mut Scratch,
    ) {
        let Scratch {
            packed,
            sums,
            widened,
        } = scratch;
        let inputs = weight.inputs();
        let (rows, columns) = (out.len(), first..first + out[0].len());
        let operands = Operands::new(x, rows, inputs, inputs, packed);
        sums.resize(sums.len().max(GROUP * rows), ZEROS);
        for group in cut(columns.start / PANEL..columns.end.div_ceil(PANEL), GROUP) {
            for depth in cut(0..inputs, DEPTH) {
                for (panel, sums) in group.clone().zip(sums.chunks_exact_mut(rows)) {
                    let own = panel * PANEL..columns.end.min((panel + 1) * PANEL);
                    let start = (depth.start == 0).then(|| start(bias, &own));
                    let own = own.start - first..own.end - first;
                    let weights = I::run(
                        #[inline(always)]
                        || weight.stretch(panel, depth.clone(), widened),
                    );
                    for tile in cut(0..rows, TILE_ROWS) {
                        let sums = &mut sums[tile.clone()];
                        let a = operands.tile(&tile, &depth);
                        I::tile(sums, start.as_ref(), a, weights, Reach::Even);
                        if depth.end == inputs {
                            I::run(
                                #[inline(always)]
                                || finish(&mut out[tile], &own, sums, then),
                            );
                        }
                    }
                }
            }
        }
    }
}

/// What the sums of some columns start from.
fn start(bias: Option<&[f32]>, columns: &Range<usize>) -> Lanes {
    let mut start = ZEROS;
    if let Some(bias) = bias {
        start[..columns.len()].copy_from_slice(&bias[columns.clone()]);
    }
    start
}

#[inline(always)]
fn finish(out: &mut [&mut [f32]], columns: &Range<usize>, sums: &mut [Lanes], then: Then) {
    if let Then::Gelu = then {
        lanes::gelu_all(sums.as_flattened_mut());
    }
    for (out, sums) in out.iter_mut().zip(sums) {
        let out = &mut out[columns.clone()];
        match (then, out.first_chunk_mut::<PANEL>()) {
            (Then::Add, Some(out)) => *out = lanes::plus(*out, sums),
            (Then::Add, None) => lanes::add(out, sums),
            (Then::Store | Then::Gelu, _) => store(out, sums),
        }
    }
}

/// A whole panel's width at a known size, or the narrow last one.
#[inline(always)]
pub fn store(out: &mut [f32], sums: &Lanes) {
    match out.first_chunk_mut::<PANEL>() {
        Some(out) => *out = *sums,
        None => out.copy_from_slice(&sums[..out.len()]),
    }
}

/// Consecutive ranges of at most `step`.
pub fn cut(range: Range<usize>, step: usize) -> impl Iterator<Item = Range<usize>> {
    range
        .clone()
        .step_by(step)
        .map(move |at| at..range.end.min(at + step))
}

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

/// Rows and columns per task: whole tiles and panels, so that every thread has some and no task is small.
fn task_shape(rows: usize, inputs: usize, outputs: usize) -> (usize, usize) {
    let threads = rayon::current_num_threads();
    let tasks_max = (rows * inputs * outputs / TASK_WORK_MIN).clamp(1, threads);
    let tiles = rows.div_ceil(TILE_ROWS);
    let row_tasks = tiles.min(tasks_max).max(rows.div_ceil(TASK_ROWS_MAX)).max(1);
    let column_tasks = tasks_max.div_ceil(row_tasks).min(outputs.div_ceil(PANEL));
    (
        tiles.div_ceil(row_tasks).max(1) * TILE_ROWS,
        outputs.div_ceil(PANEL).div_ceil(column_tasks) * PANEL,
    )
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

/// Rows of `width` values worth a task of their own in an operation on each value.
fn rows_per_task(width: usize) -> usize {
    (1 << 15) / width.clamp(1, 1 << 15)
}

impl<I: Isa> Kernels for Blocked<I> {
    fn name(&self) -> &'static str {
        I::NAME
    }

    fn linear(&self, out: &mut [f32], x: &[f32], weight: &Matrix, bias: Option<&[f32]>) {
        Self::linear_then(out, x, weight, bias, Then::Store);
    }

    fn linear_gelu(&self, out: &mut [f32], x: &[f32], weight: &Matrix, bias: &[f32]) {
        Self::linear_then(out, x, weight, Some(bias), Then::Gelu);
    }

    fn add_linear(&self, sum: &mut [f32], x: &[f32], weight: &Matrix, bias: &[f32]) {
        Self::linear_then(sum, x, weight, Some(bias), Then::Add);
    }

    fn layer_norm(&self, out: &mut [f32], x: &[f32], gamma: &[f32], beta: &[f32]) {
        let width = gamma.len();
        let task = rows_per_task(width) * width;
        out.par_chunks_mut(task)
            .zip(x.par_chunks(task))
            .for_each(|(out, x)| {
                I::run(
                    #[inline(always)]
                    || {
                        for (out, x) in out.chunks_exact_mut(width).zip(x.chunks_exact(width)) {
                            lanes::layer_norm_row(out, x, gamma, beta);
                        }
                    },
                );
            });
    }

    fn gelu(&self, x: &mut [f32]) {
        x.par_chunks_mut(1 << 15).for_each(|x| {
            I::run(
                #[inline(always)]
                || lanes::gelu_all(x),
            );
        });
    }

    fn add(&self, x: &mut [f32], y: &[f32]) {
        I::run(
            #[inline(always)]
            || lanes::add(x, y),
        );
    }

    fn rope(&self, x: &mut [f32], table: &Rope, heads: usize) {
        let width = heads * 2 * table.half();
        let task = rows_per_task(width);
        x.par_chunks_mut(task * width)
            .enumerate()
            .for_each(|(index, rows)| {
                I::run(
                    #[inline(always)]
                    || {
                        for (position, row) in rows.chunks_exact_mut(width).enumerate() {
                            let (cosines, sines) = table.at(index * task + position);
                            lanes::rope_row(row, cosines, sines);
                        }
                    },
                );
            });
    }

    fn attention(&self, out: &mut [f32], q: &[f32], k: &[f32], v: &[f32], heads: usize, width: usize) {
        attention::causal::<I>(out, q, k, v, heads, width);
    }

    fn token_losses(&self, out: &mut [f32], logits: &mut [f32], targets: &[u16]) {
        let vocab = logits.len() / targets.len().max(1);
        let task = rows_per_task(vocab);
        out.par_chunks_mut(task)
            .zip(logits.par_chunks((task * vocab).max(1)))
            .zip(targets.par_chunks(task))
            .for_each(|((out, logits), targets)| {
                let mut padded = vec![ZEROS; vocab.div_ceil(PANEL)];
                I::run(
                    #[inline(always)]
                    || {
                        let rows = logits.chunks_exact(vocab).zip(targets);
                        for (out, (logits, target)) in out.iter_mut().zip(rows) {
                            *out = lanes::token_loss(logits, usize::from(*target), &mut padded);
                        }
                    },
                );
            });
    }

    fn characteristic(&self, sums: &mut [i64], projections: &[f32], directions: usize) {
        I::run(
            #[inline(always)]
            || lanes::characteristic(sums, projections, directions),
        );
    }

    fn sum_rows(&self, sums: &mut [i64], x: &[f32]) {
        I::run(
            #[inline(always)]
            || {
                for row in x.chunks_exact(sums.len()) {
                    lanes::sum_row(sums, row);
                }
            },
        );
    }
}
