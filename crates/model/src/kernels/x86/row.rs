//! One row by several panels, for AVX2 and AVX-512. Weights go from memory to registers and are widened
//! there: where few rows pass over a matrix, reading it is all that takes time.

use std::{
    arch::x86_64::{
        __m128i, __m256, __m256i, __m512, _mm256_castsi256_ps, _mm256_cvtepu16_epi32, _mm256_fmadd_ps,
        _mm256_set1_ps, _mm256_setzero_ps, _mm256_slli_epi32, _mm512_castsi512_ps, _mm512_cvtepu16_epi32,
        _mm512_fmadd_ps, _mm512_set1_ps, _mm512_setzero_ps, _mm512_slli_epi32,
    },
    array,
    mem::transmute,
};

use super::{vectors_256, vectors_512};
use crate::matrix::{Lanes, PANEL};

/// Calls `$row` with the number of panels as a constant, as arrays of as many.
macro_rules! with_panels {
    ($sums:expr, $x:expr, $panels:expr, [$($count:literal)*], $row:ident, $wide:expr) => {
        match $sums.len() {
            $($count => {
                let sums: &mut [Lanes; $count] = $sums.try_into().expect("that many sums");
                let panels = $panels.try_into().expect("as many panels as sums");
                $row::<$count, _, _>(sums, $x, panels, $wide);
            })*
            count => unreachable!("a row of {count} panels"),
        }
    };
}

/// As [`super::Isa::row`], checked by the caller.
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx2,fma")]
pub fn avx512(sums: &mut [Lanes], x: &[f32], panels: &[&[Lanes]]) {
    with_panels!(sums, x, panels, [1 2 3 4], row_512, |row: &Lanes| vectors_512(row));
}

/// As [`super::Isa::row_bf16`], checked by the caller.
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx2,fma")]
pub fn avx512_bf16(sums: &mut [Lanes], x: &[f32], panels: &[&[[u16; PANEL]]]) {
    let wide = |row: &[u16; PANEL]| {
        // SAFETY: plain numbers of the same size.
        let halves: [__m256i; 2] = unsafe { transmute(*row) };
        halves.map(|half| _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(half))))
    };
    with_panels!(sums, x, panels, [1 2 3 4], row_512, wide);
}

/// Two accumulators for each panel.
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx2,fma")]
#[inline]
fn row_512<const PANELS: usize, T, W: Fn(&T) -> [__m512; 2]>(
    sums: &mut [Lanes; PANELS],
    x: &[f32],
    panels: &[&[T]; PANELS],
    wide: W,
) {
    let panels: [&[T]; PANELS] = array::from_fn(|panel| &panels[panel][..x.len()]);
    let mut acc = [[_mm512_setzero_ps(); 2]; PANELS];
    for (acc, sums) in acc.iter_mut().zip(sums.iter()) {
        *acc = vectors_512(sums);
    }
    for (k, x) in x.iter().enumerate() {
        let x = _mm512_set1_ps(*x);
        for (acc, panel) in acc.iter_mut().zip(&panels) {
            let weights = wide(&panel[k]);
            acc[0] = _mm512_fmadd_ps(x, weights[0], acc[0]);
            acc[1] = _mm512_fmadd_ps(x, weights[1], acc[1]);
        }
    }
    for (sums, acc) in sums.iter_mut().zip(acc) {
        // SAFETY: plain numbers of the same size.
        *sums = unsafe { transmute::<[__m512; 2], Lanes>(acc) };
    }
}

/// As [`super::Isa::row`], checked by the caller.
#[target_feature(enable = "avx2,fma")]
pub fn avx2(sums: &mut [Lanes], x: &[f32], panels: &[&[Lanes]]) {
    for (sums, panels) in sums.chunks_mut(2).zip(panels.chunks(2)) {
        with_panels!(sums, x, panels, [1 2], row_256, |row: &Lanes| vectors_256(row));
    }
}

/// As [`super::Isa::row_bf16`], checked by the caller.
#[target_feature(enable = "avx2,fma")]
pub fn avx2_bf16(sums: &mut [Lanes], x: &[f32], panels: &[&[[u16; PANEL]]]) {
    let wide = |row: &[u16; PANEL]| {
        // SAFETY: plain numbers of the same size.
        let quarters: [__m128i; 4] = unsafe { transmute(*row) };
        quarters.map(|quarter| _mm256_castsi256_ps(_mm256_slli_epi32::<16>(_mm256_cvtepu16_epi32(quarter))))
    };
    for (sums, panels) in sums.chunks_mut(2).zip(panels.chunks(2)) {
        with_panels!(sums, x, panels, [1 2], row_256, wide);
    }
}

/// Four accumulators for each panel; of two panels, half of the registers.
#[target_feature(enable = "avx2,fma")]
#[inline]
fn row_256<const PANELS: usize, T, W: Fn(&T) -> [__m256; 4]>(
    sums: &mut [Lanes; PANELS],
    x: &[f32],
    panels: &[&[T]; PANELS],
    wide: W,
) {
    let panels: [&[T]; PANELS] = array::from_fn(|panel| &panels[panel][..x.len()]);
    let mut acc = [[_mm256_setzero_ps(); 4]; PANELS];
    for (acc, sums) in acc.iter_mut().zip(sums.iter()) {
        *acc = vectors_256(sums);
    }
    for (k, x) in x.iter().enumerate() {
        let x = _mm256_set1_ps(*x);
        for (acc, panel) in acc.iter_mut().zip(&panels) {
            let weights = wide(&panel[k]);
            for (acc, weights) in acc.iter_mut().zip(weights) {
                *acc = _mm256_fmadd_ps(x, weights, *acc);
            }
        }
    }
    for (sums, acc) in sums.iter_mut().zip(acc) {
        // SAFETY: plain numbers of the same size.
        *sums = unsafe { transmute::<[__m256; 4], Lanes>(acc) };
    }
}
