//! The two steps of a submission, which are the same for everyone: commit, and one block later reveal.

use soma_types::{
    ContentHash, Embedding, Salt, SubmissionId, TargetId, TransactionKind,
    list::List,
    transaction::{SubmissionReveal, Verdict},
};

use crate::chain::{Actor, Intent};

/// Something to submit, true or not.
#[derive(Clone, Debug)]
pub struct Find {
    /// Who acts.
    pub by: Actor,
    /// For which target.
    pub target: TargetId,
    /// The data's hash.
    pub data: ContentHash,
    /// Its length.
    pub size_bytes: u64,
    /// The claimed losses in nano-nats, in the target's order.
    pub losses_nano: Vec<u64>,
    /// The claimed embedding.
    pub embedding: Embedding,
    /// What an audit that does its work finds.
    pub truth: Verdict,
}

impl Find {
    fn salt(&self) -> Salt {
        Salt(self.data.0)
    }

    fn reveal(&self) -> SubmissionReveal {
        let cross_entropy_nano = self.losses_nano.iter().copied().min().unwrap_or_default();
        SubmissionReveal {
            data_url: "soma:data".parse().expect("a valid URL"),
            data_size_bytes: self.size_bytes,
            data_hash: self.data,
            losses_nano: List::new(self.losses_nano.clone()).expect("as many as a target has models"),
            cross_entropy_nano,
            embedding: self.embedding.clone(),
        }
    }

    /// The first step.
    #[must_use]
    pub fn commit(&self) -> Intent {
        Intent {
            by: self.by,
            kind: TransactionKind::CommitSubmission {
                target: self.target,
                commitment: self.reveal().commitment(&self.by.address, &self.salt()),
            },
        }
    }

    /// The second step.
    #[must_use]
    pub fn open(&self, submission: SubmissionId) -> Intent {
        Intent {
            by: self.by,
            kind: TransactionKind::RevealSubmission {
                submission,
                salt: self.salt(),
                reveal: self.reveal(),
            },
        }
    }
}
