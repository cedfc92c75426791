//! Commits and reveals that took effect, and whose caller was never told.

use soma_types::{ContentHash, ModelId, TransactionKind};

use crate::{
    account::{Account, Sent},
    error::ClientError,
};

/// A commit that waits for its reveal, and whose caller was never told: their process ended first.
#[derive(Debug)]
pub struct UnheardCommit {
    /// The model.
    pub model: ModelId,
    /// BLAKE3 of the encrypted weights.
    pub hash: ContentHash,
    sent: Sent,
}

impl UnheardCommit {
    /// Its caller has been told: nobody is any more.
    ///
    /// # Errors
    /// When the process is ending.
    pub async fn heard(&self) -> Result<(), ClientError> {
        self.sent.forget().await
    }
}

impl Account {
    /// Waits for the ends of commits that were left behind; those that now wait for their reveal. Each is
    /// returned again until [`UnheardCommit::heard`], or until it has been revealed or lapsed.
    ///
    /// # Errors
    /// When the node or the disk fails, or one may still happen ([`ClientError::is_unknown`]).
    pub async fn unheard_commits(&self) -> Result<Vec<UnheardCommit>, ClientError> {
        let mut unheard = Vec::new();
        for sent in self
            .unheard(|kind| matches!(kind, TransactionKind::CommitModel { .. }))
            .await?
        {
            let TransactionKind::CommitModel { model, hash, .. } = sent.transaction.transaction.kind else {
                continue;
            };
            let view = self.node().model(&model).await?;
            if view
                .model
                .committed
                .is_some_and(|committed| committed.hash == hash)
            {
                unheard.push(UnheardCommit { model, hash, sent });
            } else {
                // Over: the same commit made anew is another.
                sent.forget().await?;
            }
        }
        Ok(unheard)
    }

    /// Waits for the ends of reveals of `model` that were left behind. What they came to is on the ledger.
    ///
    /// # Errors
    /// When the node or the disk fails, or one may still happen ([`ClientError::is_unknown`]).
    pub async fn settle_reveals(&self, model: ModelId) -> Result<(), ClientError> {
        let left = self
            .unheard(
                move |kind| matches!(kind, TransactionKind::RevealModel { model: of, .. } if *of == model),
            )
            .await?;
        for sent in left {
            sent.forget().await?;
        }
        Ok(())
    }
}
