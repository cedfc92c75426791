//! Where money is.

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use crate::Shannons;

/// An account. One that was never funded is all zeros.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
pub struct Account {
    /// What it can spend.
    pub balance: Shannons,
    /// The nonce of its next transaction.
    pub nonce: u64,
}

/// Where every shannon is.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
pub struct SupplyBreakdown {
    /// In accounts.
    pub balances: Shannons,
    /// Stake that counts.
    pub pools: Shannons,
    /// Stake that does not count yet.
    pub pending: Shannons,
    /// Withdrawn stake.
    pub unbonding: Shannons,
    /// Bonds of submissions.
    pub bonds: Shannons,
    /// Deposits of submissions.
    pub deposits: Shannons,
    /// Waits to be earned.
    pub reward_pool: Shannons,
    /// Earned in closed epochs, not yet paid.
    pub reserved: Shannons,
    /// Fees of the current epoch.
    pub fees: Shannons,
    /// Rent of the current epoch.
    pub rent: Shannons,
    /// Not emitted yet.
    pub emission: Shannons,
    /// What is gone for good.
    pub burned: Shannons,
}

impl SupplyBreakdown {
    /// The sum of everything, which is always the maximum supply; `None` on overflow.
    #[must_use]
    pub fn total(&self) -> Option<Shannons> {
        [
            self.balances,
            self.pools,
            self.pending,
            self.unbonding,
            self.bonds,
            self.deposits,
            self.reward_pool,
            self.reserved,
            self.fees,
            self.rent,
            self.emission,
            self.burned,
        ]
        .into_iter()
        .try_fold(Shannons::ZERO, Shannons::checked_add)
    }

    /// What is neither unemitted nor burned; zero where that is impossible.
    #[must_use]
    pub fn circulating(&self) -> Shannons {
        self.total()
            .unwrap_or_default()
            .saturating_sub(self.emission)
            .saturating_sub(self.burned)
    }
}
