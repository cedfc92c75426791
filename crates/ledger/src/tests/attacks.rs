//! Attacks, each with a named outcome. What an attacker gains is counted in shannons over all that they
//! have, wherever it is, against what the same account would have had without the attack.
//!
//! Each test says in its documentation what the attack is called, what the attacker does, and what comes of
//! it; `docs/attacks.md` is made of those and checked here. Attacks that take scoring or containers are tests
//! of the crates that have them.

mod audits;
mod data;
mod grinding;
mod hearings;
mod models;
mod money;
mod proposals;
mod racing;
mod stakes;
mod table;
mod weights;

use crate::testing::World;

/// What `who` gained by an attack: its wealth less what it was, in shannons.
fn gain(world: &mut World, who: u8, before: u64) -> i64 {
    world.wealth(who) as i64 - before as i64
}
