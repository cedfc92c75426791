//! Exact scoring: (weights, bytes, directions) to integers, the same on every machine.
//!
//! Sums over tokens are integers, so neither threads nor batches show in a result: losses in units of
//! 2^-24 nats, representations in 2^-24, cosines and sines in 2^-21. Bounds: data up to [`DATA_BYTES_MAX`],
//! token losses below 2^15 nats and representations below 2^15 in magnitude, so no sum reaches 2^63. A model
//! that exceeds them, or whose results are not finite, has no score; among others it loses.

use rayon::prelude::*;
use soma_types::{Embedding, Transcript, embedding::EmbeddingError, hash::domain_hash};

use crate::{
    forward,
    kernels::{BackendError, Kernels, REPRESENTATION_ONE, Simd, floating_point_is_ieee},
    model::Model,
    sigreg::{self, Directions},
    tokenizer::{Chunk, chunks},
};

/// Most bytes that can be scored as one document.
pub const DATA_BYTES_MAX: usize = 1 << 24;
/// The loss that stands for "no score" where models are compared: larger than any real one.
pub const LOSS_NONE: u64 = u64::MAX;

/// Token losses are summed in units of 2^-24 nats.
const LOSS_ONE: u64 = 1 << 24;
/// Token losses (nats) and representations from here on are refused.
const MAGNITUDE_LIMIT: f32 = 32_768.0;
/// Models of more multiply-adds per chunk keep all threads on one chunk, which bounds memory.
const CHUNK_WORK_MAX: u64 = 1 << 32;
const NANO: u64 = 1_000_000_000;

/// Why a model has no score on some data.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// A NaN, an infinity or a number too large to be meant came out: weights that overflow.
    #[error("the model's {what} at byte {position} is not a number below 32768: its weights overflow")]
    NotFinite {
        /// "representation" or "token loss".
        what: &'static str,
        /// First byte of the chunk it happened in.
        position: usize,
    },
    /// The mean representation has no direction.
    #[error("the model's mean representation is no embedding: {0}")]
    Embedding(#[from] EmbeddingError),
}

/// Why scoring failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScoreError {
    /// There is nothing to score.
    #[error("the data is empty: give at least one byte")]
    Empty,
    /// Chunks of one byte leave nothing to predict.
    #[error("no token of the data is predicted: the architecture's chunks are one byte long")]
    NothingPredicted,
    /// More data than one document may have.
    #[error("the data has {0} bytes, the limit is {DATA_BYTES_MAX}: split it into documents")]
    TooLong(usize),
    /// No models were given.
    #[error("no models to score with")]
    NoModels,
    /// Directions or models of different widths.
    #[error("dimension {found} does not fit the model's {expected}: use one architecture throughout")]
    Dimension {
        /// The model's width.
        expected: usize,
        /// The other's.
        found: usize,
    },
    /// One model has no score.
    #[error("model {index}: {error}")]
    Model {
        /// Its place in the call.
        index: usize,
        /// Why.
        #[source]
        error: ModelError,
    },
    /// Exact scoring is not possible on this machine.
    #[error(transparent)]
    Backend(#[from] BackendError),
}

/// What exact scoring found. Only exact scoring makes one; anything faster and rougher has another type,
/// so it cannot be submitted or audited by mistake.
#[derive(Clone, Debug, PartialEq)]
pub struct Score {
    cross_entropy_nano: u64,
    sigreg_nano: u64,
    predicted_tokens: u64,
    embedding: Embedding,
    mean_embedding: Vec<f32>,
}

impl Score {
    /// Cross entropy plus SIGReg, in nano-nats. Lowest wins.
    #[must_use]
    pub const fn loss_nano(&self) -> u64 {
        self.cross_entropy_nano + self.sigreg_nano
    }

    /// Mean over predicted tokens, in nano-nats, rounded half up.
    #[must_use]
    pub const fn cross_entropy_nano(&self) -> u64 {
        self.cross_entropy_nano
    }

    /// SIGReg with its factors, in nano-nats.
    #[must_use]
    pub const fn sigreg_nano(&self) -> u64 {
        self.sigreg_nano
    }

    /// Tokens that were predicted: bytes but the first of each chunk, and EOS.
    #[must_use]
    pub const fn predicted_tokens(&self) -> u64 {
        self.predicted_tokens
    }

