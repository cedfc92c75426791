//! The real ledger, driven block by block with nothing around it: no network, no signatures, no disk.
//!
//! Signatures say nothing about an economy, so accounts are public keys without secrets, and the
//! ledger is told that every signature was checked.

use std::collections::BTreeMap;

use soma_ledger::{Block, Error, Executor, MemoryState, RoutingCache, initialize, view};
use soma_types::{
    Address, ChainId, Epoch, Height, PublicKey, Receipt, Rejection, Seed, Shannons, Signature,
    SignedTransaction, Transaction, TransactionKind, VerifiedTransaction,
    event::Event,
    genesis::Genesis,
    hash::domain_hash,
    objects::{EpochRecord, EpochState, SupplyBreakdown},
};

use crate::SimError;

/// Someone with an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Actor {
    key: PublicKey,
    /// Its account.
    pub address: Address,
}

impl Actor {
    /// The `index`th account of those who play this `role`.
    #[must_use]
    pub fn new(role: &str, index: u64) -> Self {
        let key = PublicKey(domain_hash(
            "soma 2026 sim actor",
            &[role.as_bytes(), &index.to_le_bytes()],
        ));
        let address = key.address();
        Self { key, address }
    }

    /// The key its validator's node would sign with.
    #[must_use]
    pub fn network_key(&self) -> PublicKey {
        PublicKey(domain_hash("soma 2026 sim network key", &[&self.key.0]))
    }
}

/// A transaction someone wants in the next block.
#[derive(Clone, Debug)]
pub struct Intent {
    /// Who acts.
    pub by: Actor,
    /// What they do.
    pub kind: TransactionKind,
}

/// What became of a block.
#[derive(Debug)]
pub struct Done {
    /// Whether it began an epoch.
    pub boundary: bool,
    /// For each intent its receipt, or why it was not even included.
    pub receipts: Vec<Result<Receipt, Rejection>>,
    /// What changed before the transactions.
    pub events: Vec<Event>,
}

/// A network's ledger, and what its users must remember to write to it.
#[derive(Clone, Debug)]
pub struct Chain {
    /// The ledger's state.
    pub state: MemoryState,
    cache: RoutingCache,
    id: ChainId,
    height: Height,
    seed: Seed,
    nonces: BTreeMap<Address, u64>,
}

impl Chain {
    /// A network at its genesis; `seed` stands for its threshold VRF.
    ///
    /// # Errors
    /// When the genesis is not valid.
    pub fn new(genesis: &Genesis, seed: u64) -> Result<Self, SimError> {
        let mut state = MemoryState::new();
        initialize(&mut state, genesis)?;
        Ok(Self {
            state,
            cache: RoutingCache::new(),
            id: genesis.chain_id(),
            height: Height::ZERO,
            seed: Seed(domain_hash("soma 2026 sim beacon", &[&seed.to_le_bytes()])),
            nonces: BTreeMap::new(),
        })
    }

    /// Executes the next block.
    ///
    /// # Errors
    /// Only when the ledger is broken: refused and failed transactions are part of the answer.
    pub fn block(&mut self, proposer: Address, intents: Vec<Intent>) -> Result<Done, SimError> {
        self.height = self.height.next();
        let mut executor = Executor::new(Block {
            height: self.height,
            seed: self.seed.derive("block", self.height.0),
            timestamp_ms: self.height.0 * 250,
            proposer: Some(proposer),
        });
        executor.begin(&mut self.state, &mut self.cache)?;
        let mut receipts = Vec::with_capacity(intents.len());
        for intent in intents {
            let nonce = self.nonces.entry(intent.by.address).or_default();
            let transaction = VerifiedTransaction::assume_verified(SignedTransaction {
                transaction: Transaction {
                    chain: self.id,
                    sender: intent.by.key,
                    nonce: *nonce,
                    expires: Epoch(u64::MAX),
                    max_fee: Shannons(u64::MAX),
                    kind: intent.kind,
                },
                signature: Signature([0; 64]),
            });
            receipts.push(match executor.apply(&mut self.state, &transaction)? {
                Ok(receipt) => {
                    *nonce += 1;
                    Ok(receipt.clone())
                }
                Err(rejection) => Err(rejection),
            });
        }
        let outcome = executor.end(&mut self.state)?;
        Ok(Done {
            boundary: outcome.boundary,
            receipts,
            events: outcome.events,
        })
    }

    /// The last block's height.
    #[must_use]
    pub const fn height(&self) -> Height {
        self.height
    }

    /// The epoch in progress.
    ///
    /// # Errors
    /// When the ledger is broken.
    pub fn epoch(&mut self) -> Result<EpochState, SimError> {
        present(view::epoch(&mut self.state)?, "epoch")
    }

    /// A closed epoch.
    ///
    /// # Errors
    /// When it is not over.
    pub fn record(&mut self, epoch: Epoch) -> Result<EpochRecord, SimError> {
        present(view::epoch_record(&mut self.state, epoch)?, "epoch record")
    }

    /// Where every shannon is.
    ///
    /// # Errors
    /// When the ledger is broken.
    pub fn supply(&mut self) -> Result<SupplyBreakdown, SimError> {
        present(view::supply(&mut self.state)?, "supply")
    }

    /// What `actor` can spend.
    ///
    /// # Errors
    /// When the ledger is broken.
    pub fn balance(&mut self, actor: Actor) -> Result<Shannons, SimError> {
        Ok(view::account(&mut self.state, actor.address)?.balance)
    }
}

/// What the ledger must have.
pub(crate) fn present<T>(value: Option<T>, what: &'static str) -> Result<T, SimError> {
    value.ok_or(SimError::Absent(what))
}

impl From<Error> for SimError {
    fn from(error: Error) -> Self {
        Self::Ledger(error)
    }
}
