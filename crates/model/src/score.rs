//! Exact scoring: (weights, bytes, directions) to integers, the same on every machine.
//!
//! Sums over tokens are integers, so neither threads nor batches show in a result: losses in units of
//! 2^-24 nats, representations in 2^-24, cosines and sines in 2^-21. Bounds: data up to [`DATA_BYTES_MAX`],
//! token losses below 2^15 nats and representations below 2^15 in magnitude, so no sum reaches 2^63. A model
//! that exceeds them, or whose results are not finite, has no score; among others it loses.

mod error;
mod passes;
mod result;
mod sums;

use rayon::prelude::*;
use soma_types::Embedding;

use self::{
    passes::{UNWATCHED, each_piece, pieces},
    sums::{Sums, finish, sum_pieces},
};
use crate::{
    device::{self, Checked, Device, Place},
    kernels::{BackendError, Kernels, Simd},
    model::Model,
    sigreg::Directions,
};

pub(crate) use self::{error::check_length, sums::LOSS_ONE};
pub use self::{
    error::{DATA_BYTES_MAX, ModelError, ScoreError},
    passes::{Watch, splits, working_bytes_max},
    result::{Contest, LOSS_NONE, Score},
};

/// Scores exactly, on a backend that has passed its self-check. Uses the current rayon pool.
#[derive(Clone, Copy)]
pub struct Scorer {
    simd: Simd,
    kernels: &'static dyn Kernels,
    place: Place,
}

impl std::fmt::Debug for Scorer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Scorer({})", self.backend())
    }
}

impl Scorer {
    /// On the device that `SOMA_DEVICE` names, or else on what `SOMA_SIMD` forces, or else on the fastest
    /// backend of this processor.
    ///
    /// # Errors
    /// When the backend or device is unknown, unsupported, or not exact on this machine.
    pub fn new() -> Result<Self, BackendError> {
        let scorer = Self::with(Simd::chosen()?)?;
        Ok(device::chosen()?.map_or(scorer, |device| scorer.on(device)))
    }

    /// The same, with whole passes on `device`. What reads on token by token ([`Sequence`](crate::Sequence))
    /// stays on the processor.
    #[must_use]
    pub const fn on(self, device: Checked) -> Self {
        Self {
            place: Place::Device(device.device()),
            ..self
        }
    }

    /// On a given backend.
    ///
    /// # Errors
    /// When the backend is unsupported or not exact on this machine.
    pub fn with(simd: Simd) -> Result<Self, BackendError> {
        Ok(Self::unchecked(simd, simd.kernels()?))
    }

    /// On kernels that may be wrong: to find out whether they are.
    pub(crate) const fn unchecked(simd: Simd, kernels: &'static dyn Kernels) -> Self {
        Self {
            simd,
            kernels,
            place: Place::Processor(kernels),
        }
    }

    /// On a device that may be wrong: to find out whether it is.
    pub(crate) const fn unchecked_on(self, device: &'static dyn Device) -> Self {
        Self {
            place: Place::Device(device),
            ..self
        }
    }

