//! Noise and filler against exact scoring. The table is docs/attacks.md.

use soma_model::{Directions, Model, Scorer, layout};
use soma_types::{Architecture, Seed, hash::domain_xof, params::Params};

const SMALL: Architecture = Architecture {
    embedding_dim: 16,
    heads: 2,
    layers: 1,
    ffn_dim: 24,
    max_seq_len: 64,
    rope_wavelength: 10_000,
};

/// A model whose every prediction gives byte `favourite` this much more logit than the others.
fn expert(favourite: usize, logit: f32) -> Model {
    let tensors = layout(&SMALL).into_iter().enumerate().map(|(index, spec)| {
        let mut values: Vec<f32> = (0..spec.len())
            .map(|i| ((i * 31 + index * 17 + favourite) % 101) as f32 / 1_010.0 - 0.05)
            .collect();
        if spec.name == "predictor.bias" {
            values[favourite] += logit;
        }
        if spec.name.ends_with("gamma") {
            values.fill(1.0);
        }
        (spec.name, values)
    });
    Model::from_tensors(&SMALL, tensors).unwrap()
}

/// The lowest cross entropy that any of these models has on `data`, in nano-nats.
fn cross_entropy(models: &[Model], data: &[u8]) -> u64 {
    let scorer = Scorer::new().expect("this machine scores exactly");
    let directions = Directions::draw(&Seed([5; 32]), &SMALL);
    let scores = models
        .iter()
        .map(|model| scorer.score(model, data, &directions).unwrap());
    scores.map(|score| score.cross_entropy_nano()).min().unwrap()
}

/// Models that know nothing, a little and very much about a byte, and one for another byte.
fn models() -> Vec<Model> {
    vec![
        expert(usize::from(b'a'), 0.0),
        expert(usize::from(b'a'), 4.0),
        expert(usize::from(b'a'), 14.0),
        expert(usize::from(b'z'), 14.0),
    ]
}

/// Attack: noise
/// Does: submits random bytes, which are always new and cost nothing to make.
/// Outcome: no model predicts them: their cross entropy is at least about ln 256 = 5.5 nats, far above the
/// band's 3.5. Rejected, whatever the models.
#[test]
fn noise() {
    let mut data = vec![0; 4_096];
    for number in 0..4_u64 {
        domain_xof("noise", &[&number.to_le_bytes()]).fill(&mut data);
        let lowest = cross_entropy(&models(), &data);
        assert!(lowest > Params::std().cross_entropy_max_nano, "{lowest}");
        assert!(lowest > 5_400_000_000, "{lowest}");
    }
}

/// Attack: filler
/// Does: submits one byte again and again, or data that a model has learned by heart.
/// Outcome: a model that knows it has a cross entropy below the band's 0.05 nats, and the lowest one counts.
/// Rejected.
#[test]
fn filler() {
    for length in [64, 1_000, 4_096] {
        let lowest = cross_entropy(&models(), &vec![b'a'; length]);
        assert!(
            lowest < Params::std().cross_entropy_min_nano,
            "{length} bytes: {lowest}"
        );
    }
}

/// Attack: filler diluted with noise
/// Does: mixes filler and noise until the cross entropy lies within the band.
/// Outcome: OPEN. It is in the band, as any data of that entropy is. It pays only where it is near a target
/// and its model wins there, and is worth to the model what it can predict of it.
#[test]
fn filler_diluted_with_noise() {
    let mut noise = vec![0; 4_096];
    domain_xof("noise", &[b"mixed"]).fill(&mut noise);
    let mixed: Vec<u8> = noise
        .iter()
        .enumerate()
        .map(|(index, byte)| if index % 8 == 0 { *byte } else { b'a' })
        .collect();
    let params = Params::std();
    let band = params.cross_entropy_min_nano..=params.cross_entropy_max_nano;
    let lowest = cross_entropy(&models(), &mixed);
    assert!(band.contains(&lowest), "{lowest}");
}
