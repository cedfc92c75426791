//! Which models a target goes to (docs/protocol.md, section 6): a search over all active models, by integers
//! and with every core, whose result is the same on every machine.
//!
//! score = kappa * similarity + ln(stake), kappa = 4 sqrt(dim), ties to the lower id. In fixed point:
//! a dot product in Q30 times kappa in Q16 is kappa * similarity in Q46, exactly; ln(stake) is added in
//! Q46. The largest magnitude, 4 * 91 * 2^46 + 37 * 2^46, is below 2^55.
//!
//! **Why 4.** With it, a model one standard deviation of chance closer makes up for e^4 = 55 times the stake.
//! Models that descend from one ancestor are less apart than chance has it, and established pools hold a
//! thousand times the least stake: with kappa = 2 sqrt(dim) no newcomer was ever routed to, however good, so
//! none could show that it deserved stake (docs/economy.md, with the figures of both).
//!
//! A [`RoutingTable`] holds the models; [`RoutingTable::route`] finds each target's. Rows pass over the
//! targets in tiles (`similarity`), or past a shortlist on 8 bits that never leaves out what could win
//! (`shortlist`).
//!
//! ```
//! use soma_routing::RoutingTable;
//! use soma_types::{Embedding, ModelId, Seed, Shannons};
//!
//! let direction = |number: u8| Embedding::draw(&Seed([number; 32]), 64);
//! let mut table = RoutingTable::new(64);
//! for number in 0..9 {
//!     let committed = u64::from(number);
//!     table.push(ModelId([number; 32]), committed, Shannons(1_000_000_000), &direction(number));
//! }
//! // Where all have the same stake the nearest comes first.
//! assert_eq!(table.route(&[direction(5)], 1), [[ModelId([5; 32])]]);
//! ```
#![deny(
    clippy::float_arithmetic,
    clippy::disallowed_types,
    clippy::disallowed_methods
)]

pub mod fixed;
mod search;
mod shortlist;
mod similarity;
mod table;
mod vnni;

pub use table::RoutingTable;
