//! The fused operations' kernels: plain functions over slices, each a forward and a backward pass. Loops
//! are written to be vectorised; [`vectorised`] compiles them for the widest instruction set of the
//! machine.

pub mod attention;
pub mod gemm;
pub mod loss;
pub mod math;
pub mod norm;

/// Runs `work` compiled for the best instruction set of this machine (AVX-512, AVX2 + FMA, NEON, or the
/// baseline). All that `work` calls must be `#[inline(always)]` to profit.
#[inline(always)]
pub fn vectorised<R>(work: impl FnOnce() -> R) -> R {
    struct Work<F>(F);
    impl<R, F: FnOnce() -> R> pulp::WithSimd for Work<F> {
        type Output = R;
        #[inline(always)]
        fn with_simd<S: pulp::Simd>(self, _: S) -> R {
            (self.0)()
        }
    }
    pulp::Arch::new().dispatch(Work(work))
}

/// GELU of every element, and its derivative there.
pub fn gelu(x: &[f32]) -> (Vec<f32>, Vec<f32>) {
    let (mut value, mut slope) = (vec![0.0; x.len()], vec![0.0; x.len()]);
    vectorised(
        #[inline(always)]
        || {
            for ((x, value), slope) in x.iter().zip(&mut value).zip(&mut slope) {
                (*value, *slope) = math::gelu(*x);
            }
        },
    );
    (value, slope)
}

/// Element-wise product, into the first.
pub fn multiply_into(a: &mut [f32], b: &[f32]) {
    vectorised(
        #[inline(always)]
        || {
            for (a, b) in a.iter_mut().zip(b) {
                *a *= b;
            }
        },
    );
}

/// Adds every row of `x` to `total`.
pub fn add_rows(x: &[f32], total: &mut [f32]) {
    vectorised(
        #[inline(always)]
        || {
            for row in x.chunks_exact(total.len()) {
                for (t, v) in total.iter_mut().zip(row) {
                    *t += v;
                }
            }
        },
    );
}