    pub(crate) const fn kernels(&self) -> &'static dyn Kernels {
        self.kernels
    }

    /// The backend of the processor.
    #[must_use]
    pub const fn simd(&self) -> Simd {
        self.simd
    }

    /// What passes run on: the device, or the processor's backend.
    #[must_use]
    pub fn backend(&self) -> String {
        match self.place {
            Place::Processor(_) => self.simd.to_string(),
            Place::Device(device) => device.name().to_owned(),
        }
    }

    /// Scores one model.
    ///
    /// # Errors
    /// When the data is empty or too long, dimensions differ, or the model's result is not finite.
    pub fn score(&self, model: &Model, data: &[u8], directions: &Directions) -> Result<Score, ScoreError> {
        self.try_score(model, data, directions)?
            .map_err(|error| ScoreError::Model { index: 0, error })
    }

    /// Scores several models and names the winner. A model without a score loses.
    ///
    /// # Errors
    /// As [`Self::score`], but for a model only when none has a score.
    pub fn score_all(
        &self,
        models: &[&Model],
        data: &[u8],
        directions: &Directions,
    ) -> Result<Contest, ScoreError> {
        let results: Vec<_> = models
            .par_iter()
            .map(|model| self.try_score(model, data, directions))
            .collect::<Result<_, ScoreError>>()?;
        Contest::new(results)
    }

    /// Where the model's representations of sequences point, each counting the same: the sum of their means
    /// (docs/strategies.md). The sequences are the chunks of `documents`.
    ///
    /// # Errors
    /// As [`Self::score`]; the documents together have the limit of one.
    pub fn embed(&self, model: &Model, documents: &[&[u8]]) -> Result<Embedding, ScoreError> {
        match documents.iter().map(|document| document.len()).sum() {
            0 => return Err(ScoreError::Empty),
            total if total > DATA_BYTES_MAX => return Err(ScoreError::TooLong(total)),
            _ => {}
        }
        let (width, length) = (
            model.architecture().embedding_dim as usize,
            model.architecture().max_seq_len as usize,
        );
        let all = documents.iter().flat_map(|document| pieces(0, document, length));
        let mut total = Ok(vec![0_i64; width]);
        each_piece(self.place, model, all, None, UNWATCHED, |piece, found| {
            let tokens = piece.chunk.len() as i64;
            match (&mut total, found) {
                (Ok(total), Ok(found)) => {
                    for (total, sum) in total.iter_mut().zip(found.representations) {
                        // Rounded to the unit of representations, 2^-24.
                        *total += (sum + tokens / 2).div_euclid(tokens);
                    }
                }
                (Ok(_), Err(error)) => total = Err(error),
                (Err(_), _) => {}
            }
        })?;
        total
            .and_then(|sums| Ok(Embedding::from_direction(&sums)?))
            .map_err(|error| ScoreError::Model { index: 0, error })
    }

    /// Sums over at most `chunks_max` chunks of `data`, spread evenly.
    pub(crate) fn sum_sample(
        &self,
        model: &Model,
        data: &[u8],
        chunks_max: usize,
    ) -> Result<Result<Sums, ModelError>, ScoreError> {
        let all: Vec<_> = pieces(0, data, model.architecture().max_seq_len as usize).collect();
        let count = all.len().min(chunks_max.max(1));
        let sampled = (0..count).map(|index| all[index * all.len() / count]);
        let mut total = Ok(Sums::default());
        sum_pieces(self.place, model, sampled, None, UNWATCHED, |sums| total = sums)?;
        Ok(total)
    }

    /// The loss in nats of every predicted token, chunk by chunk.
    ///
    /// # Errors
    /// As [`Self::score`].
    pub fn token_losses(&self, model: &Model, data: &[u8]) -> Result<Vec<Vec<f32>>, ScoreError> {
        check_length(data)?;
        let pieces = pieces(0, data, model.architecture().max_seq_len as usize);
        let mut all = Ok(Vec::new());
        each_piece(self.place, model, pieces, None, UNWATCHED, |_, found| {
            match (&mut all, found) {
                (Ok(all), Ok(found)) => all.push(found.losses),
                (Ok(_), Err(error)) => all = Err(ScoreError::Model { index: 0, error }),
                (Err(_), _) => {}
            }
        })?;
        all
    }

    fn try_score(
        &self,
        model: &Model,
        data: &[u8],
        directions: &Directions,
    ) -> Result<Result<Score, ModelError>, ScoreError> {
        check_length(data)?;
        Ok(self.score_each(model, &[data], directions, UNWATCHED)?.remove(0))
    }

    /// Scores every document, all of acceptable length, with one model. The documents' chunks go through
    /// the model together, so its weights are read once for many of them.
    pub(crate) fn score_each(
        &self,
        model: &Model,
        documents: &[&[u8]],
        directions: &Directions,
        watch: &Watch<'_>,
    ) -> Result<Vec<Result<Score, ModelError>>, ScoreError> {
        let expected = model.architecture().embedding_dim as usize;
        if directions.dim() != expected {
            return Err(ScoreError::Dimension {
                expected,
                found: directions.dim(),
            });
        }
        let length = model.architecture().max_seq_len as usize;
        let all = documents
            .iter()
            .enumerate()
            .flat_map(|(document, data)| pieces(document, data, length));
        let mut scores = Vec::with_capacity(documents.len());
        sum_pieces(self.place, model, all, Some(directions), watch, |sums| {
            scores.push(match sums {
                Err(error) => Ok(Err(error)),
                Ok(sums) if sums.predicted == 0 => Err(ScoreError::NothingPredicted),
                Ok(sums) => Ok(finish(&sums, directions)),
            });
        })?;
        scores.into_iter().collect()
    }
}
