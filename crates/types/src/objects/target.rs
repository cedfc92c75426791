//! Targets and their races (docs/protocol.md, section 6).

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use crate::{Epoch, Height, ModelId, Seed, SubmissionId, TargetId};

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
