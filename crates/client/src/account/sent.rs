//! A transaction that was handed in.

use std::sync::Arc;

use soma_types::{Epoch, SignedTransaction, TransactionHash};

use crate::{blocking::blocking, error::ClientError, outbox::Kept};

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

    /// Forgets it: whoever asked for it is told of its end.
    pub(crate) async fn forget(&self) -> Result<(), ClientError> {
        // What ended has ended, also where the disk refuses: it is looked up once more, at worst.
        let kept = Arc::clone(&self.kept);
        let _ = blocking(move || kept.forget()).await?;
        Ok(())
    }

    /// The error that it can no longer be included.
    pub(super) fn expired(&self) -> ClientError {
        ClientError::Expired {
            hash: self.hash,
            expires: self.expires(),
        }
    }
}
