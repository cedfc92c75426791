//! The fast backends: register blocking, packing, skipping of masked work and threads, generic over
//! the instruction set. Safe code; only [`Isa`]'s implementations for real instruction sets are not.
//!
//! One output element is one chain of fused multiply-adds over ascending k, whatever the blocking: a
//! tile's accumulators are loaded, extended by a stretch of k, and stored. Rows are padded with zeros
//! to fill a tile, and the padding is never read back.

use std::marker::PhantomData;

use rayon::prelude::*;

use super::{Kernels, Rope, lanes};
use crate::matrix::{Matrix, PANEL};

/// An instruction set.
pub trait Isa: Send + Sync + 'static {
    /// As in `SOMA_SIMD`.
    const NAME: &'static str;

    /// Runs `f` compiled for the instruction set (`f` and what it calls must be `inline(always)`).
    fn run<R>(f: impl FnOnce() -> R) -> R;

    /// `acc[r][c] = fma(a[r * row_stride + k * depth_stride], panel[k][c], acc[r][c])` for each k
    /// ascending. The depth is the panel's.
    ///
    /// # Panics
    /// When `a` is too short.
    fn tile<const ROWS: usize>(
        acc: &mut [[f32; PANEL]; ROWS],
        a: &[f32],
        row_stride: usize,
        depth_stride: usize,
        panel: &[f32],
    );
}

/// Panics unless every element that a tile reads lies within its slices.
#[inline(always)]
pub(super) fn assert_tile_in_bounds(
    a: &[f32],
    rows: usize,
    row_stride: usize,
    depth_stride: usize,
    panel: &[f32],
) -> usize {
    assert!(panel.len().is_multiple_of(PANEL), "a panel is whole rows");
    let depth = panel.len() / PANEL;
    if depth > 0 {
        let last = (rows - 1)
            .checked_mul(row_stride)
            .zip((depth - 1).checked_mul(depth_stride))
            .and_then(|(row, column)| row.checked_add(column));
        assert!(
            last.is_some_and(|last| last < a.len()),
            "a tile reads beyond its operand"
        );
    }
    depth
}

/// Rows of a full tile: with 32 columns, 24 accumulators of AVX-512.
const TILE_ROWS: usize = 12;
/// Stretch of k per sweep: a panel of it (64 KiB) stays in the L2 cache, a tile's rows (24 KiB) in L1.
const DEPTH: usize = 512;
/// Most rows per task: their packed stretch of k stays in the L2 cache.
const TASK_ROWS_MAX: usize = 16 * TILE_ROWS;
/// Fewest multiply-adds worth a task of their own.
const TASK_WORK_MIN: usize = 1 << 19;

/// The blocked backend on one instruction set.
pub struct Blocked<I>(PhantomData<I>);

impl<I: Isa> Blocked<I> {
    /// It has no state.
    pub const NEW: Self = Self(PhantomData);

    fn tile_of(
        rows: usize,
        acc: &mut [[f32; PANEL]; TILE_ROWS],
        a: &[f32],
        strides: (usize, usize),
        panel: &[f32],
    ) {
        // Zero rows fill the operand up to the tile's height.
        match padded_rows(rows) {
            4 => I::tile::<4>(
                acc.first_chunk_mut().expect("12 >= 4"),
                a,
                strides.0,
                strides.1,
                panel,
            ),
            8 => I::tile::<8>(
                acc.first_chunk_mut().expect("12 >= 8"),
                a,
                strides.0,
                strides.1,
                panel,
            ),
            _ => I::tile::<TILE_ROWS>(acc, a, strides.0, strides.1, panel),
        }
    }

    /// [`Kernels::linear`] for some rows.
    fn linear_rows(out: &mut [f32], x: &[f32], weight: &Matrix, bias: Option<&[f32]>, packed: &mut Vec<f32>) {
        let (inputs, outputs) = (weight.inputs(), weight.outputs());
        let rows = x.len() / inputs;
        for start in (0..inputs).step_by(DEPTH) {
            let depth = DEPTH.min(inputs - start);
            packed.clear();
            packed.resize(rows.next_multiple_of(4) * depth, 0.0);
            for (first, packed) in (0..rows)
                .step_by(TILE_ROWS)
                .zip(packed.chunks_mut(TILE_ROWS * depth))
            {
                pack_rows(
                    packed,
                    &x[first * inputs + start..],
                    inputs,
                    TILE_ROWS.min(rows - first),
                    depth,
                );
            }
            for (index, panel) in weight.panels().enumerate() {
                let panel = &panel[start * PANEL..(start + depth) * PANEL];
                let columns = index * PANEL..outputs.min((index + 1) * PANEL);
                for (first, packed) in (0..rows).step_by(TILE_ROWS).zip(packed.chunks(TILE_ROWS * depth)) {
                    let height = TILE_ROWS.min(rows - first);
                    let out = &mut out[first * outputs..(first + height) * outputs];
                    let mut acc = [[0.0; PANEL]; TILE_ROWS];
                    I::run(
                        #[inline(always)]
                        || {
                            for (acc, out) in acc.iter_mut().zip(out.chunks_exact(outputs)) {
                                match bias {
                                    _ if start > 0 => copy(acc, &out[columns.clone()]),
                                    Some(bias) => copy(acc, &bias[columns.clone()]),
                                    None => (),
                                }
                            }
                        },
                    );
                    Self::tile_of(height, &mut acc, packed, (1, padded_rows(height)), panel);
                    I::run(
                        #[inline(always)]
                        || {
                            for (acc, out) in acc.iter().zip(out.chunks_exact_mut(outputs)) {
                                store(&mut out[columns.clone()], acc);
                            }
                        },
                    );
                }
            }
        }
    }

