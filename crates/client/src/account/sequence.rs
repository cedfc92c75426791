//! What an account knows: of its own transactions, and of what the next is built from.

use std::{sync::Arc, time::Instant};

use soma_types::{
    ChainId, Shannons, SignedTransaction, TransactionHash, objects::EpochState, params::Params,
};

/// How often a transaction is rebuilt when the node names another nonce, fee, epoch or chain.
pub(super) const REBUILDS_MAX: u32 = 5;

/// What an account knows of its own transactions.
#[derive(Debug, Default)]
pub(super) struct Sequence {
    pub next_nonce: Option<u64>,
    /// The transaction that this nonce follows.
    pub last: Option<TransactionHash>,
    pub context: Option<Context>,
    /// When the node was last seen to keep up with its network.
    pub caught_up: Option<Instant>,
}

/// What a transaction is built from.
#[derive(Clone, Debug)]
pub(super) struct Context {
    pub chain: ChainId,
    pub params: Arc<Params>,
    /// The epoch in progress.
    pub now: EpochState,
    pub fetched: Instant,
}

impl Context {
    pub(super) fn fee(&self, transaction: &SignedTransaction) -> Shannons {
        self.now.fee_of(&self.params, transaction.encode().len() as u64)
    }
}
