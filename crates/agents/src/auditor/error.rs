//! Why something was not audited.

use soma_client::ClientError;
use soma_model::ScoreError;
use soma_types::{Epoch, ModelId, SubmissionId};

use crate::{download::DownloadError, experts::ExpertError};

/// What could not be done. What is wrong with a submission or a model is no error but a finding.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The node did not answer, or not as it should.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A model's weights cannot be used.
    #[error("model {model}: {error}")]
    Expert {
        /// The model.
        model: ModelId,
        /// Why it could not.
        #[source]
        error: ExpertError,
    },
    /// The ledger takes no report of a model.
    #[error("the report of model {model} was refused: {error}")]
    Report {
        /// The model.
        model: ModelId,
        /// Why it failed.
        #[source]
        error: ClientError,
    },
    /// A target's model has no weights for the audited epoch on chain.
    #[error("model {model} has no weights of epoch {epoch} on chain")]
    NoWeights {
        /// The model.
        model: ModelId,
        /// The epoch.
        epoch: Epoch,
    },
    /// A winner's data could not be had.
    #[error("submission {submission}: {error}")]
    Data {
        /// The winner.
        submission: SubmissionId,
        /// Why it failed.
        #[source]
        error: DownloadError,
    },
    /// A winner cannot be scored here.
    #[error("submission {submission}: {error}")]
    Unscorable {
        /// The winner.
        submission: SubmissionId,
        /// Why it failed.
        #[source]
        error: ScoreError,
    },
    /// The ledger does not take a verdict.
    #[error("the verdict on submission {submission} was refused: {error}")]
    Verdict {
        /// The winner.
        submission: SubmissionId,
        /// Why it failed.
        #[source]
        error: ClientError,
    },
    /// What is found now is not what was committed to, so it cannot be revealed.
    #[error("submission {0} is not what this validator committed to before")]
    Changed(SubmissionId),
    /// Something panicked, which is a bug.
    #[error("work stopped unexpectedly: {0}")]
    Stopped(#[from] tokio::task::JoinError),
}
