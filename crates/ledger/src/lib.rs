//! The protocol as a pure state machine: `(state, block) -> (state, receipts)` (docs/protocol.md).
//!
//! Integers only, no I/O, no clock, no randomness but the block's seed, no hash-order iteration.
//!
//! **Use.** A block is executed in three parts, on any [`State`]:
//!
//! 1. [`Executor::begin`]: what earlier blocks decided (settlements, expiries, the epoch boundary,
//!    unbonding, payouts). A leader cannot choose any of it.
//! 2. [`Executor::apply`] for each transaction, in order.
//! 3. [`Executor::end`]: checks the supply, writes the counters, returns receipts and events.
//!
//! **Missing reads.** A state may not have a value in memory. Then a part returns
//! [`Error::Missing`], having changed nothing since the last completed step; the caller loads the keys
//! its state noted, and calls the same part again.
//!
//! **Money.** Every shannon is in one bucket of [`SupplyBreakdown`](soma_types::objects::SupplyBreakdown);
//! only `bank` moves it, always out of one bucket into another, so the sum cannot change.
//!
//! **Cost.** A block's work depends on its transactions and on bounded queues, never on the number of
//! accounts, models or targets; a boundary's is linear in pools.
#![deny(
    clippy::float_arithmetic,
    clippy::disallowed_types,
    clippy::disallowed_methods
)]

mod accounts;
mod archive;
mod audit;
mod bank;
mod bonds;
mod challenges;
mod difficulty;
mod epoch;
mod equivocation;
mod error;
mod execute;
mod fees;
pub mod fixed;
mod genesis;
mod hearing;
mod hints;
mod models;
mod rewards;
pub mod routing;
mod shortlist;
mod similarity;
mod staking;
pub mod state;
mod submissions;
mod tables;
mod targets;
#[cfg(test)]
mod tests;
mod transact;
mod upgrades;
mod validators;
pub mod view;
mod vnni;

pub use archive::history;
pub use audit::{auditors_of, is_sampled};
pub use error::{Broken, Error};
pub use execute::{Block, BlockOutcome, Executor, execute_block};
pub use genesis::{Network, initialize};
pub use hints::{block_keys, transaction_keys};
pub use routing::RoutingCache;
pub use staking::RELEASES_PER_BLOCK;
pub use state::{MemoryState, Missing, State};
pub use transact::{check, simulate};
pub use upgrades::Support;
