//! The vectors of `shared/vectors`, on every backend (docs/scoring-spec.md, section 5).

use serde::Deserialize;
use soma_model::{Directions, Model, Scorer, Simd};
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
    mean_embedding: Vec<f64>,
    token_nll: Vec<Vec<f64>>,
}

fn check(name: &str) {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors");
    let json = std::fs::read(folder.join(format!("{name}.json"))).unwrap();
    let vectors: Vectors = serde_json::from_slice(&json).unwrap();
    let path = folder.join(&vectors.weights);
    let model = Model::load(&path, &vectors.architecture).unwrap();
    assert_eq!(
        model.to_bytes(),
        std::fs::read(&path).unwrap(),
        "the canonical form is the vectors' own"
    );
    let directions = Directions::draw(&Seed([7; 32]), &vectors.architecture);
    for case in vectors.cases {
        let label = format!("{name}, {}", case.label);
        let data = hex::decode(&case.data_hex).unwrap();
        let scores: Vec<_> = Simd::supported()
            .map(|simd| {
                Scorer::with(simd)
                    .unwrap()
                    .score(&model, &data, &directions)
                    .unwrap()
            })
            .collect();
        for score in &scores {
            assert_eq!(score, &scores[0], "{label}: backends differ");
        }
        let score = &scores[0];
        assert_eq!(score.predicted_tokens(), case.predicted_tokens, "{label}");
        let error = (score.cross_entropy_nano() as f64 / 1e9 - case.cross_entropy_nats).abs();
        assert!(error < 1e-5, "{label}: cross entropy off by {error}");
        let cosine = |a: &mut dyn Iterator<Item = f64>| {
            let (mut dot, mut aa, mut bb) = (0.0, 0.0, 0.0);
            for (a, b) in a.zip(&case.mean_embedding) {
                (dot, aa, bb) = (dot + a * b, aa + a * a, bb + b * b);
            }
            dot / (aa * bb).sqrt()
        };
        let mean = cosine(&mut score.mean_embedding().iter().map(|v| f64::from(*v)));
        assert!(
            (1.0 - mean).abs() < 1e-5,
            "{label}: mean embedding at cosine {mean}"
        );
        let unit = cosine(&mut score.embedding().as_slice().iter().map(|v| f64::from(*v)));
        assert!((1.0 - unit).abs() < 1e-5, "{label}: embedding at cosine {unit}");
        let scorer = Scorer::new().unwrap();
        let losses = scorer.token_losses(&model, &data).unwrap();
        assert_eq!(losses.len(), case.token_nll.len(), "{label}: chunks");
        for (got, want) in losses.iter().zip(&case.token_nll) {
            for (got, want) in got.iter().zip(want) {
                assert!(
                    (f64::from(*got) - want).abs() < 2e-5 * want.max(1.0),
                    "{label}: {got} for {want}"
                );
            }
        }
    }
}

#[test]
fn pico() {
    check("pico");
}

#[test]
fn nano() {
    check("nano");
}

#[test]
fn wide() {
    check("wide");
}
