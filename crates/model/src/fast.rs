//! Estimates: cheap and rough, to choose what is worth scoring.
//!
//! A backend may offer [`Fast`] beside its exact kernels: lower precision, any order, a part of the data.
//! What it finds is a [`FastScore`], which nothing turns into a [`Score`](crate::Score): it cannot be
//! claimed, submitted or audited.
//!
//! ```
//! fn near(estimate: &soma_model::FastScore, target: &soma_types::Embedding) -> bool {
//!     estimate.cosine(target) > 0.5
//! }
//! ```
//!
//! ```compile_fail
//! fn claim(estimate: soma_model::FastScore) -> soma_model::Score {
//!     estimate.into()
//! }
//! ```
//!
//! Nor does it hold what a claim is made of, an integer loss and an [`Embedding`]:
//!
//! ```compile_fail
//! fn claim(estimate: &soma_model::FastScore) -> (u64, &soma_types::Embedding) {
//!     (estimate.loss_nano(), estimate.embedding())
//! }
//! ```

use std::num::NonZeroUsize;

use soma_types::Embedding;

use crate::{
    model::Model,
    score::{LOSS_ONE, ScoreError, Scorer, check_length},
};

/// What a fast mode found.
#[derive(Clone, Debug, PartialEq)]
pub struct FastScore {
    cross_entropy_nats: f64,
    /// The mean representation, of unit length.
    direction: Vec<f64>,
}

impl FastScore {
    /// About the cross entropy in nats.
    #[must_use]
    pub const fn cross_entropy_nats(&self) -> f64 {
        self.cross_entropy_nats
    }

    /// About where the document's mean representation points, of unit length.
    #[must_use]
    pub fn direction(&self) -> &[f64] {
        &self.direction
    }

    /// About the cosine between the document's embedding and `target`.
    #[must_use]
    pub fn cosine(&self, target: &Embedding) -> f64 {
        let coordinates = target.as_slice().iter().map(|q15| f64::from(*q15) / 32_768.0);
        self.direction.iter().zip(coordinates).map(|(a, b)| a * b).sum()
    }
}

/// Estimates scores; never decides.
pub trait Fast: Send + Sync {
    /// About what exact scoring would find.
    ///
    /// # Errors
    /// As [`Scorer::score`].
    fn estimate(&self, model: &Model, data: &[u8]) -> Result<FastScore, ScoreError>;
}

/// The CPU's fast mode: its exact kernels, on a few chunks spread evenly over the document.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// What computes.
    pub scorer: Scorer,
    /// Chunks of each document.
    pub chunks: NonZeroUsize,
}

impl Fast for Sample {
    fn estimate(&self, model: &Model, data: &[u8]) -> Result<FastScore, ScoreError> {
        check_length(data)?;
        let sums = self
            .scorer
            .sum_sample(model, data, self.chunks.get())?
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
}
