//! Submissions, what they found, and who doubts it (docs/protocol.md, sections 7 and 8).

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use crate::{
    Address, Commitment, ContentHash, Height, ModelId, Shannons, SubmissionId, TargetId, Url,
    basis_points::BasisPoints, transaction::Verdict,
};

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
