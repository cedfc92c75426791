//! Measures every operation of exact scoring at its real shapes, on one batch of rows: its time, its share of
//! a whole model's, and its throughput.
//!
//! `cargo run --release -p soma-model --example op_speed` (`RAYON_NUM_THREADS` sets the threads)
#![allow(clippy::disallowed_types)] // a benchmark needs a clock

use std::time::{Duration, Instant};

use soma_model::{
    BackendError, Simd,
    kernels::{Kernels, POINTS, Rope},
    matrix::Matrix,
};
use soma_types::{Architecture, architecture::VOCAB};

fn main() -> Result<(), BackendError> {
    let simd = Simd::chosen()?;
    let kernels = simd.kernels()?;
    println!("{simd}, {} threads", rayon::current_num_threads());
    // Inside the pool, as scoring is: from outside, every call would wake it first.
    rayon::scope(|_| {
        profile("nano", &Architecture::NANO, 256, kernels);
        profile("V1", &Architecture::V1, 1024, kernels);
    });
    Ok(())
}

/// One operation: its name, how often a model runs it, and its size.
struct Operation {
    name: &'static str,
    times: u32,
    multiply_adds: usize,
    values: usize,
    time: Duration,
}

fn profile(name: &str, architecture: &Architecture, rows: usize, kernels: &dyn Kernels) {
    let (d, ffn) = (architecture.embedding_dim as usize, architecture.ffn_dim as usize);
    let (heads, layers) = (architecture.heads as usize, architecture.layers);
    let matrix = |inputs, outputs| Matrix::from_row_major(inputs, outputs, &values(inputs * outputs));
    let (square, inner, outer) = (matrix(d, d), matrix(d, ffn), matrix(ffn, d));
    let (predictor, directions) = (matrix(d, VOCAB), matrix(d, 256));
    let rope = Rope::new(rows, d / heads, architecture.rope_wavelength);
    let bias = values(ffn);
    let x = values(rows * d);
    let (mut y, mut sum, mut wide) = (values(rows * d), values(rows * d), values(rows * ffn));
    let (mut logits, mut projections) = (values(rows * VOCAB), values(rows * 256));
    let (mut losses, targets) = (vec![0.0; rows], vec![1; rows]);
    let (mut sums, mut totals) = (vec![0; POINTS * 2 * 256], vec![0; d]);

    let mut operations = Vec::new();
    let mut measure = |name, times, multiply_adds, values, work: &mut dyn FnMut()| {
        operations.push(Operation {
            name,
            times,
            multiply_adds,
            values,
            time: best(work),
        });
    };
    measure("layer norm", 2 * layers, 0, rows * d, &mut || {
        kernels.layer_norm(&mut y, &x, &bias[..d], &bias[..d]);
    });
    measure(
        "query, key, value",
        3 * layers,
        rows * d * d,
        rows * d,
        &mut || {
            kernels.linear(&mut y, &x, &square, Some(&bias[..d]));
        },
    );
    measure("RoPE", 2 * layers, 0, rows * d, &mut || {
        kernels.rope(&mut y, &rope, heads, 0);
    });
    let causal = rows * (rows + 1) * d;
    measure("attention", layers, causal, rows * d, &mut || {
        kernels.attention(&mut y, &x, &x, &x, heads, d);
    });
    measure("output, residual", layers, rows * d * d, rows * d, &mut || {
        kernels.add_linear(&mut sum, &x, &square, &bias[..d]);
    });
    measure("inner, GELU", layers, rows * d * ffn, rows * ffn, &mut || {
        kernels.linear_gelu(&mut wide, &x, &inner, &bias);
    });
    measure("outer, residual", layers, rows * d * ffn, rows * d, &mut || {
        kernels.add_linear(&mut sum, &wide, &outer, &bias[..d]);
    });
    measure("predictor", 1, rows * d * VOCAB, rows * VOCAB, &mut || {
        kernels.linear(&mut logits, &x, &predictor, Some(&bias[..VOCAB]));
    });
    measure("token losses", 1, 0, rows * VOCAB, &mut || {
        kernels.token_losses(&mut losses, &mut logits, &targets);
    });
    measure("projections", 1, rows * d * 256, rows * 256, &mut || {
        kernels.linear(&mut projections, &x, &directions, None);
    });
    measure("characteristic", 1, 0, rows * 256, &mut || {
        kernels.characteristic(&mut sums, &projections, 256);
    });
    measure("sum of rows", 1, 0, rows * d, &mut || {
        kernels.sum_rows(&mut totals, &x);
    });

    let total: Duration = operations.iter().map(|each| each.time * each.times).sum();
    println!("\n{name}, {rows} rows: {:.2} ms", total.as_secs_f64() * 1e3);
    println!(
        "{:<20} {:>5} {:>10} {:>7} {:>9} {:>9}",
        "", "times", "us", "share", "GFLOP/s", "ns/value"
    );
    for each in operations {
        let seconds = each.time.as_secs_f64();
        println!(
            "{:<20} {:>5} {:>10.1} {:>6.1}% {:>9.1} {:>9.3}",
            each.name,
            each.times,
            seconds * 1e6,
            100.0 * seconds * f64::from(each.times) / total.as_secs_f64(),
            2e-9 * each.multiply_adds as f64 / seconds,
            1e9 * seconds / each.values as f64
        );
    }
}

fn values(count: usize) -> Vec<f32> {
    (0..count)
        .map(|i| (i * 7919 % 1009) as f32 / 1009.0 - 0.5)
        .collect()
}

/// The best of runs that together take about half a second.
fn best(work: &mut dyn FnMut()) -> Duration {
    work();
    let begun = Instant::now();
    let mut best = Duration::MAX;
    while begun.elapsed() < Duration::from_millis(500) {
        let start = Instant::now();
        work();
        best = best.min(start.elapsed());
    }
    best
}
