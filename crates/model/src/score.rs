//! Exact scoring: (weights, bytes, directions) to integers, the same on every machine.
//!
//! Sums over tokens are integers, so neither threads nor batches show in a result: losses in units of
//! 2^-24 nats, representations in 2^-24, cosines and sines in 2^-21. Bounds: data up to [`DATA_BYTES_MAX`],
//! token losses below 2^15 nats and representations below 2^15 in magnitude, so no sum reaches 2^63. A model
//! that exceeds them, or whose results are not finite, has no score; among others it loses.

use std::{iter::Peekable, ops::ControlFlow};

use rayon::prelude::*;
use soma_types::{
    Architecture, Embedding, Transcript, embedding::EmbeddingError, hash::domain_hash, losses::lowest,
};

use crate::{
    fast::FastScore,
    forward,
    kernels::{BackendError, Kernels, POINTS, REPRESENTATION_ONE, Simd, floating_point_is_ieee},
    model::Model,
    sigreg::{self, DIRECTIONS, Directions},
    tokenizer::{Chunk, VOCAB, chunks},
};

/// Most bytes that can be scored as one document.
pub const DATA_BYTES_MAX: usize = 1 << 24;
/// The loss that stands for "no score" where models are compared: larger than any real one.
pub const LOSS_NONE: u64 = u64::MAX;

/// Token losses are summed in units of 2^-24 nats.
const LOSS_ONE: u64 = 1 << 24;
/// Token losses (nats) and representations from here on are refused.
const MAGNITUDE_LIMIT: f32 = 32_768.0;
/// Models of more multiply-adds per chunk keep all threads on one pass, which bounds memory.
const CHUNK_WORK_MAX: u64 = 1 << 32;
/// Tokens that go through a large model together (V1: 64 KiB of memory each): enough that its weights
/// are read rarely, however short the documents.
const LARGE_PASS_ROWS: usize = 2048;
/// The same for small models, of which every thread runs its own pass in its cache.
const SMALL_PASS_ROWS: usize = 256;
/// Chunks that go through a model together: each has sums of its own, of 64 KiB and more, whatever its
/// length.
const PASS_CHUNKS: usize = 64;
/// Passes of small models between two looks at the watch, for each thread.
const PASSES_PER_THREAD: usize = 16;
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
    /// One document of several cannot be scored.
    #[error("document {index}: {error}")]
    Document {
        /// Its place in the call.
        index: usize,
        /// Why it failed.
        #[source]
        error: Box<ScoreError>,
    },
    /// Whoever watched said stop.
    #[error("scoring was stopped before it was done")]
    Cancelled,
    /// One model has no score.
    #[error("model {index}: {error}")]
    Model {
        /// Its place in the call.
        index: usize,
        /// Why it failed.
        #[source]
        error: ModelError,
    },
    /// Exact scoring is not possible on this machine.
    #[error(transparent)]
    Backend(#[from] BackendError),
}

/// Follows long work: told the tokens done since it was last called, it says whether to go on. Called
/// before anything is done, with 0, and after every few chunks.
pub type Watch<'a> = dyn Fn(u64) -> ControlFlow<()> + Sync + 'a;

/// Watches nothing and never stops.
pub(crate) const UNWATCHED: &Watch<'static> = &|_| ControlFlow::Continue(());

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
    hearing_transcript: Transcript,
}

impl Contest {
    /// Names the winner among results, which stand in the models' order.
    ///
    /// # Errors
    /// When there are no models, or none has a score: then the first one's reason.
    pub(crate) fn new(results: Vec<Result<Score, ModelError>>) -> Result<Self, ScoreError> {
        let winner = lowest(results.iter().map(loss_nano)).ok_or(ScoreError::NoModels)?;
        if let Err(error) = &results[winner] {
            return Err(ScoreError::Model {
                index: winner,
                error: error.clone(),
            });
        }
        Ok(Self {
            transcript: transcript("soma 2026 scoring transcript", &results),
            hearing_transcript: transcript("soma 2026 hearing transcript", &results),
            results,
            winner,
        })
    }

    /// Every model's score or why it has none, in the order given.
    pub fn results(&self) -> &[Result<Score, ModelError>] {
        &self.results
    }

