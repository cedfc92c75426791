//! What a proof is about, and what it shows.

use borsh::BorshDeserialize as _;
use serde::Serialize;
use soma_ledger::keys;
use soma_types::{
    Address, ModelId, Receipt, TargetId, TransactionHash,
    objects::{Account, Model, Target},
};

/// What of the state a proof is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Held {
    /// An account.
    Account(Address),
    /// A model.
    Model(ModelId),
    /// A target.
    Target(TargetId),
}

impl Held {
    /// Where the ledger keeps it.
    #[must_use]
    pub fn key(&self) -> Vec<u8> {
        match self {
            Self::Account(address) => keys::account(address),
            Self::Model(id) => keys::model(id),
            Self::Target(id) => keys::target(id),
        }
    }

    /// What the ledger keeps there; `None` where it is no such thing.
    pub(crate) fn found(&self, value: &[u8]) -> Option<Found> {
        match self {
            Self::Account(_) => Account::try_from_slice(value).ok().map(Found::Account),
            Self::Model(_) => {
                let model = Model::try_from_slice(value).ok()?;
                Some(Found::Model(Box::new(model)))
            }
            Self::Target(_) => {
                let target = Target::try_from_slice(value).ok()?;
                Some(Found::Target(Box::new(target)))
            }
        }
    }
}

/// What a proof is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// The receipt of a transaction, in a block.
    Receipt(TransactionHash),
    /// Something of the state after a block.
    #[serde(untagged)]
    Held(Held),
}

/// What was there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Found {
    /// An account.
    Account(Account),
    /// A model.
    Model(Box<Model>),
    /// A target.
    Target(Box<Target>),
    /// A receipt.
    Receipt(Box<Receipt>),
}
