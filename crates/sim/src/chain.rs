//! The real ledger, driven block by block with nothing around it: no network, no signatures, no disk.
//!
//! Signatures say nothing about an economy, so accounts are public keys without secrets, and the
//! ledger is told that every signature was checked.

use std::collections::BTreeMap;

use soma_ledger::{MemoryState, Sandbox, view};
use soma_types::{
    Address, Epoch, Height, PublicKey, Receipt, Rejection, Seed, Shannons, TransactionKind,
    event::Event,
    genesis::Genesis,
    hash::domain_hash,
    objects::{EpochRecord, EpochState, SupplyBreakdown},
};

use crate::error::SimError;

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
    sandbox: Sandbox,
    nonces: BTreeMap<Address, u64>,
}

impl Chain {
    /// A network at its genesis; `seed` stands for its threshold VRF.
    ///
    /// # Errors
    /// When the genesis is not valid.
    pub fn new(genesis: &Genesis, seed: u64) -> Result<Self, SimError> {
        let seed = Seed(domain_hash("soma 2026 sim beacon", &[&seed.to_le_bytes()]));
        Ok(Self {
            sandbox: Sandbox::new(genesis, seed)?,
            nonces: BTreeMap::new(),
        })
    }

    /// Executes the next block.
    ///
    /// # Errors
    /// Only when the ledger is broken: refused and failed transactions are part of the answer.
    pub fn block(&mut self, proposer: Address, intents: Vec<Intent>) -> Result<Done, SimError> {
        let next = self.sandbox.next_block(Some(proposer));
        let mut block = self.sandbox.begin(next)?;
        let mut receipts = Vec::with_capacity(intents.len());
        for Intent { by, kind } in intents {
            let nonce = self.nonces.entry(by.address).or_default();
            let transaction = block.sandbox().transaction(by.key, *nonce, kind);
            receipts.push(match block.apply(&transaction)? {
                Ok(receipt) => {
                    *nonce += 1;
                    Ok(receipt.clone())
                }
                Err(rejection) => Err(rejection),
            });
        }
        let outcome = block.end()?;
        Ok(Done {
            boundary: outcome.boundary,
            receipts,
            events: outcome.events,
        })
    }

    /// The ledger's state.
    pub const fn state(&mut self) -> &mut MemoryState {
        &mut self.sandbox.state
    }

    /// The last block's height.
    #[must_use]
    pub const fn height(&self) -> Height {
        self.sandbox.height()
    }

    /// The epoch in progress.
    ///
    /// # Errors
    /// When the ledger is broken.
    pub fn epoch(&mut self) -> Result<EpochState, SimError> {
        present(view::epoch(self.state())?, "epoch")
    }

    /// A closed epoch.
    ///
    /// # Errors
    /// When it is not over.
    pub fn record(&mut self, epoch: Epoch) -> Result<EpochRecord, SimError> {
        present(view::epoch_record(self.state(), epoch)?, "epoch record")
    }

    /// Where every shannon is.
    ///
    /// # Errors
    /// When the ledger is broken.
    pub fn supply(&mut self) -> Result<SupplyBreakdown, SimError> {
        present(view::supply(self.state())?, "supply")
    }

    /// What `actor` can spend.
    ///
    /// # Errors
    /// When the ledger is broken.
    pub fn balance(&mut self, actor: Actor) -> Result<Shannons, SimError> {
        Ok(view::account(self.state(), actor.address)?.balance)
    }
}

/// What the ledger must have.
pub(crate) fn present<T>(value: Option<T>, what: &'static str) -> Result<T, SimError> {
    value.ok_or(SimError::Absent(what))
}
