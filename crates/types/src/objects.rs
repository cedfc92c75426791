//! What the ledger stores, and what the API shows of it.

mod audit;

use std::{fmt, str::FromStr};

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{
    Address, Architecture, Commitment, ContentHash, DecryptionKey, Epoch, Height, ModelId, PublicKey, Seed,
    Shannons, SubmissionId, TargetId, Url,
    params::{ONE_Q16, Params},
    transaction::{BasisPoints, PoolId, Verdict},
    upgrade::ProtocolVersion,
};

pub use audit::{AuditFinding, AuditOutcome, AuditStage, AuditVote, VoteCount};

/// An account. One that was never funded is all zeros.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
pub struct Account {
    /// What it can spend.
    pub balance: Shannons,
    /// The nonce of its next transaction.
    pub nonce: u64,
}

/// Shares of a pool. In JSON a decimal string.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub struct Shares(pub u128);

impl fmt::Display for Shares {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Shares {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

impl Serialize for Shares {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Shares {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        crate::text::parsed(deserializer)
    }
}

/// A staking pool.
///
/// Stake added in epoch E counts from E + 1 and earns E + 1's rewards, which are paid in E + 3. Until then
/// it is *young*: it stands at its face value beside the shares, so that rewards of earlier epochs, which
/// are paid in the meantime, go to those who earned them.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
pub struct Pool {
    /// What its shares are worth together.
    pub stake: Shannons,
    /// Shares issued.
    pub shares: Shares,
    /// Added in this epoch; counts from the next.
    pub pending: Shannons,
    /// Added in the last epoch.
    pub young: Shannons,
    /// Added in the epoch before; becomes shares at the next boundary.
    pub maturing: Shannons,
    /// The stake that counts in this epoch, frozen at its start.
    pub counted: Shannons,
    /// What its validator's equivocation cost it. A pool is slashed so at most once.
    pub slashed: Option<PoolSlash>,
}

/// A slash of a whole pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct PoolSlash {
    /// When it was made.
    pub epoch: Epoch,
    /// The epoch of the offence.
    pub offence: Epoch,
    /// The part that was lost.
    pub share: BasisPoints,
}

/// What one account holds in one pool.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct Position {
    /// The part of the pool that it is.
    pub shares: Shares,
    /// Stake that is not shares yet, by the epoch in which it was added, in order: at most one entry
    /// for each of the last three epochs, as of when the position last changed.
    pub added: Vec<AddedStake>,
    /// Whether the pool's slash is taken out of `added`.
    pub slashed: bool,
}

/// Stake on its way to become shares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct AddedStake {
    /// When it was added.
    pub epoch: Epoch,
    /// How much.
    pub amount: Shannons,
}

/// The price at which a pool's maturing stake became shares at a boundary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct PoolPrice {
    /// Worth of the shares.
    pub worth: Shannons,
    /// The shares.
    pub shares: Shares,
}

/// Withdrawn stake on its way to its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct Unbonding {
    /// Whose money it is.
    pub owner: Address,
    /// How much.
    pub amount: Shannons,
    /// When it is released.
    pub release: Epoch,
    /// Where it was: a slash of that pool for an offence while it counted still takes its part.
    pub pool: PoolId,
    /// When it was withdrawn: the last epoch in which it counted.
    pub withdrawn: Epoch,
    /// Whether the pool had been slashed before.
    pub slashed: bool,
}

/// A change of commission that waits for its epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct Commission {
    /// In force until `next` takes over.
    pub current: BasisPoints,
    /// In force from the epoch after `set_in`.
    pub next: BasisPoints,
    /// When `next` was set.
    pub set_in: Epoch,
}

impl Commission {
    /// A commission from `epoch` on.
    #[must_use]
    pub const fn new(value: BasisPoints, epoch: Epoch) -> Self {
        Self {
            current: value,
            next: value,
            set_in: epoch,
        }
    }

