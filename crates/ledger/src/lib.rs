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
//! **In memory.** A [`Sandbox`] puts the three parts together, for whoever has no network around the ledger:
//!
//! ```
//! use soma_ledger::{Sandbox, view};
//! use soma_types::{
//!     Keypair, PublicKey, Seed, Shannons, TransactionKind,
//!     genesis::{Genesis, GenesisAccount, GenesisValidator},
//!     list::List,
//!     params::Params,
//!     transaction::{BasisPoints, Payment},
//! };
//!
//! let [payer, payee] = [1, 2].map(|byte| Keypair::from_secret_bytes([byte; 32]));
//! let params = Params::local();
//! let mut ledger = Sandbox::new(
//!     &Genesis {
//!         network: "example".to_owned(),
//!         timestamp_ms: 0,
//!         accounts: vec![GenesisAccount { address: payer.address(), balance: "100".parse()? }],
//!         validators: vec![GenesisValidator {
//!             address: payer.address(),
//!             network_key: PublicKey([3; 32]),
//!             commission: BasisPoints::default(),
//!             stake: params.validator_stake_min,
//!         }],
//!         weights: None,
//!         params,
//!     },
//!     Seed([4; 32]),
//! )?;
//!
//! let payment = Payment { to: payee.address(), amount: Shannons(5) };
//! let transfer = TransactionKind::Transfer { payments: List::new(vec![payment])? };
//! let transaction = ledger.transaction(payer.public_key(), 0, transfer);
//! let next = ledger.next_block(Some(payer.address()));
//! let mut block = ledger.begin(next)?;
//! assert!(block.apply(&transaction)?.is_ok_and(|receipt| receipt.applied()));
//! block.end()?;
//! assert_eq!(view::account(&mut ledger.state, payee.address())?.balance, Shannons(5));
//! # Ok::<(), Box<dyn std::error::Error>>(())
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
pub mod keys;
mod ledger;
mod market;
mod money;
mod preparation;
mod queue;
mod sandbox;
mod stake;
pub mod state;
mod table;
mod tables;
mod terms;
#[cfg(any(test, feature = "test-support"))]
pub mod testing;
#[cfg(test)]
mod tests;
mod transact;
mod upgrades;
pub mod view;

pub use archive::history;
pub use audit::draw::{auditors_of, is_sampled};
pub use block::{BlockInfo, BlockOutcome, RELEASES_PER_BLOCK};
pub use error::{Broken, Error};
pub use execute::{Executor, execute_block};
pub use genesis::{Network, initialize};
pub use hints::{block_keys, transaction_keys};
pub use market::{difficulty::threshold_q30, routing::RoutingCache};
pub use preparation::{Preparation, Progress};
pub use sandbox::{OpenBlock, Sandbox};
pub use state::{MemoryState, Missing, State};
pub use terms::Terms;
pub use transact::simulate;
pub use upgrades::Support;
