//! What tests of the ledger are made of, for its own and for fuzzers (feature `test-support`). The cases
//! stand in `tests`.
//!
//! A small network ([`World`]) that counts all money after every block; the protocol told a second time
//! ([`Economy`]), which can run beside it in lockstep; a state that loads piece by piece ([`LazyState`]);
//! and a reader of tapes of bytes as histories ([`Player`]). All of it panics where something is not as it
//! must be.

mod find;
mod kinds;
mod lazy;
mod money;
mod naive;
mod player;
mod rules;
#[cfg(test)]
mod tries;
mod world;

pub use find::{Find, created_submission};
pub use kinds::{
    address, audit_kinds, basis, challenge, commit_model, commit_model_fixed, evidence, keys, propose,
    register, report, reveal_model, upgrade, verdict, vote,
};
pub use lazy::{LazyState, execute_lazily};
pub use naive::Economy;
pub use player::{Coverage, Player, Step};
pub use rules::{DIM, SOMA, tiny};
#[cfg(test)]
pub(crate) use tries::{Driver, Try};
pub use world::World;
