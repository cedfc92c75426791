//! The processor's peak: independent chains of fused multiply-adds in registers, on all threads.

use std::{hint::black_box, time::Instant};

/// The fastest of three tries.
pub fn gflops() -> f64 {
    let threads = rayon::current_num_threads();
    const CHAINS: usize = 24;
    const ROUNDS: usize = 20_000_000;
    let mut fastest = 0.0_f64;
    for _ in 0..3 {
        let start = Instant::now();
        let lanes = rayon::broadcast(|_| chains(ROUNDS))[0];
        let operations = 2.0 * (lanes * CHAINS * ROUNDS * threads) as f64;
        fastest = fastest.max(operations / start.elapsed().as_secs_f64() / 1e9);
    }
    fastest
}

/// Runs the chains; returns the lanes of one instruction.
fn chains(rounds: usize) -> usize {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_mm256_fmadd_ps, _mm256_set1_ps, _mm512_fmadd_ps, _mm512_set1_ps};
        #[target_feature(enable = "avx512f")]
        fn avx512(rounds: usize) {
            let (a, b) = (_mm512_set1_ps(black_box(0.999)), _mm512_set1_ps(black_box(0.001)));
            let mut sums = black_box([_mm512_set1_ps(1.0); 24]);
            for _ in 0..rounds {
                for sum in &mut sums {
                    *sum = _mm512_fmadd_ps(*sum, a, b);
                }
            }
            black_box(sums);
        }
        #[target_feature(enable = "avx2,fma")]
        fn avx2(rounds: usize) {
            let (a, b) = (_mm256_set1_ps(black_box(0.999)), _mm256_set1_ps(black_box(0.001)));
            for _ in 0..2 {
                let mut sums = black_box([_mm256_set1_ps(1.0); 12]);
                for _ in 0..rounds {
                    for sum in &mut sums {
                        *sum = _mm256_fmadd_ps(*sum, a, b);
                    }
                }
                black_box(sums);
            }
        }
        if is_x86_feature_detected!("avx512f") {
            // SAFETY: just detected.
            unsafe { avx512(rounds) };
            return 16;
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            // SAFETY: just detected.
            unsafe { avx2(rounds) };
            return 8;
        }
    }
    let mut sums = black_box([1.0_f32; 24]);
    for _ in 0..rounds {
        for sum in &mut sums {
            *sum = sum.mul_add(0.999, 0.001);
        }
    }
    black_box(sums);
    1
}
