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
//!
//! A single row, such as a token that is decoded, is bound by reading the weights: it takes [`ROW_PANELS`]
//! panels at once, from end to end and as they are stored.

use std::{cell::RefCell, marker::PhantomData, ops::Range, slice};

use rayon::prelude::*;

use super::{
    Kernels, Rope, Seen, attention, lanes, row,
    tile::{DEPTH, Isa, Operands, ROW_PANELS, Reach, TASK_WORK_MIN, TILE_ROWS, cut, grid, store},
};
use crate::matrix::{Lanes, Matrix, PANEL};

/// Panels per group.
const GROUP: usize = 4;
/// Most rows per task.
const TASK_ROWS_MAX: usize = 22 * TILE_ROWS;
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
        let own = |panel: usize| panel * PANEL..columns.end.min((panel + 1) * PANEL);
        let place = |own: &Range<usize>| own.start - first..own.end - first;
        if rows == 1 {
            for group in cut(columns.start / PANEL..columns.end.div_ceil(PANEL), ROW_PANELS) {
                let mut sums = [ZEROS; ROW_PANELS];
                let sums = &mut sums[..group.len()];
                for (sums, panel) in sums.iter_mut().zip(group.clone()) {
                    *sums = start(bias, &own(panel));
                }
                row::extend::<I>(sums, x, weight, group.clone(), widened);
                I::run(
                    #[inline(always)]
                    || {
                        for (sums, panel) in sums.iter_mut().zip(group) {
                            finish(out, &place(&own(panel)), slice::from_mut(sums), then);
                        }
                    },
                );
            }
            return;
        }
        let operands = Operands::new(x, rows, inputs, inputs, packed);
        sums.resize(sums.len().max(GROUP * rows), ZEROS);
        for group in cut(columns.start / PANEL..columns.end.div_ceil(PANEL), GROUP) {
            for depth in cut(0..inputs, DEPTH) {
                for (panel, sums) in group.clone().zip(sums.chunks_exact_mut(rows)) {
                    let own = own(panel);
                    let start = (depth.start == 0).then(|| start(bias, &own));
                    let own = place(&own);
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

    fn rope(&self, x: &mut [f32], table: &Rope, heads: usize, first: usize) {
        let width = heads * 2 * table.half();
        let task = rows_per_task(width);
        x.par_chunks_mut(task * width)
            .enumerate()
            .for_each(|(index, rows)| {
                I::run(
                    #[inline(always)]
                    || {
                        let positions = first + index * task..;
                        for (row, position) in rows.chunks_exact_mut(width).zip(positions) {
                            let (cosines, sines) = table.at(position);
                            lanes::rope_row(row, cosines, sines);
                        }
                    },
                );
            });
    }

    fn attention(&self, out: &mut [f32], q: &[f32], k: &[f32], v: &[f32], heads: usize, width: usize) {
        attention::causal::<I>(out, q, k, v, heads, width);
    }

    fn attend(&self, out: &mut [f32], q: &[f32], seen: &Seen) {
        attention::attend::<I>(out, q, seen);
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
