//! What the engine asks of the state machine it replicates, and of those who feed and watch it.

use std::{collections::HashMap, future::Future};

use bytes::Bytes;
use soma_types::{Address, VerifiedTransaction};

use crate::{
    block::Block,
    consensus::{Digest, Identity},
    execution::{Bridge, Source},
};

/// What execution may know about the block it executes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockContext {
    /// The block that it is executed on. Blocks on one parent are executed on one state.
    pub parent: Digest,
    /// Number of ancestors; the first executed block has 1 and installs the genesis state.
    pub height: u64,
    /// Milliseconds since 1970, by the proposer's clock. Information only: rules count blocks.
    pub timestamp_ms: u64,
    /// Unforeseeable bytes.
    pub seed: [u8; 32],
    /// Who proposed the block.
    pub proposer: Identity,
}

/// What to do with a transaction that may not enter a block at all (stale nonce, expired, underfunded).
/// One that enters and then fails in execution is no such case: it pays its fee.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inadmissible {
    /// Leave it out: we are building the block.
    Drop,
    /// The block is invalid: its proposer knew better.
    Reject,
}

/// A block was executed.
#[derive(Clone, Debug)]
pub struct Executed<O> {
    /// The transactions that are in the block.
    pub transactions: Vec<VerifiedTransaction>,
    /// What they led to.
    pub outcome: O,
}

/// Why a block may never be accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("transaction {index} may not enter a block: {reason}")]
pub struct Invalid {
    /// Position of the offending transaction.
    pub index: usize,
    /// Name of the ledger's refusal.
    pub reason: String,
}

/// A deterministic state machine.
pub trait Machine: Clone + Send + Sync + 'static {
    /// Receipts and events of one block.
    type Outcome: Clone + Send + Sync + 'static;

    /// The transactions of a block that someone else may have made: decoded, for this network, and signed.
    ///
    /// # Errors
    /// If one is not.
    fn verify(&self, transactions: &[Bytes]) -> Result<Vec<VerifiedTransaction>, Invalid>;

    /// Executes `transactions` as block `block` on the state behind `bridge`. Proposing, verifying
    /// and replaying a block all run this one function.
    ///
    /// # Errors
    /// [`Invalid`] under [`Inadmissible::Reject`] only.
    fn execute<S: Source + Send>(
        &self,
        bridge: &mut Bridge<S>,
        block: &BlockContext,
        transactions: Vec<VerifiedTransaction>,
        inadmissible: Inadmissible,
    ) -> impl Future<Output = Result<Executed<Self::Outcome>, Invalid>> + Send;

    /// The root of the receipts in `outcome`, which a block's header names.
    fn receipts_root(&self, outcome: &Self::Outcome) -> Digest;

    /// Whether the block after the one that led to `outcome` takes so long that it is best begun at once.
    fn is_worth_preparing(&self, outcome: &Self::Outcome) -> bool;

    /// Begins the block at `height` on `parent`, whatever it will be, on the state behind `source`. What is
    /// done stays done for [`Self::execute`], also if this is given up.
    fn prepare<S: Source + Send>(
        &self,
        height: u64,
        parent: Digest,
        source: S,
    ) -> impl Future<Output = ()> + Send;
}

/// Where senders will stand once blocks are final that are not yet: the next nonce of each of whom they hold
/// something.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ahead(HashMap<Address, u64>);

impl Ahead {
    /// A block of the branch holds `transaction`.
    pub fn hold(&mut self, transaction: &VerifiedTransaction) {
        let after = transaction.transaction().nonce.saturating_add(1);
        let next = self.0.entry(transaction.sender()).or_insert(after);
        *next = after.max(*next);
    }

    /// The first nonce of `sender` that no block of the branch holds; 0 if they hold nothing of theirs.
    #[must_use]
    pub fn next(&self, sender: &Address) -> u64 {
        self.0.get(sender).copied().unwrap_or(0)
    }
}

/// Supplies transactions to a proposer.
pub trait Pool: Clone + Send + Sync + 'static {
    /// Candidates for a block behind the final ones and those of `ahead`, at most
    /// [`BLOCK_TRANSACTIONS_MAX`](crate::block::BLOCK_TRANSACTIONS_MAX) and
    /// [`BLOCK_BYTES_MAX`](crate::block::BLOCK_BYTES_MAX), best first and each sender's in order of nonce.
    fn candidates(&self, ahead: &Ahead) -> Vec<VerifiedTransaction>;

    /// Takes notice of a finalized block that holds `included` and led to `state`.
    fn finalized<S: Source + Send>(
        &self,
        included: &[VerifiedTransaction],
        state: S,
    ) -> impl Future<Output = ()> + Send;
}

/// Watches the chain.
pub trait Observer<O>: Clone + Send + 'static {
    /// A block was proposed by this node, or arrived and was found valid, at local time `now_ms`.
    fn seen(&self, block: &Block, now_ms: u64);

    /// `block` is final, was `executed`, and its state is applied. May be called again for the same block
    /// after a crash. What it must keep is durable when it returns.
    fn finalized(&self, block: &Block, executed: Executed<O>, now_ms: u64)
    -> impl Future<Output = ()> + Send;
}
