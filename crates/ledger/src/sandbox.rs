//! A ledger in memory, driven block by block with nothing around it: no network, no signatures, no disk. For
//! simulations, benchmarks and tests.

use soma_types::{
    Address, ChainId, Epoch, Height, PublicKey, Receipt, Rejection, Seed, Shannons, Signature,
    SignedTransaction, Transaction, TransactionKind, VerifiedTransaction, genesis::Genesis,
};

use crate::{
    block::{BlockInfo, BlockOutcome},
    error::Error,
    execute::Executor,
    genesis::initialize,
    market::routing::RoutingCache,
    preparation::{Preparation, Progress},
    state::MemoryState,
};

/// Milliseconds from one block to the next.
const BLOCK_MS: u64 = 250;

/// A network's ledger.
#[derive(Clone, Debug)]
pub struct Sandbox {
    /// The ledger's state.
    pub state: MemoryState,
    /// What it keeps between blocks.
    pub cache: RoutingCache,
    chain: ChainId,
    genesis_ms: u64,
    height: Height,
    seed: Seed,
    /// What is done of the next block's beginning.
    ahead: Option<Preparation>,
}

impl Sandbox {
    /// A network at its genesis. Each block's seed is derived from `seed`, which stands for the threshold
    /// VRF.
    ///
    /// # Errors
    /// [`Error::Genesis`] when the genesis is not valid.
    pub fn new(genesis: &Genesis, seed: Seed) -> Result<Self, Error> {
        let mut state = MemoryState::new();
        let network = initialize(&mut state, genesis)?;
        Ok(Self {
            state,
            cache: RoutingCache::new(),
            chain: network.chain,
            genesis_ms: genesis.timestamp_ms,
            height: Height::ZERO,
            seed,
            ahead: None,
        })
    }

    /// The network's name in signatures.
    #[must_use]
    pub const fn chain(&self) -> ChainId {
        self.chain
    }

    /// The last block's height.
    #[must_use]
    pub const fn height(&self) -> Height {
        self.height
    }

    /// The next block, proposed by `proposer`.
    #[must_use]
    pub fn next_block(&self, proposer: Option<Address>) -> BlockInfo {
        let height = self.height.next();
        BlockInfo {
            height,
            seed: self.seed.derive("block", height.0),
            timestamp_ms: self.genesis_ms + BLOCK_MS * height.0,
            proposer,
        }
    }

    /// A transaction that never expires and pays any fee. Its signature is zeros, and taken as checked: so
    /// `sender` can be a key that nobody holds.
    #[must_use]
    pub fn transaction(&self, sender: PublicKey, nonce: u64, kind: TransactionKind) -> VerifiedTransaction {
        VerifiedTransaction::assume_verified(SignedTransaction {
            transaction: Transaction {
                chain: self.chain,
                sender,
                nonce,
                expires: Epoch(u64::MAX),
                max_fee: Shannons(u64::MAX),
                kind,
            },
            signature: Signature([0; 64]),
        })
    }

    /// Does the next part of what is to be done before the next block is known. Without that block the state
    /// is of no use any more.
    ///
    /// # Errors
    /// [`Error::Broken`].
    pub fn prepare(&mut self) -> Result<Progress, Error> {
        let next = self.height.next();
        let preparation = self.ahead.get_or_insert_with(|| Preparation::new(next));
        preparation.advance(&mut self.state, &mut self.cache)
    }

    /// Begins `block`, the next. A block that is begun must be ended: without that the state is of no use
    /// any more.
    ///
    /// # Errors
    /// [`Error::OutOfOrder`] when it is not the next, and [`Error::Broken`].
    pub fn begin(&mut self, block: BlockInfo) -> Result<OpenBlock<'_>, Error> {
        while self.prepare()? == Progress::More {}
        let preparation = self
            .ahead
            .take()
            .unwrap_or_else(|| Preparation::new(block.height));
        let mut executor = preparation.executor(block)?;
        executor.begin(&mut self.state, &mut self.cache)?;
        Ok(OpenBlock {
            executor,
            height: block.height,
            sandbox: self,
        })
    }
}

/// A block that takes transactions.
#[derive(Debug)]
pub struct OpenBlock<'a> {
    executor: Executor,
    height: Height,
    sandbox: &'a mut Sandbox,
}

impl OpenBlock<'_> {
    /// The ledger that it is a block of.
    #[must_use]
    pub const fn sandbox(&self) -> &Sandbox {
        self.sandbox
    }

    /// Executes a transaction. `Ok(Err(..))`: it is refused, and nothing changed.
    ///
    /// # Errors
    /// [`Error::Broken`].
    pub fn apply(&mut self, transaction: &VerifiedTransaction) -> Result<Result<&Receipt, Rejection>, Error> {
        self.executor.apply(&mut self.sandbox.state, transaction)
    }

    /// Ends the block.
    ///
    /// # Errors
    /// [`Error::Broken`].
    pub fn end(self) -> Result<BlockOutcome, Error> {
        let outcome = self.executor.end(&mut self.sandbox.state)?;
        self.sandbox.height = self.height;
        Ok(outcome)
    }
}
