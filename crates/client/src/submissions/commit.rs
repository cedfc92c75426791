//! The first step: a commitment to data and what was found in it.

use std::path::PathBuf;

use soma_blobs::Location;
use soma_types::{
    ChainId, ContentHash, Receipt, Rejection, Salt, SubmissionId, TargetId, Url,
    list::List,
    receipt::{Created, Outcome},
    transaction::SubmissionReveal,
};

use super::{Scores, SourcedData, Storage};
use crate::{
    account::{Account, LIFETIME_EPOCHS},
    error::{ClientError, unexpected},
    journal::{Journal, PendingSubmission},
};

impl Account {
    /// First step, for data that the node will host (`soma:HASH`) if it wins. The journal keeps it until
    /// then.
    ///
    /// # Errors
    /// As [`Account::commit_reveal`].
    pub async fn commit_submission(
        &self,
        target: TargetId,
        data: impl Into<SourcedData> + Send,
        scores: Scores,
    ) -> Result<PendingSubmission, ClientError> {
        let SourcedData { data, provenance } = data.into();
        let hash = ContentHash::of(&data);
        let url: Url = Location::Soma(hash)
            .to_string()
            .parse()
            .expect("soma: and a hash make a short ASCII URL");
        let url = url.telling(&provenance);
        let reveal = reveal_of(url, data.len() as u64, hash, scores)?;
        self.commit_kept(target, Some(data), reveal, None).await
    }

    /// First step, for data that goes to `storage` if it wins. The journal keeps it until then.
    ///
    /// # Errors
    /// When the URL under which it would be served is none, and as [`Account::commit_reveal`].
    pub async fn commit_submission_in(
        &self,
        target: TargetId,
        data: impl Into<SourcedData> + Send,
        scores: Scores,
        storage: &Storage,
    ) -> Result<PendingSubmission, ClientError> {
        let SourcedData { data, provenance } = data.into();
        let hash = ContentHash::of(&data);
        let url = storage.url(&hash)?.telling(&provenance);
        let reveal = reveal_of(url, data.len() as u64, hash, scores)?;
        let folder = Some(storage.folder().to_owned());
        self.commit_kept(target, Some(data), reveal, folder).await
    }

    /// First step, for data that the participant hosts at `url` until the audit window closes.
    ///
    /// # Errors
    /// When `url` is not public, and as [`Account::commit_reveal`].
    pub async fn commit_submission_at(
        &self,
        target: TargetId,
        url: Url,
        data: &[u8],
        scores: Scores,
    ) -> Result<PendingSubmission, ClientError> {
        Location::parse_public(url.as_str()).map_err(|error| ClientError::Argument(error.to_string()))?;
        let reveal = reveal_of(url, data.len() as u64, ContentHash::of(data), scores)?;
        self.commit_reveal(target, reveal).await
    }

    /// First step, for a reveal body made by the caller. Not begun when deposit and bond cannot be paid, or
    /// the data is someone's already.
    ///
    /// # Errors
    /// [`ClientError::DataKnown`] or [`ClientError::Unaffordable`], and nothing was sent; when the ledger
    /// says no ([`ClientError::rejection_code`]), or how it ended did not become known
    /// ([`ClientError::is_unknown`]).
    pub async fn commit_reveal(
        &self,
        target: TargetId,
        reveal: SubmissionReveal,
    ) -> Result<PendingSubmission, ClientError> {
        self.commit_kept(target, None, reveal, None).await
    }

    /// [`Self::commit_reveal`] to data, which the journal keeps if it is given.
    async fn commit_kept(
        &self,
        target: TargetId,
        data: Option<Vec<u8>>,
        reveal: SubmissionReveal,
        folder: Option<PathBuf>,
    ) -> Result<PendingSubmission, ClientError> {
        self.check_new(reveal.data_hash).await?;
        self.afford(&reveal).await?;
        let mut salt = [0; 32];
        getrandom::fill(&mut salt).map_err(ClientError::Randomness)?;
        let mut pending = PendingSubmission {
            chain: self.chain().await?,
            submitter: self.address(),
            target,
            salt: Salt(salt),
            reveal,
            submission: None,
            keep_until: self.current_epoch().await?.plus(LIFETIME_EPOCHS + 1),
            revealed: false,
            folder,
        };
        let begun = match self.enter(&pending, data).await {
            Ok(()) => self.execute(pending.commit()).await,
            Err(error) => Err(error),
        };
        let receipt = match begun {
            Ok(receipt) => receipt,
            Err(error) => {
                // What may yet happen stays; of the rest nothing is left, if the disk allows.
                if !error.is_unknown() {
                    let _ = self.forget(&pending).await;
                }
                return Err(error);
            }
        };
        pending.submission = Some(submission_of(&receipt)?);
        let entry = pending.clone();
        // It is committed, whatever the disk says. The name that it does not take, the ledger tells.
        let _ = self
            .journaled(move |journal| journal.put_submission(&entry))
            .await;
        Ok(pending)
    }

