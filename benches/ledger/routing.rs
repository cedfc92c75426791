//! Routing over a large table, next to what the machine can do at all.

use std::{hint::black_box, process::Command};

use rayon::prelude::*;
use soma_ledger::routing::RoutingTable;
use soma_types::{Embedding, ModelId, Seed, Shannons};

use crate::best_of;

const DIM: usize = 2_048;
const BATCH: usize = 64;
/// Models of each target, as in the standard preset.
const MODELS_PER_TARGET: usize = 3;
const RUNS: usize = 7;

pub fn run(models: usize) {
    let mut table = RoutingTable::new(DIM as u32);
    // Any 64 rows will do for the time it takes; drawing 10^5 of them would take longer than all the rest.
    let embedding = |index: usize| Embedding::draw(&Seed([11; 32]).derive("row", index as u64), DIM);
    let rows: Vec<Embedding> = (0..64).map(embedding).collect();
    for index in 0..models {
        let id = ModelId(Seed([12; 32]).derive("model", index as u64).0);
        table.push(
            id,
            index as u64,
            Shannons(1_000_000_000 + index as u64),
            &rows[index % rows.len()],
        );
    }
    let targets: Vec<Embedding> = (1_000..1_000 + BATCH).map(embedding).collect();
    let bytes = (models * DIM * 2) as f64;
    let one = best_of(RUNS, || table.route(&targets[..1], MODELS_PER_TARGET));
    let batch = best_of(RUNS, || table.route(&targets, MODELS_PER_TARGET));
    drop(table);

    let memory = vec![1_u64; bytes as usize / 8];
    let read = |slice: &[u64]| slice.iter().fold(0_u64, |sum, word| sum.wrapping_add(*word));
    let threads = rayon::current_num_threads();
    let one_core = best_of(RUNS, || read(black_box(&memory)));
    let all_cores = best_of(RUNS, || {
        let parts = black_box(&memory).par_chunks(1 << 16);
        parts.map(read).reduce(|| 0, u64::wrapping_add)
    });
    drop(memory);

    println!(
        "Routing over {models} models of dimension {DIM}: {:.0} MB, {threads} cores\n",
        bytes / 1e6
    );
    println!("| | ms | GB/s | over reading once |\n|---|---|---|---|");
    let line = |name: &str, seconds: f64| {
        println!(
            "| {name} | {:.1} | {:.1} | {:.2} |",
            1e3 * seconds,
            bytes / seconds / 1e9,
            seconds / all_cores
        );
    };
    line("reading the table's bytes, one core", one_core);
    line("reading the table's bytes, all cores", all_cores);
    line("one target", one);
    line(&format!("{BATCH} targets"), batch);
    match numpy(models) {
        Some([one, batch]) => {
            line("numpy f32, one target", one);
            line(&format!("numpy f32, {BATCH} targets"), batch);
        }
        None => println!("\nnumpy is not installed (set PYTHON to an interpreter that has it): no peer."),
    }
}

/// Seconds of numpy's f32 products over as many rows, twice the bytes.
fn numpy(models: usize) -> Option<[f64; 2]> {
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../benches/ledger/peer.py");
    let arguments = [models, DIM, BATCH, RUNS].map(|number| number.to_string());
    let output = Command::new(python).arg(script).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let seconds: Vec<f64> = text
        .split_whitespace()
        .map(str::parse)
        .collect::<Result<_, _>>()
        .ok()?;
    seconds.try_into().ok()
}
