//! Scores, contests, embeddings and mixtures: bad input, ties, failures, and the mixture's bound.

#![allow(clippy::disallowed_methods)] // the bound is compared with the platform's logarithm

use proptest::prelude::*;
use soma_model::{
    BackendError, Directions, Fast as _, LOSS_NONE, Model, ModelError, Posterior, Sample, ScoreError, Scorer,
    Simd, layout,
};
use soma_types::{Architecture, Seed};

const SMALL: Architecture = Architecture {
    embedding_dim: 16,
    heads: 2,
    layers: 1,
    ffn_dim: 24,
    max_seq_len: 32,
    rope_wavelength: 10_000,
};

/// A model that prefers bytes around `favourite`.
fn model(favourite: usize, change: impl Fn(&str, &mut [f32])) -> Model {
    let tensors = layout(&SMALL).into_iter().enumerate().map(|(index, spec)| {
        let mut values: Vec<f32> = (0..spec.len())
            .map(|i| ((i * 31 + index * 17 + favourite) % 101) as f32 / 101.0 - 0.5)
            .collect();
        if spec.name == "predictor.bias" {
            (0..8).for_each(|i| values[favourite + i] += 4.0);
        }
        if spec.name.ends_with("gamma") {
            values.fill(1.0);
        }
        change(&spec.name, &mut values);
        (spec.name, values)
    });
    Model::from_tensors(&SMALL, tensors).unwrap()
}

fn plain(favourite: usize) -> Model {
    model(favourite, |_, _| ())
}

fn directions() -> Directions {
    Directions::draw(&Seed([5; 32]), &SMALL)
}

#[test]
fn bad_input_is_named() {
    let (scorer, directions, model) = (Scorer::new().unwrap(), directions(), plain(97));
    assert_eq!(scorer.score(&model, b"", &directions), Err(ScoreError::Empty));
    let long = vec![0; soma_model::score::DATA_BYTES_MAX + 1];
    assert_eq!(
        scorer.score(&model, &long, &directions),
        Err(ScoreError::TooLong(long.len()))
    );
    assert_eq!(
        scorer.score_all(&[], b"x", &directions),
        Err(ScoreError::NoModels)
    );
    assert_eq!(scorer.mixture(&[], b"x"), Err(ScoreError::NoModels));
    let wide = Directions::draw(&Seed([5; 32]), &Architecture::NANO);
    assert_eq!(
        scorer.score(&model, b"x", &wide),
        Err(ScoreError::Dimension {
            expected: 16,
            found: 128
        })
    );
    assert_eq!(scorer.embed(&model, &[]), Err(ScoreError::Empty));
    assert_eq!("sse9".parse::<Simd>(), Err(BackendError::Name("sse9".into())));
}

#[test]
fn documents_of_all_lengths_have_scores() {
    let (scorer, directions, model) = (Scorer::new().unwrap(), directions(), plain(97));
    for (length, predicted) in [(1, 1), (2, 2), (31, 31), (32, 31), (33, 32), (64, 62), (100, 97)] {
        let score = scorer.score(&model, &vec![b'a'; length], &directions).unwrap();
        assert_eq!(score.predicted_tokens(), predicted, "{length} bytes");
        assert_eq!(
            score.loss_nano(),
            score.cross_entropy_nano() + score.sigreg_nano()
        );
        assert!(score.cross_entropy_nano() > 0 && score.sigreg_nano() > 0);
    }
}

#[test]
fn the_lowest_loss_wins_and_ties_go_to_the_earlier() {
    let (scorer, directions) = (Scorer::new().unwrap(), directions());
    let (letters, digits) = (plain(97), plain(48));
    let contest = scorer
        .score_all(&[&digits, &letters, &letters], b"abcdefgabcdefg", &directions)
        .unwrap();
    assert_eq!(contest.winner(), 1);
    let losses = contest.losses_nano();
    assert!(losses[1] == losses[2] && losses[1] < losses[0]);
    assert_eq!(contest.winning().loss_nano(), losses[1]);
    assert_eq!(
        contest.winning(),
        &scorer.score(&letters, b"abcdefgabcdefg", &directions).unwrap()
    );
}

