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
//!
//! ```
//! use soma_ledger::{Block, Error, MemoryState, RoutingCache, execute_block, initialize, view};
//! use soma_types::{
//!     Height, Keypair, Seed, Shannons,
//!     genesis::{Genesis, GenesisValidator},
//!     params::Params,
//!     transaction::BasisPoints,
//! };
//!
//! let keys = Keypair::from_secret_bytes([1; 32]);
//! let genesis = Genesis {
//!     network: "one".to_owned(),
//!     timestamp_ms: 0,
//!     params: Params::local(),
//!     accounts: Vec::new(),
//!     validators: vec![GenesisValidator {
//!         address: keys.address(),
//!         network_key: keys.public_key(),
//!         commission: BasisPoints::default(),
//!         stake: Shannons(1_000_000_000_000),
//!     }],
//!     weights: None,
//! };
//! let (mut state, mut cache) = (MemoryState::new(), RoutingCache::default());
//! initialize(&mut state, &genesis)?;
//! let block = Block {
//!     height: Height(1),
//!     seed: Seed([2; 32]),
//!     timestamp_ms: 250,
//!     proposer: Some(keys.address()),
//! };
//! let outcome = execute_block(&mut state, &mut cache, block, &[])?;
//! assert!(outcome.receipts.is_empty() && !outcome.boundary);
//! assert_eq!(view::epoch(&mut state)?.unwrap().first_height, Height::ZERO);
//! # Ok::<(), Error>(())
//! ```
#![forbid(unsafe_code)]
#![deny(
    clippy::float_arithmetic,
    clippy::disallowed_types,
    clippy::disallowed_methods
)]

mod archive;
mod audit;
mod block;
mod epoch;
mod error;
mod execute;
mod genesis;
mod hints;
mod ledger;
mod market;
mod money;
mod stake;
pub mod state;
mod tables;
#[cfg(test)]
mod tests;
mod transact;
mod upgrades;
pub mod view;

pub use archive::history;
pub use audit::draw::{auditors_of, is_sampled};
pub use block::{Block, BlockOutcome};
pub use error::{Broken, Error};
pub use execute::{Executor, execute_block};
pub use genesis::{Network, initialize};
pub use hints::{block_keys, transaction_keys};
pub use market::routing::RoutingCache;
pub use stake::staking::RELEASES_PER_BLOCK;
pub use state::{MemoryState, Missing, State};
pub use transact::{check, simulate};
pub use upgrades::Support;
