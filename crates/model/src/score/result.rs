//! What exact scoring found: of one model, and of several on the same data.

use soma_types::{Embedding, Transcript, hash::domain_hash, losses::lowest};

use super::error::{ModelError, ScoreError};

/// The loss that stands for "no score" where models are compared: larger than any real one.
pub const LOSS_NONE: u64 = u64::MAX;

/// What exact scoring found. Only exact scoring makes one; anything faster and rougher has another type,
/// so it cannot be submitted or audited by mistake.
#[derive(Clone, Debug, PartialEq)]
pub struct Score {
    pub(super) cross_entropy_nano: u64,
    pub(super) sigreg_nano: u64,
    pub(super) predicted_tokens: u64,
    pub(super) embedding: Embedding,
    pub(super) mean_embedding: Vec<f32>,
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
