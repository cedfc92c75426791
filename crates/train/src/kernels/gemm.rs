//! Matrix products on one thread: a bounds-checked face of the `gemm` crate, which picks AVX-512, AVX2 or
//! NEON at run time, and gives the same bits with each of them.
//!
//! An element of a product is a sum of chains of fused multiply-adds, each along at most [`CHAIN`] elements,
//! in order. The crate alone cuts sums where the size of the processor's caches suggests it, and adds up
//! small products across the lanes of its vectors; here it is only asked for what it computes in one chain.
#![allow(unsafe_code)]

use super::vectorised;

/// The longest chain. `gemm` never cuts one of this length, on any machine.
const CHAIN: usize = 512;
/// Products of at most so many elements are computed here: what `gemm` makes of them depends on the width of
/// its vectors.
const SMALL: usize = 16 * 16;
/// Shorter chains too.
const SHORT: usize = 2;

/// A read-only matrix inside a slice: element (r, c) is `data[r * row_stride + c * column_stride]`.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a> {
    data: &'a [f32],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// `rows` x `columns`, rows `row_stride` apart.
    ///
    /// # Panics
    /// If the matrix reaches beyond `data`: a caller's bug.
    #[must_use]
    pub fn new(data: &'a [f32], rows: usize, columns: usize, row_stride: usize) -> Self {
        assert!(
            fits(data.len(), rows, columns, row_stride),
            "matrix {rows} x {columns} reaches beyond its data"
        );
        Self {
            data,
            rows,
            columns,
            row_stride,
            column_stride: 1,
        }
    }

    /// The same elements with rows and columns exchanged.
    #[must_use]
    pub const fn transposed(self) -> Self {
        Self {
            data: self.data,
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
        }
    }

    /// `count` of the columns, from `first` on.
    fn columns(self, first: usize, count: usize) -> Self {
        Self {
            data: &self.data[(first * self.column_stride).min(self.data.len())..],
            columns: count,
            ..self
        }
    }

    /// `count` of the rows, from `first` on.
    fn rows(self, first: usize, count: usize) -> Self {
        self.transposed().columns(first, count).transposed()
    }

    #[inline(always)]
    fn at(&self, row: usize, column: usize) -> f32 {
        self.data[row * self.row_stride + column * self.column_stride]
    }
}

fn fits(len: usize, rows: usize, columns: usize, row_stride: usize) -> bool {
    rows == 0 || columns == 0 || (columns <= row_stride && (rows - 1) * row_stride + columns <= len)
}

/// What a product does with the destination's former content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Former {
    /// It is overwritten.
    Replace,
    /// The product is added to it.
    Add,
}

/// `dst = a b`, or `dst += a b`; `dst` is `a.rows` x `b.columns`, its rows `row_stride` apart.
///
/// # Panics
/// If the shapes do not agree or `dst` is too small: a caller's bug.
pub fn multiply(dst: &mut [f32], row_stride: usize, mut former: Former, a: Matrix<'_>, b: Matrix<'_>) {
    let (m, n, k) = (a.rows, b.columns, a.columns);
    assert_eq!(k, b.rows, "inner dimensions differ");
    assert!(
        fits(dst.len(), m, n, row_stride),
        "product {m} x {n} reaches beyond its destination"
    );
    if m == 0 || n == 0 {
        return;
    }
    let depth = k.div_ceil(k.div_ceil(CHAIN).max(1)).max(1);
    // Once at least: an empty product is zero.
    for start in (0..k.max(1)).step_by(depth) {
        let depth = depth.min(k - start);
        let (a, b) = (a.columns(start, depth), b.rows(start, depth));
        if m * n <= SMALL || m == 1 || n == 1 || depth <= SHORT {
            multiply_by_definition(dst, row_stride, former, a, b);
        } else {
            multiply_by_tiles(dst, row_stride, former, a, b);
        }
        former = Former::Add;
    }
}

/// One chain for each element.
fn multiply_by_definition(dst: &mut [f32], row_stride: usize, former: Former, a: Matrix<'_>, b: Matrix<'_>) {
    vectorised(
        #[inline(always)]
        || {
            for (row, dst) in (0..a.rows).zip(dst.chunks_mut(row_stride)) {
                for (column, dst) in (0..b.columns).zip(dst) {
                    let chain = (0..a.columns).fold(0.0, |sum, k| a.at(row, k).mul_add(b.at(k, column), sum));
                    *dst = match former {
                        Former::Replace => chain,
                        Former::Add => *dst + chain,
                    };
                }
            }
        },
    );
}

