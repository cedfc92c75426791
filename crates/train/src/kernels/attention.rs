//! Causal attention with rotary positions, forward and backward, one head of one sequence at a time.
//!
//! Rows (queries) are taken in blocks; a block's scores reach only as far as its last row, so about half of
//! the square is never computed. The probabilities are kept for the backward pass: block after block, `rows x
//! columns` each.

use soma_model::kernels::Rope;

use super::{
    gemm::{Former, Matrix, multiply},
    math::{dot, exp_shifted, max},
    vectorised,
};

/// Queries per block.
const BLOCK: usize = 64;

/// Sizes of one attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// How many sequences there are.
    pub batch: usize,
    /// Positions per sequence.
    pub sequence: usize,
    /// Heads; head h owns columns `h * head_dim ..` of every row.
    pub heads: usize,
    /// Dimensions of a head, even.
    pub head_dim: usize,
}

impl Sizes {
    const fn width(&self) -> usize {
        self.heads * self.head_dim
    }

    fn blocks(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let sequence = self.sequence;
        (0..sequence)
            .step_by(BLOCK)
            .map(move |start| (start, (start + BLOCK).min(sequence)))
    }

    /// Kept probabilities of one head of one sequence.
    pub(crate) fn kept(&self) -> usize {
        self.blocks().map(|(start, end)| (end - start) * end).sum()
    }
}

/// What the backward pass needs: turned queries (scaled by 1 / sqrt(head_dim)) and keys,
/// `[batch][head][position][dim]`, and the probabilities.
#[derive(Clone, Debug)]
pub struct Saved {
    queries: Vec<f32>,
    keys: Vec<f32>,
    probabilities: Vec<f32>,
}

/// Copies one head out of rows, turning the halves (a, b) to (a cos - b sin, b cos + a sin), times `scale`.
#[inline(always)]
fn turn(rows: &[f32], stride: usize, rope: &Rope, head_dim: usize, scale: f32, out: &mut [f32]) {
    let half = head_dim / 2;
    for (t, out) in out.chunks_exact_mut(head_dim).enumerate() {
        let row = &rows[t * stride..t * stride + head_dim];
        let (cos, sin) = rope.at(t);
        let (a, b) = row.split_at(half);
        let (out_a, out_b) = out.split_at_mut(half);
        for i in 0..half {
            out_a[i] = (a[i] * cos[i] - b[i] * sin[i]) * scale;
            out_b[i] = (b[i] * cos[i] + a[i] * sin[i]) * scale;
        }
    }
}

/// The inverse of [`turn`] (its transpose), for gradients: out of a head's buffer, into rows.
#[inline(always)]
fn turn_back(head: &[f32], stride: usize, rope: &Rope, head_dim: usize, scale: f32, rows: &mut [f32]) {
    let half = head_dim / 2;
    for (t, head) in head.chunks_exact(head_dim).enumerate() {
        let row = &mut rows[t * stride..t * stride + head_dim];
        let (cos, sin) = rope.at(t);
        let (a, b) = head.split_at(half);
        let (row_a, row_b) = row.split_at_mut(half);
        for i in 0..half {
            row_a[i] = (a[i] * cos[i] + b[i] * sin[i]) * scale;
            row_b[i] = (b[i] * cos[i] - a[i] * sin[i]) * scale;
        }
    }
}

