//! What is not over, and how races end.

use std::time::{Duration, Instant};

use soma_types::{SubmissionId, api::SubmissionView, objects::SubmissionStatus, phase::SubmissionPhase};

use super::commit::submission_of;
use crate::{
    account::Account,
    error::ClientError,
    journal::PendingSubmission,
    node::{NodeClient, SubmissionFilter},
};

const POLL_DELAY: Duration = Duration::from_millis(300);

impl Account {
    /// This account's submissions that are not over, for [`Account::finish_submission`]: committed, in their
    /// races, or won with their data still to be handed over. Drops the secrets of the others. What a program
    /// asks when it starts.
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
            ..SubmissionFilter::default()
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
                    Ok(view) => match view.submission.status {
                        SubmissionStatus::Committed => {
                            due.push(pending);
                            continue;
                        }
                        SubmissionStatus::Revealed
                        | SubmissionStatus::Won
                        | SubmissionStatus::Paid { .. }
                            if self.data_of(&pending).await?.is_some() =>
                        {
                            pending.revealed = true;
                            due.push(pending);
                            continue;
                        }
                        _ => {}
                    },
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
