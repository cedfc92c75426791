//! Measures exact scoring on this machine: tokens per second of every backend on `nano`, one layer of V1
//! width on the fastest, and the share of the fused multiply-add peak measured in the same run.
//!
//! `cargo run --release -p soma-model --features test-support --example scoring_speed`
#![allow(clippy::disallowed_types)] // a benchmark needs a clock
#![allow(unsafe_code)] // the peak is measured with instructions that Rust cannot know the processor has

use std::time::{Duration, Instant};

use soma_model::{Directions, Model, Scorer, Simd};
use soma_types::{Architecture, Seed, architecture::VOCAB};

/// As the comparison with peers measures it.
#[path = "../../../benches/scoring/src/peak.rs"]
mod peak;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let threads = rayon::current_num_threads();
    let peak = peak::gflops();
    println!("{threads} threads, fused multiply-add peak {peak:.0} GFLOP/s");
    println!(
        "{:<22} {:>9} {:>10} {:>9} {:>7}",
        "", "ms", "tokens/s", "GFLOP/s", "of peak"
    );
    let text: Vec<u8> = (0..1 << 17)
        .map(|i: u32| b"the quick brown fox "[(i % 97 % 20) as usize])
        .collect();

    let nano = Model::random(&Architecture::NANO, 1);
    for simd in Simd::supported() {
        let bytes = if simd <= Simd::Portable { 2 * 256 } else { 64 * 256 };
        report(&format!("nano, {simd}"), simd, &nano, &text[..bytes], peak)?;
    }
    let simd = Simd::chosen()?;
    let wide = Model::random(
        &Architecture {
            layers: 1,
            ..Architecture::V1
        },
        1,
    );
    for bytes in [256, 1024, 4096] {
        report(
            &format!("V1, 1 layer, {bytes} bytes"),
            simd,
            &wide,
            &text[..bytes],
            peak,
        )?;
    }
    drop(wide);
    let directions = Directions::draw(&Seed([0; 32]), &Architecture::NANO);
    let models = [
        nano.clone(),
        Model::random(&Architecture::NANO, 2),
        Model::random(&Architecture::NANO, 3),
    ];
    let models: Vec<&Model> = models.iter().collect();
    let scorer = Scorer::new()?;
    for bytes in [256, 2_048, 5_000] {
        let time = best(|| scorer.score_all(&models, &text[..bytes], &directions).map(drop))?;
        println!(
            "three nano models, {bytes} bytes: {:.2} ms",
            time.as_secs_f64() * 1e3
        );
    }
    Ok(())
}

fn report(
    name: &str,
    simd: Simd,
    model: &Model,
    data: &[u8],
    peak: f64,
) -> Result<(), Box<dyn std::error::Error>> {
    let scorer = Scorer::with(simd)?;
    let directions = Directions::draw(&Seed([0; 32]), model.architecture());
    let time = best(|| scorer.score(model, data, &directions).map(drop))?.as_secs_f64();
    let gflops = operations(model.architecture(), data.len()) / time / 1e9;
    let tokens = data.len() as f64 / time;
    println!(
        "{name:<22} {:>9.2} {tokens:>10.0} {gflops:>9.1} {:>6.1}%",
        time * 1e3,
        100.0 * gflops / peak
    );
    Ok(())
}

/// Multiplications and additions that are done in linear maps, scores and values: masked ones are not, and
/// the first layer's queries, keys and values are done once per distinct byte of a chunk, here about never.
fn operations(architecture: &Architecture, bytes: usize) -> f64 {
    let (d, ffn) = (
        f64::from(architecture.embedding_dim),
        f64::from(architecture.ffn_dim),
    );
    let length = (architecture.max_seq_len as usize).min(bytes) as f64;
    let layer = 4.0 * d * d + 2.0 * d * ffn + 2.0 * d * (length + 1.0) / 2.0;
    let layers = f64::from(architecture.layers) * layer - 3.0 * d * d;
    2.0 * bytes as f64 * (layers + d * (VOCAB + 256) as f64)
}

/// The best of runs that together take about a second, at least three.
fn best<E>(mut work: impl FnMut() -> Result<(), E>) -> Result<Duration, E> {
    work()?;
    let started = Instant::now();
    let mut best = Duration::MAX;
    for run in 0.. {
        if run >= 3 && started.elapsed() > Duration::from_secs(1) {
            break;
        }
        let start = Instant::now();
        work()?;
        best = best.min(start.elapsed());
    }
    Ok(best)
}
