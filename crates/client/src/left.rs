//! What was left behind on this machine: handed in, and nobody was told how it ended.

use soma_types::{Receipt, SignedTransaction};

use crate::{blocking::blocking, error::ClientError, journal::Journal, node::NodeClient};

/// A transaction that was left behind.
#[derive(Clone, Debug)]
pub struct LeftBehind {
    /// What was handed in.
    pub transaction: SignedTransaction,
    /// What became of it, as the node knows by now.
    pub receipt: Option<Receipt>,
}

/// The transactions that `journal` keeps for the node's network, by sender and nonce.
///
/// Looking at one does not forget it, though it has ended: the same deed goes on with it, and is not done a
/// second time. An epoch after its last it is forgotten.
///
/// # Errors
/// When the node or the disk fails.
pub async fn left_behind(node: &NodeClient, journal: &Journal) -> Result<Vec<LeftBehind>, ClientError> {
    let status = node.status().await?;
    let (chain, journal) = (status.chain, journal.clone());
    let outboxes = blocking(move || journal.outboxes(&chain)).await??;
    let mut left = Vec::new();
    for outbox in outboxes {
        let kept = outbox.clone();
        for transaction in blocking(move || kept.all()).await?? {
            // By then nobody waits for it any more, and no node lags that far.
            if transaction.transaction.expires.next() < status.epoch {
                let (outbox, hash) = (outbox.clone(), transaction.hash());
                // Whoever waits for it forgets it themselves.
                blocking(move || match outbox.claim(&hash)? {
                    Some(kept) => kept.forget(),
                    None => Ok(()),
                })
                .await??;
                continue;
            }
            let view = node.transaction_of(&transaction).await?;
            left.push(LeftBehind {
                transaction,
                receipt: view.and_then(|view| view.receipt),
            });
        }
    }
    left.sort_by_key(|left| {
        let body = &left.transaction.transaction;
        (body.sender.address(), body.nonce)
    });
    Ok(left)
}
