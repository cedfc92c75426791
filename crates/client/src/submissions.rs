//! The submitter's two steps.
//!
//! Data that is known to be someone's is passed over before anything is paid for it.
//!
//! Upon a find: salt, reveal body and data go to the journal; the commitment goes to the chain; only once
//! that stands is the data handed to the node, so that whoever reads it there comes too late; then the
//! reveal. A crash in between loses nothing: [`Account::pending_submissions`] says what is still to be
//! revealed.

use std::time::{Duration, Instant};

use soma_blobs::Location;
use soma_types::{
    ContentHash, Embedding, Receipt, Rejection, RejectionCode, Salt, SubmissionId, TargetId, TransactionKind,
    Url,
    api::{SubmissionView, TargetView},
    list::List,
    objects::{SubmissionStatus, TargetStatus},
    phase::SubmissionPhase,
    receipt::{Created, Outcome},
    transaction::SubmissionReveal,
};

use crate::{
    account::{Account, LIFETIME_EPOCHS},
    error::{ClientError, unexpected},
    journal::PendingSubmission,
    node::{NodeClient, SubmissionFilter, verified},
};

/// Pause before a reveal that came in the block of its commit is tried again: about a block.
const REVEAL_RETRY_DELAY: Duration = Duration::from_millis(250);
const REVEAL_RETRIES_MAX: u32 = 20;
const POLL_DELAY: Duration = Duration::from_millis(300);

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
    /// race. [`NodeClient::wait_for_submission`] tells how that ends.
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

    /// First step, for data that the node will host (`soma:HASH`). The data is kept in the journal.
    ///
    /// # Errors
    /// As [`Account::commit_reveal`].
    pub async fn commit_submission(
        &self,
        target: TargetId,
        data: Vec<u8>,
        scores: Scores,
    ) -> Result<PendingSubmission, ClientError> {
        let hash = ContentHash::of(&data);
        let url = Location::Soma(hash)
            .to_string()
            .parse()
            .expect("soma: and a hash make a short ASCII URL");
        let reveal = reveal_of(url, data.len() as u64, hash, scores)?;
        let chain = self.chain().await?;
        self.journaled(move |journal| journal.put_data(&chain, &data))
            .await?;
        self.commit_reveal(target, reveal).await
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

    /// Whether data is someone's already, as far as that can be known before it is revealed: the ledger's claims, and
    /// this account's commits that wait for their reveal. If it is, [`ClientError::DataKnown`].
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

    /// First step, for a reveal body made by the caller. Not begun when deposit and bond cannot be paid, or the data
    /// is someone's already.
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
            self.node().put_blob(data).await?;
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
                Err(error) => return Err(error),
            }
        }
    }

    /// This account's submissions that are committed and not yet revealed, and drops the secrets of those
    /// that are over. What a program asks when it starts.
    ///
    /// # Errors
    /// When the node or the disk fails, or a commit that was left behind did ([`Account::resume`]).
    pub async fn pending_submissions(&self) -> Result<Vec<PendingSubmission>, ClientError> {
        let (chain, epoch) = (self.chain().await?, self.current_epoch().await?);
        let found = self.journaled(move |journal| journal.submissions(&chain)).await?;
        let own: Vec<_> = found
            .entries
            .into_iter()
            .filter(|entry| entry.submitter == self.address())
            .collect();
        if own.is_empty() {
            return Ok(own);
        }
        let filter = SubmissionFilter {
            submitter: Some(self.address()),
            phase: Some(SubmissionPhase::Committed),
            target: None,
        };
        let waiting = self.node().submissions(&filter).await?;
        let mut due = Vec::new();
        for mut pending in own {
            let commitment = pending.commitment();
            if let Some(view) = waiting
                .iter()
                .find(|view| view.submission.commitment == commitment)
            {
                pending.submission = Some(view.id());
                due.push(pending);
                continue;
            }
            // A list that does not have it proves nothing: a node may lag. Only an end that is told is one.
            if let Some(id) = pending.submission {
                match self.node().submission(&id).await {
                    Ok(view) if view.submission.status == SubmissionStatus::Committed => {
                        due.push(pending);
                        continue;
                    }
                    Ok(_) => {}
                    Err(error) if error.is_not_found() => continue,
                    Err(error) => return Err(error),
                }
            } else if epoch <= pending.keep_until {
                match self.resume(&pending.commit()).await {
                    Ok(Some(receipt)) => {
                        pending.submission = Some(submission_of(&receipt)?);
                        due.push(pending);
                        continue;
                    }
                    // Its commit may still be on its way.
                    Ok(None) => continue,
                    Err(error) if error.rejection_code().is_some() => {}
                    Err(error) => return Err(error),
                }
            }
            self.forget(&pending).await?;
        }
        Ok(due)
    }

    /// Demands that a winner be audited. Locks a bond: lost to the submitter if the winner is found valid, back
    /// with a share of the winner's if it is found false.
    ///
    /// # Errors
    /// When the ledger says no ([`ClientError::rejection_code`]), or how it ended did not become known
    /// ([`ClientError::is_unknown`]).
    pub async fn challenge(&self, submission: SubmissionId) -> Result<Receipt, ClientError> {
        self.execute(TransactionKind::ChallengeSubmission { submission })
            .await
    }

    async fn forget(&self, pending: &PendingSubmission) -> Result<(), ClientError> {
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

impl NodeClient {
    /// Waits until a submission's race is over, at most `timeout`: won, lost, not new, expired, or settled.
    ///
    /// # Errors
    /// When there is no such submission, the node fails, or the time is over ([`ClientError::GaveUp`]).
    pub async fn wait_for_submission(
        &self,
        submission: &SubmissionId,
        timeout: Duration,
    ) -> Result<SubmissionView, ClientError> {
        let start = Instant::now();
        loop {
            let view = self.submission(submission).await?;
            if !matches!(
                view.submission.status,
                SubmissionStatus::Committed | SubmissionStatus::Revealed
            ) {
                return Ok(view);
            }
            let waited = start.elapsed();
            if waited >= timeout {
                return Err(ClientError::GaveUp {
                    what: format!("the end of submission {submission}"),
                    waited,
                });
            }
            tokio::time::sleep(POLL_DELAY.min(timeout - waited)).await;
        }
    }

    /// The data that won a target, verified against the ledger; `None` while there is no winner.
    ///
    /// # Errors
    /// When there is no such target, the node does not have the data, or has other data.
    pub async fn fetch_target_data(&self, target: &TargetId) -> Result<Option<Vec<u8>>, ClientError> {
        let TargetView { target, .. } = self.target(target).await?;
        let TargetStatus::Filled { submission, .. } = target.status else {
            return Ok(None);
        };
        let view = self.submission(&submission).await?;
        let found = view
            .submission
            .found
            .ok_or_else(|| unexpected("the winner's find"))?;
        match self.blob(&found.data_hash).await {
            // The node then asks the submitter's host, and keeps what it gets.
            Err(error) if error.is_not_found() => {
                verified(self.target_data(&target.id).await?, found.data_hash).map(Some)
            }
            data => data.map(Some),
        }
    }
}

/// The submission that a commit has made.
fn submission_of(receipt: &Receipt) -> Result<SubmissionId, ClientError> {
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
