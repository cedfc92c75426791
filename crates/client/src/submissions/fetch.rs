//! Data that won, from the network, verified against the ledger.

use soma_blobs::{Blob, Expected};
use soma_types::{TargetId, api::TargetView, objects::TargetStatus};

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
        let found = view
            .submission
            .found
            .ok_or_else(|| unexpected("the winner's find"))?;
        let data = Expected {
            hash: found.data_hash,
            size_bytes: found.data_size_bytes,
        };
        match self.blob(data).await {
            // The node then asks the submitter's host, and keeps what it gets.
            Err(error) if error.is_not_found() => self.target_data(&target.id, data).await.map(Some),
            found => found.map(Some),
        }
    }
}
