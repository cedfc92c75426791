//! What training and scoring give on every machine: this file pins it, and `.ci/machines` runs it for 64-bit
//! ARM and for an x86-64 without AVX-512 too.

use std::{num::NonZeroUsize, sync::atomic::AtomicBool};

use soma_data::{Dataset, Document};
use soma_model::{Directions, Model, Scorer, Simd};
use soma_train::{TrainConfig, train};
use soma_types::{Architecture, Seed};

/// BLAKE3 of the trained file.
const TRAINED: &str = "e404215637ac841e8e55e4e09d1612c629e8258de7b6102079759aa0390f39fe";
/// Transcripts of a short and a long document: they bind the loss and every coordinate of the embedding.
const SCORED: [&str; 2] = [
    "0x0a7c956166c3766c7f55cde96fac2ee9dbc2841e0f34858385091ce5ceaaa8e8",
    "0x675649257056d3a3da125a7d418a0383e58afd318268f938a8f2798cbb33bbc8",
];

/// Sums longer than one chain in every direction, blocks of attention that leave one row over, heads of an
/// odd size.
const ARCHITECTURE: Architecture = Architecture {
    embedding_dim: 36,
    heads: 2,
    layers: 2,
    ffn_dim: 520,
    max_seq_len: 129,
    rope_wavelength: 10_000,
};

fn text(turns: usize) -> Vec<u8> {
    (0..turns)
        .flat_map(|i| {
            format!("{i} bottles of beer on the wall, {} of them green;\n", i * i % 17).into_bytes()
        })
        .collect()
}

fn trained(threads: usize) -> Vec<u8> {
    let document = |name: &str, data| Document {
        origin: name.into(),
        data,
    };
    let dataset = Dataset::new("text", [document("long", text(90)), document("short", text(2))]).unwrap();
    let config = TrainConfig {
        batch_size: 4,
        grad_accum: 3,
        seed: 19,
        learning_rate: 3e-3,
        warmup_steps: 1,
        weight_decay: 0.1,
        gradient_norm_max: 1.0,
        sigreg_directions: 20,
        threads: NonZeroUsize::new(threads),
        ..TrainConfig::new(ARCHITECTURE, 2)
    };
    train(&config, &dataset, None, |_| (), &AtomicBool::new(false))
        .unwrap()
        .weights
}

#[test]
fn a_trained_file_and_its_scores_are_pinned() {
    // Without fused multiply-add `gemm` rounds twice where others round once: such a machine only agrees with
    // itself.
    #[cfg(target_arch = "x86_64")]
    if !is_x86_feature_detected!("fma") {
        return;
    }
    let file = trained(1);
    assert_eq!(blake3::hash(&file).to_hex().as_str(), TRAINED);
    assert!(trained(3) == file, "three threads gave other weights than one");

    let model = Model::from_bytes(&file, &ARCHITECTURE).unwrap();
    let directions = Directions::draw(&Seed([19; 32]), &ARCHITECTURE);
    for simd in Simd::supported() {
        let scorer = Scorer::with(simd).unwrap();
        let scored = [1, 12].map(|turns| {
            let contest = scorer.score_all(&[&model], &text(turns), &directions).unwrap();
            contest.transcript().to_string()
        });
        assert_eq!(scored, SCORED, "{simd}");
    }
}