    /// The direction of the mean representation.
    #[must_use]
    pub const fn embedding(&self) -> &Embedding {
        &self.embedding
    }

    /// The mean representation itself, rounded to binary32. For display; nothing is decided by it.
    #[must_use]
    pub fn mean_embedding(&self) -> &[f32] {
        &self.mean_embedding
    }

    /// Cross entropy in bits per predicted token. For display.
    #[must_use]
    pub fn bits_per_token(&self) -> f64 {
        self.cross_entropy_nano as f64 / 1e9 / std::f64::consts::LN_2
    }
}

/// Several models on the same data.
#[derive(Clone, Debug, PartialEq)]
pub struct Contest {
    results: Vec<Result<Score, ModelError>>,
    winner: usize,
    transcript: Transcript,
}

impl Contest {
    /// Every model's score or why it has none, in the order given.
    pub fn results(&self) -> &[Result<Score, ModelError>] {
        &self.results
    }

    /// Every model's loss in nano-nats, [`LOSS_NONE`] for one without a score.
    #[must_use]
    pub fn losses_nano(&self) -> Vec<u64> {
        self.results.iter().map(loss_nano).collect()
    }

    /// Index of the lowest loss, ties to the earlier.
    #[must_use]
    pub const fn winner(&self) -> usize {
        self.winner
    }

    /// The winner's score.
    #[must_use]
    pub fn winning(&self) -> &Score {
        self.results[self.winner]
            .as_ref()
            .expect("a contest is made only with a winner that has a score")
    }

    /// BLAKE3 over every model's loss and embedding: proof of having computed all of them.
    #[must_use]
    pub const fn transcript(&self) -> Transcript {
        self.transcript
    }
}

fn loss_nano(result: &Result<Score, ModelError>) -> u64 {
    result.as_ref().map_or(LOSS_NONE, Score::loss_nano)
}

/// The transcript: for each model its loss (8 bytes little-endian) and its embedding's Q15 coordinates
/// (2 bytes little-endian each; none for a model without a score).
fn transcript(results: &[Result<Score, ModelError>]) -> Transcript {
    let mut parts: Vec<Vec<u8>> = Vec::with_capacity(2 * results.len());
    for result in results {
        parts.push(loss_nano(result).to_le_bytes().to_vec());
        let coordinates = result
            .as_ref()
            .map_or(&[][..], |score| score.embedding.as_slice());
        parts.push(coordinates.iter().flat_map(|c| c.to_le_bytes()).collect());
    }
    let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
    Transcript(domain_hash("soma 2026 scoring transcript", &parts))
}

/// Scores exactly, on a backend that has passed its self-check. Uses the current rayon pool.
#[derive(Clone, Copy)]
pub struct Scorer {
    simd: Simd,
    kernels: &'static dyn Kernels,
}

impl std::fmt::Debug for Scorer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Scorer({})", self.simd)
    }
}

/// Sums over tokens.
struct Sums {
    losses: u64,
    predicted: u64,
    tokens: u64,
    representations: Vec<i64>,
    characteristic: Vec<i64>,
}

impl Sums {
    fn add(mut self, other: Self) -> Self {
        self.losses += other.losses;
        self.predicted += other.predicted;
        self.tokens += other.tokens;
        for (sums, others) in [
            (&mut self.representations, other.representations),
            (&mut self.characteristic, other.characteristic),
        ] {
            for (sum, other) in sums.iter_mut().zip(others) {
                *sum += other;
            }
        }
        self
    }
}

/// One failed chunk's position and why.
enum Failure {
    Model(usize, &'static str),
    Backend(BackendError),
}

impl Failure {
    /// Of two failures the one to report, whichever thread met it first.
    fn earlier(self, other: Self) -> Self {
        match (&self, &other) {
            (Self::Backend(_), _) => self,
            (_, Self::Backend(_)) => other,
            (Self::Model(a, _), Self::Model(b, _)) => {
                if a <= b {
                    self
                } else {
                    other
                }
            }
        }
    }
}

impl From<BackendError> for Failure {
    fn from(error: BackendError) -> Self {
        Self::Backend(error)
    }
}

impl Scorer {
    /// On what `SOMA_SIMD` forces, or else the fastest backend of this processor.
    ///
    /// # Errors
    /// When the backend is unknown, unsupported, or not exact on this machine.
    pub fn new() -> Result<Self, BackendError> {
        Self::with(Simd::chosen()?)
    }

