//! The first step: a commitment to data and what was found in it.

use std::path::PathBuf;

use soma_blobs::Location;
use soma_types::{
    ContentHash, Receipt, Rejection, Salt, SubmissionId, TargetId, Url,
    list::List,
    receipt::{Created, Outcome},
    transaction::SubmissionReveal,
};

use super::{Scores, SourcedData, Storage};
use crate::{
    account::{Account, LIFETIME_EPOCHS},
    error::{ClientError, unexpected},
    journal::PendingSubmission,
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
        self.commit_kept(target, data, reveal, None).await
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
        self.commit_kept(target, data, reveal, folder).await
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
        self.check_new(reveal.data_hash).await?;
        self.afford(&reveal).await?;
        self.commit_checked(target, reveal, None).await
    }

    /// [`Self::commit_reveal`] to `data`, which the journal keeps.
    async fn commit_kept(
        &self,
        target: TargetId,
        data: Vec<u8>,
        reveal: SubmissionReveal,
        folder: Option<PathBuf>,
    ) -> Result<PendingSubmission, ClientError> {
        self.check_new(reveal.data_hash).await?;
        self.afford(&reveal).await?;
        let chain = self.chain().await?;
        self.journaled(move |journal| journal.put_data(&chain, &data))
            .await?;
        self.commit_checked(target, reveal, folder).await
    }

    async fn commit_checked(
        &self,
        target: TargetId,
        reveal: SubmissionReveal,
        folder: Option<PathBuf>,
    ) -> Result<PendingSubmission, ClientError> {
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
        let entry = pending.clone();
        self.journaled(move |journal| journal.put_submission(&entry))
            .await?;
        let receipt = match self.execute(pending.commit()).await {
            Ok(receipt) => receipt,
            Err(error) => {
                // Where the ledger said no, there is nothing to reveal. Otherwise it may yet happen.
                if error.rejection_code().is_some() {
                    self.forget(&pending).await?;
                }
                return Err(error);
            }
        };
        pending.submission = Some(submission_of(&receipt)?);
        let entry = pending.clone();
        self.journaled(move |journal| journal.put_submission(&entry))
            .await?;
        Ok(pending)
    }

    /// Whether data is someone's already, as far as that can be known before it is revealed: the ledger's
    /// claims, and this account's submissions that are not over. If it is, [`ClientError::DataKnown`].
    ///
    /// # Errors
    /// [`ClientError::DataKnown`]; when the node or the disk fails.
    pub async fn check_new(&self, data: ContentHash) -> Result<(), ClientError> {
        let known = |submission| {
            Err(ClientError::DataKnown {
                hash: data,
                submission,
            })
        };
        if let Some(claim) = self.node().data_claim(&data).await? {
            return known(Some(claim.submission));
        }
        let (chain, me) = (self.chain().await?, self.address());
        let outbox = self.outbox(&chain);
        let (own, sent) = self
            .journaled(move |journal| Ok((journal.submissions(&chain)?, outbox.all()?)))
            .await?;
        // One without a name whose commit was never handed in is a plan that a crash ended.
        let counts = |entry: &PendingSubmission| {
            let commit = entry.commit();
            entry.submission.is_some() || sent.iter().any(|signed| signed.transaction.kind == commit)
        };
        let of_this = |entry: &&PendingSubmission| entry.submitter == me && entry.reveal.data_hash == data;
        if own.entries.iter().filter(of_this).any(counts) {
            return known(None);
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
