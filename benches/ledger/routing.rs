//! Routing over a large table, next to what the machine can do at all.

use std::{hint::black_box, process::Command};

use rayon::prelude::*;
use soma_routing::RoutingTable;
use soma_types::{Embedding, ModelId, Seed, Shannons};

use crate::{best_of, peak};

const DIM: usize = 2_048;
const BATCH: usize = 64;
/// Models of each target, as in the standard preset.
const MODELS_PER_TARGET: usize = 3;
const RUNS: usize = 7;

pub fn run(models: usize) {
    let embedding = |index: usize| Embedding::draw(&Seed([11; 32]).derive("row", index as u64), DIM);
    let targets: Vec<Embedding> = (0..BATCH).map(|target| embedding(models + target)).collect();
    let rows: Vec<Embedding> = (0..models).into_par_iter().map(embedding).collect();
    let [one, batch] = seconds(&rows, &targets);
    let cluster: Vec<Embedding> = rows.par_iter().map(|row| near(&rows[0], row)).collect();
    drop(rows);
    let [one_of_cluster, batch_of_cluster] = seconds(&cluster, &targets);
    drop(cluster);

    let bytes = (models * DIM * 2) as f64;
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
    if let Some(peak) = peak::products_per_second() {
        let products = (models * DIM * BATCH) as f64;
        line(
            &format!("{BATCH} targets at the peak of 8-bit products"),
            products / peak,
        );
    }
    line("one target", one);
    line(&format!("{BATCH} targets"), batch);
    line("one target, models in a cluster", one_of_cluster);
    line(&format!("{BATCH} targets, models in a cluster"), batch_of_cluster);
    match numpy(models) {
        Some([one, batch]) => {
            line("numpy f32, one target", one);
            line(&format!("numpy f32, {BATCH} targets"), batch);
        }
        None => println!("\nnumpy is not installed (set PYTHON to an interpreter that has it): no peer."),
    }
}

/// Seconds to route one of `targets`, and all, among models with these embeddings.
fn seconds(rows: &[Embedding], targets: &[Embedding]) -> [f64; 2] {
    let mut table = RoutingTable::new(DIM as u32);
    for (index, row) in (0..).zip(rows) {
        let id = ModelId(Seed([12; 32]).derive("model", index).0);
        table.push(id, index, Shannons(1_000_000_000 + index), row);
    }
    [&targets[..1], targets].map(|targets| best_of(RUNS, || table.route(targets, MODELS_PER_TARGET)))
}

/// A direction so close to `centre` that eight bits do not tell it from others made so.
fn near(centre: &Embedding, row: &Embedding) -> Embedding {
    let sum = |(a, b): (&i16, &i16)| 200 * i64::from(*a) + i64::from(*b);
    let coordinates = centre.as_slice().iter().zip(row.as_slice());
    Embedding::from_direction(&coordinates.map(sum).collect::<Vec<_>>()).expect("no zero")
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
