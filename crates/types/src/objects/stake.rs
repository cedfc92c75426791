//! Staking pools, and who has what in them (docs/protocol.md, section 4).

use std::{fmt, str::FromStr};

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Address, Epoch, Shannons, basis_points::BasisPoints, transaction::PoolId};

/// Shares of a pool. In JSON a decimal string.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub struct Shares(pub u128);

impl fmt::Display for Shares {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Shares {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

impl Serialize for Shares {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Shares {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        crate::text::parsed(deserializer)
    }
}

/// A staking pool.
///
/// Stake added in epoch E counts from E + 1 and earns E + 1's rewards, which are paid in E + 3. Until then
/// it is *young*: it stands at its face value beside the shares, so that rewards of earlier epochs, which
/// are paid in the meantime, go to those who earned them.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
pub struct Pool {
    /// What its shares are worth together.
    pub stake: Shannons,
    /// Shares issued.
    pub shares: Shares,
    /// Added in this epoch; counts from the next.
    pub pending: Shannons,
    /// Added in the last epoch.
    pub young: Shannons,
    /// Added in the epoch before; becomes shares at the next boundary.
    pub maturing: Shannons,
    /// The stake that counts in this epoch, frozen at its start.
    pub counted: Shannons,
    /// What its validator's equivocation cost it. A pool is slashed so at most once.
    pub slashed: Option<PoolSlash>,
}

/// A slash of a whole pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct PoolSlash {
    /// When it was made.
    pub epoch: Epoch,
    /// The epoch of the offence.
    pub offence: Epoch,
    /// The part that was lost.
    pub share: BasisPoints,
}

/// What one account holds in one pool.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct Position {
    /// The part of the pool that it is.
    pub shares: Shares,
    /// Stake that is not shares yet, by the epoch in which it was added, in order: at most one entry
    /// for each of the last three epochs, as of when the position last changed.
    pub added: Vec<AddedStake>,
    /// Whether the pool's slash is taken out of `added`.
    pub slashed: bool,
    /// Its place among its owner's positions.
    pub place: u64,
}

/// Stake on its way to become shares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct AddedStake {
    /// When it was added.
    pub epoch: Epoch,
    /// How much.
    pub amount: Shannons,
}

/// The price at which a pool's maturing stake became shares at a boundary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct PoolPrice {
    /// Worth of the shares.
    pub worth: Shannons,
    /// The shares.
    pub shares: Shares,
}

/// Withdrawn stake on its way to its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct Unbonding {
    /// Whose money it is.
    pub owner: Address,
    /// How much.
    pub amount: Shannons,
    /// When it is released.
    pub release: Epoch,
    /// Where it was: a slash of that pool for an offence while it counted still takes its part.
    pub pool: PoolId,
    /// When it was withdrawn: the last epoch in which it counted.
    pub withdrawn: Epoch,
    /// Whether the pool had been slashed before.
    pub slashed: bool,
}
