//! All money, counted from what is stored: independent of the ledger's running totals.

use soma_types::{Shannons, amount::MAX_SUPPLY, objects::SupplyBreakdown};

use super::{kinds::address, world::World};
use crate::{
    tables::{ACCOUNTS, POOLS, RELEASES, SUBMISSIONS},
    view,
};

impl World {
    /// All that an account has, wherever it is: spendable, staked, unbonding, and locked in submissions
    /// and challenges.
    pub fn wealth(&mut self, who: u8) -> u64 {
        let owner = address(who);
        let (stakes, _) = view::stakes(&mut self.chain.state, owner, 0, u64::MAX).unwrap();
        let staked = stakes.iter().map(|stake| stake.counting.0 + stake.pending.0);
        let mut wealth = self.balance(who) + staked.sum::<u64>();
        let state = &self.chain.state;
        for unbonding in RELEASES.all(state).filter(|one| one.owner == owner) {
            wealth += unbonding.amount.0;
        }
        for submission in SUBMISSIONS.all(state) {
            if submission.submitter == owner {
                wealth += submission.bond.0 + submission.deposit.0;
            }
            if let Some(challenge) = submission.challenge.filter(|one| one.challenger == owner) {
                wealth += challenge.bond.0;
            }
        }
        wealth
    }

    /// Counts all money from the stored objects, and compares with the running totals.
    pub fn check_money(&mut self) {
        let mut counted = SupplyBreakdown::default();
        let add = |sum: &mut Shannons, amount: Shannons| sum.0 += amount.0;
        let state = &self.chain.state;
        for account in ACCOUNTS.all(state) {
            add(&mut counted.balances, account.balance);
        }
        for pool in POOLS.all(state) {
            for amount in [pool.stake, pool.young, pool.maturing] {
                add(&mut counted.pools, amount);
            }
            add(&mut counted.pending, pool.pending);
        }
        for unbonding in RELEASES.all(state) {
            add(&mut counted.unbonding, unbonding.amount);
        }
        for submission in SUBMISSIONS.all(state) {
            add(&mut counted.bonds, submission.bond);
            if let Some(challenge) = submission.challenge {
                add(&mut counted.bonds, challenge.bond);
            }
            add(&mut counted.deposits, submission.deposit);
        }
        let supply = self.supply();
        let now = view::epoch(&mut self.chain.state).unwrap().unwrap();
        assert_eq!(
            (now.fees, now.rent),
            (supply.fees, supply.rent),
            "this epoch's fees and rent"
        );
        let held = SupplyBreakdown {
            reward_pool: supply.reward_pool,
            reserved: supply.reserved,
            fees: supply.fees,
            rent: supply.rent,
            emission: supply.emission,
            burned: supply.burned,
            ..counted
        };
        assert_eq!(held, supply);
        assert_eq!(supply.total(), Some(MAX_SUPPLY));
    }
}