    /// Every model's loss in nano-nats, [`LOSS_NONE`] for one without a score.
    #[must_use]
    pub fn losses_nano(&self) -> Vec<u64> {
        self.results.iter().map(loss_nano).collect()
    }

    /// Index of the winner, the [`lowest`] loss.
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

    /// The same for a hearing, where the auditors' transcripts are public: it cannot be made from theirs.
    #[must_use]
    pub const fn hearing_transcript(&self) -> Transcript {
        self.hearing_transcript
    }
}

fn loss_nano(result: &Result<Score, ModelError>) -> u64 {
    result.as_ref().map_or(LOSS_NONE, Score::loss_nano)
}

/// The transcript: for each model its loss (8 bytes little-endian) and its embedding's Q15 coordinates
/// (2 bytes little-endian each; none for a model without a score).
fn transcript(domain: &str, results: &[Result<Score, ModelError>]) -> Transcript {
    let mut parts: Vec<Vec<u8>> = Vec::with_capacity(2 * results.len());
    for result in results {
        parts.push(loss_nano(result).to_le_bytes().to_vec());
        let coordinates = result
            .as_ref()
            .map_or(&[][..], |score| score.embedding.as_slice());
        parts.push(coordinates.iter().flat_map(|c| c.to_le_bytes()).collect());
    }
    let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
    Transcript(domain_hash(domain, &parts))
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
#[derive(Default)]
struct Sums {
    losses: u64,
    predicted: u64,
    tokens: u64,
    representations: Vec<i64>,
    characteristic: Vec<i64>,
}

impl Sums {
    fn add(&mut self, other: Self) {
        if self.tokens == 0 {
            *self = other;
            return;
        }
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
    }
}

/// A chunk, and where it belongs.
#[derive(Clone, Copy)]
struct Piece<'a> {
    /// The document's place in the call.
    document: usize,
    /// First byte in the document.
    position: usize,
    chunk: Chunk<'a>,
}