    /// Attention of the queries from `first` on, at most [`TILE_ROWS`], in all heads.
    fn attention_rows(out: &mut [f32], first: usize, q: &[f32], packed: &PackedHeads, work: &mut Work) {
        let PackedHeads {
            keys,
            values,
            heads,
            d,
            width,
            tokens,
        } = *packed;
        let rows = out.len() / width;
        let scale = 1.0 / (d as f32).sqrt();
        let height = padded_rows(rows);
        // An odd number of cache lines between rows keeps them apart in the cache.
        let stride = tokens.next_multiple_of(PANEL) + 16;
        work.scores.resize(TILE_ROWS * stride, 0.0);
        work.queries.clear();
        work.queries.resize(height * d, 0.0);
        let key_panels = tokens.div_ceil(PANEL);
        let value_panels = d.div_ceil(PANEL);
        for head in 0..heads {
            pack_rows(&mut work.queries, &q[first * width + head * d..], width, rows, d);
            let keys = &keys[head * key_panels * d * PANEL..][..key_panels * d * PANEL];
            // Panels past the last query's own position hold only masked keys.
            for (index, panel) in keys
                .chunks_exact(d * PANEL)
                .take((first + rows).div_ceil(PANEL))
                .enumerate()
            {
                let mut acc = [[0.0; PANEL]; TILE_ROWS];
                Self::tile_of(rows, &mut acc, &work.queries, (1, height), panel);
                I::run(
                    #[inline(always)]
                    || {
                        for (acc, scores) in acc[..height].iter().zip(work.scores.chunks_exact_mut(stride)) {
                            store(&mut scores[index * PANEL..(index + 1) * PANEL], acc);
                        }
                    },
                );
            }
            let mut totals = [1.0; TILE_ROWS];
            I::run(
                #[inline(always)]
                || {
                    for (row, total) in totals[..rows].iter_mut().enumerate() {
                        *total = lanes::softmax_row(&mut work.scores[row * stride..][..=first + row], scale);
                    }
                },
            );
            for panel in 0..value_panels {
                let values = &values[(head * value_panels + panel) * tokens * PANEL..][..tokens * PANEL];
                let mut acc = [[0.0; PANEL]; TILE_ROWS];
                // Keys that all rows see, then each row's own.
                Self::tile_of(
                    rows,
                    &mut acc,
                    &work.scores,
                    (stride, 1),
                    &values[..(first + 1) * PANEL],
                );
                I::run(
                    #[inline(always)]
                    || {
                        for (row, acc) in acc[..rows].iter_mut().enumerate() {
                            for key in first + 1..=first + row {
                                let weight = work.scores[row * stride + key];
                                for (acc, value) in acc.iter_mut().zip(&values[key * PANEL..][..PANEL]) {
                                    *acc = weight.mul_add(*value, *acc);
                                }
                            }
                            for acc in &mut *acc {
                                *acc /= totals[row];
                            }
                        }
                    },
                );
                let columns = head * d + panel * PANEL..head * d + d.min((panel + 1) * PANEL);
                for (row, acc) in acc[..rows].iter().enumerate() {
                    store(
                        &mut out[row * width + columns.start..row * width + columns.end],
                        acc,
                    );
                }
            }
        }
    }
}

/// The height of the tile that takes `rows` rows.
const fn padded_rows(rows: usize) -> usize {
    rows.next_multiple_of(4)
}

/// Packs `rows` rows of `x`, `stride` apart, as `[depth][padded rows]`; padding stays as it is.
fn pack_rows(packed: &mut [f32], x: &[f32], stride: usize, rows: usize, depth: usize) {
    let height = padded_rows(rows);
    for row in 0..rows {
        for (packed, x) in packed.chunks_exact_mut(height).zip(&x[row * stride..][..depth]) {
            packed[row] = *x;
        }
    }
}

/// A whole panel's width at a known size, or the narrow last one.
#[inline(always)]
fn copy(acc: &mut [f32; PANEL], from: &[f32]) {
    match from.first_chunk::<PANEL>() {
        Some(from) => *acc = *from,
        None => acc[..from.len()].copy_from_slice(from),
    }
}

