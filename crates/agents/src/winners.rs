//! Data that won: what the network publishes of its competition, latest first.

use soma_client::{ClientError, NodeClient, TargetFilter, WonFacts};
use soma_types::{Epoch, api::PAGE_ITEMS_MAX, phase::TargetPhase};

/// The winners of the epochs from `since` on, latest first: at most `limit` that `wants` admits. Those that
/// were found false are none.
///
/// # Errors
/// When the node does not answer, or not as its interface promises.
pub async fn winners(
    node: &NodeClient,
    since: Epoch,
    limit: usize,
    wants: impl Fn(&WonFacts) -> bool,
) -> Result<Vec<WonFacts>, ClientError> {
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
                if let Some(winner) = node.won(&view).await?
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

/// The data of a winner, verified; none where it cannot be had.
///
/// # Errors
/// When the node does not answer, or this machine's disk has no room.
pub async fn data(node: &NodeClient, winner: &WonFacts) -> Result<Option<Vec<u8>>, ClientError> {
    match node.fetch_won(winner).await {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.is_of_content() => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use soma_types::{Address, ContentHash, ModelId, SubmissionId, TargetId, provenance::Provenance};

    use super::*;
    use crate::test_cast::Store;

    #[tokio::test]
    async fn data_is_verified_and_what_is_gone_is_none() {
        let store = Store::keeping(vec![b"kept".to_vec()]);
        let winner = |bytes: &[u8], size_bytes| WonFacts {
            epoch: Epoch(1),
            win: 0,
            target: TargetId([1; 32]),
            submission: SubmissionId([2; 32]),
            submitter: Address([4; 32]),
            model: ModelId([3; 32]),
            loss_nano: 1,
            cross_entropy_nano: 1,
            dot_q30: 1,
            size_bytes,
            hash: ContentHash::of(bytes),
            provenance: Provenance::default(),
        };
        let found =
            async |bytes: &[u8], size_bytes| data(&store.node, &winner(bytes, size_bytes)).await.unwrap();
        assert_eq!(found(b"kept", 4).await, Some(b"kept".to_vec()));
        // Neither the store nor the submission's own path has it; what has the name is other than announced.
        assert_eq!(found(b"gone", 4).await, None);
        assert_eq!(found(b"kept", 5).await, None);
    }
}