    /// Writes a plan to the journal, claimed, unless this account is at the same data by now.
    async fn enter(&self, pending: &PendingSubmission, data: Option<Vec<u8>>) -> Result<(), ClientError> {
        // Of several processes, one at a time looks and writes.
        let turn = self.turn(&pending.chain).await?;
        self.check_own(&pending.chain, pending.reveal.data_hash).await?;
        let (entry, claims) = (pending.clone(), self.claims().clone());
        self.journaled(move |journal| {
            let _turn = turn;
            if let Some(data) = data {
                journal.put_data(&entry.chain, &data)?;
            }
            let commitment = entry.commitment();
            claims.take(commitment, &journal.claim(&entry.chain, &commitment))?;
            journal.put_submission(&entry)
        })
        .await
    }

    /// Whether data is someone's already, as far as that can be known before it is revealed: the ledger's
    /// claims, and this account's submissions that are not over. If it is, [`ClientError::DataKnown`].
    ///
    /// # Errors
    /// [`ClientError::DataKnown`]; when the node or the disk fails.
    pub async fn check_new(&self, data: ContentHash) -> Result<(), ClientError> {
        if let Some(claim) = self.node().data_claim(&data).await? {
            let submission = Some(claim.submission);
            return Err(ClientError::DataKnown {
                hash: data,
                submission,
            });
        }
        self.check_own(&self.chain().await?, data).await
    }

    /// [`Self::check_new`] by what this machine knows.
    async fn check_own(&self, chain: &ChainId, data: ContentHash) -> Result<(), ClientError> {
        let (chain, me, claims) = (*chain, self.address(), self.claims().clone());
        let outbox = self.outbox(&chain);
        let is_known = move |journal: &Journal| {
            let (own, sent) = (journal.submissions(&chain)?, outbox.all()?);
            for entry in own.entries {
                if entry.submitter != me || entry.reveal.data_hash != data {
                    continue;
                }
                // One without a name whose commit was never handed in, and that nobody is at, is a plan that
                // a crash ended.
                let (commit, commitment) = (entry.commit(), entry.commitment());
                if entry.submission.is_some()
                    || sent.iter().any(|signed| signed.transaction.kind == commit)
                    || claims.is_taken(&commitment, &journal.claim(&chain, &commitment))?
                {
                    return Ok(true);
                }
            }
            Ok(false)
        };
        if self.journaled(is_known).await? {
            return Err(ClientError::DataKnown {
                hash: data,
                submission: None,
            });
        }
        Ok(())
    }

    /// Whether deposit and bond can be paid: a commit that cannot be revealed loses its deposit.
    async fn afford(&self, reveal: &SubmissionReveal) -> Result<(), ClientError> {
        let params = self.params().await?;
        let now = self.node().epoch(None).await?.state;
        let bond = now.bond_of(&params, reveal.data_size_bytes);
        let needed = bond.checked_add(params.submission_deposit).unwrap_or(bond);
        let balance = self.balance().await?;
        if balance < needed {
            let rejection = Rejection::InsufficientBalance { balance, needed };
            return Err(ClientError::Unaffordable { rejection });
        }
        Ok(())
    }
}

/// The submission that a commit has made.
pub(super) fn submission_of(receipt: &Receipt) -> Result<SubmissionId, ClientError> {
    match receipt.outcome {
        Outcome::Applied {
            created: Some(Created::Submission(submission)),
        } => Ok(submission),
        _ => Err(unexpected("the submission's name")),
    }
}

fn reveal_of(
    data_url: Url,
    data_size_bytes: u64,
    data_hash: ContentHash,
    scores: Scores,
) -> Result<SubmissionReveal, ClientError> {
    Ok(SubmissionReveal {
        data_url,
        data_size_bytes,
        data_hash,
        losses_nano: List::new(scores.losses_nano)
            .map_err(|error| ClientError::Argument(error.to_string()))?,
        cross_entropy_nano: scores.cross_entropy_nano,
        embedding: scores.embedding,
    })
}