    /// On a given backend.
    ///
    /// # Errors
    /// When the backend is unsupported or not exact on this machine.
    pub fn with(simd: Simd) -> Result<Self, BackendError> {
        Ok(Self {
            simd,
            kernels: simd.kernels()?,
        })
    }

    /// The backend in use.
    #[must_use]
    pub const fn simd(&self) -> Simd {
        self.simd
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
        let winner = (0..results.len()).min_by_key(|index| loss_nano(&results[*index]));
        let winner = winner.ok_or(ScoreError::NoModels)?;
        if let Err(error) = &results[winner] {
            return Err(ScoreError::Model {
                index: winner,
                error: error.clone(),
            });
        }
        let transcript = transcript(&results);
        Ok(Contest {
            results,
            winner,
            transcript,
        })
    }

    /// The specialization embedding: where the model's representations of `documents` point, taken over
    /// at most `chunks_max` chunks spread evenly over all of them.
    ///
    /// # Errors
    /// As [`Self::score`].
    pub fn embed(
        &self,
        model: &Model,
        documents: &[&[u8]],
        chunks_max: usize,
    ) -> Result<Embedding, ScoreError> {
        let length = model.architecture().max_seq_len as usize;
        let all: Vec<_> = documents
            .iter()
            .flat_map(|document| chunks(document, length))
            .collect();
        let count = all.len().min(chunks_max.clamp(1, DATA_BYTES_MAX / length));
        let sampled: Vec<_> = (0..count)
            .map(|index| (index, all[index * all.len() / count]))
            .collect();
        let sums = self.sum_chunks(model, &sampled, None)?;
        sums.and_then(|sums| Ok(Embedding::from_direction(&sums.representations)?))
            .map_err(|error| ScoreError::Model { index: 0, error })
    }

    /// The loss in nats of every predicted token, chunk by chunk.
    ///
    /// # Errors
    /// As [`Self::score`].
    pub fn token_losses(&self, model: &Model, data: &[u8]) -> Result<Vec<Vec<f32>>, ScoreError> {
        check_length(data)?;
        let length = model.architecture().max_seq_len as usize;
        let all: Vec<_> = chunks(data, length).enumerate().collect();
        let chunk_losses = |(index, chunk): &(usize, Chunk<'_>)| {
            self.chunk(model, index * length, chunk).map(|(_, losses)| losses)
        };
        let results: Vec<_> = if splits(model) {
            all.iter().map(chunk_losses).collect()
        } else {
            all.par_iter().map(chunk_losses).collect()
        };
        results
            .into_iter()
            .collect::<Result<_, Failure>>()
            .map_err(|failure| match failure {
                Failure::Backend(error) => error.into(),
                Failure::Model(position, what) => ScoreError::Model {
                    index: 0,
                    error: ModelError::NotFinite { what, position },
                },
            })
    }

    fn try_score(
        &self,
        model: &Model,
        data: &[u8],
        directions: &Directions,
    ) -> Result<Result<Score, ModelError>, ScoreError> {
        check_length(data)?;
        let expected = model.architecture().embedding_dim as usize;
        if directions.dim() != expected {
            return Err(ScoreError::Dimension {
                expected,
                found: directions.dim(),
            });
        }
        let all: Vec<_> = chunks(data, model.architecture().max_seq_len as usize)
            .enumerate()
            .collect();
        Ok(match self.sum_chunks(model, &all, Some(directions))? {
            Err(error) => Err(error),
            Ok(sums) if sums.predicted == 0 => return Err(ScoreError::NothingPredicted),
            Ok(sums) => finish(&sums, directions),
        })
    }

