//! What was left behind on this machine and may still happen.

use soma_types::SignedTransaction;

use crate::{blocking::blocking, error::ClientError, journal::Journal, node::NodeClient};

/// The transactions that `journal` keeps for the node's network and whose end is not known, by sender and
/// nonce. Those that turn out to have ended, or can no longer happen, are forgotten.
///
/// # Errors
/// When the node or the disk fails.
pub async fn left_behind(
    node: &NodeClient,
    journal: &Journal,
) -> Result<Vec<SignedTransaction>, ClientError> {
    let status = node.status().await?;
    let (chain, journal) = (status.chain, journal.clone());
    let outboxes = blocking(move || journal.outboxes(&chain)).await??;
    let mut left = Vec::new();
    for outbox in outboxes {
        let kept = outbox.clone();
        for signed in blocking(move || kept.all()).await?? {
            let over = match node.transaction_of(&signed).await? {
                Some(view) => view.receipt.is_some(),
                // An epoch later nobody waits for it any more, and no node lags that far.
                None => signed.transaction.expires.next() < status.epoch,
            };
            if !over {
                left.push(signed);
                continue;
            }
            let (outbox, hash) = (outbox.clone(), signed.hash());
            // Whoever waits for it forgets it themselves.
            blocking(move || match outbox.claim(&hash)? {
                Some(kept) => kept.forget(),
                None => Ok(()),
            })
            .await??;
        }
    }
    left.sort_by_key(|signed| (signed.transaction.sender.address(), signed.transaction.nonce));
    Ok(left)
}
