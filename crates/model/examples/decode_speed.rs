//! Reading on, a token at a time: tokens/s, and the share of the memory bandwidth measured in the same run.
//!
//! `cargo run --release -p soma-model --example v1_memory -- write FILE BF16` writes a whole V1 of random
//! weights; `... --example decode_speed -- FILE [v1|nano] [TOKENS]` reads it. benches/decode sets PyTorch
//! beside it.
#![allow(clippy::disallowed_types)] // a benchmark needs a clock

use std::time::Instant;

use rayon::prelude::*;
use soma_model::{Model, Scorer, Sequence};
use soma_types::Architecture;

type Failure = Box<dyn std::error::Error>;

/// Sequences that read on together.
const BATCHES: [usize; 4] = [1, 4, 16, 64];
/// Of the memory that is read to measure its bandwidth: far more than any cache.
const MEMORY_BYTES: usize = 2 << 30;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (path, architecture, tokens) = match &arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [path] => (*path, Architecture::V1, "24"),
        [path, "v1"] => (*path, Architecture::V1, "24"),
        [path, "v1", tokens] => (*path, Architecture::V1, *tokens),
        [path, "nano"] => (*path, Architecture::NANO, "200"),
        [path, "nano", tokens] => (*path, Architecture::NANO, *tokens),
        _ => return Err("FILE [v1|nano] [TOKENS]".into()),
    };
    let tokens: usize = tokens.parse()?;
    let model = Model::load(path, &architecture)?;
    let scorer = Scorer::new()?;
    // What a token has to read: all weights but the embedding, of which it takes a row, and the positions.
    let embedding = size_of_val(model.embedding()) as f64;
    let weights = model.memory_bytes() as f64 - embedding;
    let threads = rayon::current_num_threads();
    println!(
        "{}, {threads} threads, {:.2} GiB a token",
        scorer.backend(),
        gib(weights)
    );
    let memory = memory();
    let mut bandwidths = vec![bandwidth(&memory)];
    for batch in BATCHES {
        let mut sequences = vec![scorer.sequence(&model); batch];
        let mut read = |part: &[u16]| {
            let mut each: Vec<&mut Sequence<'_>> = sequences.iter_mut().collect();
            Sequence::read_each(&mut each, &vec![part; batch])
        };
        read(&[72, 101, 108, 108, 111])?;
        // Large batches of a large model are for comparison only: a few tokens tell.
        let tokens = if batch > 4 { tokens.div_ceil(4) } else { tokens };
        let begun = Instant::now();
        for token in 0..tokens {
            read(&[(token * 7 % 256) as u16])?;
        }
        let seconds = begun.elapsed().as_secs_f64() / tokens as f64;
        bandwidths.push(bandwidth(&memory));
        let best = bandwidths.iter().copied().fold(0.0, f64::max);
        println!(
            "{batch:3} sequences: {:8.1} tokens/s, {:6.2} ms a step, {:5.1} GiB/s of weights, {:3.0}% of {:.1} GiB/s",
            batch as f64 / seconds,
            1e3 * seconds,
            gib(weights) / seconds,
            100.0 * gib(weights) / seconds / best,
            best
        );
    }
    Ok(())
}

/// Memory that was written once, so that it is there.
fn memory() -> Vec<u64> {
    (0..MEMORY_BYTES as u64 / 8).into_par_iter().collect()
}

/// GiB/s that all threads read together, at best of three.
fn bandwidth(memory: &[u64]) -> f64 {
    let once = || {
        let begun = Instant::now();
        let part = memory.len().div_ceil(rayon::current_num_threads());
        let sum: u64 = memory
            .par_chunks(part)
            .map(|part| {
                let (blocks, _) = part.as_chunks::<32>();
                let sums = blocks.iter().fold([0_u64; 32], |mut sums, block| {
                    for (sum, value) in sums.iter_mut().zip(block) {
                        *sum = sum.wrapping_add(*value);
                    }
                    sums
                });
                sums.iter().fold(0_u64, |all, sum| all.wrapping_add(*sum))
            })
            .reduce(|| 0, u64::wrapping_add);
        std::hint::black_box(sum);
        gib(size_of_val(memory) as f64) / begun.elapsed().as_secs_f64()
    };
    (0..3).map(|_| once()).fold(0.0, f64::max)
}

fn gib(bytes: f64) -> f64 {
    bytes / (1_u64 << 30) as f64
}
