//! Why there is no score.

use soma_types::embedding::EmbeddingError;

use crate::{device::DeviceError, kernels::BackendError};

/// Most bytes that can be scored as one document.
pub const DATA_BYTES_MAX: usize = 1 << 24;

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
    /// It has no weights that anyone could score with.
    #[error("the model has no usable weights: {0}")]
    Unusable(String),
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
    /// The device that scores could not.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// Exact scoring is not possible on this machine.
    #[error(transparent)]
    Backend(#[from] BackendError),
}

pub(crate) fn check_length(data: &[u8]) -> Result<(), ScoreError> {
    match data.len() {
        0 => Err(ScoreError::Empty),
        length if length > DATA_BYTES_MAX => Err(ScoreError::TooLong(length)),
        _ => Ok(()),
    }
}
