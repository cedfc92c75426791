//! The second step: what was found in the data, and the proof that it was committed to. The data itself stays
//! here.

use std::time::Duration;

use soma_types::{RejectionCode, TransactionKind, objects::SubmissionStatus};

use super::settle::name_of;
use crate::{account::Account, error::ClientError, journal::PendingSubmission};

/// Pause before a reveal that came in the block of its commit is tried again: about a block.
const REVEAL_RETRY_DELAY: Duration = Duration::from_millis(250);
const REVEAL_RETRIES_MAX: u32 = 20;

impl Account {
    /// Second step: reveals. Its race is on then, and the journal keeps the data until that is over
    /// ([`Account::settle_submission`]); what the journal does not have, the participant hosts, and there is
    /// nothing left to do.
    ///
    /// # Errors
    /// When the commit has no name yet; when the ledger says no ([`ClientError::rejection_code`]), or how it
    /// ended did not become known ([`ClientError::is_unknown`]).
    pub async fn reveal_submission(&self, pending: &PendingSubmission) -> Result<(), ClientError> {
        let submission = name_of(pending)?;
        let kind = TransactionKind::RevealSubmission {
            submission,
            salt: pending.salt,
            reveal: pending.reveal.clone(),
        };
        let mut retries = 0;
        loop {
            let Err(error) = self.execute(kind.clone()).await else {
                break;
            };
            match error.rejection_code() {
                Some(RejectionCode::RevealTooSoon) if retries < REVEAL_RETRIES_MAX => {
                    retries += 1;
                    tokio::time::sleep(REVEAL_RETRY_DELAY).await;
                }
                // By another machine with this key, or by a process whose end came first: only this can have
                // been revealed, and how its race stands is to be asked.
                Some(RejectionCode::NotAwaitingReveal) => {
                    match self.node().submission(&submission).await?.submission.status {
                        SubmissionStatus::Committed => return Err(error),
                        SubmissionStatus::Expired { .. } => {
                            return self.forget(pending).await.and(Err(error));
                        }
                        _ => break,
                    }
                }
                // What is closed does not open again: the commit is over, and its data may go to another
                // target.
                Some(RejectionCode::TargetClosed) => return self.forget(pending).await.and(Err(error)),
                _ => return Err(error),
            }
        }
        if self.data_of(pending).await?.is_none() {
            return self.forget(pending).await;
        }
        // It is revealed, whatever the disk says: at worst that is found out again.
        let _ = self.note_revealed(pending).await;
        Ok(())
    }

    /// The data of a submission, if the journal has it.
    pub(super) async fn data_of(&self, pending: &PendingSubmission) -> Result<Option<Vec<u8>>, ClientError> {
        let (chain, hash) = (pending.chain, pending.reveal.data_hash);
        self.journaled(move |journal| journal.data(&chain, &hash)).await
    }

    /// Notes that a submission is revealed.
    async fn note_revealed(&self, pending: &PendingSubmission) -> Result<(), ClientError> {
        let entry = PendingSubmission {
            revealed: true,
            ..pending.clone()
        };
        self.journaled(move |journal| journal.put_submission(&entry))
            .await
    }

    /// Drops the secrets of a submission, and its data where no other needs it, and the claim to it.
    pub(super) async fn forget(&self, pending: &PendingSubmission) -> Result<(), ClientError> {
        let (chain, commitment, hash) = (pending.chain, pending.commitment(), pending.reveal.data_hash);
        // Another process may be about to commit the same data to another target.
        let turn = self.turn(&chain).await?;
        let claims = self.claims().clone();
        self.journaled(move |journal| {
            let _turn = turn;
            // Until the end of this: who finds its file gone finds no entry either.
            let _held = claims.release(&commitment);
            journal.remove_submission(&chain, &commitment)?;
            soma_files::remove(&journal.claim(&chain, &commitment))?;
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
