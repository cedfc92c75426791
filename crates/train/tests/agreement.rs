//! The trainer's losses and gradients against the reference vectors, the exact runtime, and burn's own
//! operations.

#![allow(clippy::disallowed_methods)] // differences are measured, not trained on

use std::path::PathBuf;

use serde::Deserialize;
use soma_model::{Directions, Model, Scorer};
use soma_train::{
    chunk::Batch,
    model::{Context, Dropout, Transformer},
    ops::{self, Operations},
    pass::{self, Losses, Task},
    random::Random,
    weights::Weights,
};
use soma_types::{Architecture, Seed};

#[derive(Deserialize)]
struct Vectors {
    architecture: Architecture,
    weights: String,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    label: String,
    data_hex: String,
    cross_entropy_nats: f64,
    predicted_tokens: u64,
}

fn vectors(name: &str) -> (Vectors, Vec<u8>) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../model/tests/vectors");
    let cases: Vectors =
        serde_json::from_slice(&std::fs::read(folder.join(format!("{name}.json"))).unwrap()).unwrap();
    let weights = std::fs::read(folder.join(&cases.weights)).unwrap();
    (cases, weights)
}

fn losses(ops: Operations, architecture: &Architecture, weights: &Weights, task: &Task) -> Losses {
    let model = Transformer::new(architecture, weights, &ops::cpu());
    pass::losses(&model, &Context::new(ops, *architecture), task)
}

fn task(data: &[u8], architecture: &Architecture, directions: Vec<f32>) -> Task {
    let batch = Batch::of_document(data, architecture.max_seq_len as usize);
    Task {
        batch,
        directions,
        cross_entropy_weight: 0.01,
        sigreg_weight: 1.0,
        dropout: None,
        lesson: None,
    }
}

#[test]
fn cross_entropy_equals_the_reference_vectors() {
    for name in ["pico", "nano", "wide"] {
        let (vectors, file) = vectors(name);
        let weights = Weights::from_safetensors(&vectors.architecture, &file).unwrap();
        for case in &vectors.cases {
            let data = hex::decode(&case.data_hex).unwrap();
            let task = task(&data, &vectors.architecture, Vec::new());
            for ops in [Operations::Fused, Operations::Portable] {
                let losses = losses(ops, &vectors.architecture, &weights, &task);
                assert_eq!(
                    losses.predicted_tokens, case.predicted_tokens,
                    "{name}, {}",
                    case.label
                );
                let mean = losses.cross_entropy_sum / losses.predicted_tokens as f64;
                let off = (mean - case.cross_entropy_nats).abs();
                assert!(
                    off < 1e-4,
                    "{name}, {}, {ops:?}: {mean}, off by {off}",
                    case.label
                );
            }
        }
    }
}

#[test]
fn the_loss_equals_the_exact_runtimes() {
    let scorer = Scorer::new().unwrap();
    for name in ["pico", "nano", "wide"] {
        let (vectors, file) = vectors(name);
        let architecture = vectors.architecture;
        let weights = Weights::from_safetensors(&architecture, &file).unwrap();
        let model = Model::from_bytes(&file, &architecture).unwrap();
        let directions = Directions::draw(&Seed([7; 32]), &architecture);
        for case in &vectors.cases {
            let data = hex::decode(&case.data_hex).unwrap();
            let exact = scorer.score(&model, &data, &directions).unwrap();
            let ours = losses(
                Operations::Fused,
                &architecture,
                &weights,
                &task(&data, &architecture, directions.to_row_major()),
            );
            let mean = ours.cross_entropy_sum / ours.predicted_tokens as f64;
            let off = mean + ours.sigreg - exact.loss_nano() as f64 / 1e9;
            assert!(off.abs() < 1e-4, "{name}, {}: off by {off}", case.label);
        }
    }
}

#[test]
fn fused_gradients_equal_burns() {
    for (name, bytes) in [("pico", 150), ("nano", 200), ("wide", 300)] {
        let (vectors, file) = vectors(name);
        let architecture = vectors.architecture;
        let weights = Weights::from_safetensors(&architecture, &file).unwrap();
        let data: Vec<u8> = (0..bytes)
            .map(|i: u32| b"the quick brown fox. "[(i * i % 21) as usize])
            .collect();
        let directions = Random::new(1, 1).directions(architecture.embedding_dim as usize, 20);
        let task = Task {
            dropout: Some(Dropout {
                rate: 0.2,
                seed: 1,
                pass: 2,
            }),
            ..task(&data, &architecture, directions)
        };
        let [(fused_losses, fused), (portable_losses, portable)] = [Operations::Fused, Operations::Portable]
            .map(|ops| {
                let model = Transformer::new(&architecture, &weights, &ops::cpu());
                pass::gradients(&model, &Context::new(ops, architecture), &task)
            });
        assert!((fused_losses.cross_entropy_sum - portable_losses.cross_entropy_sum).abs() < 2e-2);
        assert!((fused_losses.sigreg - portable_losses.sigreg).abs() < 1e-4);
        assert_eq!(
            fused.len(),
            weights.tensors().len(),
            "every weight has a gradient"
        );
        for (tensor, ours) in &fused {
            let theirs = &portable[tensor];
            let norm = theirs.iter().map(|x| x * x).sum::<f32>().sqrt();
            let off = ours
                .iter()
                .zip(theirs)
                .map(|(a, b)| (a - b).powi(2))
                .sum::<f32>()
                .sqrt();
            // The gradient of a key's bias is 0 but for rounding: a shift of all keys changes no probability.
            let scale = if tensor.ends_with("key.bias") { 1.0 } else { norm };
            assert!(
                norm.is_finite() && off <= 2e-3 * scale + 1e-6,
                "{name}, {tensor}: off by {off} of {norm}"
            );
        }
    }
}
