//! The rules of the tests' network.

use soma_types::{
    Architecture,
    amount::SHANNONS_PER_SOMA,
    params::{Params, Preset},
};

/// One SOMA.
pub const SOMA: u64 = SHANNONS_PER_SOMA;
/// Dimension of the tiny architecture.
pub const DIM: u32 = 8;

/// Localnet rules with epochs of 16 blocks.
#[must_use]
pub fn tiny() -> Params {
    Params {
        preset: Preset::Custom,
        architecture: Architecture {
            embedding_dim: DIM,
            heads: 2,
            layers: 1,
            ffn_dim: 8,
            ..Architecture::NANO
        },
        epoch_blocks: 16,
        audit_commit_blocks: 8,
        audit_reveal_blocks: 3,
        hearing_commit_blocks: 2,
        open_targets: 4,
        hits_goal: 8,
        difficulty_windows: 4,
        reveal_blocks: 5,
        settlement_blocks: 2,
        refresh_epochs: 6,
        payouts_per_block: 5,
        committee_size: 10,
        burn_per_year: Params::std().burn_per_year,
        ..Params::local()
    }
}