/// Attention of rows `[batch * sequence][heads * head_dim]`; the result has the same shape.
pub fn forward(q: &[f32], k: &[f32], v: &[f32], rope: &Rope, sizes: Sizes) -> (Vec<f32>, Saved) {
    let Sizes {
        batch,
        sequence,
        heads,
        head_dim,
    } = sizes;
    let (width, per_head, kept) = (sizes.width(), sequence * head_dim, sizes.kept());
    let scale = 1.0 / (head_dim as f32).sqrt();
    let mut out = vec![0.0; q.len()];
    let mut saved = Saved {
        queries: vec![0.0; q.len()],
        keys: vec![0.0; q.len()],
        probabilities: vec![0.0; batch * heads * kept],
    };
    for unit in 0..batch * heads {
        // Where this head's first element lies in rows of `width`.
        let origin = unit / heads * sequence * width + unit % heads * head_dim;
        let queries = &mut saved.queries[unit * per_head..(unit + 1) * per_head];
        let keys = &mut saved.keys[unit * per_head..(unit + 1) * per_head];
        vectorised(
            #[inline(always)]
            || {
                turn(&q[origin..], width, rope, head_dim, scale, queries);
                turn(&k[origin..], width, rope, head_dim, 1.0, keys);
            },
        );
        let mut rest = &mut saved.probabilities[unit * kept..(unit + 1) * kept];
        for (start, end) in sizes.blocks() {
            let (block, tail) = rest.split_at_mut((end - start) * end);
            rest = tail;
            let q = Matrix::new(&queries[start * head_dim..], end - start, head_dim, head_dim);
            let k = Matrix::new(keys, end, head_dim, head_dim);
            multiply(block, end, Former::Replace, q, k.transposed());
            vectorised(
                #[inline(always)]
                || {
                    for (r, row) in block.chunks_exact_mut(end).enumerate() {
                        let (seen, future) = row.split_at_mut(start + r + 1);
                        let total = exp_shifted(seen, max(seen));
                        let inverse = 1.0 / total;
                        for p in seen {
                            *p *= inverse;
                        }
                        future.fill(0.0);
                    }
                },
            );
            let p = Matrix::new(block, end - start, end, end);
            let v = Matrix::new(&v[origin..], end, head_dim, width);
            multiply(&mut out[origin + start * width..], width, Former::Replace, p, v);
        }
    }
    (out, saved)
}

/// Gradients of q, k and v, from that of the result.
pub fn backward(
    grad: &[f32],
    v: &[f32],
    rope: &Rope,
    sizes: Sizes,
    saved: &Saved,
) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
    let Sizes {
        batch,
        sequence,
        heads,
        head_dim,
    } = sizes;
    let (width, per_head, kept) = (sizes.width(), sequence * head_dim, sizes.kept());
    let scale = 1.0 / (head_dim as f32).sqrt();
    let (mut dq, mut dk, mut dv) = (
        vec![0.0; grad.len()],
        vec![0.0; grad.len()],
        vec![0.0; grad.len()],
    );
    let (mut head_dq, mut head_dk) = (vec![0.0; per_head], vec![0.0; per_head]);
    let mut scores = vec![0.0; BLOCK.min(sequence) * sequence];
    for unit in 0..batch * heads {
        let origin = unit / heads * sequence * width + unit % heads * head_dim;
        let queries = &saved.queries[unit * per_head..(unit + 1) * per_head];
        let keys = &saved.keys[unit * per_head..(unit + 1) * per_head];
        let mut rest = &saved.probabilities[unit * kept..(unit + 1) * kept];
        head_dk.fill(0.0);
        for (start, end) in sizes.blocks() {
            let rows = end - start;
            let (block, tail) = rest.split_at(rows * end);
            rest = tail;
            let p = Matrix::new(block, rows, end, end);
            let g = Matrix::new(&grad[origin + start * width..], rows, head_dim, width);
            multiply(&mut dv[origin..], width, Former::Add, p.transposed(), g);
            let scores = &mut scores[..rows * end];
            let v = Matrix::new(&v[origin..], end, head_dim, width);
            multiply(scores, end, Former::Replace, g, v.transposed());
            vectorised(
                #[inline(always)]
                || {
                    for (row, p) in scores.chunks_exact_mut(end).zip(block.chunks_exact(end)) {
                        let mean = dot(row, p);
                        for (s, p) in row.iter_mut().zip(p) {
                            *s = (*s - mean) * p;
                        }
                    }
                },
            );
            let ds = Matrix::new(scores, rows, end, end);
            let k = Matrix::new(keys, end, head_dim, head_dim);
            multiply(&mut head_dq[start * head_dim..], head_dim, Former::Replace, ds, k);
            let q = Matrix::new(&queries[start * head_dim..], rows, head_dim, head_dim);
            multiply(&mut head_dk, head_dim, Former::Add, ds.transposed(), q);
        }
        vectorised(
            #[inline(always)]
            || {
                turn_back(&head_dq, width, rope, head_dim, scale, &mut dq[origin..]);
                turn_back(&head_dk, width, rope, head_dim, 1.0, &mut dk[origin..]);
            },
        );
    }
    (dq, dk, dv)
}
