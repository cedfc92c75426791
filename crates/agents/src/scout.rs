//! Which targets a document may hit, before any of their models has seen it. Pure.
//!
//! A *scout* is one model that embeds each document once. Models that descend from one ancestor share a space
//! (docs/protocol.md, section 11), so what another of them makes of a document lies near what the scout makes
//! of it. Where exactly, is learned: every score that is computed anyway tells how far the model's embedding
//! lies from the scout's, and by how much its loss is lower.
//!
//! Upon a document: for each open target, the chance that its winner's embedding comes close enough. The
//! winner is one of the target's models, the likelier the lower its loss has been against the scout's; each
//! model's embedding is taken to be normally distributed around the scout's, moved by the model's mean
//! difference. What was seen of all models stands in for what was not yet seen of one.
//!
//! An estimate decides only what is scored. What is claimed is computed exactly.

use std::{collections::BTreeMap, num::NonZeroUsize};

use soma_model::{FastScore, Score};
use soma_types::{Embedding, ModelId, TargetId, api::TargetView};

/// Targets that are less likely hit are not tried: the example `recall` shows what that costs and saves.
pub const CHANCE_MIN: f64 = 0.01;
/// Chunks of a document that the scout looks at.
pub const CHUNKS: NonZeroUsize = NonZeroUsize::new(8).expect("eight is not zero");

/// What a model that was not seen yet counts as having been seen of all models, in documents.
const PRIOR_DOCUMENTS: f64 = 2.0;
/// The spread that is assumed before anything was seen, as a share of chance's: no difference between two
/// random directions is larger.
const PRIOR_SPREAD: f64 = 0.5;
/// How sharply a lower mean loss decides who wins, in losses' own spreads.
const LOSS_SPREAD_MIN_NATS: f64 = 0.02;

/// What a model makes of a document.
#[derive(Clone, Debug, PartialEq)]
pub struct Impression {
    direction: Vec<f64>,
    loss_nats: f64,
}

impl Impression {
    /// By its embedding of the document, and its loss in nano-nats.
    #[must_use]
    pub fn new(embedding: &Embedding, loss_nano: u64) -> Self {
        Self {
            direction: unit(embedding),
            loss_nats: loss_nano as f64 / 1e9,
        }
    }

    /// By its score.
    #[must_use]
    pub fn of(scored: &Score) -> Self {
        Self::new(scored.embedding(), scored.loss_nano())
    }

    /// By an estimate of it, whose loss lacks a part that is much the same for all.
    #[must_use]
    pub fn estimated(estimate: &FastScore) -> Self {
        Self {
            direction: estimate.direction().to_vec(),
            loss_nats: estimate.cross_entropy_nats(),
        }
    }
}

/// A target that may be hit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate {
    /// The target.
    pub target: TargetId,
    /// The chance of a hit, estimated.
    pub chance: f64,
}

/// Means of what was seen of one model, or of all, relative to the scout.
#[derive(Clone, Debug, Default)]
struct Seen {
    documents: f64,
    /// Sum of the differences of embeddings.
    offset: Vec<f64>,
    /// Sum of the squared lengths of those.
    squares: f64,
    /// Sum of the differences of losses, and of their squares.
    loss: f64,
    loss_squares: f64,
}

impl Seen {
    fn add(&mut self, offset: &[f64], loss: f64) {
        self.offset.resize(offset.len(), 0.0);
        self.documents += 1.0;
        for (sum, difference) in self.offset.iter_mut().zip(offset) {
            *sum += difference;
        }
        self.squares += offset
            .iter()
            .map(|difference| difference * difference)
            .sum::<f64>();
        self.loss += loss;
        self.loss_squares += loss * loss;
    }
}

/// What is expected of one model on a document.
#[derive(Clone, Debug)]
struct Outlook {
    /// Mean difference from the scout's embedding.
    offset: Vec<f64>,
    /// Standard deviation of the rest, in each coordinate.
    spread: f64,
    /// Mean difference from the scout's loss, in nats, and its standard deviation.
    loss: f64,
    loss_spread: f64,
}

