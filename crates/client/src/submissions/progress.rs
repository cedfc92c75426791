//! What is not over, and how races end.

use std::time::{Duration, Instant};

use soma_types::{ChainId, SubmissionId, api::SubmissionView, objects::SubmissionStatus};

use super::commit::submission_of;
use crate::{
    account::Account,
    error::ClientError,
    journal::PendingSubmission,
    node::{NodeClient, SubmissionFilter},
};

const POLL_DELAY: Duration = Duration::from_millis(300);

impl Account {
    /// This account's submissions that are not over and that nobody is at, for
    /// [`Account::finish_submission`]: committed, in their races, or won with their data still to be handed
    /// over. From then on this account is at them. Drops the secrets of those that are over. What a program
    /// asks when it starts.
    ///
    /// # Errors
    /// When the node or the disk fails, or a commit that was left behind did ([`Account::resume`]).
    pub async fn pending_submissions(&self) -> Result<Vec<PendingSubmission>, ClientError> {
        self.pending_submissions_of(|_| true).await
    }

    /// [`Account::pending_submissions`] that are `wanted`; the others are left to whoever wants them.
    ///
    /// # Errors
    /// As [`Account::pending_submissions`].
    pub async fn pending_submissions_of(
        &self,
        wanted: impl Fn(&PendingSubmission) -> bool + Send + 'static,
    ) -> Result<Vec<PendingSubmission>, ClientError> {
        let (chain, epoch) = (self.chain().await?, self.current_epoch().await?);
        let mut due = Vec::new();
        for mut pending in self.claimed(chain, wanted).await? {
            // A list that does not have it proves nothing: a node may lag. Only an end that is told is one.
            let view = match pending.submission {
                Some(id) => match self.node().submission(&id).await {
                    Ok(view) => Some(view),
                    Err(error) if error.is_not_found() => continue,
                    Err(error) => return Err(error),
                },
                None => self.find(&pending).await?,
            };
            if let Some(view) = view {
                pending.submission = Some(view.id());
                match view.submission.status {
                    SubmissionStatus::Committed => {
                        due.push(pending);
                        continue;
                    }
                    SubmissionStatus::Revealed | SubmissionStatus::Won | SubmissionStatus::Paid { .. }
                        if self.data_of(&pending).await?.is_some() =>
                    {
                        pending.revealed = true;
                        due.push(pending);
                        continue;
                    }
                    _ => {}
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

    /// The journal's entries of this account that no other is at.
    async fn claimed(
        &self,
        chain: ChainId,
        wanted: impl Fn(&PendingSubmission) -> bool + Send + 'static,
    ) -> Result<Vec<PendingSubmission>, ClientError> {
        let (me, claims) = (self.address(), self.claims().clone());
        self.journaled(move |journal| {
            let mut own = Vec::new();
            for entry in journal.submissions(&chain)?.entries {
                let commitment = entry.commitment();
                let claim = journal.claim(&chain, &commitment);
                if entry.submitter != me || !wanted(&entry) || !claims.take(commitment, &claim)? {
                    continue;
                }
                // As it is now: who was at it may have brought it to its end since.
                match journal.submission(&chain, &commitment)? {
                    Some(entry) => own.push(entry),
                    None => {
                        let _held = claims.release(&commitment);
                        soma_files::remove(&claim)?;
                    }
                }
            }
            Ok(own)
        })
        .await
    }

    /// A submission whose name is not known here, as the ledger has it.
    async fn find(&self, pending: &PendingSubmission) -> Result<Option<SubmissionView>, ClientError> {
        let filter = SubmissionFilter {
            submitter: Some(self.address()),
            target: Some(pending.target),
            ..SubmissionFilter::default()
        };
        let commitment = pending.commitment();
        let listed = self.node().submissions(&filter).await?;
        Ok(listed
            .into_iter()
            .find(|view| view.submission.commitment == commitment))
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
}
