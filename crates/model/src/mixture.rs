//! The global model: several experts' next-byte distributions, mixed by Bayes (docs/protocol.md, section 11).
//!
//! Weights start at the prior (stake). After each byte they are multiplied by the likelihood that each
//! expert gave it, brought to sum 1, and a small share of all weight returns to the prior ("fixed share",
//! Herbster and Warmuth 1998), so that different regions of a file can use different experts. Experts
//! restart their context at each chunk; the weights carry on.
//!
//! All arithmetic is binary64 `+ - * /` in the order of the experts: the same bits everywhere.

use rayon::prelude::*;
use soma_types::losses::lowest;

use crate::{
    elementary64,
    model::Model,
    score::{ModelError, ScoreError, Scorer},
    tokenizer::chunks,
};

/// The share of weight that returns to the prior after each byte: a switch per few hundred bytes.
pub const SWITCHING_RATE: f64 = 1.0 / 512.0;

/// The posterior over experts, updated byte by byte.
#[derive(Clone, Debug, PartialEq)]
pub struct Posterior {
    prior: Vec<f64>,
    weights: Vec<f64>,
}

impl Posterior {
    /// Starts at weights proportional to `stakes`; a stake of 0 counts as 1. None for no stakes at all.
    #[must_use]
    pub fn new(stakes: &[u64]) -> Option<Self> {
        let total = stakes
            .iter()
            .fold(0_u128, |total, stake| total + u128::from(*stake.max(&1)));
        let prior: Vec<f64> = stakes
            .iter()
            .map(|stake| *stake.max(&1) as f64 / total as f64)
            .collect();
        (!prior.is_empty()).then(|| Self {
            weights: prior.clone(),
            prior,
        })
    }

    /// Current weight of each expert; they sum to 1.
    #[must_use]
    pub fn weights(&self) -> &[f64] {
        &self.weights
    }

    /// Takes the loss in nats that each expert had on the next byte; returns the mixture's.
    ///
    /// # Panics
    /// When there are more or fewer losses than experts, or one is not finite.
    pub fn observe(&mut self, losses: &[f64]) -> f64 {
        assert_eq!(losses.len(), self.weights.len(), "one loss per expert");
        assert!(losses.iter().all(|loss| loss.is_finite()), "losses are finite");
        // Likelihoods relative to the best expert's, so that none of importance underflows.
        let best = losses.iter().fold(
            f64::INFINITY,
            |best, loss| if *loss < best { *loss } else { best },
        );
        let mut total = 0.0;
        for (weight, loss) in self.weights.iter_mut().zip(losses) {
            *weight *= elementary64::exp(best - loss);
            total += *weight;
        }
        for (weight, prior) in self.weights.iter_mut().zip(&self.prior) {
            *weight = (1.0 - SWITCHING_RATE) * (*weight / total) + SWITCHING_RATE * prior;
        }
        best - elementary64::ln(total)
    }
}

/// How well experts predicted some data, each alone and mixed. Totals in nano-nats over the bytes that
/// are predicted: all but the first of each chunk, which no expert can know (8 bits each, for all alike).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MixtureScore {
    /// The mixture's total.
    pub mixture_nano: u64,
    /// Each expert's total, in the order given.
    pub experts_nano: Vec<u64>,
    /// Bytes predicted.
    pub predicted_bytes: u64,
    /// First bytes of chunks, not in the totals.
    pub first_bytes: u64,
}

impl MixtureScore {
    /// Bits per predicted byte of the mixture; not a number where no byte is predicted.
    #[must_use]
    pub fn mixture_bits_per_byte(&self) -> f64 {
        self.bits_per_byte(self.mixture_nano)
    }

    /// Bits per predicted byte of each expert, as of the mixture.
    #[must_use]
    pub fn experts_bits_per_byte(&self) -> Vec<f64> {
        self.experts_nano
            .iter()
            .map(|nano| self.bits_per_byte(*nano))
            .collect()
    }

