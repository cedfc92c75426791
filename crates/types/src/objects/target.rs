//! Targets and their races (docs/protocol.md, section 6).

use std::cmp::Reverse;

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
    /// How close it is, in Q30, if its commit was made while the target was opening.
    pub opening_dot_q30: Option<i32>,
    /// The commit's place among all commits.
    pub sequence: u64,
    /// The submission.
    pub submission: SubmissionId,
}

impl Candidate {
    /// The order in which candidates win: of commits made while the target was opening the closest, then the
    /// earliest.
    #[must_use]
    pub fn rank(&self) -> impl Ord + use<> {
        let closeness = self.opening_dot_q30.map(Reverse);
        (closeness.is_none(), closeness, self.sequence)
    }
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
    /// The valid reveals so far, by rank.
    pub candidates: Vec<Candidate>,
}

impl Target {
    /// Whether a commit at `height` counts as made when it opened, where that takes so many blocks.
    #[must_use]
    pub const fn is_opening(&self, height: Height, opening_blocks: u64) -> bool {
        height.0 < self.opened.0 + opening_blocks
    }

    /// Whether it takes commits at `height`, in its epoch: until it has a valid reveal, and while it opens.
    #[must_use]
    pub const fn takes_commits(&self, height: Height, opening_blocks: u64) -> bool {
        match self.status {
            TargetStatus::Open => true,
            TargetStatus::Settling { .. } => self.is_opening(height, opening_blocks),
            TargetStatus::Filled { .. } => false,
        }
    }
}
