//! The network that cheaters come to, and for how long they cheat.

use soma_types::{Shannons, params::Params};

use crate::{
    cast::{Cast, Demand},
    chain::Actor,
    scale::soma,
    studies::cast,
};

/// Epochs before the cheater comes.
pub(super) const BEFORE: u64 = 5;
/// Epochs in which it cheats.
pub(super) const CHEATING: u64 = 8;
/// Epochs until its last claim is settled.
pub(super) const AFTER: u64 = 3;

/// A small network, with these guests and their funds.
pub(super) fn small(seed: u64, params: Params, guests: Vec<(Actor, Shannons)>) -> Cast {
    Cast {
        params,
        // Few, so that each is drawn for most audits, as on the public network for some of many.
        validators: 8,
        trainers: 12,
        submitters: 10,
        // At the rarest audits a bond is two hundred rewards.
        submitter_funds: soma(200_000),
        documents: 1.0,
        households: 0,
        demand: Demand {
            payments: 0.0,
            ..cast(seed).demand
        },
        guests,
        ..cast(seed)
    }
}
