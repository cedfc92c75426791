//! Submissions, in the submitter's two steps.
//!
//! Data that is known to be someone's is passed over before anything is paid for it.
//!
//! Upon a find: salt, reveal body and data go to the journal; the commitment goes to the chain; only once
//! that stands is the data handed to the node, so that whoever reads it there comes too late; then the
//! reveal. A crash in between loses nothing: [`Account::pending_submissions`] says what is still to be
//! revealed.

mod commit;
mod fetch;
mod progress;
mod reveal;
mod won;

use soma_types::{Embedding, Receipt, SubmissionId, TargetId, TransactionKind};

use crate::{
    account::Account,
    error::{ClientError, unexpected},
};

pub use self::won::{WonDocument, WonError, WonFacts};

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

impl Account {
    /// Commits `data` to a target, hands it to the node and reveals it; the submission, now in its target's
    /// race. [`wait_for_submission`](crate::NodeClient::wait_for_submission) tells how that ends.
    ///
    /// # Errors
    /// When it would not be begun ([`Account::commit_reveal`]), the ledger says no
    /// ([`ClientError::rejection_code`]), or how a step ended did not become known
    /// ([`ClientError::is_unknown`]).
    pub async fn submit_data(
        &self,
        target: TargetId,
        data: Vec<u8>,
        scores: Scores,
    ) -> Result<SubmissionId, ClientError> {
        let pending = self.commit_submission(target, data, scores).await?;
        let submission = pending
            .submission
            .ok_or_else(|| unexpected("the submission's name"))?;
        self.reveal_submission(&pending).await?;
        Ok(submission)
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
