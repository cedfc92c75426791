//! A transaction that was handed in.

use std::sync::Arc;

use soma_types::{Epoch, SignedTransaction, TransactionHash};

use crate::{error::ClientError, outbox::Kept};

/// A transaction that was handed in. As long as it is held, it counts as waited for.
#[derive(Clone, Debug)]
pub struct Sent {
    /// Its name.
    pub hash: TransactionHash,
    /// Itself, to be handed in again.
    pub transaction: SignedTransaction,
    /// Whether it was left behind by an earlier call, and handed in again.
    pub resumed: bool,
    pub(super) kept: Arc<Kept>,
}

impl Sent {
    pub(super) fn new(kept: Kept, resumed: bool) -> Self {
        let transaction = kept.transaction().clone();
        Self {
            hash: transaction.hash(),
            transaction,
            resumed,
            kept: Arc::new(kept),
        }
    }

    /// The last epoch in which it can be included.
    pub fn expires(&self) -> Epoch {
        self.transaction.transaction.expires
    }

    /// The error that it can no longer be included.
    pub(super) fn expired(&self) -> ClientError {
        ClientError::Expired {
            hash: self.hash,
            expires: self.expires(),
        }
    }
}
