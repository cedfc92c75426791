//! Follows a signed transaction to its end.
//!
//! Asks for the receipt; if the node has forgotten the transaction, hands the same bytes in again, which
//! cannot make it happen twice. Lost answers are borne until the time limit. It ends with a receipt, with the
//! certainty that there will never be one, or with an error that says that it may still happen.
//!
//! That a node does not know a transaction is no certainty: behind one address several may answer, and one
//! may lag. What takes a transaction's place for certain is another that was included under its nonce, or the
//! end of its last epoch with the nonce unused.

use std::time::{Duration, Instant};

use soma_types::{Receipt, RejectionCode as Code, SignedTransaction};

use crate::{error::ClientError, node::NodeClient};

const POLL_DELAY_FIRST: Duration = Duration::from_millis(50);
const POLL_DELAY_MAX: Duration = Duration::from_millis(500);
/// How long the node may not know a transaction before it is handed in again.
const RESEND_DELAY: Duration = Duration::from_secs(2);
/// A node that has executed a block finds its transactions by name at the latest so long after.
const INDEX_DELAY: Duration = Duration::from_secs(2);

/// How a transaction ended.
#[derive(Clone, Debug, PartialEq)]
pub enum End {
    /// It was included: it took effect, or failed.
    Included(Receipt),
    /// It never happens: another was included under its nonce.
    Superseded,
    /// It never happens: its last epoch is over.
    Expired,
}

/// What handing the same bytes in again showed.
pub(crate) enum Resent {
    /// It waits for a block.
    Waits,
    /// It has ended.
    Ended(End),
    /// Nothing: this came instead.
    Heard(ClientError),
}

/// Follows `transaction`, for at most `wait`.
///
/// An error is [`ClientError::OutcomeUnknown`] or [`ClientError::StillWaiting`].
///
/// # Errors
/// [`ClientError::OutcomeUnknown`] or [`ClientError::StillWaiting`]: it may still happen.
pub async fn follow(
    node: &NodeClient,
    transaction: &SignedTransaction,
    wait: Duration,
) -> Result<End, ClientError> {
    follow_from(node, transaction, wait, None, |_| {}).await
}

/// [`follow`], where `heard` was the answer to handing it in, and `tell` is told when the node does not
/// answer.
pub(crate) async fn follow_from(
    node: &NodeClient,
    transaction: &SignedTransaction,
    wait: Duration,
    mut heard: Option<ClientError>,
    tell: impl Fn(&ClientError),
) -> Result<End, ClientError> {
    let start = Instant::now();
    let mut delay = POLL_DELAY_FIRST;
    let mut unknown_since: Option<Instant> = None;
    loop {
        match node.transaction_of(transaction).await {
            Ok(Some(view)) => {
                if let Some(receipt) = view.receipt {
                    return Ok(End::Included(receipt));
                }
                (unknown_since, heard) = (None, None);
            }
            Ok(None) if unknown_since.get_or_insert_with(Instant::now).elapsed() > RESEND_DELAY => {
                unknown_since = None;
                match resend(node, transaction).await {
                    Resent::Waits => heard = None,
                    Resent::Ended(end) => return Ok(end),
                    Resent::Heard(error) => heard = Some(error),
                }
            }
            Ok(None) => {}
            // The node may be restarting; the time limit decides.
            Err(error) => {
                tell(&error);
                heard = Some(error);
            }
        }
        if start.elapsed() > wait {
            return Err(match heard {
                Some(cause) => unknown(transaction, cause),
                None => ClientError::StillWaiting {
                    hash: transaction.hash(),
                    expires: transaction.transaction.expires,
                    waited: start.elapsed(),
                },
            });
        }
        tokio::time::sleep(delay).await;
        delay = (delay * 2).min(POLL_DELAY_MAX);
    }
}

/// Hands the same bytes in again.
pub(crate) async fn resend(node: &NodeClient, transaction: &SignedTransaction) -> Resent {
    let error = match node.submit(transaction).await {
        Ok(_) => return Resent::Waits,
        Err(ClientError::OutcomeUnknown { cause, .. }) => *cause,
        Err(error) => error,
    };
    match error.rejection_code() {
        // A transaction before it got lost too, and whoever waits for that one hands it in again; or one with
        // its nonce waits, and inclusion decides between the two.
        Some(Code::NonceAhead) => return Resent::Waits,
        // Another was included, or this one itself.
        Some(Code::NonceUsed | Code::Expired) => {}
        _ if error.is_conflict() => return Resent::Waits,
        _ => return Resent::Heard(error),
    }
    let start = Instant::now();
    loop {
        match look_up(node, transaction).await {
            Ok(Place::Waits) => return Resent::Waits,
            Ok(Place::Included(receipt)) => return Resent::Ended(End::Included(receipt)),
            Ok(Place::Another) => return Resent::Ended(End::Superseded),
            Ok(Place::Free) if start.elapsed() > INDEX_DELAY => {
                return match error.rejection_code() {
                    Some(Code::Expired) => Resent::Ended(End::Expired),
                    _ => Resent::Heard(error),
                };
            }
            Ok(Place::Hidden) if start.elapsed() > INDEX_DELAY => return Resent::Heard(error),
            Ok(Place::Free | Place::Hidden) => tokio::time::sleep(POLL_DELAY_MAX).await,
            Err(error) => return Resent::Heard(error),
        }
    }
}

/// What a node tells of a transaction's place in its sender's order.
enum Place {
    /// It is this one's, in a block to come.
    Waits,
    /// It is this one's.
    Included(Receipt),
    /// It is another's.
    Another,
    /// It is nobody's.
    Free,
    /// It is taken, and by which does not show yet.
    Hidden,
}

async fn look_up(node: &NodeClient, transaction: &SignedTransaction) -> Result<Place, ClientError> {
    if let Some(view) = node.transaction_of(transaction).await? {
        return Ok(view.receipt.map_or(Place::Waits, Place::Included));
    }
    let (sender, nonce) = (
        transaction.transaction.sender.address(),
        transaction.transaction.nonce,
    );
    if node.account(&sender).await?.nonce <= nonce {
        return Ok(Place::Free);
    }
    Ok(match node.transaction_at(&sender, nonce).await? {
        Some(view) if view.hash != transaction.hash() => Place::Another,
        _ => Place::Hidden,
    })
}

/// It may still happen; `cause` is the last that was heard.
pub(crate) fn unknown(transaction: &SignedTransaction, cause: ClientError) -> ClientError {
    ClientError::OutcomeUnknown {
        hash: transaction.hash(),
        expires: transaction.transaction.expires,
        cause: Box::new(cause),
    }
}