    /// Sums over the given chunks, each with its index in the data.
    fn sum_chunks(
        &self,
        model: &Model,
        chunks: &[(usize, Chunk<'_>)],
        directions: Option<&Directions>,
    ) -> Result<Result<Sums, ModelError>, ScoreError> {
        let length = model.architecture().max_seq_len as usize;
        let width = model.architecture().embedding_dim as usize;
        let one = |(index, chunk): &(usize, Chunk<'_>)| -> Result<Sums, Failure> {
            let position = index * length;
            let mut sums = Sums {
                losses: 0,
                predicted: 0,
                tokens: chunk.len() as u64,
                representations: vec![0; width],
                characteristic: Vec::new(),
            };
            let representations = if let Some(directions) = directions {
                let (representations, losses) = self.chunk(model, position, chunk)?;
                sums.predicted = losses.len() as u64;
                // A loss is at least 0 and below the limit, so the product is a small whole number.
                sums.losses = losses
                    .iter()
                    .map(|loss| (f64::from(*loss) * LOSS_ONE as f64).round_ties_even() as u64)
                    .sum();
                sums.characteristic = directions.zero_sums();
                directions.accumulate(self.kernels, &mut sums.characteristic, &representations);
                representations
            } else {
                self.chunk_representations(model, position, chunk)?
            };
            self.kernels.sum_rows(&mut sums.representations, &representations);
            Ok(sums)
        };
        let add = |a: Result<Sums, Failure>, b: Result<Sums, Failure>| match (a, b) {
            (Ok(a), Ok(b)) => Ok(a.add(b)),
            (Err(a), Err(b)) => Err(a.earlier(b)),
            (Err(failure), Ok(_)) | (Ok(_), Err(failure)) => Err(failure),
        };
        let sums = if splits(model) {
            chunks.iter().map(one).reduce(add)
        } else {
            chunks.par_iter().map(one).reduce_with(add)
        };
        match sums.ok_or(ScoreError::Empty)? {
            Ok(sums) => Ok(Ok(sums)),
            Err(Failure::Model(position, what)) => Ok(Err(ModelError::NotFinite { what, position })),
            Err(Failure::Backend(error)) => Err(error.into()),
        }
    }

    /// Representations and token losses of one chunk, all in range.
    fn chunk(
        &self,
        model: &Model,
        position: usize,
        chunk: &Chunk<'_>,
    ) -> Result<(Vec<f32>, Vec<f32>), Failure> {
        let representations = self.chunk_representations(model, position, chunk)?;
        let losses = forward::token_losses(self.kernels, model, &representations, &[*chunk]);
        check_range(&losses, "token loss", position)?;
        Ok((representations, losses))
    }

    fn chunk_representations(
        &self,
        model: &Model,
        position: usize,
        chunk: &Chunk<'_>,
    ) -> Result<Vec<f32>, Failure> {
        floating_point_is_ieee()?;
        let representations = forward::representations(self.kernels, model, &[*chunk]);
        check_range(&representations, "representation", position)?;
        Ok(representations)
    }
}

/// Whether one chunk is enough work for all threads.
fn splits(model: &Model) -> bool {
    let architecture = model.architecture();
    architecture
        .parameters()
        .saturating_mul(u64::from(architecture.max_seq_len))
        > CHUNK_WORK_MAX
}

fn check_length(data: &[u8]) -> Result<(), ScoreError> {
    match data.len() {
        0 => Err(ScoreError::Empty),
        length if length > DATA_BYTES_MAX => Err(ScoreError::TooLong(length)),
        _ => Ok(()),
    }
}

fn check_range(values: &[f32], what: &'static str, position: usize) -> Result<(), Failure> {
    // NaN is not below anything.
    let in_range = values
        .iter()
        .fold(true, |all, value| all & (value.abs() < MAGNITUDE_LIMIT));
    if in_range {
        Ok(())
    } else {
        Err(Failure::Model(position, what))
    }
}

/// Means and rounding, from sums that are known to be in range.
fn finish(sums: &Sums, directions: &Directions) -> Result<Score, ModelError> {
    let denominator = u128::from(sums.predicted) * u128::from(LOSS_ONE);
    let cross_entropy = (u128::from(sums.losses) * u128::from(NANO) + denominator / 2) / denominator;
    let scale = sums.tokens as f64 * REPRESENTATION_ONE;
    Ok(Score {
        cross_entropy_nano: cross_entropy as u64,
        sigreg_nano: sigreg::evaluate(&sums.characteristic, directions.len(), sums.tokens),
        predicted_tokens: sums.predicted,
        embedding: Embedding::from_direction(&sums.representations)?,
        mean_embedding: sums
            .representations
            .iter()
            .map(|sum| (*sum as f64 / scale) as f32)
            .collect(),
    })
}
