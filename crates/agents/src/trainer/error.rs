//! Why a step failed.

use soma_client::ClientError;
use soma_data::DataError;
use soma_files::FileError;
use soma_model::{BackendError, ScoreError, WeightsError, memory::Shortage};
use soma_train::TrainError;
use soma_types::ModelId;

use super::store::StoreError;
use crate::embedding::EmbeddingError;

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
pub enum TrainerError {
    /// The node did not answer as it should, or the ledger refused.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The trainer's folder cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The folder belongs to another owner, network or model.
    #[error(
        "the trainer's folder is of {what} {found}, not of {expected}: give that one (--wallet, --network, --model), \
         or another folder"
    )]
    Other {
        /// What differs.
        what: &'static str,
        /// The folder's.
        found: String,
        /// What was given.
        expected: String,
    },
    /// The model does not compete any more.
    #[error("model {0} is retired for good: begin another in a new folder")]
    Retired(ModelId),
    /// The owner's text cannot be read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// Training could not go on.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// There is not enough memory to train.
    #[error("there is not enough memory to train this: {0}")]
    Memory(#[from] Shortage),
    /// Weights do not fit the network.
    #[error("{0}; weights have the network's architecture, see `soma params`")]
    Weights(#[from] WeightsError),
    /// There is no embedding.
    #[error(transparent)]
    Embedding(#[from] EmbeddingError),
    /// Nothing can be compared.
    #[error(transparent)]
    Score(#[from] ScoreError),
    /// This machine cannot score exactly.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// A panic, which is a bug.
    #[error("the trainer stopped unexpectedly: {0}")]
    Stopped(#[from] tokio::task::JoinError),
}

impl From<FileError> for TrainerError {
    fn from(error: FileError) -> Self {
        Self::Store(error.into())
    }
}
