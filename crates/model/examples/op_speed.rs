//! Measures every operation of exact scoring at the shapes of one layer: time, share of the layer, and of
//! the fused multiply-add peak.
//!
//! `cargo run --release -p soma-model --features test-support --example op_speed`
#![allow(clippy::disallowed_types)] // a benchmark needs a clock

use std::time::Instant;

use soma_model::{
    Simd,
    kernels::{POINTS, Rope},
    matrix::Matrix,
};
use soma_types::{Architecture, architecture::VOCAB};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let kernels = Simd::chosen()?.kernels()?;
    for (name, architecture, rows) in [("nano", Architecture::NANO, 256), ("V1", Architecture::V1, 1024)] {
        let (d, ffn) = (architecture.embedding_dim as usize, architecture.ffn_dim as usize);
        let heads = architecture.heads as usize;
        let values = |count: usize| -> Vec<f32> {
            (0..count)
                .map(|i| ((i * 7919) % 1009) as f32 / 1009.0 - 0.5)
                .collect()
        };
        let matrix = |inputs, outputs| Matrix::from_row_major(inputs, outputs, &values(inputs * outputs));
        let (square, inner, outer) = (matrix(d, d), matrix(d, ffn), matrix(ffn, d));
        let (predictor, directions) = (matrix(d, VOCAB), matrix(d, 256));
        let rope = Rope::new(rows, d / heads, 10_000);
        let bias = values(ffn);
        let (mut x, mut y, mut z, mut wide) = (
            values(rows * d),
            values(rows * d),
            values(rows * d),
            values(rows * ffn),
        );
        let mut logits = values(rows * VOCAB);
        let mut projections = values(rows * 256);
        let mut losses = vec![0.0; rows];
        let targets = vec![1; rows];
        let mut sums = vec![0; POINTS * 2 * 256];
        let mut totals = vec![0; d];
        let n = rows as f64;
        let (df, ff) = (d as f64, ffn as f64);
        println!(
            "{name}, {rows} rows: {:>18} {:>10} {:>9}",
            "us", "GFLOP/s", "ns/value"
        );
        let report = |what: &str, count: f64, multiply_adds: f64, values: f64, work: &mut dyn FnMut()| {
            work();
            let mut best = f64::INFINITY;
            let begun = Instant::now();
            while begun.elapsed().as_secs_f64() < 0.4 {
                let start = Instant::now();
                work();
                best = best.min(start.elapsed().as_secs_f64());
            }
            println!(
                "{what:<24} x{count:<3} {:>9.1} {:>10.1} {:>9.3}",
                best * 1e6,
                2.0 * multiply_adds / best / 1e9,
                best * 1e9 / values
            );
        };
        report("layer_norm", 2.0, 0.0, n * df, &mut || {
            kernels.layer_norm(&mut y, &x, &bias[..d], &bias[..d])
        });
        report("query, key, value", 3.0, n * df * df, n * df, &mut || {
            kernels.linear(&mut y, &x, &square, Some(&bias[..d]))
        });
        report("rope", 2.0, 0.0, n * df, &mut || {
            kernels.rope(&mut y, &rope, heads)
        });
        report("attention", 1.0, n * df * (n + 1.0), n * df, &mut || {
            kernels.attention(&mut z, &x, &y, &x, heads, d)
        });
        report("output, residual", 1.0, n * df * df, n * df, &mut || {
            kernels.add_linear(&mut y, &z, &square, &bias[..d])
        });
        report("inner, gelu", 1.0, n * df * ff, n * ff, &mut || {
            kernels.linear_gelu(&mut wide, &x, &inner, &bias)
        });
        report("  inner alone", 0.0, n * df * ff, n * ff, &mut || {
            kernels.linear(&mut wide, &x, &inner, Some(&bias))
        });
        report("  gelu alone", 0.0, 0.0, n * ff, &mut || kernels.gelu(&mut wide));
        report("outer, residual", 1.0, n * df * ff, n * df, &mut || {
            kernels.add_linear(&mut y, &wide, &outer, &bias[..d])
        });
        report(
            "once: predictor",
            0.0,
            n * df * VOCAB as f64,
            n * VOCAB as f64,
            &mut || kernels.linear(&mut logits, &x, &predictor, Some(&bias[..VOCAB])),
        );
        report("once: token losses", 0.0, 0.0, n * VOCAB as f64, &mut || {
            logits
                .iter_mut()
                .enumerate()
                .for_each(|(i, l)| *l = (i % 61) as f32 * 0.1);
            kernels.token_losses(&mut losses, &mut logits, &targets)
        });
        report("once: projections", 0.0, n * df * 256.0, n * 256.0, &mut || {
            kernels.linear(&mut projections, &x, &directions, None)
        });
        report("once: characteristic", 0.0, 0.0, n * 256.0, &mut || {
            kernels.characteristic(&mut sums, &projections, 256)
        });
        report("once: sum of rows", 0.0, 0.0, n * df, &mut || {
            kernels.sum_rows(&mut totals, &x)
        });
        x[0] += y[0];
    }
    Ok(())
}
