//! Transactions that wait for a block.
//!
//! Whoever hands one in, a client or a peer, it is taken up only if a block on the finalized state could hold
//! it behind those of its sender that wait before it: its nonce follows theirs, its expiry and fee are in
//! order, and the sender's balance pays the fee after all that they may take. So everything that waits can be
//! included, in the order in which it came, and leaves in one of four ways: a block includes it, it expires,
//! it is replaced, or the ledger, as the last finalized block left it, refuses it.
//!
//! Upon a finalized block: what it holds leaves; the senders of what it holds are asked about again; in a new
//! epoch, with its fees, all are.
//!
//! Bounds: [`Limits`]. One sender has a [`SHARE`] of the room that the others leave, so that a few never take
//! all of it, and nothing that was taken up is displaced. A fee limit buys no place: it is never charged.
//!
//! Order: first come, first served, each sender's in the order of nonces. What blocks that are not final yet
//! hold is left out ([`Ahead`]): proposals that follow each other do not offer the same twice.
//!
//! Replacement: a transaction takes the place of another with its nonce if its fee limit is at least twice as
//! high, and the balance covers that. So often a balance can be doubled, and no more, is one place replaced
//! and told to the others.

mod error;
mod limits;
mod queue;
mod waiting;

use std::sync::Arc;

use bytes::Bytes;
use commonware_utils::sync::Mutex;
use soma_ledger::{Missing, State, Terms, view};
use soma_types::{
    Address, ChainId, Rejection, TransactionHash, VerifiedTransaction, objects::Account,
    transaction::TRANSACTION_BYTES_MAX,
};

use self::waiting::Waiting;
pub use self::{
    error::PoolError,
    limits::{EXPIRY_EPOCHS_MAX, Limits, SHARE},
};
use crate::{
    execution::{Bridge, Source, retry},
    machine::{Ahead, Pool},
};

/// The pool. Clones share.
#[derive(Clone)]
pub struct Mempool {
    chain: ChainId,
    waiting: Arc<Mutex<Waiting>>,
}

impl Mempool {
    /// An empty pool for network `chain`. It takes nothing up before it has seen the state
    /// ([`Pool::finalized`]).
    #[must_use]
    pub fn new(chain: ChainId, limits: Limits) -> Self {
        Self {
            chain,
            waiting: Arc::new(Mutex::new(Waiting::new(limits))),
        }
    }

    /// Decodes and checks what needs no state. A transaction that waits was checked already.
    ///
    /// # Errors
    /// The first check that fails.
    pub fn decode(&self, encoded: Bytes) -> Result<VerifiedTransaction, Rejection> {
        self.known(&encoded)
            .map_or_else(|| VerifiedTransaction::decode(encoded, &self.chain), Ok)
    }

    /// [`Self::decode`] of each of `encoded`, in their order and together.
    pub fn decode_all(&self, encoded: Vec<Bytes>) -> Vec<Result<VerifiedTransaction, Rejection>> {
        let mut waiting: Vec<Option<VerifiedTransaction>> = Vec::with_capacity(encoded.len());
        let mut unknown = Vec::new();
        for encoded in encoded {
            let known = self.known(&encoded);
            if known.is_none() {
                unknown.push(encoded);
            }
            waiting.push(known);
        }
        let mut decoded = VerifiedTransaction::decode_all(unknown, &self.chain).into_iter();
        let mut next = || decoded.next().expect("one for each that is unknown");
        waiting
            .into_iter()
            .map(|known| known.map_or_else(&mut next, Ok))
            .collect()
    }

    /// The waiting transaction with this encoding.
    fn known(&self, encoded: &[u8]) -> Option<VerifiedTransaction> {
        (encoded.len() <= TRANSACTION_BYTES_MAX)
            .then(|| self.get(&TransactionHash::of(encoded)))
            .flatten()
    }

    /// Takes up a transaction that [`Self::decode`] has checked, whose sender has `account` in the finalized
    /// state. That state must not change meanwhile: hold the lock under which it was read.
    ///
    /// # Errors
    /// Why it is not taken up. Then nothing has changed.
    pub fn insert(&self, transaction: VerifiedTransaction, account: Account) -> Result<(), PoolError> {
        self.waiting.lock().insert(transaction, account)
    }

    /// Whether it has seen a state to judge by.
    #[must_use]
    pub fn has_terms(&self) -> bool {
        self.waiting.lock().has_terms()
    }

    /// A waiting transaction.
    #[must_use]
    pub fn get(&self, hash: &TransactionHash) -> Option<VerifiedTransaction> {
        self.waiting.lock().get(hash).cloned()
    }

    /// The nonce to sign with next: the first from `ledger` on that no waiting transaction uses.
    #[must_use]
    pub fn next_nonce(&self, sender: &Address, ledger: u64) -> u64 {
        self.waiting.lock().next_nonce(sender).unwrap_or(0).max(ledger)
    }

    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.lock().len()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Pool for Mempool {
    fn candidates(&self, ahead: &Ahead) -> Vec<VerifiedTransaction> {
        self.waiting.lock().candidates(ahead)
    }

    async fn finalized<S: Source + Send>(&self, included: &[VerifiedTransaction], state: S) {
        let touched = self.waiting.lock().waiting_of(included);
        let mut bridge = Bridge::new(state);
        let read = |state: &mut dyn State| Ok((Terms::load(state)?, view::accounts(state, &touched)?));
        let answer: Result<_, soma_ledger::Error> = bridge
            .run(|state| -> Result<_, Missing> { retry(read(state)) })
            .await;
        // A node whose state is unsound must stop rather than vote.
        let (terms, accounts) = answer.unwrap_or_else(|error| panic!("{error}"));
        if let Some(terms) = terms {
            self.waiting
                .lock()
                .settle(terms, touched.into_iter().zip(accounts));
        }
    }
}
