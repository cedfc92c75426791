//! The share of its pool's rewards that a validator or a model's owner takes first.

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use crate::{Epoch, basis_points::BasisPoints};

/// A change of commission that waits for its epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct Commission {
    /// In force until `next` takes over.
    pub current: BasisPoints,
    /// In force from the epoch after `set_in`.
    pub next: BasisPoints,
    /// When `next` was set.
    pub set_in: Epoch,
}

impl Commission {
    /// A commission from `epoch` on.
    #[must_use]
    pub const fn new(value: BasisPoints, epoch: Epoch) -> Self {
        Self {
            current: value,
            next: value,
            set_in: epoch,
        }
    }

    /// The commission in `epoch`.
    #[must_use]
    pub fn at(&self, epoch: Epoch) -> BasisPoints {
        if epoch > self.set_in {
            self.next
        } else {
            self.current
        }
    }

    /// Changes it from the epoch after `epoch`.
    pub fn set(&mut self, value: BasisPoints, epoch: Epoch) {
        *self = Self {
            current: self.at(epoch),
            next: value,
            set_in: epoch,
        };
    }
}
