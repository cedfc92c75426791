//! What goes into the ledger besides transactions, and what comes out.

use soma_types::{Address, Epoch, Height, Receipt, Seed, event::Event};

/// Most releases of unbonded stake in one block: no fewer than a block has transactions, so what was
/// withdrawn in an epoch's n-th block is released by the n-th of its release, whatever else was withdrawn.
pub const RELEASES_PER_BLOCK: usize = 4_096;

/// What the ledger is told about a block besides its transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockInfo {
    /// Its height; the first block's is 1.
    pub height: Height,
    /// The threshold VRF's output that was fixed before its leader could choose anything.
    pub seed: Seed,
    /// Its time in milliseconds since 1970. Stored and shown, never decided by.
    pub timestamp_ms: u64,
    /// The validator who proposed it.
    pub proposer: Option<Address>,
}

/// What became of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockOutcome {
    /// The epoch it belongs to.
    pub epoch: Epoch,
    /// Whether it is its epoch's first.
    pub boundary: bool,
    /// Whether it is its epoch's last, so that the next is a boundary.
    pub last: bool,
    /// One for each transaction.
    pub receipts: Vec<Receipt>,
    /// What changed before the transactions.
    pub events: Vec<Event>,
}
