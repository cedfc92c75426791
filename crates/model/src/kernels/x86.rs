//! The register tiles of AVX2 and AVX-512. With NEON's the only unsafe code of the crate.
//!
//! Two obligations recur. *Instructions*: a function compiled for an instruction set may run only where
//! the processor has it; [`super::Simd`] hands out these backends only after `detected()`. *Bounds*: every
//! pointer read lies within a slice, which `assert_tile_in_bounds` has checked.
#![allow(unsafe_code)]

mod row;

use std::{
    arch::x86_64::{
        __m256, __m512, _mm_load_ss, _mm256_broadcastss_ps, _mm256_fmadd_ps, _mm256_setzero_ps,
        _mm512_broadcastss_ps, _mm512_fmadd_ps, _mm512_setzero_ps,
    },
    mem::transmute,
};

use super::tile::{Isa, Operand, Reach, assert_row_in_bounds, assert_tile_in_bounds, with_rows};
use crate::matrix::{Lanes, PANEL};

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

    fn tile(sums: &mut [Lanes], start: Option<&Lanes>, a: Operand<'_>, panel: &[Lanes], reach: Reach) {
        /// With 16 columns, 12 accumulators.
        const ROWS: usize = 6;
        let rows = sums.len();
        assert_tile_in_bounds(rows, a, panel, reach);
        for (first, sums) in (0..rows).step_by(ROWS).zip(sums.chunks_mut(ROWS)) {
            let a = Operand {
                values: &a.values[(first * a.row_stride).min(a.values.len())..],
                ..a
            };
            let part = sums.len();
            // SAFETY: this backend is handed out only after `detected()`; the bounds of all rows were
            // checked.
            unsafe {
                match (reach, a.row_stride) {
                    (Reach::Even, 1) => {
                        with_rows!(part, [1 2 3 4 5 6], avx2_tile, true, false, (sums, start, a, panel));
                    }
                    (Reach::Even, _) => {
                        with_rows!(part, [1 2 3 4 5 6], avx2_tile, false, false, (sums, start, a, panel));
                    }
                    (Reach::Causal, _) => {
                        let panel = &panel[..panel.len() - (rows - first - part)];
                        with_rows!(part, [1 2 3 4 5 6], avx2_tile, false, true, (sums, start, a, panel));
                    }
                }
            }
        }
    }

    fn row(sums: &mut [Lanes], x: &[f32], panels: &[&[Lanes]]) {
        assert_row_in_bounds(sums, x, panels);
        // SAFETY: this backend is handed out only after `detected()`.
        unsafe { row::avx2(sums, x, panels) }
    }

    fn row_bf16(sums: &mut [Lanes], x: &[f32], panels: &[&[[u16; PANEL]]]) {
        assert_row_in_bounds(sums, x, panels);
        // SAFETY: this backend is handed out only after `detected()`.
        unsafe { row::avx2_bf16(sums, x, panels) }
    }
}

/// Some rows of a tile, 16 columns at a time. Rows that are `PACKED` are 1 apart.
///
/// # Safety
/// `a` may be read at every (row, k) of the tile.
#[target_feature(enable = "avx2,fma")]
unsafe fn avx2_tile<const ROWS: usize, const PACKED: bool, const CAUSAL: bool>(
    sums: &mut [Lanes],
    start: Option<&Lanes>,
    a: Operand<'_>,
    panel: &[Lanes],
) {
    let sums: &mut [Lanes; ROWS] = sums.try_into().expect("as many rows as the caller chose");
    let row_stride = if PACKED { 1 } else { a.row_stride };
    let (shared, tail) = panel.split_at(panel.len() - if CAUSAL { ROWS - 1 } else { 0 });
    // SAFETY: the caller's guarantee.
    let x = |x: *const f32, row: usize| unsafe {
        _mm256_broadcastss_ps(_mm_load_ss(x.wrapping_add(row.wrapping_mul(row_stride))))
    };
    for half in [0, 2] {
        let mut acc = [[_mm256_setzero_ps(); 2]; ROWS];
        for (acc, sums) in acc.iter_mut().zip(sums.iter()) {
            let sums = vectors_256(start.unwrap_or(sums));
            *acc = [sums[half], sums[half + 1]];
        }
        let mut at = a.values.as_ptr();
        for weights in shared {
            let weights = vectors_256(weights);
            for (row, acc) in acc.iter_mut().enumerate() {
                let x = x(at, row);
                acc[0] = _mm256_fmadd_ps(x, weights[half], acc[0]);
                acc[1] = _mm256_fmadd_ps(x, weights[half + 1], acc[1]);
            }
            at = at.wrapping_add(a.depth_stride);
        }
        if CAUSAL {
            #[expect(
                clippy::needless_range_loop,
                reason = "a constant count is unrolled, which keeps sums in registers"
            )]
            for k in 0..ROWS - 1 {
                let weights = vectors_256(&tail[k]);
                for (row, acc) in acc.iter_mut().enumerate() {
                    if row > k {
                        let x = x(at, row);
                        acc[0] = _mm256_fmadd_ps(x, weights[half], acc[0]);
                        acc[1] = _mm256_fmadd_ps(x, weights[half + 1], acc[1]);
                    }
                }
                at = at.wrapping_add(a.depth_stride);
            }
        }
        for (sums, acc) in sums.iter_mut().zip(acc) {
            // SAFETY: plain numbers of the same size.
            let acc: [f32; PANEL / 2] = unsafe { transmute(acc) };
            sums[8 * half..8 * half + 16].copy_from_slice(&acc);
        }
    }
}