/// Both transcripts bind every loss and every embedding, in order, and are no function of each other.
#[test]
fn the_transcripts_bind_everything() {
    let (scorer, directions) = (Scorer::new().unwrap(), directions());
    let (a, b, c) = (plain(97), plain(48), plain(60));
    let transcripts = |models: &[&Model], data: &[u8], directions: &Directions| {
        let contest = scorer.score_all(models, data, directions).unwrap();
        [contest.transcript(), contest.hearing_transcript()]
    };
    let base = transcripts(&[&a, &b], b"some text", &directions);
    assert_eq!(base, transcripts(&[&a, &b], b"some text", &directions));
    assert_ne!(base[0], base[1]);
    let other_directions = Directions::draw(&Seed([6; 32]), &SMALL);
    for other in [
        transcripts(&[&b, &a], b"some text", &directions),
        transcripts(&[&a, &c], b"some text", &directions),
        transcripts(&[&a], b"some text", &directions),
        transcripts(&[&a, &b], b"some texu", &directions),
        transcripts(&[&a, &b], b"some text", &other_directions),
    ] {
        assert!(base.iter().all(|one| !other.contains(one)));
    }
}

/// Weights that overflow lose against any score, and name themselves when alone.
#[test]
fn overflowing_weights_lose() {
    let (scorer, directions, good) = (Scorer::new().unwrap(), directions(), plain(97));
    let overflow = model(97, |name, values| {
        if name.contains("linear_inner.weight") || name.contains("linear_outer.weight") {
            values.fill(1e38);
        }
    });
    let far = model(97, |name, values| {
        if name == "final_norm.beta" {
            values.fill(40_000.0);
        }
    });
    for bad in [&overflow, &far] {
        let contest = scorer.score_all(&[bad, &good], b"abc", &directions).unwrap();
        assert_eq!((contest.winner(), contest.losses_nano()[0]), (1, LOSS_NONE));
        let error = scorer.score_all(&[bad], b"abc", &directions).unwrap_err();
        assert!(matches!(
            error,
            ScoreError::Model {
                index: 0,
                error: ModelError::NotFinite { position: 0, .. }
            }
        ));
        let error = scorer.mixture(&[(&good, 1), (bad, 1)], b"abc").unwrap_err();
        assert!(matches!(error, ScoreError::Model { index: 1, .. }), "{error}");
    }
    // All representations zero: no direction.
    let zero = model(97, |name, values| {
        if name.starts_with("final_norm") {
            values.fill(0.0);
        }
    });
    let error = scorer.score(&zero, b"abc", &directions).unwrap_err();
    assert!(
        matches!(
            error,
            ScoreError::Model {
                error: ModelError::Embedding(_),
                ..
            }
        ),
        "{error}"
    );
}

/// Collapse (all representations alike) costs what docs/scoring-spec.md says: 0.64 nats at most, and near it.
#[test]
fn collapse_is_punished() {
    let (scorer, directions) = (Scorer::new().unwrap(), directions());
    let collapsed = model(97, |name, values| {
        if name == "final_norm.gamma" {
            values.fill(0.0);
        }
        if name == "final_norm.beta" {
            values.fill(3.0);
        }
    });
    let data: Vec<u8> = (0..500).map(|i| (i * i % 251) as u8).collect();
    let collapsed = scorer
        .score(&collapsed, &data, &directions)
        .unwrap()
        .sigreg_nano();
    let normal = scorer
        .score(&plain(97), &data, &directions)
        .unwrap()
        .sigreg_nano();
    assert!(
        collapsed > 400_000_000 && normal < collapsed / 3,
        "{normal} against {collapsed}"
    );
}

/// docs/strategies.md: a sequence counts as much as any other, however short.
#[test]
fn an_embedding_is_the_sum_of_the_sequences_means() {
    let (scorer, model) = (Scorer::new().unwrap(), plain(97));
    let document: Vec<u8> = (0..32 * 10).map(|i| (i * 7 % 256) as u8).collect();
    let whole = scorer.embed(&model, &[&document]).unwrap();
    // Of full sequences alone, the mean over tokens is the mean of the means.
    let score = scorer.score(&model, &document, &directions()).unwrap();
    assert!(whole.dot(score.embedding()) > (1 << 30) - (1 << 20));
    let parts: Vec<&[u8]> = document.chunks(64).collect();
    assert_eq!(scorer.embed(&model, &parts).unwrap(), whole);

    let short = b"not a full one";
    let means = [&document[..32], short].map(|sequence| {
        let score = scorer.score(&model, sequence, &directions()).unwrap();
        score.mean_embedding().to_vec()
    });
    let sum: Vec<f32> = means[0].iter().zip(&means[1]).map(|(a, b)| a + b).collect();
    let expected = soma_types::Embedding::from_f32(&sum).unwrap();
    let found = scorer.embed(&model, &[&document[..32], short]).unwrap();
    assert!(
        found.dot(&expected) > (1 << 30) - (1 << 17),
        "{}",
        found.dot(&expected)
    );
    let by_tokens = scorer
        .score(&model, &[&document[..32], short].concat(), &directions())
        .unwrap();
    assert_ne!(&found, by_tokens.embedding());

    let long = vec![b'a'; soma_model::score::DATA_BYTES_MAX];
    assert!(matches!(
        scorer.embed(&model, &[&long, b"b"]),
        Err(ScoreError::TooLong(_))
    ));
}