/// The pieces of one document.
fn pieces(document: usize, data: &[u8], length: usize) -> impl Iterator<Item = Piece<'_>> {
    chunks(data, length).enumerate().map(move |(index, chunk)| Piece {
        document,
        position: index * length,
        chunk,
    })
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

    /// On kernels that may be wrong: to find out whether they are.
    pub(crate) const fn unchecked(simd: Simd, kernels: &'static dyn Kernels) -> Self {
        Self { simd, kernels }
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
        Contest::new(results)
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
        self.sum_sample(model, documents, chunks_max)?
            .and_then(|sums| Ok(Embedding::from_direction(&sums.representations)?))
            .map_err(|error| ScoreError::Model { index: 0, error })
    }

    /// An estimate from at most `chunks_max` chunks of `data`.
    pub(crate) fn sample(
        &self,
        model: &Model,
        data: &[u8],
        chunks_max: usize,
    ) -> Result<FastScore, ScoreError> {
        check_length(data)?;
        let sums = self
            .sum_sample(model, &[data], chunks_max)?
            .map_err(|error| ScoreError::Model { index: 0, error })?;
        if sums.predicted == 0 {
            return Err(ScoreError::NothingPredicted);
        }
        let direction = sums.representations.iter().map(|sum| *sum as f64);
        let length = direction.clone().map(|x| x * x).sum::<f64>().sqrt();
        Ok(FastScore {
            cross_entropy_nats: sums.losses as f64 / (sums.predicted as f64 * LOSS_ONE as f64),
            direction: direction.map(|x| x / length).collect(),
        })
    }

    /// Sums over at most `chunks_max` chunks, spread evenly over all documents.
    fn sum_sample(
        &self,
        model: &Model,
        documents: &[&[u8]],
        chunks_max: usize,
    ) -> Result<Result<Sums, ModelError>, ScoreError> {
        let length = model.architecture().max_seq_len as usize;
        let all: Vec<_> = documents
            .iter()
            .flat_map(|document| pieces(0, document, length))
            .collect();
        let count = all.len().min(chunks_max.clamp(1, DATA_BYTES_MAX / length));
        if count == 0 {
            return Err(ScoreError::Empty);
        }
        let sampled = (0..count).map(|index| all[index * all.len() / count]);
        let mut total = Ok(Sums::default());
        self.sum_pieces(model, sampled, None, UNWATCHED, |sums| total = sums)?;
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
        let own = |_: &Piece<'_>, _: &[f32], losses: &[f32]| losses.to_vec();
        self.each_piece(model, pieces, UNWATCHED, own, |_, losses| {
            match (&mut all, losses) {
                (Ok(all), Ok(losses)) => all.push(losses),
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
        self.sum_pieces(model, all, Some(directions), watch, |sums| {
            scores.push(match sums {
                Err(error) => Ok(Err(error)),
                Ok(sums) if sums.predicted == 0 => Err(ScoreError::NothingPredicted),
                Ok(sums) => Ok(finish(&sums, directions)),
            });
        })?;
        scores.into_iter().collect()
    }

    /// Hands the sums over each document's pieces to `each`, or where the model first failed on it, in the
    /// documents' order. Sums are large beside scores, so those of one document at a time are kept.
    fn sum_pieces<'a>(
        &self,
        model: &Model,
        pieces: impl Iterator<Item = Piece<'a>>,
        directions: Option<&Directions>,
        watch: &Watch<'_>,
        mut each: impl FnMut(Result<Sums, ModelError>),
    ) -> Result<(), ScoreError> {
        let mut current: Option<(usize, Result<Sums, ModelError>)> = None;
        let sum = |piece: &Piece<'_>, representations: &[f32], losses: &[f32]| {
            let mut sums = Sums {
                // A loss is at least 0 and below the limit, so the product is a small whole number.
                losses: losses
                    .iter()
                    .map(|loss| (f64::from(*loss) * LOSS_ONE as f64).round_ties_even() as u64)
                    .sum(),
                predicted: losses.len() as u64,
                tokens: piece.chunk.len() as u64,
                representations: vec![0; model.architecture().embedding_dim as usize],
                characteristic: Vec::new(),
            };
            self.kernels.sum_rows(&mut sums.representations, representations);
            if let Some(directions) = directions {
                sums.characteristic = directions.zero_sums();
                directions.accumulate(self.kernels, &mut sums.characteristic, representations);
            }
            sums
        };
        self.each_piece(model, pieces, watch, sum, |piece, sums| {
            match &mut current {
                Some((document, total)) if *document == piece.document => match (total.as_mut(), sums) {
                    (Ok(total), Ok(sums)) => total.add(sums),
                    (Ok(_), Err(error)) => *total = Err(error),
                    // What follows a failure changes nothing.
                    (Err(_), _) => {}
                },
                current => {
                    if let Some((_, total)) = current.replace((piece.document, sums)) {
                        each(total);
                    }
                }
            }
        })?;
        if let Some((_, total)) = current {
            each(total);
        }
        Ok(())
    }

    /// Sends pieces through the model, many at once, and hands `then`'s results for their representations
    /// and token losses to `each`, in the pieces' order.
    fn each_piece<'a, T: Send>(
        &self,
        model: &Model,
        pieces: impl Iterator<Item = Piece<'a>>,
        watch: &Watch<'_>,
        then: impl Fn(&Piece<'_>, &[f32], &[f32]) -> T + Sync,
        mut each: impl FnMut(&Piece<'_>, Result<T, ModelError>),
    ) -> Result<(), ScoreError> {
        let mut pieces = pieces.peekable();
        // A large model keeps all threads on one pass, which bounds memory.
        let (rows_max, passes_max) = if splits(model.architecture()) {
            (LARGE_PASS_ROWS, 1)
        } else {
            (SMALL_PASS_ROWS, PASSES_PER_THREAD * rayon::current_num_threads())
        };
        let mut tokens = 0;
        loop {
            if watch(tokens).is_break() {
                return Err(ScoreError::Cancelled);
            }
            let mut passes = Vec::new();
            while passes.len() < passes_max && pieces.peek().is_some() {
                passes.push(next_pass(&mut pieces, rows_max));
            }
            if passes.is_empty() {
                return Ok(());
            }
            let results: Vec<_> = match &passes[..] {
                [pass] => vec![self.pass(model, pass, &then)],
                passes => passes
                    .par_iter()
                    .map(|pass| self.pass(model, pass, &then))
                    .collect(),
            };
            for (pass, results) in passes.iter().zip(results) {
                pass.iter()
                    .zip(results?)
                    .for_each(|(piece, result)| each(piece, result));
            }
            tokens = passes
                .iter()
                .flatten()
                .map(|piece| piece.chunk.len() as u64)
                .sum();
        }
    }

    /// One pass: `then` of every piece whose numbers are all in range.
    fn pass<T>(
        &self,
        model: &Model,
        pass: &[Piece<'_>],
        then: impl Fn(&Piece<'_>, &[f32], &[f32]) -> T,
    ) -> Result<Vec<Result<T, ModelError>>, BackendError> {
        floating_point_is_ieee()?;
        let chunks: Vec<_> = pass.iter().map(|piece| piece.chunk).collect();
        let representations = forward::representations(self.kernels, model, &chunks);
        let losses = forward::token_losses(self.kernels, model, &representations, &chunks);
        let width = model.architecture().embedding_dim as usize;
        let (mut representations, mut losses) = (&representations[..], &losses[..]);
        let own = |piece: &Piece<'_>| {
            let (own, own_losses);
            (own, representations) = representations.split_at(piece.chunk.len() * width);
            (own_losses, losses) = losses.split_at(piece.chunk.predicted());
            check_range(own, "representation", piece.position)?;
            check_range(own_losses, "token loss", piece.position)?;
            Ok(then(piece, own, own_losses))
        };
        Ok(pass.iter().map(own).collect())
    }
}

/// The next pieces, together of at most `rows_max` tokens, but at least one piece.
fn next_pass<'a>(pieces: &mut Peekable<impl Iterator<Item = Piece<'a>>>, rows_max: usize) -> Vec<Piece<'a>> {
    let mut pass: Vec<_> = pieces.next().into_iter().collect();
    let mut rows: usize = pass.iter().map(|piece| piece.chunk.len()).sum();
    while pass.len() < PASS_CHUNKS
        && let Some(piece) = pieces.next_if(|piece| rows + piece.chunk.len() <= rows_max)
    {
        rows += piece.chunk.len();
        pass.push(piece);
    }
    pass
}

