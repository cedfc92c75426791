//! What became of a transaction, and of a block.

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use crate::{
    Address, Height, ModelId, Shannons, SubmissionId, TransactionHash, event::Event, rejection::Rejection,
};

/// The lasting answer to an included transaction.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct Receipt {
    /// The transaction.
    pub transaction: TransactionHash,
    /// Who sent it.
    pub sender: Address,
    /// The block it is in.
    pub height: Height,
    /// Its position among the block's transactions.
    pub index: u32,
    /// What it paid.
    pub fee: Shannons,
    /// Whether it took effect.
    pub outcome: Outcome,
    /// What it changed, in order. Empty when it failed.
    pub events: Vec<Event>,
}

/// Whether an included transaction took effect.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Outcome {
    /// It did.
    Applied {
        /// What it created, if anything.
        created: Option<Created>,
    },
    /// It paid its fee and changed nothing else.
    Failed {
        /// The ledger's reason.
        rejection: Rejection,
    },
}

/// A thing named by the transaction that created it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Created {
    /// A model.
    Model(ModelId),
    /// A submission.
    Submission(SubmissionId),
    /// A proposal, by its number.
    Proposal(u64),
}

impl Receipt {
    /// Whether the transaction took effect.
    #[must_use]
    pub const fn applied(&self) -> bool {
        matches!(self.outcome, Outcome::Applied { .. })
    }
}