/// An estimate from all chunks is as good as the score; from a few it is one of the same model and text.
#[test]
fn estimates_come_near() {
    let (scorer, model) = (Scorer::new().unwrap(), plain(97));
    let document: Vec<u8> = (0..32 * 40).map(|i| b'a' + (i * i % 26) as u8).collect();
    let score = scorer.score(&model, &document, &directions()).unwrap();
    let nats = score.cross_entropy_nano() as f64 / 1e9;
    for (chunks, nats_off, cosine_min) in [(40, 1e-6, 0.999), (100, 1e-6, 0.999), (5, 0.2, 0.95)] {
        let chunks = chunks.try_into().unwrap();
        let estimate = Sample { scorer, chunks }.estimate(&model, &document).unwrap();
        assert!(
            (estimate.cross_entropy_nats() - nats).abs() < nats_off,
            "{chunks}: {nats}"
        );
        let cosine = estimate.cosine(score.embedding());
        assert!((cosine_min..1.001).contains(&cosine), "{chunks}: {cosine}");
    }
    let chunks = 1.try_into().unwrap();
    let sample = Sample { scorer, chunks };
    assert_eq!(sample.estimate(&model, b""), Err(ScoreError::Empty));
}

/// The mixture finds the expert of each region and stays near the best single one.
#[test]
fn mixtures_beat_single_experts_on_mixed_data() {
    let scorer = Scorer::new().unwrap();
    let (letters, digits) = (plain(97), plain(48));
    let mut data = b"abcdefga".repeat(40);
    data.extend(b"01234567".repeat(40));
    let score = scorer.mixture(&[(&letters, 1), (&digits, 1)], &data).unwrap();
    assert_eq!(score.predicted_bytes + score.first_bytes, data.len() as u64);
    assert!(
        score.mixture_nano < score.experts_nano[score.best_expert()],
        "{score:?}"
    );
    assert!(score.mixture_bits_per_byte() < score.experts_bits_per_byte()[0]);
    let one = scorer.mixture(&[(&letters, 7)], &data).unwrap();
    assert!(
        one.mixture_nano.abs_diff(score.experts_nano[0]) < 1000,
        "alone, the mixture is the expert"
    );
    let mut twice = one.clone();
    twice.add(&one);
    assert!((twice.mixture_bits_per_byte() - one.mixture_bits_per_byte()).abs() < 1e-12);
}

proptest! {
    /// Loss at most the best expert's, plus what its prior costs, plus what not switching costs.
    #[test]
    fn the_mixture_is_bounded(
        stakes in prop::collection::vec(any::<u64>(), 1..5),
        losses in prop::collection::vec(prop::collection::vec(0.0..60.0_f64, 5), 1..60),
    ) {
        let mut posterior = Posterior::new(&stakes).unwrap();
        let prior = posterior.weights().to_vec();
        let mut mixture = 0.0;
        for byte in &losses {
            let loss = posterior.observe(&byte[..stakes.len()]);
            let least = byte[..stakes.len()].iter().fold(f64::INFINITY, |a, b| a.min(*b));
            prop_assert!(loss.is_finite() && loss >= least - 1e-9);
            mixture += loss;
            let total: f64 = posterior.weights().iter().sum();
            prop_assert!((total - 1.0).abs() < 1e-9);
        }
        let stay = -(1.0 - soma_model::mixture::SWITCHING_RATE).ln() * losses.len() as f64;
        for (expert, prior) in prior.iter().enumerate() {
            let alone: f64 = losses.iter().map(|byte| byte[expert]).sum();
            prop_assert!(mixture <= alone - prior.ln() + stay + 1e-6);
        }
    }
}
