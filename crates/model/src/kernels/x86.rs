//! The register tiles of AVX2 and AVX-512. The only unsafe code of the crate.
//!
//! Two obligations recur. *Instructions*: a function compiled for an instruction set may run only where
//! the processor has it; [`super::Simd`] hands out these backends only after `detected()`. *Bounds*: every
//! pointer read lies within a slice, which `assert_tile_in_bounds` has checked.
#![allow(unsafe_code)]

use std::arch::x86_64::{
    _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_set1_ps, _mm256_storeu_ps, _mm512_fmadd_ps, _mm512_loadu_ps,
    _mm512_set1_ps, _mm512_storeu_ps,
};

use super::blocked::{Isa, assert_tile_in_bounds};
use crate::matrix::PANEL;

/// x86-64 with AVX2 and FMA.
pub struct Avx2;
/// x86-64 with AVX-512F.
pub struct Avx512;

impl Avx2 {
    /// Whether this processor has it.
    pub fn detected() -> bool {
        is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")
    }
}

impl Avx512 {
    /// Whether this processor has it.
    pub fn detected() -> bool {
        is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512dq")
            && Avx2::detected()
    }
}

impl Isa for Avx2 {
    const NAME: &'static str = "avx2";

    #[inline(always)]
    fn run<R>(f: impl FnOnce() -> R) -> R {
        #[target_feature(enable = "avx2,fma")]
        fn with_avx2<R>(f: impl FnOnce() -> R) -> R {
            f()
        }
        // SAFETY: this backend is handed out only after `detected()`.
        unsafe { with_avx2(f) }
    }

    fn tile<const ROWS: usize>(
        acc: &mut [[f32; PANEL]; ROWS],
        a: &[f32],
        row_stride: usize,
        depth_stride: usize,
        panel: &[f32],
    ) {
        let depth = assert_tile_in_bounds(a, ROWS, row_stride, depth_stride, panel);
        // SAFETY: this backend is handed out only after `detected()`; the operands' bounds were
        // checked for all ROWS rows, and ROWS is a multiple of 4.
        unsafe {
            for first in (0..ROWS).step_by(4) {
                let rows = acc.as_mut_ptr().add(first);
                avx2_quarter::<4>(
                    rows,
                    a.as_ptr().add(first * row_stride),
                    row_stride,
                    depth_stride,
                    panel,
                    depth,
                );
            }
        }
    }
}

/// `ROWS` rows and 32 columns of a tile, in two halves of 16 columns: 8 accumulators.
///
/// # Safety
/// `acc` points to ROWS rows; `a` may be read at every (row, k) of the tile; `panel` has `depth` rows.
#[target_feature(enable = "avx2,fma")]
unsafe fn avx2_quarter<const ROWS: usize>(
    acc: *mut [f32; PANEL],
    a: *const f32,
    row_stride: usize,
    depth_stride: usize,
    panel: &[f32],
    depth: usize,
) {
    for half in [0, 16] {
        // SAFETY: the caller's guarantee; columns half..half + 16 lie within a row of PANEL.
        unsafe {
            let rows_at: [usize; ROWS] = std::array::from_fn(|row| row * row_stride);
            let mut sums = [[_mm256_set1_ps(0.0); 2]; ROWS];
            for (row, sums) in sums.iter_mut().enumerate() {
                let acc = (*acc.add(row)).as_ptr().add(half);
                *sums = [_mm256_loadu_ps(acc), _mm256_loadu_ps(acc.add(8))];
            }
            let mut weights = panel.as_ptr().add(half);
            let mut x = a;
            for _ in 0..depth {
                let (low, high) = (_mm256_loadu_ps(weights), _mm256_loadu_ps(weights.add(8)));
                for (row, sums) in sums.iter_mut().enumerate() {
                    let x = _mm256_set1_ps(*x.wrapping_add(rows_at[row]));
                    sums[0] = _mm256_fmadd_ps(x, low, sums[0]);
                    sums[1] = _mm256_fmadd_ps(x, high, sums[1]);
                }
                weights = weights.wrapping_add(PANEL);
                x = x.wrapping_add(depth_stride);
            }
            for (row, sums) in sums.iter().enumerate() {
                let acc = (*acc.add(row)).as_mut_ptr().add(half);
                _mm256_storeu_ps(acc, sums[0]);
                _mm256_storeu_ps(acc.add(8), sums[1]);
            }
        }
    }
}

impl Isa for Avx512 {
    const NAME: &'static str = "avx512";

    #[inline(always)]
    fn run<R>(f: impl FnOnce() -> R) -> R {
        #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx2,fma")]
        fn with_avx512<R>(f: impl FnOnce() -> R) -> R {
            f()
        }
        // SAFETY: this backend is handed out only after `detected()`.
        unsafe { with_avx512(f) }
    }

    fn tile<const ROWS: usize>(
        acc: &mut [[f32; PANEL]; ROWS],
        a: &[f32],
        row_stride: usize,
        depth_stride: usize,
        panel: &[f32],
    ) {
        let depth = assert_tile_in_bounds(a, ROWS, row_stride, depth_stride, panel);
        // SAFETY: this backend is handed out only after `detected()`; bounds were checked.
        unsafe { avx512_tile(acc, a.as_ptr(), row_stride, depth_stride, panel, depth) }
    }
}

/// All of a tile: 2 accumulators per row.
///
/// # Safety
/// `a` may be read at every (row, k) of the tile; `panel` has `depth` rows.
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx2,fma")]
unsafe fn avx512_tile<const ROWS: usize>(
    acc: &mut [[f32; PANEL]; ROWS],
    a: *const f32,
    row_stride: usize,
    depth_stride: usize,
    panel: &[f32],
    depth: usize,
) {
    // SAFETY: the caller's guarantee; a row of `acc` and of the panel is 32 values.
    unsafe {
        let rows_at: [usize; ROWS] = std::array::from_fn(|row| row * row_stride);
        let mut sums = [[_mm512_set1_ps(0.0); 2]; ROWS];
        for (sums, acc) in sums.iter_mut().zip(acc.iter()) {
            *sums = [
                _mm512_loadu_ps(acc.as_ptr()),
                _mm512_loadu_ps(acc.as_ptr().add(16)),
            ];
        }
        let mut weights = panel.as_ptr();
        let mut x = a;
        for _ in 0..depth {
            let (low, high) = (_mm512_loadu_ps(weights), _mm512_loadu_ps(weights.add(16)));
            for (row, sums) in sums.iter_mut().enumerate() {
                let x = _mm512_set1_ps(*x.wrapping_add(rows_at[row]));
                sums[0] = _mm512_fmadd_ps(x, low, sums[0]);
                sums[1] = _mm512_fmadd_ps(x, high, sums[1]);
            }
            weights = weights.wrapping_add(PANEL);
            x = x.wrapping_add(depth_stride);
        }
        for (sums, acc) in sums.iter().zip(acc.iter_mut()) {
            _mm512_storeu_ps(acc.as_mut_ptr(), sums[0]);
            _mm512_storeu_ps(acc.as_mut_ptr().add(16), sums[1]);
        }
    }
}
