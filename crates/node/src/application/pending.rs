//! Blocks that are executed and not final: what came of them, and what they hold.

use std::{collections::BTreeMap, sync::Arc};

use commonware_utils::sync::Mutex;
use soma_types::VerifiedTransaction;

use crate::{
    consensus::Digest,
    machine::{Ahead, Executed},
};

/// One of them.
struct Branch<O> {
    parent: Digest,
    transactions: Vec<VerifiedTransaction>,
    /// Until it is taken.
    outcome: Option<O>,
}

/// By height and digest.
type Branches<O> = BTreeMap<(u64, Digest), Branch<O>>;

/// All of them. Clones share.
pub(super) struct Pending<O>(Arc<Mutex<Branches<O>>>);

impl<O> Clone for Pending<O> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<O> Default for Pending<O> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<O> Pending<O> {
    /// The block at `height` with this `digest` was executed on `parent`.
    pub fn insert(&self, height: u64, digest: Digest, parent: Digest, executed: Executed<O>) {
        let branch = Branch {
            parent,
            transactions: executed.transactions,
            outcome: Some(executed.outcome),
        };
        self.0.lock().insert((height, digest), branch);
    }

    /// What came of a block that becomes final. What it holds stays known until [`Self::finalized`].
    pub fn take(&self, height: u64, digest: Digest) -> Option<Executed<O>> {
        let mut blocks = self.0.lock();
        let branch = blocks.get_mut(&(height, digest))?;
        Some(Executed {
            outcome: branch.outcome.take()?,
            transactions: branch.transactions.clone(),
        })
    }

    /// Where senders stand behind the block at `height` with this `digest` and its ancestors.
    pub fn ahead(&self, height: u64, digest: Digest) -> Ahead {
        let blocks = self.0.lock();
        let (mut height, mut digest) = (height, digest);
        let mut ahead = Ahead::default();
        while let Some(branch) = blocks.get(&(height, digest)) {
            branch
                .transactions
                .iter()
                .for_each(|transaction| ahead.hold(transaction));
            (height, digest) = (height.saturating_sub(1), branch.parent);
        }
        ahead
    }

    /// Forgets a final block's height and what is below: it will not be asked for again.
    pub fn finalized(&self, height: u64) {
        let mut blocks = self.0.lock();
        *blocks = blocks.split_off(&(height + 1, Digest::from([0; 32])));
    }
}