/// The most memory that scoring `chunks` chunks takes beside the weights, on the threads of the current rayon
/// pool.
#[must_use]
pub fn working_bytes_max(architecture: &Architecture, chunks: u64) -> u64 {
    let (rows, at_once, passes) = if splits(architecture) {
        (LARGE_PASS_ROWS, 1, 1)
    } else {
        let threads = rayon::current_num_threads();
        (SMALL_PASS_ROWS, threads, PASSES_PER_THREAD * threads)
    };
    let [width, ffn, length] = [
        architecture.embedding_dim,
        architecture.ffn_dim,
        architecture.max_seq_len,
    ]
    .map(u64::from);
    let rows = (rows as u64).max(length) * at_once as u64;
    let rows = rows.min(chunks.saturating_mul(length));
    // A row's x, norm, q, k, v, output and one copy; its inner layer, logits and projections.
    let row = 7 * width + ffn + (VOCAB + DIRECTIONS) as u64;
    let sums = (width + (2 * POINTS * DIRECTIONS) as u64) * (PASS_CHUNKS * passes) as u64;
    let sums = sums.min(chunks.saturating_mul(width + (2 * POINTS * DIRECTIONS) as u64));
    size_of::<f32>() as u64 * (rows * row + width * DIRECTIONS as u64) + size_of::<i64>() as u64 * sums
}

/// Whether one chunk is enough work for all threads.
fn splits(architecture: &Architecture) -> bool {
    architecture
        .parameters()
        .saturating_mul(u64::from(architecture.max_seq_len))
        > CHUNK_WORK_MAX
}

pub(crate) fn check_length(data: &[u8]) -> Result<(), ScoreError> {
    match data.len() {
        0 => Err(ScoreError::Empty),
        length if length > DATA_BYTES_MAX => Err(ScoreError::TooLong(length)),
        _ => Ok(()),
    }
}

fn check_range(values: &[f32], what: &'static str, position: usize) -> Result<(), ModelError> {
    // NaN is not below anything.
    let in_range = values
        .iter()
        .fold(true, |all, value| all & (value.abs() < MAGNITUDE_LIMIT));
    if in_range {
        Ok(())
    } else {
        Err(ModelError::NotFinite { what, position })
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