    /// The expert that alone would win.
    #[must_use]
    pub fn best_expert(&self) -> usize {
        lowest(&self.experts_nano).unwrap_or(0)
    }

    fn bits_per_byte(&self, nano: u64) -> f64 {
        nano as f64 / 1e9 / std::f64::consts::LN_2 / self.predicted_bytes as f64
    }

    /// Adds another document's totals.
    ///
    /// # Panics
    /// When the experts are not the same number.
    pub fn add(&mut self, other: &Self) {
        assert_eq!(
            self.experts_nano.len(),
            other.experts_nano.len(),
            "the same experts"
        );
        self.mixture_nano += other.mixture_nano;
        self.predicted_bytes += other.predicted_bytes;
        self.first_bytes += other.first_bytes;
        for (total, more) in self.experts_nano.iter_mut().zip(&other.experts_nano) {
            *total += more;
        }
    }
}

impl Scorer {
    /// Mixes `experts`, each with its stake, over one document.
    ///
    /// # Errors
    /// As [`Scorer::score`]; the failing model's place among the experts is named. Experts of different
    /// chunk lengths do not mix.
    pub fn mixture(&self, experts: &[(&Model, u64)], data: &[u8]) -> Result<MixtureScore, ScoreError> {
        self.mixture_by_byte(experts, data, |_| {})
    }

    /// The same, telling `each` the experts' weights after every byte that is predicted.
    ///
    /// # Errors
    /// As [`Scorer::mixture`].
    pub fn mixture_by_byte(
        &self,
        experts: &[(&Model, u64)],
        data: &[u8],
        mut each: impl FnMut(&[f64]),
    ) -> Result<MixtureScore, ScoreError> {
        let stakes: Vec<u64> = experts.iter().map(|(_, stake)| *stake).collect();
        let mut posterior = Posterior::new(&stakes).ok_or(ScoreError::NoModels)?;
        let length = experts[0].0.architecture().max_seq_len as usize;
        if let Some((other, _)) = experts
            .iter()
            .find(|(m, _)| m.architecture().max_seq_len as usize != length)
        {
            return Err(ScoreError::Dimension {
                expected: length,
                found: other.architecture().max_seq_len as usize,
            });
        }
        let losses: Vec<Vec<Vec<f32>>> = experts
            .par_iter()
            .enumerate()
            .map(|(index, (model, _))| self.token_losses(model, data).map_err(|error| at(index, error)))
            .collect::<Result<_, _>>()?;

        let mut mixture = 0.0;
        let mut singles = vec![0.0; experts.len()];
        let mut score = MixtureScore {
            mixture_nano: 0,
            experts_nano: Vec::new(),
            predicted_bytes: 0,
            first_bytes: 0,
        };
        let mut next = vec![0.0; experts.len()];
        for (index, chunk) in chunks(data, length).enumerate() {
            score.first_bytes += 1;
            // EOS is no byte; it is the target after the last one.
            for position in 0..chunk.bytes().len() - 1 {
                for (next, losses) in next.iter_mut().zip(&losses) {
                    *next = f64::from(losses[index][position]);
                }
                mixture += posterior.observe(&next);
                each(posterior.weights());
                singles
                    .iter_mut()
                    .zip(&next)
                    .for_each(|(total, loss)| *total += loss);
                score.predicted_bytes += 1;
            }
        }
        score.mixture_nano = (mixture * 1e9).round_ties_even() as u64;
        score.experts_nano = singles
            .iter()
            .map(|total| (total * 1e9).round_ties_even() as u64)
            .collect();
        Ok(score)
    }
}

fn at(index: usize, error: ScoreError) -> ScoreError {
    match error {
        ScoreError::Model {
            error: model @ (ModelError::NotFinite { .. } | ModelError::Embedding(_)),
            ..
        } => ScoreError::Model { index, error: model },
        other => other,
    }
}