/// What was learned of how models differ from the scout.
#[derive(Clone, Debug, Default)]
pub struct Scout {
    models: BTreeMap<ModelId, Seen>,
    all: Seen,
}

impl Scout {
    /// Nothing learned yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Learns from what `model` made of a document of which the scout has an impression.
    pub fn learn(&mut self, scouts: &Impression, model: ModelId, theirs: &Impression) {
        let both = theirs.direction.iter().zip(&scouts.direction);
        let offset: Vec<f64> = both.map(|(theirs, scouts)| theirs - scouts).collect();
        let loss = theirs.loss_nats - scouts.loss_nats;
        self.models.entry(model).or_default().add(&offset, loss);
        self.all.add(&offset, loss);
    }

    /// Forgets the models that compete no more.
    pub fn keep(&mut self, is_kept: impl Fn(&ModelId) -> bool) {
        self.models.retain(|model, _| is_kept(model));
    }

    /// The targets that a document so seen may hit, likeliest first; those less likely than `chance_min` are
    /// left out.
    #[must_use]
    pub fn candidates(&self, scouts: &Impression, targets: &[TargetView], chance_min: f64) -> Vec<Candidate> {
        let mut outlooks: BTreeMap<ModelId, Outlook> = BTreeMap::new();
        let mut candidates: Vec<Candidate> = targets
            .iter()
            .map(|view| {
                for model in &view.target.models {
                    outlooks
                        .entry(*model)
                        .or_insert_with(|| self.outlook(model, scouts.direction.len()));
                }
                let models: Vec<&Outlook> = view
                    .target
                    .models
                    .iter()
                    .filter_map(|model| outlooks.get(model))
                    .collect();
                Candidate {
                    target: view.target.id,
                    chance: chance(scouts, &models, view),
                }
            })
            .filter(|candidate| candidate.chance >= chance_min)
            .collect();
        candidates.sort_by(|a, b| b.chance.total_cmp(&a.chance).then(a.target.cmp(&b.target)));
        candidates
    }

    /// What is expected of a model: what was seen of it, filled up with what was seen of all.
    fn outlook(&self, model: &ModelId, dim: usize) -> Outlook {
        let all = &self.all;
        // Chance's spread is 1 / sqrt(dim) in each coordinate.
        let assumed = PRIOR_SPREAD * PRIOR_SPREAD / dim as f64;
        let of_all = |sum: f64| sum / all.documents.max(1.0);
        let mean_of_all: Vec<f64> = (0..dim)
            .map(|at| of_all(all.offset.get(at).copied().unwrap_or(0.0)))
            .collect();
        let length_of_all: f64 = mean_of_all.iter().map(|mean| mean * mean).sum();
        let variance_of_all = ((all.squares - all.documents * length_of_all).max(0.0) / dim as f64
            + PRIOR_DOCUMENTS * assumed)
            / (all.documents + PRIOR_DOCUMENTS);
        let loss_of_all = of_all(all.loss);
        let loss_variance_of_all =
            (of_all(all.loss_squares) - loss_of_all * loss_of_all).max(LOSS_SPREAD_MIN_NATS.powi(2));

        let none = Seen::default();
        let seen = self.models.get(model).unwrap_or(&none);
        let weight = seen.documents + PRIOR_DOCUMENTS;
        let offset: Vec<f64> = mean_of_all
            .iter()
            .enumerate()
            .map(|(at, mean)| (seen.offset.get(at).copied().unwrap_or(0.0) + PRIOR_DOCUMENTS * mean) / weight)
            .collect();
        // The squared distances from the offset, not from their own mean, which few documents say little of.
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let around = seen.squares - 2.0 * dot(&seen.offset, &offset) + seen.documents * dot(&offset, &offset);
        let variance = (around.max(0.0) / dim as f64 + PRIOR_DOCUMENTS * variance_of_all) / weight;
        let loss = (seen.loss + PRIOR_DOCUMENTS * loss_of_all) / weight;
        let loss_around = seen.loss_squares - 2.0 * loss * seen.loss + seen.documents * loss * loss;
        let loss_variance = (loss_around.max(0.0) + PRIOR_DOCUMENTS * loss_variance_of_all) / weight;
        Outlook {
            offset,
            spread: (variance * (1.0 + 1.0 / weight)).sqrt(),
            loss,
            loss_spread: (loss_variance * (1.0 + 1.0 / weight)).sqrt(),
        }
    }
}

