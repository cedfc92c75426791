//! What one request wants, and what comes of it.

use std::{fmt, time::Duration};

use soma_model::{Contest, Model, ScoreError};
use soma_types::{Architecture, ContentHash, Seed};

/// What one request wants.
#[derive(Debug)]
pub struct Job {
    /// The models, all of one shape.
    pub models: Vec<Entry>,
    /// Their shape.
    pub architecture: Architecture,
    /// The documents.
    pub documents: Vec<Vec<u8>>,
    /// Sets SIGReg's directions.
    pub seed: Seed,
}

/// One model of a job.
pub struct Entry {
    /// As it was asked for.
    pub name: String,
    /// Finds its weights as they are now; may block.
    pub find: Box<dyn FnOnce() -> Result<Found, LoadError> + Send>,
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Entry({})", self.name)
    }
}

/// The weights of a model.
pub struct Found {
    /// Names them: equal names are one model in memory.
    pub weights: ContentHash,
    /// The most memory they can take.
    pub size_bytes_max: u64,
    /// Loads them; may block.
    pub load: Box<dyn FnOnce() -> Result<Model, LoadError> + Send>,
}

/// Why a model's weights cannot be scored with.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// They are none of the architecture, for whoever asks.
    #[error("{0}")]
    Unsound(String),
    /// They cannot be had now.
    #[error("{0}")]
    Unavailable(String),
}

/// A contest for each document, or why it has none.
pub type Contests = Vec<Result<Contest, ScoreError>>;

/// What came of a job.
#[derive(Debug)]
pub struct Done {
    /// The weights of its models, in their order.
    pub weights: Vec<ContentHash>,
    /// The contests of its documents, in their order.
    pub contests: Contests,
}

/// Why a job has no result.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// A model is too large, or no weights.
    #[error("model {name}: {reason}")]
    Model {
        /// As it was asked for.
        name: String,
        /// Why not.
        reason: String,
    },
    /// A model's weights cannot be had now.
    #[error("model {name}: {reason}")]
    Unavailable {
        /// As it was asked for.
        name: String,
        /// Why not.
        reason: String,
    },
    /// The request makes no sense.
    #[error(transparent)]
    Score(#[from] ScoreError),
    /// It took too long.
    #[error("stopped after {} s, the most that one request may take: ask for fewer models or less data", .0.as_secs())]
    TooLong(Duration),
    /// The service is stopping, or nobody waits for the result.
    #[error("the service is stopping: ask another, or later")]
    Stopped,
    /// Scoring panicked, which is a bug.
    #[error("scoring failed unexpectedly")]
    Failed,
}
