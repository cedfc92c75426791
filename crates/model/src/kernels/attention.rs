//! Causal attention in tiles, for all instruction sets.
//!
//! Keys (transposed) and values are packed into panels once per head. A task takes a block of queries in
//! one head: scores against the panels of keys up to the block's last query, softmax row by row, then the
//! weighted values. Keys that no query of a tile may see are never touched, and the last tile of a row
//! stops at the row's own position, so that masked keys are absent rather than weighted with 0.

use std::{cell::Cell, cell::RefCell};

use rayon::prelude::*;

use super::{
    lanes,
    tile::{DEPTH, Isa, Operand, Operands, Reach, TASK_WORK_MIN, TILE_ROWS, cut, grid, store},
};
use crate::matrix::{Lanes, PANEL};

/// Queries per task: 4 tiles pass over a panel of keys or values while it is in the L1 cache.
const BLOCK: usize = 4 * TILE_ROWS;
const ZEROS: Lanes = [0.0; PANEL];

/// Keys and values of all heads in panels: `keys[head][token / 32][d][token % 32]`,
/// `values[head][d / 32][token][d % 32]`.
#[derive(Default)]
struct Packed {
    keys: Vec<Lanes>,
    values: Vec<Lanes>,
}

/// Buffers of one task.
#[derive(Default)]
struct Scratch {
    queries: Vec<f32>,
    scores: Vec<Lanes>,
}

thread_local! {
    /// Taken while in use: a thread that waits for tasks of one sequence may begin another.
    static PACKED: Cell<Packed> = Cell::default();
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// As [`super::Kernels::attention`].
pub fn causal<I: Isa>(out: &mut [f32], q: &[f32], k: &[f32], v: &[f32], heads: usize, width: usize) {
    let d = width / heads;
    let (rows, tokens) = (q.len() / width, k.len() / width);
    let earlier = tokens - rows;
    let mut packed = PACKED.take();
    let (key_panels, value_panels) = (tokens.div_ceil(PANEL), d.div_ceil(PANEL));
    packed.keys.resize(heads * key_panels * d, ZEROS);
    packed.values.resize(heads * value_panels * tokens, ZEROS);
    // A head's packing is worth a task when its attention is.
    let heads_min = TASK_WORK_MIN.div_ceil((rows * tokens * d).max(1));
    packed
        .keys
        .par_chunks_exact_mut(key_panels * d)
        .zip(packed.values.par_chunks_exact_mut(value_panels * tokens))
        .enumerate()
        .with_min_len(heads_min)
        .for_each(|(head, (keys, values))| {
            pack_keys(keys, &k[head * d..], width, d, tokens);
            pack_values(values, &v[head * d..], width, d, tokens);
        });
    let tasks_min = TASK_WORK_MIN.div_ceil((BLOCK * tokens * d).max(1));
    grid(&mut out[..rows * width], width, BLOCK, d)
        .into_par_iter()
        .enumerate()
        .with_min_len(tasks_min)
        .for_each(|(index, mut out)| {
            let (first, head) = (index / heads * BLOCK, index % heads);
            let task = Task {
                first: earlier + first,
                d,
                width,
                queries: &q[first * width + head * d..],
                keys: &packed.keys[head * key_panels * d..][..key_panels * d],
                values: &packed.values[head * value_panels * tokens..][..value_panels * tokens],
                tokens,
            };
            SCRATCH.with_borrow_mut(|scratch| task.run::<I>(&mut out, scratch));
        });
    PACKED.set(packed);
}

fn pack_keys(keys: &mut [Lanes], k: &[f32], width: usize, d: usize, tokens: usize) {
    for (first, panel) in (0..tokens).step_by(PANEL).zip(keys.chunks_exact_mut(d)) {
        for lane in 0..PANEL.min(tokens - first) {
            let row = &k[(first + lane) * width..][..d];
            for (packed, x) in panel.iter_mut().zip(row) {
                packed[lane] = *x;
            }
        }
    }
}

fn pack_values(values: &mut [Lanes], v: &[f32], width: usize, d: usize, tokens: usize) {
    for (first, panel) in (0..d).step_by(PANEL).zip(values.chunks_exact_mut(tokens)) {
        let columns = PANEL.min(d - first);
        for (packed, row) in panel.iter_mut().zip(v.chunks(width)) {
            match row[first..].first_chunk::<PANEL>() {
                Some(row) if columns == PANEL => *packed = *row,
                _ => packed[..columns].copy_from_slice(&row[first..first + columns]),
            }
        }
    }
}

/// Queries of the positions from `first` on, in one head.
struct Task<'a> {
    first: usize,
    d: usize,
    /// Between rows of queries.
    width: usize,
    queries: &'a [f32],
    keys: &'a [Lanes],
    values: &'a [Lanes],
    tokens: usize,
}

