//! The processor's peak in products of 8-bit numbers: independent chains in registers, on all cores.
#![allow(unsafe_code)] // instructions that Rust cannot know the processor has

/// Products in a second, where the processor has AVX-512 VNNI.
pub fn products_per_second() -> Option<f64> {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vnni") {
        // SAFETY: just detected.
        let seconds = crate::best_of(7, || rayon::broadcast(|_| unsafe { x86::chains() }));
        let products = x86::PRODUCTS * rayon::current_num_threads();
        return Some(products as f64 / seconds);
    }
    None
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::{
        arch::x86_64::{_mm512_dpbusd_epi32, _mm512_set1_epi32},
        hint::black_box,
    };

    const CHAINS: usize = 24;
    const ROUNDS: usize = 1_000_000;
    /// Of one thread.
    pub(super) const PRODUCTS: usize = 64 * CHAINS * ROUNDS;

    #[target_feature(enable = "avx512f,avx512vnni")]
    pub(super) fn chains() {
        let (a, b) = (
            _mm512_set1_epi32(black_box(0x0102_0304)),
            _mm512_set1_epi32(black_box(0x0504_0302)),
        );
        let mut sums = black_box([_mm512_set1_epi32(0); CHAINS]);
        for _ in 0..ROUNDS {
            for sum in &mut sums {
                *sum = _mm512_dpbusd_epi32(*sum, a, b);
            }
        }
        black_box(sums);
    }
}
