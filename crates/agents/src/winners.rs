//! Data that won: what the network publishes of its competition, latest first.

use serde::{Deserialize, Serialize};
use soma_blobs::Expected;
use soma_client::{ClientError, NodeClient, TargetFilter};
use soma_types::{
    ContentHash, Epoch, ModelId, SubmissionId, TargetId,
    api::PAGE_ITEMS_MAX,
    objects::{SubmissionStatus, TargetStatus},
    phase::TargetPhase,
};

/// A target's winner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Winner {
    /// The target.
    pub target: TargetId,
    /// The target's epoch, whose seed its losses belong to.
    pub epoch: Epoch,
    /// The submission that won it.
    pub submission: SubmissionId,
    /// The model that predicts the data best.
    pub model: ModelId,
    /// That model's loss, as the submission states it, in nano-nats.
    pub loss_nano: u64,
    /// BLAKE3 of the data.
    pub data: ContentHash,
    /// Its length in bytes.
    pub size_bytes: u64,
}

/// The winners of the epochs from `since` on, latest first: at most `limit` that `wants` admits. Those that
/// were found false are none.
///
/// # Errors
/// When the node does not answer, or not as its interface promises.
pub async fn winners(
    node: &NodeClient,
    since: Epoch,
    limit: usize,
    wants: impl Fn(&Winner) -> bool,
) -> Result<Vec<Winner>, ClientError> {
    let mut found = Vec::new();
    if limit == 0 {
        return Ok(found);
    }
    let mut epoch = node.status().await?.epoch;
    loop {
        let filter = TargetFilter {
            phase: Some(TargetPhase::Filled),
            epoch: Some(epoch),
        };
        let mut cursor: Option<String> = None;
        loop {
            let page = node
                .targets_page(&filter, cursor.as_deref(), limit.min(PAGE_ITEMS_MAX))
                .await;
            let page = match page {
                Ok(page) => page,
                // The epoch has no targets.
                Err(error) if error.is_not_found() => break,
                Err(error) => return Err(error),
            };
            for view in page.items {
                let TargetStatus::Filled { submission, .. } = view.target.status else {
                    continue;
                };
                if let Some(winner) = winner(node, view.target.id, epoch, submission).await?
                    && wants(&winner)
                {
                    found.push(winner);
                    if found.len() == limit {
                        return Ok(found);
                    }
                }
            }
            match page.next {
                Some(next) if cursor.as_ref() != Some(&next) => cursor = Some(next),
                _ => break,
            }
        }
        match epoch.minus(1) {
            Some(before) if epoch > since => epoch = before,
            _ => return Ok(found),
        }
    }
}

async fn winner(
    node: &NodeClient,
    target: TargetId,
    epoch: Epoch,
    id: SubmissionId,
) -> Result<Option<Winner>, ClientError> {
    let submission = node.submission(&id).await?.submission;
    if matches!(submission.status, SubmissionStatus::FoundFalse { .. }) {
        return Ok(None);
    }
    Ok(submission.found.and_then(|found| {
        Some(Winner {
            target,
            epoch,
            submission: id,
            model: found.model,
            loss_nano: found.losses_nano.iter().copied().min()?,
            data: found.data_hash,
            size_bytes: found.data_size_bytes,
        })
    }))
}

/// The data of a winner, verified; none where the network does not keep it any more, or something else.
///
/// # Errors
/// When the node does not answer, or this machine's disk has no room.
pub async fn data(node: &NodeClient, winner: &Winner) -> Result<Option<Vec<u8>>, ClientError> {
    let expected = Expected {
        hash: winner.data,
        size_bytes: winner.size_bytes,
    };
    let found = match node.blob(expected).await {
        // The node then asks the submitter's host.
        Err(error) if error.is_not_found() => node.target_data(&winner.target, expected).await,
        found => found,
    };
    match found {
        Ok(blob) => {
            let bytes = blob.bytes().map_err(|error| {
                ClientError::Argument(format!(
                    "the data of target {} cannot be read: {error}",
                    winner.target
                ))
            })?;
            Ok(Some(bytes.to_vec()))
        }
        Err(error) if error.is_passing() => Err(error),
        // Neither the node nor the submitter's host has it, or what they have is something else.
        Err(ClientError::Problem(_) | ClientError::WrongHash { .. } | ClientError::WrongSize { .. }) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_cast::Store;

    #[tokio::test]
    async fn data_is_verified_and_what_is_gone_is_none() {
        let store = Store::keeping(vec![b"kept".to_vec()]);
        let winner = |bytes: &[u8], size_bytes| Winner {
            target: TargetId([1; 32]),
            epoch: Epoch(1),
            submission: SubmissionId([2; 32]),
            model: ModelId([3; 32]),
            loss_nano: 1,
            data: ContentHash::of(bytes),
            size_bytes,
        };
        let found =
            async |bytes: &[u8], size_bytes| data(&store.node, &winner(bytes, size_bytes)).await.unwrap();
        assert_eq!(found(b"kept", 4).await, Some(b"kept".to_vec()));
        // Neither the store nor the target's own path has it; what has the name is not what was announced.
        assert_eq!(found(b"gone", 4).await, None);
        assert_eq!(found(b"kept", 5).await, None);
    }
}
