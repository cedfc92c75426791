//! Submissions in the tests' network.

use soma_types::{
    Commitment, ContentHash, Embedding, Receipt, Salt, SubmissionId, TargetId, TransactionKind as Kind,
    list::List,
    objects::{SubmissionStatus, Target},
    receipt::{Created, Outcome},
    transaction::SubmissionReveal,
};

use super::{kinds::address, rules::DIM, world::World};

/// A submission in the making.
#[derive(Clone, Debug)]
pub struct Find {
    /// Who submits it.
    pub who: u8,
    /// For which target.
    pub target: TargetId,
    /// Hides it until it is revealed.
    pub salt: Salt,
    /// What was found.
    pub reveal: SubmissionReveal,
}

impl Find {
    /// The first step.
    #[must_use]
    pub fn commit(&self) -> Kind {
        Kind::CommitSubmission {
            target: self.target,
            commitment: self.commitment(),
        }
    }

    /// What hides it.
    #[must_use]
    pub fn commitment(&self) -> Commitment {
        self.reveal.commitment(&address(self.who), &self.salt)
    }

    /// The second step of `submission`, which the first one made.
    #[must_use]
    pub fn reveal(&self, submission: SubmissionId) -> Kind {
        Kind::RevealSubmission {
            submission,
            salt: self.salt,
            reveal: self.reveal.clone(),
        }
    }
}

/// The submission that a commit made.
#[must_use]
pub fn created_submission(receipt: &Receipt) -> SubmissionId {
    match receipt.outcome {
        Outcome::Applied {
            created: Some(Created::Submission(submission)),
        } => submission,
        ref outcome => panic!("{outcome:?}"),
    }
}

impl World {
    /// Data of `who` that hits `target` in its middle; the model at `winner` has the lowest loss.
    #[must_use]
    pub fn find(&self, who: u8, target: &Target, data: u8, winner: usize) -> Find {
        let losses = (0..target.models.len())
            .map(|place| 1_000_000_000 + u64::from(place != winner))
            .collect();
        Find {
            who,
            target: target.id,
            salt: Salt([who; 32]),
            reveal: SubmissionReveal {
                data_url: "soma:data".parse().unwrap(),
                data_size_bytes: 1_000,
                data_hash: ContentHash([data; 32]),
                losses_nano: List::new(losses).unwrap(),
                cross_entropy_nano: 900_000_000,
                embedding: Embedding::draw(&target.seed, DIM as usize),
            },
        }
    }

    /// The first step of `find`, which must take effect.
    pub fn commit(&mut self, find: &Find) -> SubmissionId {
        let receipt = self.apply(find.who, find.commit());
        created_submission(&receipt)
    }

    /// Commits, reveals, and settles; the submission has won.
    pub fn win(&mut self, who: u8, target: &Target, data: u8, winner: usize) -> SubmissionId {
        let find = self.find(who, target, data, winner);
        let id = self.commit(&find);
        self.apply(who, find.reveal(id));
        self.skip(self.genesis.params.settlement_blocks);
        assert_eq!(self.status(id), SubmissionStatus::Won);
        id
    }
}