/// The chance that the winner of these models comes close enough to a target.
fn chance(scouts: &Impression, models: &[&Outlook], view: &TargetView) -> f64 {
    let threshold = view.commit_threshold_q30 as f64 / f64::from(1 << 30);
    let target = unit(&view.embedding);
    models
        .iter()
        .enumerate()
        .map(|(index, model)| wins(index, models) * comes_close(scouts, model, &target, threshold))
        .sum()
}

/// The chance that a model's embedding comes close enough.
fn comes_close(scouts: &Impression, model: &Outlook, target: &[f64], threshold: f64) -> f64 {
    let (mut dot, mut length) = (0.0, 0.0);
    for ((coordinate, offset), target) in scouts.direction.iter().zip(&model.offset).zip(target) {
        let expected = coordinate + offset;
        dot += expected * target;
        length += expected * expected;
    }
    let cosine = dot / length.sqrt().max(f64::MIN_POSITIVE);
    normal((cosine - threshold) / model.spread.max(f64::MIN_POSITIVE))
}

/// The chance that a model has the lowest loss of all: against each other by itself, and those multiplied,
/// as shares of one.
fn wins(index: usize, models: &[&Outlook]) -> f64 {
    let against_all = |one: usize| -> f64 {
        let others = models.iter().enumerate().filter(|(other, _)| *other != one);
        others
            .map(|(_, other)| {
                let spread = models[one].loss_spread.hypot(other.loss_spread);
                normal((other.loss - models[one].loss) / spread.max(f64::MIN_POSITIVE))
            })
            .product()
    };
    let total: f64 = (0..models.len()).map(against_all).sum();
    against_all(index) / total.max(f64::MIN_POSITIVE)
}

/// The standard normal distribution, within 2 * 10^-4 (Page, Applied Statistics 26, 1977).
fn normal(z: f64) -> f64 {
    1.0 / (1.0 + (-1.595_769 * z * (1.0 + 0.044_715 * z * z)).exp())
}

