//! Whose pool stake lies in, and how much is taken out of it.

use std::{fmt, str::FromStr};

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use crate::{Address, ModelId, Shannons, id::ParseIdError, secrecy::repeatable};

/// A staking pool: every validator and every model has one.
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
pub enum PoolId {
    /// The pool of the validator with this account.
    Validator(Address),
    /// The pool of this model.
    Model(ModelId),
}

impl fmt::Display for PoolId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Validator(address) => write!(f, "validator {address}"),
            Self::Model(model) => write!(f, "model {model}"),
        }
    }
}

impl FromStr for PoolId {
    type Err = ParseIdError;

    /// Reads `validator ADDRESS` or `model ID`; a space or a colon separates.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once([' ', ':']) {
            Some(("validator", address)) => address.parse().map(Self::Validator),
            Some(("model", model)) => model.parse().map(Self::Model),
            _ => Err(ParseIdError {
                what: "a pool ('validator:ADDRESS' or 'model:ID')",
                text: repeatable(text),
            }),
        }
    }
}

/// How much stake to take out of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Withdrawal {
    /// Everything, with what was added this epoch and does not count yet.
    All,
    /// This much of the stake that counts.
    Amount(Shannons),
}
