//! The third step: how the race ended, and the data if it was won.

use std::time::Duration;

use soma_files::replace;
use soma_types::{SubmissionId, api::SubmissionView, objects::SubmissionStatus};

use tokio::task::JoinSet;

use super::storage::file_in;
use crate::{account::Account, blocking::blocking, error::ClientError, journal::PendingSubmission};

/// A race may take this long, unless the account waits longer for its transactions: it has a few blocks.
const RACE_MAX: Duration = Duration::from_secs(120);

impl Account {
    /// Whatever is left to be done for a submission: reveals it if that is due, waits for the end of its
    /// race, and hands over the data if it has won.
    ///
    /// # Errors
    /// As [`Account::reveal_submission`] and [`Account::settle_submission`].
    pub async fn finish_submission(
        &self,
        pending: &PendingSubmission,
    ) -> Result<SubmissionView, ClientError> {
        if !pending.revealed {
            self.reveal_submission(pending).await?;
        }
        self.settle_submission(pending, RACE_MAX).await
    }

    /// [`Account::finish_submission`] for all that is not over ([`Account::pending_submissions`]), at the
    /// same time: none expires while another's race is waited for. How each ended.
    ///
    /// # Errors
    /// When the node or the disk fails before anything is begun.
    pub async fn finish_submissions(
        &self,
    ) -> Result<Vec<(PendingSubmission, Result<SubmissionView, ClientError>)>, ClientError> {
        let mut tasks = JoinSet::new();
        for pending in self.pending_submissions().await? {
            let account = self.clone();
            tasks.spawn(async move {
                let finished = account.finish_submission(&pending).await;
                (pending, finished)
            });
        }
        Ok(tasks.join_all().await)
    }

    /// Waits for the end of a revealed submission's race, at most `patience`. If it has won, the data goes to
    /// the node, or to the folder that the participant's own host serves. Then it is over here: what lost
    /// leaves nothing, and its data never left.
    ///
    /// # Errors
    /// When the commit has no name yet, the time is over ([`ClientError::GaveUp`]), or the node or the disk
    /// fails; it is not over then, and the same call again goes on.
    pub async fn settle_submission(
        &self,
        pending: &PendingSubmission,
        patience: Duration,
    ) -> Result<SubmissionView, ClientError> {
        let submission = name_of(pending)?;
        let view = self.node().wait_for_submission(&submission, patience).await?;
        if matches!(
            view.submission.status,
            SubmissionStatus::Won | SubmissionStatus::Paid { .. }
        ) {
            self.hand_over(pending).await?;
        }
        self.forget(pending).await?;
        Ok(view)
    }

    /// Puts data that has won where validators fetch it, if the journal has it.
    async fn hand_over(&self, pending: &PendingSubmission) -> Result<(), ClientError> {
        let Some(data) = self.data_of(pending).await? else {
            return Ok(());
        };
        let Some(folder) = &pending.folder else {
            return self.node().put_blob(&data.into()).await;
        };
        let file = file_in(folder, &pending.reveal.data_hash);
        Ok(blocking(move || replace(&file, &data)).await??)
    }
}

/// The submission's name, which a commit has once it is in a block.
pub(super) fn name_of(pending: &PendingSubmission) -> Result<SubmissionId, ClientError> {
    pending.submission.ok_or_else(|| {
        ClientError::Argument("the submission has no name yet: ask for pending_submissions()".to_owned())
    })
}
