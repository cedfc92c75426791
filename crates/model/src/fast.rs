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
    score::{ScoreError, Scorer},
};

/// What a fast mode found.
#[derive(Clone, Debug, PartialEq)]
pub struct FastScore {
    pub(crate) cross_entropy_nats: f64,
    /// The mean representation, of unit length.
    pub(crate) direction: Vec<f64>,
}

impl FastScore {
    /// About the cross entropy in nats.
    #[must_use]
    pub const fn cross_entropy_nats(&self) -> f64 {
        self.cross_entropy_nats
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
        self.scorer.sample(model, data, self.chunks.get())
    }
}