/// The reverse of [`copy`].
#[inline(always)]
fn store(to: &mut [f32], acc: &[f32; PANEL]) {
    match to.first_chunk_mut::<PANEL>() {
        Some(to) => *to = *acc,
        None => to.copy_from_slice(&acc[..to.len()]),
    }
}

/// Keys transposed and values, both in panels, per head.
#[derive(Clone, Copy)]
struct PackedHeads<'a> {
    keys: &'a [f32],
    values: &'a [f32],
    heads: usize,
    d: usize,
    width: usize,
    tokens: usize,
}

/// Buffers of one attention task.
#[derive(Default)]
struct Work {
    queries: Vec<f32>,
    scores: Vec<f32>,
}

/// Rows per task, whole tiles, so that every thread has some and no task is too small.
fn rows_per_task(rows: usize, work_per_row: usize) -> usize {
    let fair = rows.div_ceil(rayon::current_num_threads());
    fair.max(TASK_WORK_MIN / work_per_row.max(1))
        .clamp(1, TASK_ROWS_MAX)
        .next_multiple_of(TILE_ROWS)
}

impl<I: Isa> Kernels for Blocked<I> {
    fn name(&self) -> &'static str {
        I::NAME
    }

    fn linear(&self, out: &mut [f32], x: &[f32], weight: &Matrix, bias: Option<&[f32]>) {
        let (inputs, outputs) = (weight.inputs(), weight.outputs());
        let rows = x.len() / inputs;
        let task = rows_per_task(rows, inputs * outputs);
        out[..rows * outputs]
            .par_chunks_mut(task * outputs)
            .zip(x.par_chunks(task * inputs))
            .for_each_init(Vec::new, |packed, (out, x)| {
                Self::linear_rows(out, x, weight, bias, packed);
            });
    }

    fn layer_norm(&self, out: &mut [f32], x: &[f32], gamma: &[f32], beta: &[f32]) {
        I::run(
            #[inline(always)]
            || {
                let width = gamma.len();
                for (out, x) in out.chunks_exact_mut(width).zip(x.chunks_exact(width)) {
                    lanes::layer_norm_row(out, x, gamma, beta);
                }
            },
        );
    }

    fn gelu(&self, x: &mut [f32]) {
        x.par_chunks_mut(1 << 16).for_each(|x| {
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
        I::run(
            #[inline(always)]
            || {
                for (position, row) in x.chunks_exact_mut(heads * 2 * table.half()).enumerate() {
                    let (cosines, sines) = table.at(position);
                    lanes::rope_row(row, cosines, sines);
                }
            },
        );
    }

    fn attention(&self, out: &mut [f32], q: &[f32], k: &[f32], v: &[f32], heads: usize, width: usize) {
        let d = width / heads;
        let tokens = q.len() / width;
        let (key_panels, value_panels) = (tokens.div_ceil(PANEL), d.div_ceil(PANEL));
        let mut keys = vec![0.0; heads * key_panels * d * PANEL];
        for (token, row) in k.chunks_exact(width).enumerate() {
            for (head, row) in row.chunks_exact(d).enumerate() {
                let panel = &mut keys[(head * key_panels + token / PANEL) * d * PANEL..][..d * PANEL];
                for (packed, x) in panel.chunks_exact_mut(PANEL).zip(row) {
                    packed[token % PANEL] = *x;
                }
            }
        }
        let mut values = vec![0.0; heads * value_panels * tokens * PANEL];
        for (token, row) in v.chunks_exact(width).enumerate() {
            for (head, row) in row.chunks_exact(d).enumerate() {
                for (panel, row) in row.chunks(PANEL).enumerate() {
                    let at = ((head * value_panels + panel) * tokens + token) * PANEL;
                    values[at..at + row.len()].copy_from_slice(row);
                }
            }
        }
        let packed = PackedHeads {
            keys: &keys,
            values: &values,
            heads,
            d,
            width,
            tokens,
        };
        let blocks_min = (TASK_WORK_MIN / (TILE_ROWS * width * tokens).max(1)).max(1);
        out.par_chunks_mut(TILE_ROWS * width)
            .enumerate()
            .with_min_len(blocks_min)
            .for_each_init(Work::default, |work, (block, out)| {
                Self::attention_rows(out, block * TILE_ROWS, q, &packed, work);
            });
    }

    fn token_losses(&self, out: &mut [f32], logits: &mut [f32], targets: &[u16]) {
        let vocab = logits.len() / targets.len().max(1);
        I::run(
            #[inline(always)]
            || {
                for ((out, logits), target) in out.iter_mut().zip(logits.chunks_exact_mut(vocab)).zip(targets)
                {
                    *out = lanes::token_loss(logits, usize::from(*target));
                }
            },
        );
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
