//! The parameters of the protocol. They live in the state; votes change them.
//!
//! [`Params::std`] is the public network's preset, [`Params::local`] the localnet's.

mod bounds;
mod presets;
#[cfg(test)]
mod tests;

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use crate::{Architecture, Shannons, basis_points::BasisPoints};

pub use self::bounds::ParamsError;

/// One, in the 16-bit fixed point of parameters and multipliers.
pub const ONE_Q16: i64 = 1 << 16;
/// The most models a target can have: the bound on the losses in a reveal.
pub const MODELS_PER_TARGET_MAX: usize = 16;
/// The fewest seats that a committee can be limited to: one of four may fail.
pub const COMMITTEE_SIZE_MIN: u32 = 4;
/// The most members a committee can have.
pub const COMMITTEE_SIZE_MAX: u32 = 100;

/// Every number the protocol lets a network choose. Sections are docs/protocol.md's.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The preset's name, for people.
    pub preset: Preset,
    /// The shape of every model.
    pub architecture: Architecture,

    // Section 1: time.
    /// A leader proposes no earlier than this after the parent, in milliseconds.
    pub block_time_ms: u64,
    /// Blocks in an epoch.
    pub epoch_blocks: u64,
    /// Epochs over which the emission is spread.
    pub emission_epochs: u64,
    /// Epochs in a year, for the yearly burn.
    pub epochs_per_year: u64,

    // Section 3 and 9: fees.
    /// Fee of any transaction at multiplier 1.
    pub fee_base: Shannons,
    /// Fee of each byte of its signed encoding at multiplier 1.
    pub fee_per_byte: Shannons,
    /// What a transfer pays besides for each payee that has no account yet.
    pub account_price: Shannons,
    /// Share of the circulating supply to burn in a year.
    pub burn_per_year: BasisPoints,

    // Section 4: stake.
    /// Epochs for which withdrawn stake waits after it stopped counting.
    pub unbonding_epochs: u64,
    /// Least amount to stake at once.
    pub stake_min: Shannons,
    /// Least own stake of a validator.
    pub validator_stake_min: Shannons,
    /// Most seats in a committee.
    pub committee_size: u32,
    /// Share of a validator's pool lost when it votes for two blocks at once.
    pub equivocation_slash: BasisPoints,

    // Section 5: models.
    /// Least own stake of a model's owner.
    pub model_stake_min: Shannons,
    /// Share of the owner's stake lost when a commitment is not revealed.
    pub lapse_slash: BasisPoints,
    /// Share of the owner's stake lost when the committee finds revealed weights unusable.
    pub fault_slash: BasisPoints,
    /// Rent at genesis, in shannons per MiB and epoch.
    pub rent_per_mib_epoch: Shannons,
    /// The first part of an epoch, in which weights committed in the one before can be revealed. The
    /// committee has the rest to see whether they can be used.
    pub weights_reveal_share: BasisPoints,
    /// 1: a commit of weights fixes their embedding. 0: it may.
    pub bound_embeddings: u32,
    /// Epochs after which weights are too old to compete.
    pub refresh_epochs: u64,
    /// Most bytes of encrypted weights.
    pub weights_size_max_bytes: u64,

    // Section 6: targets.
    /// Targets open at a time.
    pub open_targets: u32,
    /// Models routed to a target (K).
    pub models_per_target: u32,
    /// Hits wanted in an epoch.
    pub hits_goal: u64,
    /// Times in an epoch at which the difficulty is adjusted.
    pub difficulty_windows: u32,
    /// The difficulty z at genesis, in 1/65536.
    pub difficulty_start_q16: i64,

    // Section 7: submissions.
    /// Locked by a commit.
    pub submission_deposit: Shannons,
    /// Locked by a reveal for each byte of data.
    pub bond_per_byte: Shannons,
    /// How many times over a bond at the floor makes a false claim a loss; 0: no floor.
    pub bond_margin: u64,
    /// Most blocks between commit and reveal.
    pub reveal_blocks: u64,
    /// Blocks from a target's first valid reveal to its settlement.
    pub settlement_blocks: u64,
    /// Blocks from a target's opening in which commits count as made at once: the closest of them wins. 0:
    /// the earliest always does.
    pub opening_blocks: u64,
    /// Least winning cross entropy, in nano-nats.
    pub cross_entropy_min_nano: u64,
    /// Greatest winning cross entropy, in nano-nats.
    pub cross_entropy_max_nano: u64,
    /// Fewest full chunks of data: see [`Params::data_size_min_bytes`].
    pub data_chunks_min: u64,
    /// Most full chunks of data.
    pub data_chunks_max: u64,

    // Section 8: audit.
    /// Share of winners audited.
    pub audit_rate: BasisPoints,
    /// Auditors of each, drawn by stake; 0 is the whole committee.
    pub auditors: u32,
    /// Blocks at an epoch's start in which auditors commit. In the first half of them the last epoch's
    /// winners can still be challenged.
    pub audit_commit_blocks: u64,
    /// Blocks after those in which auditors that were drawn reveal; where they are the whole committee, all
    /// of the rest.
    pub audit_reveal_blocks: u64,
    /// Blocks after those in which the committee commits in hearings; it reveals in the rest.
    pub hearing_commit_blocks: u64,
    /// The least bond of a challenge.
    pub challenge_bond_min: Shannons,

    // Section 9: rewards.
    /// Most that fees are meant to take of what an epoch's hits pay their submitters; 0: no such bound.
    pub fee_share_max: BasisPoints,
    /// The validators' share of an epoch's rewards.
    pub validator_share: BasisPoints,
    /// Most winners settled and paid in one block.
    pub payouts_per_block: u32,
}

/// A named set of parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// The public network's.
    Std,
    /// The localnet's.
    Local,
    /// None of the others.
    Custom,
}

impl Params {
    /// Blocks at an epoch's start in which weights committed in the one before can be revealed: at least one.
    #[must_use]
    pub fn weights_reveal_blocks(&self) -> u64 {
        self.weights_reveal_share.of(Shannons(self.epoch_blocks)).0.max(1)
    }

    /// Fewest bytes of data: full chunks of what a model reads at once, and never none.
    #[must_use]
    pub fn data_size_min_bytes(&self) -> u64 {
        (self.data_chunks_min * u64::from(self.architecture.max_seq_len)).max(1)
    }

    /// Most bytes of data.
    #[must_use]
    pub fn data_size_max_bytes(&self) -> u64 {
        self.data_chunks_max * u64::from(self.architecture.max_seq_len)
    }

    /// Blocks at an epoch's start in which the last epoch's winners can still be challenged.
    #[must_use]
    pub const fn challenge_blocks(&self) -> u64 {
        self.audit_commit_blocks / 2
    }

    /// Blocks at an epoch's start before its hearings begin. Validated parameters do not overflow.
    #[must_use]
    pub const fn hearing_from(&self) -> u64 {
        self.audit_commit_blocks + self.audit_reveal_blocks
    }

    /// Blocks at an epoch's start before votes in its hearings are revealed.
    #[must_use]
    pub const fn hearing_reveals_from(&self) -> u64 {
        self.hearing_from() + self.hearing_commit_blocks
    }
}