    /// The commission in `epoch`.
    #[must_use]
    pub fn at(&self, epoch: Epoch) -> BasisPoints {
        if epoch > self.set_in {
            self.next
        } else {
            self.current
        }
    }

    /// Changes it from the epoch after `epoch`.
    pub fn set(&mut self, value: BasisPoints, epoch: Epoch) {
        *self = Self {
            current: self.at(epoch),
            next: value,
            set_in: epoch,
        };
    }
}

/// A validator.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct Validator {
    /// Its account.
    pub address: Address,
    /// Its position in the list of validators.
    pub index: u64,
    /// The key its node signs with.
    pub network_key: PublicKey,
    /// Its share of its pool's rewards.
    pub commission: Commission,
    /// Since when it is registered.
    pub registered: Epoch,
    /// Whether it leaves, or has left.
    pub leaving: bool,
    /// Its vote on rent, in shannons per MiB and epoch.
    pub rent_vote: Option<Shannons>,
    /// Whether it has equivocated: it can never be a validator again.
    pub barred: bool,
}

/// A seat in an epoch's committee.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct Seat {
    /// The validator.
    pub validator: Address,
    /// The key its node signs with.
    pub network_key: PublicKey,
    /// Its stake, frozen for the epoch.
    pub stake: Shannons,
    /// Its share of its pool's rewards, frozen for the epoch.
    pub commission: BasisPoints,
}

/// Those who decide in an epoch, largest stake first.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct Committee {
    /// One seat each.
    pub seats: Vec<Seat>,
}

/// What a committee member did in an epoch.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
pub struct Duty {
    /// Blocks it proposed.
    pub blocks_proposed: u64,
    /// Audits it was drawn for and hearings it sat in; an accusation that a hearing overruled counts as one
    /// for each seat of the committee.
    pub audits_assigned: u64,
    /// Of those, the ones in which it agreed with the majority.
    pub audits_done: u64,
}

/// Where a model stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelStatus {
    /// Has never competed.
    Created,
    /// Competes, with its weights and stake frozen for the epoch.
    Active,
    /// Competed before; fresh weights bring it back.
    Stale,
    /// Deactivated or faulted for good.
    Retired,
}

/// Why a model stopped competing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Inactivity {
    /// Its weights are older than the refresh time.
    Stale,
    /// Its owner deactivated it.
    Deactivated,
    /// The committee found its weights unusable.
    Faulted,
    /// The network's architecture changed: it has to commit anew.
    Outgrown,
}

/// Encrypted weights as committed.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct CommittedWeights {
    /// Where they can be downloaded.
    pub url: Url,
    /// Their length in bytes.
    pub size_bytes: u64,
    /// Their BLAKE3.
    pub hash: ContentHash,
    /// When they were committed.
    pub epoch: Epoch,
    /// Their shape: the network's when they were committed.
    pub architecture: Architecture,
    /// The ledger's count of commits then: of two equal models the lower is the earlier. Kept when
    /// the same file is committed again.
    pub sequence: u64,
}

/// Weights with the key that decrypts them. The embedding is stored beside the model.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct Weights {
    /// What was committed.
    pub committed: CommittedWeights,
    /// Decrypts it.
    pub key: DecryptionKey,
    /// The epoch from which they compete.
    pub active_from: Epoch,
}

/// A model.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct Model {
    /// Its name.
    pub id: ModelId,
    /// Its position in the list of all models.
    pub index: u64,
    /// Who owns it.
    pub owner: Address,
    /// The owner's share of its rewards.
    pub commission: Commission,
    /// The network's shape when it was created or last committed.
    pub architecture: Architecture,
    /// When it was created.
    pub created: Epoch,
    /// Where it stands.
    pub status: ModelStatus,
    /// Deactivated or faulted, and retired from the next boundary on.
    pub retiring: Option<Inactivity>,
    /// The weights it competes with.
    pub weights: Option<Weights>,
    /// The weights it competed with before those took over: audits of the epoch before need them.
    pub previous: Option<Weights>,
    /// Revealed weights that take over at the next boundary.
    pub revealed: Option<Weights>,
    /// Committed weights that wait for their reveal.
    pub committed: Option<CommittedWeights>,
    /// Hits in the current epoch.
    pub hits: u64,
    /// Hits ever.
    pub hits_total: u64,
    /// Rewards ever: its owner's commission and its pool's part.
    pub rewards_total: Shannons,
}

