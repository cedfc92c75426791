//! The register tiles of AVX2 and AVX-512. The only unsafe code of the crate.
//!
//! Two obligations recur. *Instructions*: a function compiled for an instruction set may run only where
//! the processor has it; [`super::Simd`] hands out these backends only after `detected()`. *Bounds*: every
//! pointer read lies within a slice, which `assert_tile_in_bounds` has checked.
#![allow(unsafe_code)]

use std::{
    arch::x86_64::{
        __m256, __m512, _mm_load_ss, _mm256_broadcastss_ps, _mm256_fmadd_ps, _mm256_setzero_ps,
        _mm512_broadcastss_ps, _mm512_fmadd_ps, _mm512_setzero_ps,
    },
    mem::transmute,
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
        assert_tile_in_bounds(a, ROWS, row_stride, depth_stride, panel);
        for (first, acc) in acc.chunks_exact_mut(4).enumerate() {
            let acc: &mut [[f32; PANEL]; 4] = acc.try_into().expect("chunks of 4; ROWS is a multiple of 4");
            let a = &a[(4 * first * row_stride).min(a.len())..];
            // SAFETY: this backend is handed out only after `detected()`; the bounds of all rows were checked.
            unsafe {
                match row_stride {
                    1 => avx2_tile::<true>(acc, a.as_ptr(), 1, depth_stride, panel),
                    _ => avx2_tile::<false>(acc, a.as_ptr(), row_stride, depth_stride, panel),
                }
            };
        }
    }
}

/// Four rows of a tile, 16 columns at a time: 8 accumulators. Rows that are `PACKED` are 1 apart.
///
/// # Safety
/// `a` may be read at every (row, k) of the tile.
#[target_feature(enable = "avx2,fma")]
unsafe fn avx2_tile<const PACKED: bool>(
    acc: &mut [[f32; PANEL]; 4],
    a: *const f32,
    row_stride: usize,
    depth_stride: usize,
    panel: &[f32],
) {
    let row_stride = if PACKED { 1 } else { row_stride };
    for half in [0, 2] {
        let mut sums = [[_mm256_setzero_ps(); 2]; 4];
        for (sums, acc) in sums.iter_mut().zip(acc.iter()) {
            let acc = vectors_256(acc);
            *sums = [acc[half], acc[half + 1]];
        }
        let mut x = a;
        for weights in panel.as_chunks::<PANEL>().0 {
            let weights = vectors_256(weights);
            for (row, sums) in sums.iter_mut().enumerate() {
                // SAFETY: the caller's guarantee.
                let x = _mm256_broadcastss_ps(unsafe {
                    _mm_load_ss(x.wrapping_add(row.wrapping_mul(row_stride)))
                });
                sums[0] = _mm256_fmadd_ps(x, weights[half], sums[0]);
                sums[1] = _mm256_fmadd_ps(x, weights[half + 1], sums[1]);
            }
            x = x.wrapping_add(depth_stride);
        }
        for (acc, sums) in acc.iter_mut().zip(sums) {
            // SAFETY: plain numbers of the same size.
            let sums: [f32; PANEL / 2] = unsafe { transmute(sums) };
            acc[8 * half..8 * half + 16].copy_from_slice(&sums);
        }
    }
}

/// A row as vectors. (Not a load intrinsic: in debug builds those carry checks that cost registers.)
#[inline(always)]
fn vectors_256(row: &[f32; PANEL]) -> [__m256; 4] {
    // SAFETY: plain numbers of the same size.
    unsafe { transmute(*row) }
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
        assert_tile_in_bounds(a, ROWS, row_stride, depth_stride, panel);
        // SAFETY: this backend is handed out only after `detected()`; the bounds of all rows were checked.
        unsafe {
            match row_stride {
                1 => avx512_tile::<ROWS, true>(acc, a.as_ptr(), 1, depth_stride, panel),
                _ => avx512_tile::<ROWS, false>(acc, a.as_ptr(), row_stride, depth_stride, panel),
            }
        }
    }
}

/// A whole tile: 2 accumulators per row. Rows that are `PACKED` are 1 apart.
///
/// # Safety
/// `a` may be read at every (row, k) of the tile.
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx2,fma")]
unsafe fn avx512_tile<const ROWS: usize, const PACKED: bool>(
    acc: &mut [[f32; PANEL]; ROWS],
    a: *const f32,
    row_stride: usize,
    depth_stride: usize,
    panel: &[f32],
) {
    let row_stride = if PACKED { 1 } else { row_stride };
    let mut sums = [[_mm512_setzero_ps(); 2]; ROWS];
    for (sums, acc) in sums.iter_mut().zip(acc.iter()) {
        *sums = vectors_512(acc);
    }
    let mut x = a;
    for weights in panel.as_chunks::<PANEL>().0 {
        let weights = vectors_512(weights);
        for (row, sums) in sums.iter_mut().enumerate() {
            // SAFETY: the caller's guarantee.
            let x =
                _mm512_broadcastss_ps(unsafe { _mm_load_ss(x.wrapping_add(row.wrapping_mul(row_stride))) });
            sums[0] = _mm512_fmadd_ps(x, weights[0], sums[0]);
            sums[1] = _mm512_fmadd_ps(x, weights[1], sums[1]);
        }
        x = x.wrapping_add(depth_stride);
    }
    for (acc, sums) in acc.iter_mut().zip(sums) {
        // SAFETY: plain numbers of the same size.
        *acc = unsafe { transmute::<[__m512; 2], [f32; PANEL]>(sums) };
    }
}

/// A row as vectors. (Not a load intrinsic: in debug builds those carry checks that cost registers.)
#[inline(always)]
fn vectors_512(row: &[f32; PANEL]) -> [__m512; 2] {
    // SAFETY: plain numbers of the same size.
    unsafe { transmute(*row) }
}

#[cfg(test)]
mod tests {
    use std::arch::asm;

    use super::super::{BackendError, floating_point_is_ieee};

    /// Runs `f` with other rounding or subnormal handling, as some libraries leave a thread behind.
    fn with_control<R>(flags: u32, f: impl FnOnce() -> R) -> R {
        let mut original = 0_u32;
        // SAFETY: the control word is read, changed for `f`, and put back; `f` hides its arithmetic
        // from the compiler.
        unsafe {
            asm!("stmxcsr [{}]", in(reg) &raw mut original);
            let changed = original | flags;
            asm!("ldmxcsr [{}]", in(reg) &raw const changed);
            let result = f();
            asm!("ldmxcsr [{}]", in(reg) &raw const original);
            result
        }
    }

    #[test]
    fn changed_arithmetic_is_noticed() {
        const DENORMALS_ARE_ZERO: u32 = 1 << 6;
        const FLUSH_TO_ZERO: u32 = 1 << 15;
        assert_eq!(with_control(0, floating_point_is_ieee), Ok(()));
        for flags in [DENORMALS_ARE_ZERO, FLUSH_TO_ZERO, 1 << 13, 2 << 13, 3 << 13] {
            let result = with_control(flags, floating_point_is_ieee);
            assert!(
                matches!(result, Err(BackendError::FloatingPoint(_))),
                "{flags:#x}: {result:?}"
            );
        }
    }
}