/// A row as vectors. (Not a load intrinsic: in debug builds those carry checks that cost registers.)
#[inline(always)]
fn vectors_256(row: &Lanes) -> [__m256; 4] {
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

    fn tile(sums: &mut [Lanes], start: Option<&Lanes>, a: Operand<'_>, panel: &[Lanes], reach: Reach) {
        let rows = sums.len();
        assert_tile_in_bounds(rows, a, panel, reach);
        // SAFETY: this backend is handed out only after `detected()`; the bounds of all rows were checked.
        unsafe {
            match (reach, a.row_stride) {
                (Reach::Even, 1) => {
                    with_rows!(rows, [1 2 3 4 5 6 7 8 9 10 11 12], avx512_tile, true, false, (sums, start, a, panel));
                }
                (Reach::Even, _) => {
                    with_rows!(rows, [1 2 3 4 5 6 7 8 9 10 11 12], avx512_tile, false, false, (sums, start, a, panel));
                }
                (Reach::Causal, _) => {
                    with_rows!(rows, [1 2 3 4 5 6 7 8 9 10 11 12], avx512_tile, false, true, (sums, start, a, panel));
                }
            }
        }
    }

    fn row(sums: &mut [Lanes], x: &[f32], panels: &[&[Lanes]]) {
        assert_row_in_bounds(sums, x, panels);
        // SAFETY: this backend is handed out only after `detected()`.
        unsafe { row::avx512(sums, x, panels) }
    }

    fn row_bf16(sums: &mut [Lanes], x: &[f32], panels: &[&[[u16; PANEL]]]) {
        assert_row_in_bounds(sums, x, panels);
        // SAFETY: this backend is handed out only after `detected()`.
        unsafe { row::avx512_bf16(sums, x, panels) }
    }
}

/// A whole tile: 2 accumulators per row. Rows that are `PACKED` are 1 apart.
///
/// # Safety
/// `a` may be read at every (row, k) of the tile.
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx2,fma")]
unsafe fn avx512_tile<const ROWS: usize, const PACKED: bool, const CAUSAL: bool>(
    sums: &mut [Lanes],
    start: Option<&Lanes>,
    a: Operand<'_>,
    panel: &[Lanes],
) {
    let sums: &mut [Lanes; ROWS] = sums.try_into().expect("as many rows as the caller chose");
    let row_stride = if PACKED { 1 } else { a.row_stride };
    let (shared, tail) = panel.split_at(panel.len() - if CAUSAL { ROWS - 1 } else { 0 });
    // SAFETY: the caller's guarantee.
    let x = |x: *const f32, row: usize| unsafe {
        _mm512_broadcastss_ps(_mm_load_ss(x.wrapping_add(row.wrapping_mul(row_stride))))
    };
    let mut acc = [[_mm512_setzero_ps(); 2]; ROWS];
    for (acc, sums) in acc.iter_mut().zip(sums.iter()) {
        *acc = vectors_512(start.unwrap_or(sums));
    }
    let mut at = a.values.as_ptr();
    for weights in shared {
        let weights = vectors_512(weights);
        for (row, acc) in acc.iter_mut().enumerate() {
            let x = x(at, row);
            acc[0] = _mm512_fmadd_ps(x, weights[0], acc[0]);
            acc[1] = _mm512_fmadd_ps(x, weights[1], acc[1]);
        }
        at = at.wrapping_add(a.depth_stride);
    }
    if CAUSAL {
        #[expect(
            clippy::needless_range_loop,
            reason = "a constant count is unrolled, which keeps sums in registers"
        )]
        for k in 0..ROWS - 1 {
            let weights = vectors_512(&tail[k]);
            for (row, acc) in acc.iter_mut().enumerate() {
                if row > k {
                    let x = x(at, row);
                    acc[0] = _mm512_fmadd_ps(x, weights[0], acc[0]);
                    acc[1] = _mm512_fmadd_ps(x, weights[1], acc[1]);
                }
            }
            at = at.wrapping_add(a.depth_stride);
        }
    }
    for (sums, acc) in sums.iter_mut().zip(acc) {
        // SAFETY: plain numbers of the same size.
        *sums = unsafe { transmute::<[__m512; 2], Lanes>(acc) };
    }
}

/// A row as vectors. (Not a load intrinsic: in debug builds those carry checks that cost registers.)
#[inline(always)]
fn vectors_512(row: &Lanes) -> [__m512; 2] {
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