/// The same by `gemm`. The product is not empty.
fn multiply_by_tiles(dst: &mut [f32], row_stride: usize, former: Former, a: Matrix<'_>, b: Matrix<'_>) {
    // SAFETY: `Matrix::new` and `multiply`'s assertion prove that every element addressed by these sizes and
    // strides lies inside its slice (transposing exchanges sizes and strides together; a part of the columns
    // or rows addresses some of the same elements); `dst` is exclusively borrowed, and its rows do not
    // overlap because columns <= row_stride. Strides fit isize, as slices are shorter than isize::MAX.
    unsafe {
        gemm::gemm(
            a.rows,
            b.columns,
            a.columns,
            dst.as_mut_ptr(),
            1,
            row_stride as isize,
            former == Former::Add,
            a.data.as_ptr(),
            a.column_stride as isize,
            a.row_stride as isize,
            b.data.as_ptr(),
            b.column_stride as isize,
            b.row_stride as isize,
            1.0_f32,
            1.0_f32,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What an element is: chains along equal parts of the inner dimension, added in order.
    fn element(former: Option<f32>, k: usize, factors: impl Fn(usize) -> (f32, f32)) -> f32 {
        let parts = k.div_ceil(512).max(1);
        let depth = k.div_ceil(parts);
        let chain = |part: usize| {
            let places = (part * depth)..((part + 1) * depth).min(k);
            places.map(&factors).fold(0.0, |sum, (x, y)| x.mul_add(y, sum))
        };
        let chains = (0..parts).map(chain);
        match former {
            Some(former) => chains.fold(former, |sum, chain| sum + chain),
            None => chains.reduce(|sum, chain| sum + chain).unwrap_or(0.0),
        }
    }

    /// Small and one-row products, short and long chains, and what tiles leave over: to the bit, for all
    /// layouts.
    #[test]
    fn products_equal_the_definition_to_the_bit() {
        // `gemm` rounds twice on processors that cannot multiply and add at once.
        #[cfg(target_arch = "x86_64")]
        if !is_x86_feature_detected!("fma") {
            return;
        }
        let value = |i: usize| ((i * 7_919 + 11) % 2_003) as f32 / 1_001.0 - 1.0;
        let shapes = [
            (1, 1, 1),
            (5, 3, 7),
            (16, 16, 40),
            (16, 17, 64),
            (1, 70, 33),
            (70, 1, 33),
            (20, 30, 1),
            (20, 30, 2),
            (20, 30, 3),
            (33, 18, 64),
            (64, 65, 2),
            (3, 4, 0),
            (65, 70, 512),
            (70, 65, 513),
            (10, 140, 1_100),
            (3, 5, 1_600),
        ];
        for (m, n, k) in shapes {
            let a: Vec<f32> = (0..m * k).map(value).collect();
            let b: Vec<f32> = (0..k * n).map(|i| value(i + 5)).collect();
            let turned = |x: &[f32], rows: usize, columns: usize| -> Vec<f32> {
                (0..columns)
                    .flat_map(|c| (0..rows).map(move |r| x[r * columns + c]))
                    .collect()
            };
            let (at, bt) = (turned(&a, m, k), turned(&b, k, n));
            let stride = n + 3;
            for former in [None, Some(2.0 / 3.0)] {
                let (how, start) = match former {
                    None => (Former::Replace, f32::NAN),
                    Some(former) => (Former::Add, former),
                };
                for left in [Matrix::new(&a, m, k, k), Matrix::new(&at, k, m, m).transposed()] {
                    for right in [Matrix::new(&b, k, n, n), Matrix::new(&bt, n, k, k).transposed()] {
                        let mut dst = vec![start; m * stride];
                        multiply(&mut dst, stride, how, left, right);
                        for (place, got) in dst.iter().enumerate() {
                            let (r, c) = (place / stride, place % stride);
                            let want = if c < n {
                                element(former, k, |j| (a[r * k + j], b[j * n + c]))
                            } else {
                                start
                            };
                            assert_eq!(got.to_bits(), want.to_bits(), "({r}, {c}) of {m} x {n} x {k}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    #[should_panic(expected = "beyond its data")]
    fn a_matrix_beyond_its_slice_is_refused() {
        let _ = Matrix::new(&[0.0; 11], 3, 4, 4);
    }
}
