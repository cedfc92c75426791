//! What attention has seen: keys and values of a text as the tiles read them, so that a token more costs its
//! own row and nothing of those before it.

use rayon::prelude::*;

use super::tile::TASK_WORK_MIN;
use crate::matrix::{Lanes, PANEL};

const ZEROS: Lanes = [0.0; PANEL];

/// Keys, rotated, and values of a layer, head by head, in panels.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    heads: Vec<Head>,
    /// Width of a head.
    d: usize,
    tokens: usize,
}

/// What one head has seen.
#[derive(Clone, Debug, Default)]
pub(super) struct Head {
    /// `[token / 32][d][token % 32]`. Lanes past the last token hold anything.
    keys: Vec<Lanes>,
    /// `[d / 32][token][d % 32]`.
    values: Vec<Vec<Lanes>>,
}

impl Seen {
    /// Nothing, of `heads` heads in rows of `width`.
    #[must_use]
    pub fn new(heads: usize, width: usize) -> Self {
        let mut seen = Self::default();
        seen.clear(heads, width);
        seen
    }

    /// Bytes that so many tokens take.
    #[must_use]
    pub const fn memory_bytes(heads: usize, width: usize, tokens: usize) -> u64 {
        let d = width / heads;
        let keys = tokens.div_ceil(PANEL) * d;
        let values = d.div_ceil(PANEL) * tokens;
        (heads * (keys + values) * size_of::<Lanes>()) as u64
    }

    /// Forgets everything, and goes on with such rows. What was allocated stays.
    pub fn clear(&mut self, heads: usize, width: usize) {
        self.d = width / heads;
        self.tokens = 0;
        self.heads.resize_with(heads, Head::default);
        for head in &mut self.heads {
            head.values.resize_with(self.d.div_ceil(PANEL), Vec::new);
            head.values.iter_mut().for_each(Vec::clear);
        }
    }

    /// Tokens that were seen.
    #[must_use]
    pub const fn tokens(&self) -> usize {
        self.tokens
    }

    /// Heads of a row.
    #[must_use]
    pub const fn heads(&self) -> usize {
        self.heads.len()
    }

    /// Values of a row.
    #[must_use]
    pub const fn width(&self) -> usize {
        self.heads.len() * self.d
    }

    /// Sees `k, v [T, width]` after all the rest.
    pub fn extend<'a>(&mut self, k: &'a [f32], v: &'a [f32]) {
        let (d, width, before) = (self.d, self.width(), self.tokens);
        self.tokens += k.len() / width;
        // A head is worth a task when there is much of it.
        let heads_min = TASK_WORK_MIN.div_ceil((k.len() / width * d * PANEL).max(1));
        self.heads
            .par_iter_mut()
            .enumerate()
            .with_min_len(heads_min)
            .for_each(|(index, head)| {
                let own = |row: &'a [f32]| &row[index * d..][..d];
                head.extend_keys(k.chunks_exact(width).map(own), before, d);
                head.extend_values(v.chunks_exact(width).map(own));
            });
    }

    /// Row-major `k, v [T, width]`, for kernels that read them so.
    #[must_use]
    pub fn rows(&self) -> (Vec<f32>, Vec<f32>) {
        let mut k = Vec::with_capacity(self.tokens * self.width());
        let mut v = Vec::with_capacity(self.tokens * self.width());
        for token in 0..self.tokens {
            for head in &self.heads {
                let panel = &head.keys[token / PANEL * self.d..][..self.d];
                k.extend(panel.iter().map(|lanes| lanes[token % PANEL]));
                v.extend((0..self.d).map(|at| head.values[at / PANEL][token][at % PANEL]));
            }
        }
        (k, v)
    }

    /// One head.
    pub(super) fn head(&self, index: usize) -> &Head {
        &self.heads[index]
    }
}

impl Head {
    fn extend_keys<'a>(&mut self, rows: impl ExactSizeIterator<Item = &'a [f32]>, before: usize, d: usize) {
        let lanes = (before + rows.len()).div_ceil(PANEL) * d;
        self.keys.resize(self.keys.len().max(lanes), ZEROS);
        for (token, row) in (before..).zip(rows) {
            let panel = &mut self.keys[token / PANEL * d..][..d];
            for (lanes, x) in panel.iter_mut().zip(row) {
                lanes[token % PANEL] = *x;
            }
        }
    }

    fn extend_values<'a>(&mut self, rows: impl Iterator<Item = &'a [f32]>) {
        for row in rows {
            let (whole, rest) = row.as_chunks();
            let (panels, narrow) = self.values.split_at_mut(whole.len());
            for (panel, lanes) in panels.iter_mut().zip(whole) {
                panel.push(*lanes);
            }
            for panel in narrow {
                let mut lanes = ZEROS;
                lanes[..rest.len()].copy_from_slice(rest);
                panel.push(lanes);
            }
        }
    }

    /// Panels of keys of the first `tokens` tokens, each `[d]`.
    pub(super) fn keys(&self, tokens: usize, d: usize) -> impl Iterator<Item = &[Lanes]> {
        self.keys[..tokens.div_ceil(PANEL) * d].chunks_exact(d)
    }

    /// Panels of values, each `[tokens]`.
    pub(super) fn values(&self) -> &[Vec<Lanes>] {
        &self.values
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_is_there_however_it_came() {
        for (heads, d, tokens) in [(1, 2, 1), (3, 12, 70), (2, 32, 64), (1, 70, 33)] {
            let width = heads * d;
            let k: Vec<f32> = (0..tokens * width).map(|at| at as f32).collect();
            let v: Vec<f32> = k.iter().map(|x| -x).collect();
            for step in [1, 7, tokens] {
                let mut seen = Seen::new(heads, width);
                // What was there before leaves nothing behind.
                seen.clear(1, 35);
                seen.extend(&[7.0; 70], &[7.0; 70]);
                seen.clear(heads, width);
                for (k, v) in k.chunks(step * width).zip(v.chunks(step * width)) {
                    seen.extend(k, v);
                }
                assert_eq!(
                    (seen.tokens(), seen.heads(), seen.width()),
                    (tokens, heads, width)
                );
                assert_eq!(seen.rows(), (k.clone(), v.clone()));
            }
        }
        assert_eq!(Seen::memory_bytes(4, 128, 256), 2 * 4 * 256 * 128);
    }
}
