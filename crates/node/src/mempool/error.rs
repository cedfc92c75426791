//! Why a transaction is not taken up.

use soma_types::{Epoch, Rejection, Shannons, TransactionHash};

use super::limits::EXPIRY_EPOCHS_MAX;

/// Why a transaction is not taken up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PoolError {
    /// The ledger would not take it.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// It waits already.
    #[error("transaction {0} waits already")]
    Known(TransactionHash),
    /// Another of the sender's with this nonce waits.
    #[error(
        "another transaction with nonce {nonce} waits: to replace it, sign with a max_fee of at least {needed} SOMA"
    )]
    NonceTaken {
        /// The nonce.
        nonce: u64,
        /// The least fee limit that replaces it.
        needed: Shannons,
    },
    /// It may wait for too long.
    #[error(
        "it expires in epoch {expires}, this is epoch {now}: sign with an expiry at most {EXPIRY_EPOCHS_MAX} epochs ahead"
    )]
    ExpiresLate {
        /// The last epoch in which it may be included.
        expires: Epoch,
        /// The epoch in progress.
        now: Epoch,
    },
    /// The sender's balance does not pay for its queue.
    #[error(
        "the balance is {balance} SOMA, and what waits with this one may need more: wait for a block, or add to the balance"
    )]
    Unfunded {
        /// What the sender has in the finalized state.
        balance: Shannons,
    },
    /// The sender has its share.
    #[error(
        "the sender has {0} transactions waiting, its share of the room that others leave: wait for a block"
    )]
    SenderFull(usize),
    /// There is no room.
    #[error("the mempool is full: try again after a block")]
    Full,
    /// Before the first block there is no state.
    #[error("the network has no block yet: try again in a second")]
    NotStarted,
}
