//! What parameters may be.

use super::{COMMITTEE_SIZE_MAX, COMMITTEE_SIZE_MIN, MODELS_PER_TARGET_MAX, ONE_Q16, Params};
use crate::{amount::SHANNONS_PER_SOMA, architecture::ArchitectureError, basis_points::BASIS_POINTS_ONE};

/// The most epochs a stretch of epochs can be: keeps products of parameters in range.
const EPOCHS_MAX: u64 = 1 << 24;

/// The most chunks of data: with the longest chunks, a gibibyte.
const DATA_CHUNKS_MAX: u64 = 1 << 14;

/// Why parameters are refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParamsError {
    /// Outside its bounds.
    #[error("parameter {name} is {value}, must be {min} to {max}")]
    Range {
        /// The parameter.
        name: &'static str,
        /// Its value.
        value: u64,
        /// The least allowed.
        min: u64,
        /// The most allowed.
        max: u64,
    },
    /// The architecture makes no sense.
    #[error(transparent)]
    Architecture(#[from] ArchitectureError),
}

impl Params {
    /// Checks that every parameter is within the bounds that keep the ledger's arithmetic in range.
    ///
    /// # Errors
    /// Names the parameter, its value and its bounds.
    pub fn validate(self) -> Result<Self, ParamsError> {
        self.architecture.validate()?;
        let soma = |amount: u64| amount * SHANNONS_PER_SOMA;
        let (z_min, z_max) = (4 * ONE_Q16 as u64, 12 * ONE_Q16 as u64);
        let bounds = [
            ("block_time_ms", self.block_time_ms, 1, 60_000),
            ("epoch_blocks", self.epoch_blocks, 8, EPOCHS_MAX),
            ("emission_epochs", self.emission_epochs, 1, EPOCHS_MAX),
            ("epochs_per_year", self.epochs_per_year, 1, EPOCHS_MAX),
            // A vote on cheaper ones is affordable even at the highest multiplier, 2^16.
            ("fee_base", self.fee_base.0, 0, SHANNONS_PER_SOMA / 100),
            (
                "fee_per_byte",
                self.fee_per_byte.0,
                0,
                SHANNONS_PER_SOMA / 100_000,
            ),
            ("account_price", self.account_price.0, 0, soma(1)),
            ("unbonding_epochs", self.unbonding_epochs, 1, EPOCHS_MAX),
            ("stake_min", self.stake_min.0, 1_000, soma(1_000_000)),
            (
                "validator_stake_min",
                self.validator_stake_min.0,
                self.stake_min.0,
                soma(1_000_000),
            ),
            // With fewer nobody may fail; and where the largest takes turns, no seat would live to see its
            // votes counted.
            (
                "committee_size",
                u64::from(self.committee_size),
                u64::from(COMMITTEE_SIZE_MIN),
                u64::from(COMMITTEE_SIZE_MAX),
            ),
            // More would let a shannon have too many shares for 128 bits.
            (
                "equivocation_slash",
                u64::from(self.equivocation_slash.get()),
                0,
                5_000,
            ),
            (
                "model_stake_min",
                self.model_stake_min.0,
                self.stake_min.0,
                soma(1_000_000),
            ),
            ("rent_per_mib_epoch", self.rent_per_mib_epoch.0, 0, soma(1)),
            (
                "weights_reveal_share",
                u64::from(self.weights_reveal_share.get()),
                1,
                u64::from(BASIS_POINTS_ONE),
            ),
            ("bound_embeddings", u64::from(self.bound_embeddings), 0, 1),
            ("refresh_epochs", self.refresh_epochs, 2, EPOCHS_MAX),
            ("weights_size_max_bytes", self.weights_size_max_bytes, 1, 1 << 40),
            // Each is routed in one block, at a boundary: more would take longer than a leader has.
            ("open_targets", u64::from(self.open_targets), 1, 1_000),
            (
                "models_per_target",
                u64::from(self.models_per_target),
                1,
                MODELS_PER_TARGET_MAX as u64,
            ),
            ("hits_goal", self.hits_goal, 1, 1 << 32),
            (
                "difficulty_windows",
                u64::from(self.difficulty_windows),
                1,
                self.epoch_blocks,
            ),
            (
                "difficulty_start_q16 (+4)",
                self.difficulty_start_q16.saturating_add(z_min as i64) as u64,
                0,
                z_max,
            ),
            ("submission_deposit", self.submission_deposit.0, 0, soma(1_000)),
            ("bond_per_byte", self.bond_per_byte.0, 0, SHANNONS_PER_SOMA),
            ("bond_margin", self.bond_margin, 0, 1_000),
            ("reveal_blocks", self.reveal_blocks, 1, 1_000),
            (
                "settlement_blocks",
                self.settlement_blocks,
                1,
                self.epoch_blocks.saturating_sub(1),
            ),
            // What is committed later cannot have been revealed when a race settles that began at once.
            ("opening_blocks", self.opening_blocks, 0, self.settlement_blocks),
            (
                "cross_entropy_max_nano",
                self.cross_entropy_max_nano,
                self.cross_entropy_min_nano,
                1 << 40,
            ),
            (
                "data_chunks_max",
                self.data_chunks_max,
                self.data_chunks_min.max(1),
                DATA_CHUNKS_MAX,
            ),
            // Without audits no bond could make a false claim a loss.
            (
                "audit_rate",
                u64::from(self.audit_rate.get()),
                1,
                u64::from(BASIS_POINTS_ONE),
            ),
            (
                "auditors",
                u64::from(self.auditors),
                0,
                u64::from(COMMITTEE_SIZE_MAX),
            ),
            (
                "audit_commit_blocks",
                self.audit_commit_blocks,
                1,
                self.epoch_blocks.saturating_sub(3),
            ),
            // Each phase of an epoch's audits has a block at least.
            (
                "audit_reveal_blocks",
                self.audit_reveal_blocks,
                1,
                self.epoch_blocks
                    .saturating_sub(self.audit_commit_blocks)
                    .saturating_sub(2),
            ),
            (
                "hearing_commit_blocks",
                self.hearing_commit_blocks,
                1,
                self.epoch_blocks
                    .saturating_sub(self.audit_commit_blocks)
                    .saturating_sub(self.audit_reveal_blocks)
                    .saturating_sub(1),
            ),
            (
                "challenge_bond_min",
                self.challenge_bond_min.0,
                0,
                soma(1_000_000),
            ),
            (
                "payouts_per_block",
                u64::from(self.payouts_per_block),
                self.payouts_needed(),
                10_000,
            ),
        ];
        for (name, value, min, max) in bounds {
            if value < min || value > max {
                return Err(ParamsError::Range {
                    name,
                    value,
                    min,
                    max,
                });
            }
        }
        Ok(self)
    }

    /// What an epoch can owe, in payouts per block: each open target is filled as often as races allow, and
    /// each seat is paid. With fewer, winners would wait longer from epoch to epoch.
    fn payouts_needed(&self) -> u64 {
        let races = self
            .epoch_blocks
            .div_ceil(self.settlement_blocks.saturating_add(1));
        let owed = races.saturating_mul(u64::from(self.open_targets)) + u64::from(self.committee_size) + 1;
        owed.div_ceil(self.epoch_blocks.max(1))
    }
}
