//! Causal attention in tiles, for all instruction sets.
//!
//! Keys (transposed) and values lie in panels, head by head ([`Seen`]). A task takes a block of queries in
//! one head: scores against the panels of keys up to the block's last query, softmax row by row, then the
//! weighted values. Keys that no query of a tile may see are never touched, and the last tile of a row
//! stops at the row's own position, so that masked keys are absent rather than weighted with 0. A single
//! query takes several panels at once instead of several rows.

use std::{cell::Cell, cell::RefCell};

use rayon::prelude::*;

use super::{
    lanes,
    seen::{Head, Seen},
    tile::{DEPTH, Isa, Operand, Operands, ROW_PANELS, Reach, TASK_WORK_MIN, TILE_ROWS, cut, grid, store},
};
use crate::matrix::{Lanes, PANEL};

/// Queries per task: 4 tiles pass over a panel of keys or values while it is in the L1 cache.
const BLOCK: usize = 4 * TILE_ROWS;
const ZEROS: Lanes = [0.0; PANEL];

/// Buffers of one task.
#[derive(Default)]
struct Scratch {
    queries: Vec<f32>,
    scores: Vec<Lanes>,
}

thread_local! {
    /// Taken while in use: a thread that waits for tasks of one sequence may begin another.
    static SEEN: Cell<Seen> = Cell::default();
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// As [`super::Kernels::attention`].
pub fn causal<I: Isa>(out: &mut [f32], q: &[f32], k: &[f32], v: &[f32], heads: usize, width: usize) {
    let mut seen = SEEN.take();
    seen.clear(heads, width);
    seen.extend(k, v);
    attend::<I>(out, q, &seen);
    SEEN.set(seen);
}

/// As [`super::Kernels::attend`].
pub fn attend<I: Isa>(out: &mut [f32], q: &[f32], seen: &Seen) {
    let (heads, width, tokens) = (seen.heads(), seen.width(), seen.tokens());
    let d = width / heads;
    let rows = q.len() / width;
    let earlier = tokens - rows;
    // A single query waits for memory: it is worth more tasks than its arithmetic.
    let height = if rows == 1 { TILE_ROWS } else { BLOCK };
    let tasks_min = TASK_WORK_MIN.div_ceil((height * tokens * d).max(1));
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
                head: seen.head(head),
                tokens,
            };
            SCRATCH.with_borrow_mut(|scratch| match &mut out[..] {
                [out] => task.run_row::<I>(out, &mut scratch.scores),
                out => task.run::<I>(out, scratch),
            });
        });
}

/// Queries of the positions from `first` on, in one head.
struct Task<'a> {
    first: usize,
    d: usize,
    /// Between rows of queries.
    width: usize,
    queries: &'a [f32],
    head: &'a Head,
    tokens: usize,
}

impl Task<'_> {
    /// A single query.
    fn run_row<I: Isa>(&self, out: &mut [f32], scores: &mut Vec<Lanes>) {
        let seen = self.first + 1;
        let (query, scale) = (&self.queries[..self.d], 1.0 / (self.d as f32).sqrt());
        scores.resize(scores.len().max(seen.div_ceil(PANEL)), ZEROS);
        let scores = &mut scores[..seen.div_ceil(PANEL)];
        scores.fill(ZEROS);
        let keys: Vec<&[Lanes]> = self.head.keys(seen, self.d).collect();
        for (scores, keys) in scores.chunks_mut(ROW_PANELS).zip(keys.chunks(ROW_PANELS)) {
            I::row(scores, query, keys);
        }
        let total = I::run(
            #[inline(always)]
            || {
                for scores in &mut *scores {
                    *scores = lanes::times(*scores, scale);
                }
                let largest = lanes::row_max(scores, seen);
                lanes::softmax_row(scores, largest)
            },
        );
        let total = lanes::fold(&total);
        let weights = &scores.as_flattened()[..seen];
        let groups = self.head.values().chunks(ROW_PANELS);
        for (out, values) in out.chunks_mut(ROW_PANELS * PANEL).zip(groups) {
            let (mut sums, mut panels) = ([ZEROS; ROW_PANELS], [&[][..]; ROW_PANELS]);
            let (sums, panels) = (&mut sums[..values.len()], &mut panels[..values.len()]);
            for (panel, values) in panels.iter_mut().zip(values) {
                *panel = &values[..seen];
            }
            I::row(sums, weights, panels);
            I::run(
                #[inline(always)]
                || {
                    for (out, sums) in out.chunks_mut(PANEL).zip(sums) {
                        store(out, &lanes::over(*sums, total));
                    }
                },
            );
        }
    }

    fn run<I: Isa>(&self, out: &mut [&mut [f32]], scratch: &mut Scratch) {
        let Scratch { queries, scores } = scratch;
        let rows = out.len();
        // An odd number of blocks between rows keeps them apart in the cache.
        let stride = self.tokens.div_ceil(PANEL) | 1;
        scores.resize(scores.len().max(BLOCK * stride), ZEROS);
        let scale = 1.0 / (self.d as f32).sqrt();
        let queries = Operands::new(self.queries, rows, self.width, self.d, queries);
        for (index, panel) in self.head.keys(self.tokens, self.d).enumerate() {
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
        for (index, panel) in self.head.values().iter().enumerate() {
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
