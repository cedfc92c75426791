//! Peak memory and time of scoring with a whole V1 model (24 layers, 1.2 billion weights).
//!
//! `cargo run --release -p soma-model --example v1_memory -- write FILE BF16|F32` writes random weights, then
//! `... -- score FILE BYTES` scores a document of so many bytes with them.
#![allow(clippy::disallowed_types)] // a benchmark needs a clock

use std::{
    fs::File,
    io::{BufWriter, Write},
    time::Instant,
};

use soma_model::{Directions, Model, Scorer, layout};
use soma_types::{Architecture, Seed};

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["write", path, dtype @ ("BF16" | "F32")] => write(path, dtype),
        ["score", path, bytes] => score(path, bytes.parse()?),
        _ => Err("write FILE BF16|F32, or score FILE BYTES".into()),
    }
}

/// Weights uniform around 0 (gammas: 1), of the size that keeps activations near 1. All are BF16 values.
fn write(path: &str, dtype: &str) -> Result<(), Failure> {
    let size = if dtype == "BF16" { 2 } else { 4 };
    let specs = layout(&Architecture::V1);
    let mut end = 0;
    let entries: Vec<String> = specs
        .iter()
        .map(|spec| {
            let begin = end;
            end += size * spec.len();
            format!(
                r#""{}":{{"dtype":"{dtype}","shape":{:?},"data_offsets":[{begin},{end}]}}"#,
                spec.name, spec.shape
            )
        })
        .collect();
    let header = format!("{{{}}}", entries.join(","));
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    file.write_all(&(header.len() as u64).to_le_bytes())?;
    file.write_all(header.as_bytes())?;
    let mut state = 1_u32;
    for spec in specs {
        let scale = match (spec.shape.len(), spec.name.as_str()) {
            (2, name) if name.starts_with("embedding") => 1.0,
            (2, _) => 1.5 / (spec.shape[0] as f32).sqrt(),
            _ => 0.1,
        };
        let centre = f32::from(u8::from(spec.name.ends_with("gamma")));
        for _ in 0..spec.len() {
            // A linear congruential generator is random enough for memory and time.
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let value = centre + scale * ((state >> 8) as f32 / 8_388_608.0 - 1.0);
            file.write_all(&(value.to_bits() & 0xffff_0000).to_le_bytes()[4 - size..])?;
        }
    }
    file.flush()?;
    println!(
        "{path}: {:.2} GiB of {dtype}",
        gib(8 + (header.len() + end) as u64)
    );
    Ok(())
}

fn score(path: &str, bytes: usize) -> Result<(), Failure> {
    let begun = Instant::now();
    let model = Model::load(path, &Architecture::V1)?;
    let weights = model.memory_bytes();
    println!(
        "loaded in {:.1} s: {:.2} GiB of weights, peak {:.2} GiB",
        begun.elapsed().as_secs_f64(),
        gib(weights),
        gib(peak_bytes()?)
    );
    let directions = Directions::draw(&Seed([0; 32]), &Architecture::V1);
    let data: Vec<u8> = (0..bytes).map(|i| (i * i % 251) as u8).collect();
    let begun = Instant::now();
    let score = Scorer::new()?.score(&model, &data, &directions)?;
    let seconds = begun.elapsed().as_secs_f64();
    let beside = peak_bytes()?.saturating_sub(weights);
    println!(
        "{bytes} bytes: {seconds:.1} s, {:.1} tokens/s, loss {}, peak {:.2} GiB beside the weights",
        bytes as f64 / seconds,
        score.loss_nano(),
        gib(beside)
    );
    Ok(())
}

fn gib(bytes: u64) -> f64 {
    bytes as f64 / (1_u64 << 30) as f64
}

/// The most memory this process ever held (Linux).
fn peak_bytes() -> Result<u64, Failure> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next());
    Ok(1024 * kib.ok_or("no VmHWM in /proc/self/status")?.parse::<u64>()?)
}
