//! The network that is simulated: the public network's rules at a volume that ten years of fit into
//! minutes.
//!
//! An epoch has [`EPOCH_BLOCKS`] blocks and a goal of [`HITS_GOAL`] hits in place of 345 600 and 86 400. One
//! simulated action (a hit, a payment, an audit) stands for [`ACTIONS`] real ones, so what an action costs
//! or locks is multiplied by that: fees, deposits, bonds. Then every ratio that decides anyone's behaviour
//! (bond to reward, fee to reward, fees to burn target, audits to hits) is the public network's. Stakes,
//! emission, burn, unbonding, refresh and audit rate are the public network's own.
//!
//! Of targets and windows of difficulty there are fewer, so that the loop that they form keeps its shape:
//! a target's life is short against a window, and the open targets could take many times the goal.

use soma_types::{
    Architecture, Shannons,
    amount::SHANNONS_PER_SOMA,
    genesis::{Genesis, GenesisAccount, GenesisValidator},
    params::{Params, Preset},
    transaction::BasisPoints,
};

use crate::{chain::Actor, space::DIM};

/// Blocks of an epoch.
pub const EPOCH_BLOCKS: u64 = 450;
/// Hits wanted in an epoch.
pub const HITS_GOAL: u64 = 240;
/// Windows of difficulty in an epoch, 40 wanted hits each.
const WINDOWS: u32 = 6;
/// Targets open at a time.
const OPEN_TARGETS: u32 = 8;
/// How many real actions a simulated one stands for.
pub const ACTIONS: u64 = 86_400 / HITS_GOAL;

/// One SOMA.
pub const SOMA: u64 = SHANNONS_PER_SOMA;

/// The public network's parameters at the simulation's volume.
#[must_use]
pub fn params() -> Params {
    let std = Params::std();
    let times = |amount: Shannons| Shannons(amount.0 * ACTIONS);
    Params {
        preset: Preset::Custom,
        architecture: Architecture {
            embedding_dim: DIM as u32,
            max_seq_len: Architecture::V1.max_seq_len,
            ..Architecture::NANO
        },
        epoch_blocks: EPOCH_BLOCKS,
        // The public network's shares of an epoch.
        audit_commit_blocks: EPOCH_BLOCKS / 2,
        audit_reveal_blocks: EPOCH_BLOCKS / 12,
        hearing_commit_blocks: EPOCH_BLOCKS / 3,
        hits_goal: HITS_GOAL,
        difficulty_windows: WINDOWS,
        open_targets: OPEN_TARGETS,
        // Blocks are rarer, so races are shorter.
        reveal_blocks: 4,
        settlement_blocks: 1,
        // A block here lasts as long as hundreds there: what opens a target is over within it.
        opening_blocks: 0,
        // Weights are what their commit's receipt makes them, embedding and all.
        bound_embeddings: 0,
        fee_base: times(std.fee_base),
        fee_per_byte: times(std.fee_per_byte),
        submission_deposit: times(std.submission_deposit),
        bond_per_byte: times(std.bond_per_byte),
        challenge_bond_min: times(std.challenge_bond_min),
        ..std
    }
}

/// A whole number of percent.
#[must_use]
pub fn percent(value: u16) -> BasisPoints {
    BasisPoints::new(value * 100).expect("at most 100%")
}

/// Whole SOMA in shannons.
#[must_use]
pub const fn soma(amount: u64) -> Shannons {
    Shannons(amount * SOMA)
}

/// An amount in SOMA, for statistics.
#[must_use]
pub fn in_soma(amount: Shannons) -> f64 {
    amount.0 as f64 / SOMA as f64
}

/// A network whose `funded` have money and whose `validators` are staked.
#[must_use]
pub fn genesis(params: Params, funded: &[(Actor, Shannons)], validators: &[(Actor, Shannons)]) -> Genesis {
    Genesis {
        network: "simulation".into(),
        timestamp_ms: 0,
        params,
        accounts: funded
            .iter()
            .map(|(actor, balance)| GenesisAccount {
                address: actor.address,
                balance: *balance,
            })
            .collect(),
        validators: validators
            .iter()
            .map(|(actor, stake)| GenesisValidator {
                address: actor.address,
                network_key: actor.network_key(),
                commission: percent(50),
                stake: *stake,
            })
            .collect(),
        weights: None,
    }
}
