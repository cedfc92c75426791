//! The second step: the data, and the proof that it was committed to.

use std::time::Duration;

use soma_types::{Receipt, RejectionCode, TransactionKind};

use crate::{account::Account, error::ClientError, journal::PendingSubmission};

/// Pause before a reveal that came in the block of its commit is tried again: about a block.
const REVEAL_RETRY_DELAY: Duration = Duration::from_millis(250);
const REVEAL_RETRIES_MAX: u32 = 20;

impl Account {
    /// Second step: hands the data to the node, if the journal has it, and reveals.
    ///
    /// # Errors
    /// When the commit has no name yet; when the ledger says no ([`ClientError::rejection_code`]), or how it
    /// ended did not become known ([`ClientError::is_unknown`]).
    pub async fn reveal_submission(&self, pending: &PendingSubmission) -> Result<Receipt, ClientError> {
        let submission = pending.submission.ok_or_else(|| {
            ClientError::Argument("the submission has no name yet: ask for pending_submissions()".to_owned())
        })?;
        let (chain, data_hash) = (pending.chain, pending.reveal.data_hash);
        if let Some(data) = self
            .journaled(move |journal| journal.data(&chain, &data_hash))
            .await?
        {
            self.node().put_blob(&data.into()).await?;
        }
        let kind = TransactionKind::RevealSubmission {
            submission,
            salt: pending.salt,
            reveal: pending.reveal.clone(),
        };
        let mut retries = 0;
        loop {
            match self.execute(kind.clone()).await {
                Ok(receipt) => {
                    self.forget(pending).await?;
                    return Ok(receipt);
                }
                Err(error)
                    if error.rejection_code() == Some(RejectionCode::RevealTooSoon)
                        && retries < REVEAL_RETRIES_MAX =>
                {
                    retries += 1;
                    tokio::time::sleep(REVEAL_RETRY_DELAY).await;
                }
                Err(error) => {
                    // What is closed does not open again: the commit is over, and its data may go to another
                    // target.
                    if error.rejection_code() == Some(RejectionCode::TargetClosed) {
                        self.forget(pending).await?;
                    }
                    return Err(error);
                }
            }
        }
    }

    /// Drops the secrets of a submission, and its data where no other needs it.
    pub(super) async fn forget(&self, pending: &PendingSubmission) -> Result<(), ClientError> {
        let (chain, commitment, hash) = (pending.chain, pending.commitment(), pending.reveal.data_hash);
        self.journaled(move |journal| {
            journal.remove_submission(&chain, &commitment)?;
            // The same data may be committed to another target.
            let others = journal.submissions(&chain)?;
            if others.damaged.is_empty() && others.entries.iter().all(|other| other.reveal.data_hash != hash)
            {
                journal.remove_data(&chain, &hash)?;
            }
            Ok(())
        })
        .await
    }
}
