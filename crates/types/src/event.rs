//! What changed, for those who follow along. Events are derived from the ledger, never read by it.

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use crate::{
    Address, Epoch, Height, ModelId, Seed, Shannons, SubmissionId, TargetId,
    objects::{AuditStage, ChallengeEnd, Inactivity, SubmissionStatus},
    transaction::{ModelFault, PoolId, Verdict},
    upgrade::{Ballot, ProposalStatus, ProtocolVersion},
};

/// One change of the ledger.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// Money went from one account to another.
    Paid {
        /// The payer.
        from: Address,
        /// The payee.
        to: Address,
        /// How much.
        amount: Shannons,
    },
    /// An address that was paid for the first time got an account.
    AccountOpened {
        /// The address.
        address: Address,
        /// What the payer paid for it, besides what it was paid.
        price: Shannons,
    },
    /// Stake was added and counts from the next epoch.
    StakeAdded {
        /// The pool.
        pool: PoolId,
        /// Whose stake it is.
        staker: Address,
        /// How much.
        amount: Shannons,
    },
    /// Stake was taken out.
    StakeWithdrawn {
        /// The pool.
        pool: PoolId,
        /// Whose stake it is.
        staker: Address,
        /// What unbonds.
        unbonding: Shannons,
        /// When that is released.
        release: Epoch,
        /// What had not counted yet and came back at once.
        returned: Shannons,
    },
    /// Unbonded stake reached its owner's balance.
    Unbonded {
        /// Whose stake it is.
        staker: Address,
        /// How much.
        amount: Shannons,
    },
    /// A model was created.
    ModelCreated {
        /// The model.
        model: ModelId,
        /// Its owner.
        owner: Address,
    },
    /// Weights were committed.
    ModelCommitted {
        /// The model.
        model: ModelId,
        /// The rent paid.
        rent: Shannons,
    },
    /// Weights were revealed and take over at the next boundary.
    ModelRevealed {
        /// The model.
        model: ModelId,
    },
    /// New weights took over.
    ModelActivated {
        /// The model.
        model: ModelId,
    },
    /// A commitment was not revealed in time.
    ModelLapsed {
        /// The model.
        model: ModelId,
        /// What its owner lost.
        slashed: Shannons,
    },
    /// A committee member reported unusable weights.
    ModelReported {
        /// The model.
        model: ModelId,
        /// The validator who did.
        validator: Address,
        /// What is wrong with it.
        fault: ModelFault,
    },
    /// More than two thirds of the committee's stake reported unusable weights.
    ModelFaulted {
        /// The model.
        model: ModelId,
        /// What its owner lost.
        slashed: Shannons,
    },
    /// A model stopped competing.
    ModelInactive {
        /// The model.
        model: ModelId,
        /// Why it stopped.
        reason: Inactivity,
    },
    /// A target opened.
    TargetOpened {
        /// The target.
        target: TargetId,
        /// Its models, in order.
        models: Vec<ModelId>,
    },
    /// A target was filled.
    TargetFilled {
        /// The target.
        target: TargetId,
        /// The winner.
        submission: SubmissionId,
        /// The winning model.
        model: ModelId,
    },
    /// A submission was committed.
    SubmissionCommitted {
        /// The submission.
        submission: SubmissionId,
        /// Its target.
        target: TargetId,
    },
    /// A submission was revealed and valid; its target settles at `settles_at`.
    SubmissionRevealed {
        /// The submission.
        submission: SubmissionId,
        /// Its target.
        target: TargetId,
        /// When the target settles.
        settles_at: Height,
    },
    /// A submission came to an end, or was settled after its audit.
    SubmissionEnded {
        /// The submission.
        submission: SubmissionId,
        /// How it ended.
        status: SubmissionStatus,
    },
    /// An auditor committed to a verdict.
    AuditCommitted {
        /// The winner under audit.
        submission: SubmissionId,
        /// In which stage of its audit.
        stage: AuditStage,
        /// The auditor who did.
        auditor: Address,
    },
    /// An auditor revealed its verdict.
    AuditRevealed {
        /// The winner under audit.
        submission: SubmissionId,
        /// In which stage of its audit.
        stage: AuditStage,
        /// The auditor who did.
        auditor: Address,
        /// Its finding.
        verdict: Verdict,
    },
    /// A validator was paid for an epoch.
    ValidatorPaid {
        /// The validator.
        validator: Address,
        /// For which epoch.
        epoch: Epoch,
        /// What it and its pool earned.
        amount: Shannons,
        /// What it forfeited.
        forfeited: Shannons,
    },
    /// A validator registered.
    ValidatorRegistered {
        /// The validator.
        validator: Address,
    },
    /// A validator leaves at the next boundary.
    ValidatorLeft {
        /// The validator.
        validator: Address,
    },
    /// An epoch began.
    EpochStarted {
        /// The epoch.
        epoch: Epoch,
        /// Its first block.
        height: Height,
        /// Its first block's seed.
        seed: Seed,
        /// Models in the routing table.
        models: u64,
        /// Members of the committee.
        committee: u32,
    },
    /// All of an epoch's rewards are paid.
    EpochSettled {
        /// The epoch.
        epoch: Epoch,
    },
    /// The difficulty was adjusted.
    DifficultyAdjusted {
        /// The new z, in 1/65536.
        z_q16: i64,
    },
    /// Someone demanded a winner's audit.
    SubmissionChallenged {
        /// The winner.
        submission: SubmissionId,
        /// Who challenged it.
        challenger: Address,
        /// What it locked.
        bond: Shannons,
    },
    /// A challenged winner was settled.
    ChallengeEnded {
        /// The winner.
        submission: SubmissionId,
        /// Who had challenged it.
        challenger: Address,
        /// How it ended.
        end: ChallengeEnd,
    },
    /// A validator proposed an upgrade.
    UpgradeProposed {
        /// The proposal.
        proposal: u64,
        /// Who proposed it.
        proposer: Address,
    },
    /// A validator voted on an upgrade.
    UpgradeVoted {
        /// The proposal.
        proposal: u64,
        /// The validator who did.
        validator: Address,
        /// What they voted.
        ballot: Ballot,
    },
    /// More than two thirds of stake and seats are for an upgrade: it will take effect.
    UpgradeScheduled {
        /// The proposal.
        proposal: u64,
        /// The version of the rules.
        version: ProtocolVersion,
        /// The first epoch under them.
        activation: Epoch,
    },
    /// An upgrade took effect, or never will.
    UpgradeEnded {
        /// The proposal.
        proposal: u64,
        /// How it ended.
        status: ProposalStatus,
    },
    /// A validator voted for two blocks at once: it loses its seat for good.
    ValidatorBarred {
        /// The validator.
        validator: Address,
        /// The epoch of the votes.
        offence: Epoch,
        /// What its pool lost.
        slashed: Shannons,
    },
}
