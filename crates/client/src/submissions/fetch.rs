//! Data that won, from the network, verified against the ledger.

use soma_blobs::{Blob, Expected};
use soma_types::{
    SubmissionId, TargetId,
    api::{SubmissionView, TargetView},
    objects::{Found, SubmissionStatus, TargetStatus},
};

use super::WonFacts;
use crate::{
    error::{ClientError, unexpected},
    node::NodeClient,
};

impl NodeClient {
    /// The data that won a target, verified against the ledger; `None` while there is no winner.
    ///
    /// # Errors
    /// When there is no such target, the node does not have the data, or has other data.
    pub async fn fetch_target_data(&self, target: &TargetId) -> Result<Option<Blob>, ClientError> {
        let TargetView { target, .. } = self.target(target).await?;
        let TargetStatus::Filled { submission, .. } = target.status else {
            return Ok(None);
        };
        let view = self.submission(&submission).await?;
        self.fetch_found(&view).await.map(Some)
    }

    /// The data of a submission that has won, verified against the ledger.
    ///
    /// # Errors
    /// When there is no such submission, or it has not won; when the node does not have the data, or has
    /// other data.
    pub async fn fetch_submission_data(&self, submission: &SubmissionId) -> Result<Blob, ClientError> {
        let view = self.submission(submission).await?;
        match &view.submission.found {
            Some(_) => self.fetch_found(&view).await,
            // The node says why there is none.
            None => self.submission_data(submission, Expected::of(b"")).await,
        }
    }

    /// What the ledger says of who won a target; `None` while there is no winner, and of one found false.
    ///
    /// # Errors
    /// When the node does not answer, or not as its interface promises.
    pub async fn won(&self, target: &TargetView) -> Result<Option<WonFacts>, ClientError> {
        let TargetStatus::Filled { submission, .. } = target.target.status else {
            return Ok(None);
        };
        let winner = self.submission(&submission).await?;
        if matches!(winner.submission.status, SubmissionStatus::FoundFalse { .. }) {
            return Ok(None);
        }
        let facts = WonFacts::of(target, &winner).ok_or_else(|| unexpected("the winner's find"))?;
        Ok(Some(facts))
    }

    /// The data of a winner, verified.
    ///
    /// # Errors
    /// When the node does not have the data, or has other data ([`ClientError::is_of_content`]).
    pub async fn fetch_won(&self, won: &WonFacts) -> Result<Vec<u8>, ClientError> {
        let expected = Expected {
            hash: won.hash,
            size_bytes: won.size_bytes,
        };
        let data = self.fetch_named(&won.submission, expected).await?;
        let bytes = data.bytes().map_err(|error| {
            ClientError::Argument(format!("the data {} cannot be read: {error}", won.hash))
        })?;
        Ok(bytes.to_vec())
    }

    async fn fetch_found(&self, view: &SubmissionView) -> Result<Blob, ClientError> {
        let found = view.submission.found.as_ref();
        let data = found
            .map(expected)
            .ok_or_else(|| unexpected("the winner's find"))?;
        self.fetch_named(&view.submission.id, data).await
    }

    async fn fetch_named(&self, submission: &SubmissionId, data: Expected) -> Result<Blob, ClientError> {
        match self.blob(data).await {
            // The node then asks the submitter's host, and keeps what it gets.
            Err(error) if error.is_not_found() => self.submission_data(submission, data).await,
            found => found,
        }
    }
}

const fn expected(found: &Found) -> Expected {
    Expected {
        hash: found.data_hash,
        size_bytes: found.data_size_bytes,
    }
}
