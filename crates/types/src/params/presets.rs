//! The named sets of parameters.

use super::{ONE_Q16, Params, Preset};
use crate::{Architecture, Shannons, amount::SHANNONS_PER_SOMA, basis_points::BasisPoints};

impl Params {
    /// The public network's preset.
    #[must_use]
    pub fn std() -> Self {
        Self {
            preset: Preset::Std,
            architecture: Architecture::V1,
            block_time_ms: 250,
            epoch_blocks: 345_600,
            emission_epochs: 3_652,
            epochs_per_year: 365,
            fee_base: Shannons(10_000),
            fee_per_byte: Shannons(10),
            account_price: Shannons(SHANNONS_PER_SOMA / 1_000),
            burn_per_year: BasisPoints::new(500).expect("below 10000"),
            unbonding_epochs: 7,
            stake_min: Shannons(SHANNONS_PER_SOMA / 1_000),
            validator_stake_min: Shannons(1_000 * SHANNONS_PER_SOMA),
            committee_size: 100,
            equivocation_slash: BasisPoints::new(500).expect("below 10000"),
            model_stake_min: Shannons(10 * SHANNONS_PER_SOMA),
            lapse_slash: BasisPoints::new(500).expect("below 10000"),
            fault_slash: BasisPoints::new(1_000).expect("below 10000"),
            rent_per_mib_epoch: Shannons(10_000),
            weights_reveal_share: BasisPoints::new(5_000).expect("below 10000"),
            bound_embeddings: 1,
            refresh_epochs: 14,
            weights_size_max_bytes: 8 << 30,
            open_targets: 100,
            models_per_target: 3,
            hits_goal: 86_400,
            difficulty_windows: 24,
            difficulty_start_q16: ONE_Q16,
            submission_deposit: Shannons(SHANNONS_PER_SOMA / 1_000),
            bond_per_byte: Shannons(1_000),
            bond_margin: 2,
            reveal_blocks: 32,
            settlement_blocks: 4,
            opening_blocks: 4,
            cross_entropy_min_nano: 50_000_000,
            cross_entropy_max_nano: 3_500_000_000,
            data_chunks_min: 1,
            data_chunks_max: 16,
            audit_rate: BasisPoints::new(1_000).expect("below 10000"),
            auditors: 7,
            audit_commit_blocks: 172_800,
            audit_reveal_blocks: 28_800,
            hearing_commit_blocks: 115_200,
            challenge_bond_min: Shannons(SHANNONS_PER_SOMA / 10),
            fee_share_max: BasisPoints::new(1_500).expect("below 10000"),
            validator_share: BasisPoints::new(2_000).expect("below 10000"),
            payouts_per_block: 64,
        }
    }

    /// The localnet's preset: the same rules at the scale of minutes and of one machine.
    #[must_use]
    pub fn local() -> Self {
        Self {
            preset: Preset::Local,
            architecture: Architecture::NANO,
            epoch_blocks: 80,
            // 20-second epochs.
            epochs_per_year: 1_576_800,
            // A burn target would make a network that hardly anyone uses dearer with every epoch.
            burn_per_year: BasisPoints::default(),
            unbonding_epochs: 1,
            // Where it is the documents' rule that is tried, and half of an epoch is seconds.
            weights_reveal_share: BasisPoints::new(10_000).expect("the whole"),
            bound_embeddings: 0,
            refresh_epochs: 20,
            open_targets: 16,
            hits_goal: 64,
            difficulty_start_q16: 0,
            opening_blocks: 0,
            // A megabyte: everything is audited, by machines that have the time.
            data_chunks_min: 0,
            data_chunks_max: 4_096,
            fee_share_max: BasisPoints::default(),
            audit_rate: BasisPoints::new(10_000).expect("the whole"),
            auditors: 0,
            audit_commit_blocks: 48,
            audit_reveal_blocks: 8,
            hearing_commit_blocks: 12,
            payouts_per_block: 16,
            ..Self::std()
        }
    }
}