impl Model {
    /// Whether it takes stake and weights: not retired, nor about to be.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.status != ModelStatus::Retired && self.retiring.is_none()
    }
}

impl Model {
    /// The weights it competed with in `epoch`, where that is this epoch or the one before.
    #[must_use]
    pub fn weights_in(&self, epoch: Epoch) -> Option<&Weights> {
        [&self.weights, &self.previous]
            .into_iter()
            .flatten()
            .find(|weights| weights.active_from <= epoch)
    }
}

/// How a target stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum TargetStatus {
    /// Waits for a valid reveal. Closed without a winner once its epoch is over.
    Open,
    /// Has a valid reveal; settles at this height, or at the boundary if that comes first.
    Settling {
        /// The height.
        at: Height,
    },
    /// Has a winner.
    Filled {
        /// The winner.
        submission: SubmissionId,
        /// When it was settled.
        at: Height,
    },
}

/// A valid reveal in its target's race.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct Candidate {
    /// The commit's place among all commits: the earliest wins.
    pub sequence: u64,
    /// The submission.
    pub submission: SubmissionId,
}

/// A target. Its embedding is `Embedding::draw(&seed, dim)`.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct Target {
    /// Its name.
    pub id: TargetId,
    /// The epoch it belongs to.
    pub epoch: Epoch,
    /// Its position among the epoch's targets.
    pub index: u64,
    /// Which of the places for open targets it takes.
    pub slot: u32,
    /// Fixes its embedding.
    pub seed: Seed,
    /// The threshold when it opened, in Q30: the most that is asked of a commit's dot product with the
    /// embedding. A commit is held to less where less is in force when it is made.
    pub threshold_q30: i64,
    /// The models that score its data. Of two equal losses the first model's wins: their order is
    /// that in which their weights were committed.
    pub models: Vec<ModelId>,
    /// When it opened.
    pub opened: Height,
    /// How it stands.
    pub status: TargetStatus,
    /// The valid reveals so far, earliest commit first.
    pub candidates: Vec<Candidate>,
}

/// How a submission stands, or ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum SubmissionStatus {
    /// Waits for its reveal.
    Committed,
    /// Valid; its target's race is on.
    Revealed,
    /// Won its target; rewards are paid two epochs later unless an audit finds it false.
    Won,
    /// Another won the target. Bond and deposit came back.
    LostRace {
        /// Who won.
        to: SubmissionId,
    },
    /// Its data belongs to a submission with an earlier commit. Bond and deposit came back.
    NotNew {
        /// Who was first.
        first: SubmissionId,
    },
    /// Never revealed.
    Expired {
        /// The deposit, unless the target closed before the reveal was due.
        forfeited: Shannons,
    },
    /// Won and was paid.
    Paid {
        /// What the submitter got.
        submitter: Shannons,
        /// What the model's owner got as commission.
        owner: Shannons,
        /// What the model's pool got.
        pool: Shannons,
    },
    /// Won and was found false.
    FoundFalse {
        /// What differed.
        verdict: Verdict,
        /// The bond it lost.
        bond: Shannons,
        /// The reward that went back to the pool.
        reward: Shannons,
    },
}

/// A submission from its commit on.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct Submission {
    /// Its name.
    pub id: SubmissionId,
    /// Its target.
    pub target: TargetId,
    /// Who made it.
    pub submitter: Address,
    /// Hides what was found.
    pub commitment: Commitment,
    /// When it was committed.
    pub committed: Height,
    /// The commit's place among all commits.
    pub sequence: u64,
    /// The least dot product of its embedding and the target, in Q30: the lower of the target's
    /// threshold and of the one in force when it was committed.
    pub threshold_q30: i64,
    /// Locked until it ends.
    pub deposit: Shannons,
    /// Locked from its reveal until it loses or is settled.
    pub bond: Shannons,
    /// How it stands.
    pub status: SubmissionStatus,
    /// What it found, once revealed and valid. The embedding is stored beside.
    pub found: Option<Found>,
    /// The demand that it be audited, if someone made one.
    pub challenge: Option<Challenge>,
}

