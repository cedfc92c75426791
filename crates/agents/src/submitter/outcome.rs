//! What becomes of a document, and what that takes.

use std::time::Duration;

use soma_client::{ClientError, Scores as Claim, journal::PendingSubmission};
use soma_model::{BackendError, ScoreError};
use soma_types::TargetId;

use crate::matching::Miss;

/// Why a document could not be tried at all.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// The node did not answer, or not as it should.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// This machine cannot score exactly.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// The document cannot be scored.
    #[error(transparent)]
    Score(#[from] ScoreError),
    /// Scoring panicked, which is a bug.
    #[error("scoring stopped unexpectedly: {0}")]
    Stopped(#[from] tokio::task::JoinError),
}

/// A target that a document hits, and what to claim.
#[derive(Clone, Debug)]
pub struct Find {
    /// The target.
    pub target: TargetId,
    /// What exact scoring found.
    pub claim: Claim,
}

/// What the search for a target came to.
#[derive(Debug)]
pub enum Search {
    /// It hits this one.
    Found(Box<Find>),
    /// It hits no open target.
    Missed(Miss),
    /// It is someone's already, so nothing was paid for it; by whose word, in words.
    Known(String),
}

/// What became of a document.
#[derive(Debug)]
pub enum Attempt {
    /// It hits no open target.
    Missed(Miss),
    /// It was committed and revealed, and races for its target now: it is to be settled
    /// ([`soma_client::Account::settle_submission`]).
    Revealed(Box<PendingSubmission>),
    /// It is someone's already, so nothing was paid for it; by whose word, in words.
    Known(String),
    /// The ledger said no, to the commit or to the reveal, or would have.
    Rejected(Box<ClientError>),
}

/// What a search has taken so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Effort {
    /// Documents that were looked at by a model.
    pub documents: u64,
    /// Exact scores and looks of the scout.
    pub scorings: u64,
    /// Bytes of documents in those, a document once for each model.
    pub scored_bytes: u64,
    /// Time that computing those took; loading and waiting are not in it.
    pub scoring: Duration,
}
