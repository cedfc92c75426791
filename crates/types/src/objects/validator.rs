//! Validators, their seats, and what they did (docs/protocol.md, section 4).

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use super::commission::Commission;
use crate::{Address, Epoch, PublicKey, Shannons, basis_points::BasisPoints};

/// A validator.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct Validator {
    /// Its account.
    pub address: Address,
    /// Its position in the list of validators.
    pub index: u64,
    /// The key its node signs with.
    pub network_key: PublicKey,
    /// Its share of its pool's rewards.
    pub commission: Commission,
    /// Since when it is registered.
    pub registered: Epoch,
    /// Whether it leaves, or has left.
    pub leaving: bool,
    /// Its vote on rent, in shannons per MiB and epoch.
    pub rent_vote: Option<Shannons>,
    /// Whether it has equivocated: it can never be a validator again.
    pub barred: bool,
}

/// A seat in an epoch's committee.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct Seat {
    /// The validator.
    pub validator: Address,
    /// The key its node signs with.
    pub network_key: PublicKey,
    /// Its stake, frozen for the epoch.
    pub stake: Shannons,
    /// Its share of its pool's rewards, frozen for the epoch.
    pub commission: BasisPoints,
}

/// Those who decide in an epoch, largest stake first.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct Committee {
    /// One seat each.
    pub seats: Vec<Seat>,
}

/// What a committee member did in an epoch.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
pub struct Duty {
    /// Blocks it proposed.
    pub blocks_proposed: u64,
    /// Audits it was drawn for and hearings it sat in; an accusation that a hearing overruled counts as one
    /// for each seat of the committee.
    pub audits_assigned: u64,
    /// Of those, the ones in which it agreed with the majority.
    pub audits_done: u64,
}