impl Task<'_> {
    fn run<I: Isa>(&self, out: &mut [&mut [f32]], scratch: &mut Scratch) {
        let Scratch { queries, scores } = scratch;
        let rows = out.len();
        // An odd number of blocks between rows keeps them apart in the cache.
        let stride = self.tokens.div_ceil(PANEL) | 1;
        scores.resize(scores.len().max(BLOCK * stride), ZEROS);
        let scale = 1.0 / (self.d as f32).sqrt();
        let queries = Operands::new(self.queries, rows, self.width, self.d, queries);
        for (index, panel) in self.keys.chunks_exact(self.d).enumerate() {
            for tile in cut(0..rows, TILE_ROWS) {
                if index * PANEL >= self.first + tile.end {
                    continue;
                }
                let mut sums = [ZEROS; TILE_ROWS];
                let sums = &mut sums[..tile.len()];
                for depth in cut(0..self.d, DEPTH) {
                    let a = queries.tile(&tile, &depth);
                    I::tile(sums, None, a, &panel[depth], Reach::Even);
                }
                I::run(
                    #[inline(always)]
                    || {
                        for (row, sums) in tile.zip(sums) {
                            scores[row * stride + index] = lanes::times(*sums, scale);
                        }
                    },
                );
            }
        }
        // Each step for all rows before the next: one row's sums wait for one another, the rows' do not.
        let mut largest = [0.0; BLOCK];
        let mut totals = [ZEROS; BLOCK];
        I::run(
            #[inline(always)]
            || {
                let each_row = scores.chunks_mut(stride).zip(self.first + 1..).take(rows);
                for ((scores, seen), largest) in each_row.zip(&mut largest) {
                    *largest = lanes::row_max(&mut scores[..seen.div_ceil(PANEL)], seen);
                }
                let each_row = scores.chunks_mut(stride).zip(self.first + 1..).take(rows);
                for (((scores, seen), largest), total) in each_row.zip(&largest).zip(&mut totals) {
                    *total = lanes::softmax_row(&mut scores[..seen.div_ceil(PANEL)], *largest);
                }
            },
        );
        let totals = totals.each_ref().map(lanes::fold);
        for (index, panel) in self.values.chunks_exact(self.tokens).enumerate() {
            let mut sums = [ZEROS; BLOCK];
            let columns = index * PANEL..self.d.min((index + 1) * PANEL);
            for keys in cut(0..self.first + rows, DEPTH_KEYS) {
                for tile in cut(0..rows, TILE_ROWS) {
                    // Keys that all rows of the tile see, and those that its last row sees.
                    let (shared, seen) = (self.first + tile.start + 1, self.first + tile.end);
                    let sums = &mut sums[tile.clone()];
                    let (keys, reach) = if keys.end < shared {
                        (keys.clone(), Reach::Even)
                    } else if keys.start < shared {
                        (keys.start..seen, Reach::Causal)
                    } else {
                        continue;
                    };
                    let a = Operand {
                        values: &scores[tile.start * stride..].as_flattened()[keys.start..],
                        row_stride: stride * PANEL,
                        depth_stride: 1,
                    };
                    I::tile(sums, None, a, &panel[keys], reach);
                    if reach == Reach::Causal {
                        I::run(
                            #[inline(always)]
                            || {
                                let rows = out[tile.clone()].iter_mut().zip(&totals[tile]);
                                for ((out, total), sums) in rows.zip(sums) {
                                    store(&mut out[columns.clone()], &lanes::over(*sums, *total));
                                }
                            },
                        );
                    }
                }
            }
        }
    }
}

/// Keys per stretch of a panel of values (32 KiB).
const DEPTH_KEYS: usize = 256;