/// A demand that a winner be audited, backed by a bond (docs/protocol.md, section 8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct Challenge {
    /// Who made it.
    pub challenger: Address,
    /// Locked until the audit is decided.
    pub bond: Shannons,
    /// How it ended, once the winner is settled.
    pub end: Option<ChallengeEnd>,
}

/// How a challenge ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(tag = "end", rename_all = "snake_case")]
pub enum ChallengeEnd {
    /// The winner was found false: the bond came back, with a share of the winner's.
    Upheld {
        /// That share.
        share: Shannons,
    },
    /// The winner was found valid: the bond went to the submitter.
    Failed {
        /// The bond.
        bond: Shannons,
    },
    /// The auditors found no majority: the winner stands, and the bond came back.
    Undecided,
}

/// What a revealed submission found.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct Found {
    /// When it was revealed.
    pub revealed: Height,
    /// Where the data can be downloaded.
    pub data_url: Url,
    /// Its length in bytes.
    pub data_size_bytes: u64,
    /// Its BLAKE3.
    pub data_hash: ContentHash,
    /// Each model's loss in nano-nats, in the target's order.
    pub losses_nano: Vec<u64>,
    /// The cross-entropy part of the winner's loss, in nano-nats.
    pub cross_entropy_nano: u64,
    /// The winning model.
    pub model: ModelId,
    /// Its owner's share, frozen for the epoch.
    pub commission: BasisPoints,
    /// The dot product of embedding and target, in Q30.
    pub dot_q30: i32,
    /// Its place among the epoch's winners, once it has won.
    pub winner_index: Option<u64>,
}

/// Whose data a content hash is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct DataClaim {
    /// The submission that revealed it.
    pub submission: SubmissionId,
    /// Its commit's place among all commits.
    pub sequence: u64,
    /// Whether it has won, so that the claim lasts for ever.
    pub won: bool,
}

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

/// Where every shannon is.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
pub struct SupplyBreakdown {
    /// In accounts.
    pub balances: Shannons,
    /// Stake that counts.
    pub pools: Shannons,
    /// Stake that does not count yet.
    pub pending: Shannons,
    /// Withdrawn stake.
    pub unbonding: Shannons,
    /// Bonds of submissions.
    pub bonds: Shannons,
    /// Deposits of submissions.
    pub deposits: Shannons,
    /// Waits to be earned.
    pub reward_pool: Shannons,
    /// Earned in closed epochs, not yet paid.
    pub reserved: Shannons,
    /// Fees of the current epoch.
    pub fees: Shannons,
    /// Rent of the current epoch.
    pub rent: Shannons,
    /// Not emitted yet.
    pub emission: Shannons,
    /// What is gone for good.
    pub burned: Shannons,
}

impl SupplyBreakdown {
    /// The sum of everything, which is always the maximum supply; `None` on overflow.
    #[must_use]
    pub fn total(&self) -> Option<Shannons> {
        [
            self.balances,
            self.pools,
            self.pending,
            self.unbonding,
            self.bonds,
            self.deposits,
            self.reward_pool,
            self.reserved,
            self.fees,
            self.rent,
            self.emission,
            self.burned,
        ]
        .into_iter()
        .try_fold(Shannons::ZERO, Shannons::checked_add)
    }

    /// What is neither unemitted nor burned; zero where that is impossible.
    #[must_use]
    pub fn circulating(&self) -> Shannons {
        self.total()
            .unwrap_or_default()
            .saturating_sub(self.emission)
            .saturating_sub(self.burned)
    }
}