/// An embedding's coordinates, of about unit length.
fn unit(embedding: &Embedding) -> Vec<f64> {
    embedding
        .as_slice()
        .iter()
        .map(|q15| f64::from(*q15) / 32_768.0)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_cast::{ARCHITECTURE, MODELS, target};

    const DIM: usize = ARCHITECTURE.embedding_dim as usize;

    /// A unit vector along `axis`, leaning by `lean` toward the next.
    fn impression(axis: usize, lean: f64, loss_nats: f64) -> Impression {
        let mut direction = vec![0.0; DIM];
        (direction[axis], direction[axis + 1]) = ((1.0 - lean * lean).sqrt(), lean);
        Impression { direction, loss_nats }
    }

    /// A target in the direction that an impression has, hit within `cosine`.
    fn target_at(number: u8, at: &Impression, cosine: f64) -> TargetView {
        let vector: Vec<f32> = at.direction.iter().map(|x| *x as f32).collect();
        let mut view = target(number, (cosine * f64::from(1 << 30)) as i64);
        view.embedding = Embedding::from_f32(&vector).unwrap();
        view
    }

    fn chance_of(scout: &Scout, seen: &Impression, view: &TargetView) -> f64 {
        scout.candidates(seen, std::slice::from_ref(view), 0.0)[0].chance
    }

    #[test]
    fn the_nearest_target_is_the_likeliest_and_the_unlikely_are_left_out() {
        let (scout, seen) = (Scout::new(), impression(0, 0.1, 2.0));
        let near = target_at(1, &impression(0, 0.0, 0.0), 0.5);
        let far = target_at(2, &impression(9, 0.0, 0.0), 0.5);
        let farther = target_at(3, &impression(9, 0.0, 0.0), 0.9);
        let all = [farther, far, near];
        let ranked = scout.candidates(&seen, &all, 0.0);
        let order: Vec<u8> = ranked.iter().map(|candidate| candidate.target.0[0]).collect();
        assert_eq!(order, [1, 2, 3]);
        assert!(ranked[0].chance > 0.95 && ranked[2].chance < 1e-6, "{ranked:?}");
        assert_eq!(scout.candidates(&seen, &all, 0.5).len(), 1);
    }

    /// What the models make of documents moves what is expected of them, and of models not seen yet.
    #[test]
    fn how_models_differ_from_the_scout_is_learned() {
        let mut scout = Scout::new();
        // The scout sees everything along the first axis, the models along the third.
        let (seen, theirs) = (impression(0, 0.0, 2.0), impression(2, 0.0, 2.0));
        let view = target_at(1, &theirs, 0.8);
        let before = chance_of(&scout, &seen, &view);
        for _ in 0..20 {
            scout.learn(&seen, MODELS[0], &theirs);
        }
        let with_one = chance_of(&scout, &seen, &view);
        for model in &MODELS[1..] {
            for _ in 0..20 {
                scout.learn(&seen, *model, &theirs);
            }
        }
        let with_all = chance_of(&scout, &seen, &view);
        assert!(before < 0.01, "{before}");
        assert!(with_one > 0.5, "{with_one}: the others are taken to be alike");
        assert!(with_all > 0.99, "{with_all}");
        scout.keep(|model| *model == MODELS[0]);
        assert!(chance_of(&scout, &seen, &view) > 0.5);
    }

    /// Only the winner's embedding counts, and the winner is who has had lower losses.
    #[test]
    fn the_likeliest_winner_counts_most() {
        let mut scout = Scout::new();
        let seen = impression(0, 0.0, 2.0);
        for _ in 0..20 {
            scout.learn(&seen, MODELS[0], &impression(4, 0.0, 1.0));
            scout.learn(&seen, MODELS[1], &impression(6, 0.0, 3.0));
            scout.learn(&seen, MODELS[2], &impression(8, 0.0, 3.0));
        }
        let winners = chance_of(&scout, &seen, &target_at(1, &impression(4, 0.0, 0.0), 0.8));
        let losers = chance_of(&scout, &seen, &target_at(1, &impression(6, 0.0, 0.0), 0.8));
        assert!(winners > 0.9 && losers < 0.1, "{winners} {losers}");
    }

    /// Nothing that strangers' models come to makes a chance that is no number.
    #[test]
    fn chances_are_numbers_whatever_was_seen() {
        let mut scout = Scout::new();
        let zero = Impression {
            direction: vec![0.0; DIM],
            loss_nats: 0.0,
        };
        let most = u64::MAX as f64 / 1e9;
        for loss_nats in [0.0, 1.0, most] {
            scout.learn(
                &zero,
                MODELS[0],
                &Impression {
                    loss_nats,
                    ..zero.clone()
                },
            );
        }
        for seen in [&zero, &impression(0, 0.0, most)] {
            let chance = chance_of(&scout, seen, &target_at(1, &impression(0, 0.0, 0.0), 0.5));
            assert!((0.0..=1.0).contains(&chance), "{chance}");
        }
        assert!(scout.candidates(&zero, &[], 0.0).is_empty());
    }
}
