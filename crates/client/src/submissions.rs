//! Submissions, in the submitter's two steps.
//!
//! Data that is known to be someone's is passed over before anything is paid for it.
//!
//! Upon a find: salt, reveal body and data go to the journal; the commitment goes to the chain; then the
//! reveal, which names the data by its hash. Upon the end of its race: if it has won, the data is handed to
//! the node, or put where the participant's own host serves it; if not, nobody ever sees it.
//!
//! A crash in between loses nothing: [`Account::pending_submissions`] says what is not over, and
//! [`Account::finish_submissions`] goes on with it. What another process is at, or another account of this
//! one, is left to it. Only a winner whose data nobody can fetch is lost, and for that there is time until
//! its audit (docs/protocol.md, section 7).

mod commit;
mod fetch;
mod progress;
mod reveal;
mod settle;
mod storage;
mod won;

use soma_types::{Embedding, Receipt, SubmissionId, TargetId, TransactionKind, provenance::Provenance};

pub use self::{
    storage::Storage,
    won::{WonDocument, WonError, WonFacts},
};
use crate::{
    account::Account,
    error::{ClientError, unexpected},
    journal::PendingSubmission,
};

/// What scoring a document against a target's models gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scores {
    /// Each model's loss in nano-nats, in the target's order.
    pub losses_nano: Vec<u64>,
    /// The cross-entropy part of the winner's loss, in nano-nats.
    pub cross_entropy_nano: u64,
    /// The winner's embedding of the document.
    pub embedding: Embedding,
}

/// Data to be submitted, and what its submitter says of where it comes from, which the reveal tells everyone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourcedData {
    /// The bytes.
    pub data: Vec<u8>,
    /// Licence, source and the like; nothing is told where it is empty.
    pub provenance: Provenance,
}

impl From<Vec<u8>> for SourcedData {
    fn from(data: Vec<u8>) -> Self {
        Self {
            data,
            provenance: Provenance::default(),
        }
    }
}

impl Account {
    /// Commits `data` to a target, reveals it, waits for the end of its race, and if it has won hands the
    /// data to the node; the submission, which [`NodeClient::submission`](crate::NodeClient::submission)
    /// tells of.
    ///
    /// # Errors
    /// When it would not be begun ([`Account::commit_reveal`]), the ledger says no
    /// ([`ClientError::rejection_code`]), or how a step ended did not become known
    /// ([`ClientError::is_unknown`]).
    pub async fn submit_data(
        &self,
        target: TargetId,
        data: impl Into<SourcedData> + Send,
        scores: Scores,
    ) -> Result<SubmissionId, ClientError> {
        let pending = self.enter_submission(target, data, scores, None).await?;
        let submission = pending
            .submission
            .ok_or_else(|| unexpected("the submission's name"))?;
        self.finish_submission(&pending).await?;
        Ok(submission)
    }

    /// Commits `data` to a target and reveals it; it races then, and is to be settled
    /// ([`Account::settle_submission`]). If it wins the data goes to `storage`, or to the node.
    ///
    /// # Errors
    /// When it would not be begun ([`Account::commit_reveal`]), the ledger says no
    /// ([`ClientError::rejection_code`]), or how a step ended did not become known
    /// ([`ClientError::is_unknown`]).
    pub async fn enter_submission(
        &self,
        target: TargetId,
        data: impl Into<SourcedData> + Send,
        scores: Scores,
        storage: Option<&Storage>,
    ) -> Result<PendingSubmission, ClientError> {
        let pending = match storage {
            Some(storage) => self.commit_submission_in(target, data, scores, storage).await?,
            None => self.commit_submission(target, data, scores).await?,
        };
        self.reveal_submission(&pending).await?;
        Ok(PendingSubmission {
            revealed: true,
            ..pending
        })
    }

    /// Demands that a winner be audited. Locks a bond: lost to the submitter if the winner is found valid,
    /// back with a share of the winner's if it is found false.
    ///
    /// # Errors
    /// When the ledger says no ([`ClientError::rejection_code`]), or how it ended did not become known
    /// ([`ClientError::is_unknown`]).
    pub async fn challenge(&self, submission: SubmissionId) -> Result<Receipt, ClientError> {
        self.execute(TransactionKind::ChallengeSubmission { submission })
            .await
    }
}
