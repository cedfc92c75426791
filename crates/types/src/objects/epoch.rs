//! The epoch in progress, and those that are over (docs/protocol.md, section 1).

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use crate::{
    Architecture, Epoch, Height, Seed, Shannons,
    basis_points::BasisPoints,
    params::{ONE_Q16, Params},
    upgrade::ProtocolVersion,
};

/// How hard targets are (docs/protocol.md, section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct Difficulty {
    /// z, in 1/65536: a hit is at least z standard deviations closer than chance.
    pub z_q16: i64,
    /// Exponential mean of hits per window, in 1/65536.
    pub mean_hits_q16: u64,
    /// The current window of the epoch.
    pub window: u32,
    /// Hits in it so far.
    pub window_hits: u64,
}

/// The epoch in progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct EpochState {
    /// Its number.
    pub epoch: Epoch,
    /// Its first block.
    pub first_height: Height,
    /// How many blocks it has.
    pub length_blocks: u64,
    /// The version of its rules.
    pub protocol_version: ProtocolVersion,
    /// The shape of its models and embeddings.
    pub architecture: Architecture,
    /// Its first block's seed: directions of SIGReg, the audit sample.
    pub seed: Seed,
    /// When its first block was made, in milliseconds since 1970.
    pub started_ms: u64,
    /// The multiplier of fees, in 1/65536.
    pub fee_multiplier_q16: u64,
    /// Rent, in shannons per MiB and epoch.
    pub rent_per_mib_epoch: Shannons,
    /// Share of the last epoch's winners that is audited in this one.
    pub audit_rate: BasisPoints,
    /// Auditors of each; 0 is the whole committee.
    pub auditors: u32,
    /// Epochs for which stake withdrawn in this one waits after it stopped counting.
    pub unbonding_epochs: u64,
    /// The least bond of a reveal.
    pub bond_floor: Shannons,
    /// Draws the auditors of challenged winners of the last epoch, once no more can be challenged.
    pub challenge_seed: Option<Seed>,
    /// How hard targets are.
    pub difficulty: Difficulty,
    /// Targets opened.
    pub targets_opened: u64,
    /// Submissions committed.
    pub submissions_committed: u64,
    /// Submissions revealed and valid.
    pub submissions_revealed: u64,
    /// Targets filled.
    pub hits: u64,
    /// Models in the routing table.
    pub models: u64,
    /// Members of the committee.
    pub committee: u32,
    /// Transactions included.
    pub transactions: u64,
    /// Fees collected.
    pub fees: Shannons,
    /// Rent collected.
    pub rent: Shannons,
    /// Forfeited to the reward pool: deposits, bonds, slashes, and rewards not paid.
    pub forfeits: Shannons,
}

impl EpochState {
    /// The fee of a transaction of `size_bytes` (docs/protocol.md, section 3): what it is by base and length,
    /// times the multiplier, rounded up.
    #[must_use]
    pub fn fee_of(&self, params: &Params, size_bytes: u64) -> Shannons {
        // Within the bounds of parameters nothing saturates; a client believes a node's only so far.
        let by_size = u128::from(params.fee_per_byte.0) * u128::from(size_bytes);
        let plain = by_size.saturating_add(u128::from(params.fee_base.0));
        let fee = plain
            .saturating_mul(u128::from(self.fee_multiplier_q16))
            .div_ceil(ONE_Q16 as u128);
        Shannons(u64::try_from(fee).unwrap_or(u64::MAX))
    }

    /// What a reveal of `size_bytes` of data locks.
    #[must_use]
    pub fn bond_of(&self, params: &Params, size_bytes: u64) -> Shannons {
        let by_size = params.bond_per_byte.mul_div(size_bytes, 1);
        // A bond beyond u64 is beyond any balance.
        by_size.unwrap_or(Shannons(u64::MAX)).max(self.bond_floor)
    }
}

/// An epoch that is over. `paid` and what follows it grow until `settled`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct EpochRecord {
    /// How it stood when it closed.
    pub state: EpochState,
    /// What it emitted.
    pub emission: Shannons,
    /// Fees burned.
    pub burned: Shannons,
    /// Fees recycled.
    pub recycled: Shannons,
    /// All else that the reward pool held: what earlier epochs had not paid, and what was forfeited.
    pub reserve: Shannons,
    /// What each hit earns.
    pub reward_per_hit: Shannons,
    /// What the validators share: their part of the pool, and the rent.
    pub validator_pot: Shannons,
    /// Winners settled so far.
    pub settled_hits: u64,
    /// Winners audited.
    pub audited: u64,
    /// Of those, the ones accused by their auditors and heard by the committee.
    pub heard: u64,
    /// Winners found false.
    pub found_false: u64,
    /// Paid to submitters.
    pub paid_submitters: Shannons,
    /// Paid to models: owners and pools.
    pub paid_models: Shannons,
    /// Paid to validators and their pools.
    pub paid_validators: Shannons,
    /// Went back to the reward pool.
    pub returned: Shannons,
    /// Whether everything is paid.
    pub settled: bool,
}
