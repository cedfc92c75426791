//! What validators find: of a winner's claim, and of revealed weights.

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use crate::{Address, Commitment, Salt, SubmissionId, Transcript, hash::domain_hash};

/// What an auditor found (docs/protocol.md, section 8).
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    BorshSerialize,
    BorshDeserialize,
    Serialize,
    Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Data, hash and scores are as claimed.
    Valid,
    /// The data could not be downloaded.
    DataUnavailable,
    /// The downloaded data has another size or hash.
    HashMismatch,
    /// A loss, the cross entropy or the embedding differs from the exact one.
    FalseScore,
}

impl Verdict {
    /// Whether forming this verdict took scoring the data, so that it carries a transcript.
    #[must_use]
    pub const fn has_transcript(self) -> bool {
        matches!(self, Self::Valid | Self::FalseScore)
    }

    /// Whether this verdict is that the winner must not stand.
    #[must_use]
    pub const fn accuses(self) -> bool {
        !matches!(self, Self::Valid)
    }

    /// What [`CommitAudit`](super::TransactionKind::CommitAudit) carries for this verdict by `auditor`.
    /// `transcript` is all zeros for verdicts without one.
    #[must_use]
    pub fn commitment(
        self,
        auditor: &Address,
        submission: &SubmissionId,
        transcript: &Transcript,
        salt: &Salt,
    ) -> Commitment {
        Commitment(domain_hash(
            "soma 2026 audit commitment",
            &[&auditor.0, &submission.0, &[self as u8], &transcript.0, &salt.0],
        ))
    }
}

/// What is wrong with revealed weights (docs/protocol.md, section 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelFault {
    /// The encrypted file could not be downloaded.
    Unavailable,
    /// The encrypted file has another size or hash.
    HashMismatch,
    /// The revealed key is not the one the file's header commits to.
    WrongKey,
    /// The weights do not parse, or do not fit the architecture.
    BadWeights,
}
