//! What a submission was hiding.

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use crate::{
    Address, Commitment, ContentHash, Embedding, Salt, Url, hash::domain_hash, list::List, losses,
    params::MODELS_PER_TARGET_MAX,
};

/// What a submitter found, hidden by its commitment until revealed (docs/protocol.md, section 7).
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct SubmissionReveal {
    /// Where the data can be downloaded.
    pub data_url: Url,
    /// Its length in bytes.
    pub data_size_bytes: u64,
    /// Its BLAKE3.
    pub data_hash: ContentHash,
    /// The loss of each of the target's models in nano-nats, in the target's order.
    pub losses_nano: List<u64, MODELS_PER_TARGET_MAX>,
    /// The cross-entropy part of the winner's loss, in nano-nats.
    pub cross_entropy_nano: u64,
    /// The winner's embedding of the data.
    pub embedding: Embedding,
}

impl SubmissionReveal {
    /// The position of the model that wins; `None` without losses.
    #[must_use]
    pub fn winner(&self) -> Option<usize> {
        losses::lowest(self.losses_nano.iter())
    }

    /// What [`CommitSubmission`](super::TransactionKind::CommitSubmission) carries for this reveal by
    /// `sender`.
    ///
    /// # Panics
    /// Never: encoding to memory does not fail.
    #[must_use]
    pub fn commitment(&self, sender: &Address, salt: &Salt) -> Commitment {
        let body = borsh::to_vec(self).expect("encoding to memory does not fail");
        Commitment(domain_hash(
            "soma 2026 submission commitment",
            &[&sender.0, &salt.0, &body],
        ))
    }
}
