//! Matrix products on one thread: a bounds-checked face of the `gemm` crate, which picks AVX-512, AVX2 or NEON at run time.
#![allow(unsafe_code)]

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
}

fn fits(len: usize, rows: usize, columns: usize, row_stride: usize) -> bool {
    rows == 0 || columns == 0 || (columns <= row_stride && (rows - 1) * row_stride + columns <= len)
}

/// What a product does with the destination's former content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Former {
    /// Overwritten.
    Replace,
    /// The product is added to it.
    Add,
}

/// `dst = a b`, or `dst += a b`; `dst` is `a.rows` x `b.columns`, its rows `row_stride` apart.
///
/// # Panics
/// If the shapes do not agree or `dst` is too small: a caller's bug.
pub fn multiply(dst: &mut [f32], row_stride: usize, former: Former, a: Matrix<'_>, b: Matrix<'_>) {
    let (m, n, k) = (a.rows, b.columns, a.columns);
    assert_eq!(k, b.rows, "inner dimensions differ");
    assert!(
        fits(dst.len(), m, n, row_stride),
        "product {m} x {n} reaches beyond its destination"
    );
    if m == 0 || n == 0 {
        return;
    }
    // SAFETY: `Matrix::new` and the assertion above prove that every element addressed by these sizes and strides lies
    // inside its slice (transposing exchanges sizes and strides together); `dst` is exclusively borrowed, and its rows do
    // not overlap because columns <= row_stride. Strides fit isize, as slices are shorter than isize::MAX.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
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

    #[test]
    fn products_equal_the_definition_for_all_layouts() {
        let value = |i: usize| ((i * 37 + 11) % 29) as f32 - 14.0;
        for (m, n, k) in [(1, 1, 1), (5, 3, 7), (33, 18, 64), (64, 65, 2), (3, 4, 0)] {
            let a: Vec<f32> = (0..m * k).map(value).collect();
            let b: Vec<f32> = (0..k * n).map(value).collect();
            let at: Vec<f32> = (0..k * m)
                .map(|i| if m == 0 { 0.0 } else { a[(i % m) * k + i / m] })
                .collect();
            let stride = n + 3;
            let want = |r: usize, c: usize| (0..k).map(|j| a[r * k + j] * b[j * n + c]).sum::<f32>();
            for (former, start) in [(Former::Replace, f32::NAN), (Former::Add, 2.0)] {
                for left in [Matrix::new(&a, m, k, k), Matrix::new(&at, k, m, m).transposed()] {
                    let mut dst = vec![start; m * stride];
                    multiply(&mut dst, stride, former, left, Matrix::new(&b, k, n, n));
                    for r in 0..m {
                        for c in 0..n {
                            let base = if former == Former::Add { 2.0 } else { 0.0 };
                            assert_eq!(
                                dst[r * stride + c],
                                want(r, c) + base,
                                "({r}, {c}) of {m} x {n} x {k}"
                            );
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
