//! How a network is founded by operators who trust none of them: three steps, and a folder that they share.
//!
//! ```text
//! FOUNDING/plan.toml            name, start, preset, who has money  agreed on by all
//! FOUNDING/entries/KEY.json     one of each validator, all public   `soma node init`
//! FOUNDING/dealings/KEY.json    one of each validator, all public   `soma genesis deal`
//! FOUNDING/network.json         the network                         `soma genesis build`, the same for all
//! ```
//!
//! Plan and entries make the genesis, and so the chain's id. Under that id each validator deals a random
//! secret to all of them: a polynomial in public, its values encrypted to each one's dealing key, and a proof
//! that they are right, which anyone can check. The sum of what was dealt is the network's key. Nobody ever
//! has it whole: whoever wanted it would need what every single validator has dealt, or the shares of a
//! quorum.
//!
//! The scheme is `golden`'s of `commonware-cryptography` (one round, no complaints). It is new there, and
//! marked as not yet stable.
//!
//! Bounds: the work grows with the committee: seconds for a few validators, minutes for the most.

mod dealing;
mod entry;
mod folder;
mod plan;

pub use self::{
    dealing::{Ceremony, DealingError},
    entry::{Entry, EntryError},
    folder::{Dealt, FoundingError, FoundingFolder},
    plan::{Plan, PlanError},
};
