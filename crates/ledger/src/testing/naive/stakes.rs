//! Stake put into pools and taken out of them (docs/protocol.md, section 4).

use soma_types::{
    Address, Rejection,
    objects::ModelStatus,
    transaction::{PoolId, Withdrawal},
};

use super::{
    Economy, Lot, Unbonding, money,
    pools::{MATURES_AFTER, NOBODYS_SHARES},
    shannons,
};

/// Choice: withdrawn stake is released in the order of withdrawals, at most this many a block.
const RELEASES_PER_BLOCK: usize = 4_096;

impl Economy {
    pub(super) fn add_stake(&mut self, sender: Address, id: PoolId, amount: u128) -> Result<(), Rejection> {
        if amount < money(self.params.stake_min) {
            return Err(Rejection::StakeTooSmall {
                amount: shannons(amount),
                minimum: self.params.stake_min,
            });
        }
        if !self.pools.contains_key(&id) {
            return Err(Rejection::NoSuchPool {});
        }
        let open = match id {
            PoolId::Validator(address) => !self.validators[&address].leaving,
            PoolId::Model(model) => self.models[&model].is_live(),
        };
        if !open {
            return Err(Rejection::PoolClosed {});
        }
        self.stake(sender, id, amount)
    }

    pub(super) fn stake(&mut self, sender: Address, id: PoolId, amount: u128) -> Result<(), Rejection> {
        self.take(&sender, amount)?;
        self.pools.entry(id).or_default().lots.push(Lot {
            owner: sender,
            epoch: self.now.epoch,
            amount,
        });
        Ok(())
    }

    pub(super) fn withdraw_stake(
        &mut self,
        sender: Address,
        id: PoolId,
        withdrawal: Withdrawal,
    ) -> Result<(), Rejection> {
        let now = self.now.epoch;
        let pool = self.pools.get(&id).ok_or(Rejection::NoSuchPool {})?;
        let (counting, all) = pool.stake_of(&sender, now);
        let (unbonding, returned) = match withdrawal {
            Withdrawal::All => (counting, all - counting),
            Withdrawal::Amount(amount) => (money(amount), 0),
        };
        if unbonding + returned == 0 && withdrawal != Withdrawal::All {
            return Err(Rejection::NothingToDo {});
        }
        if unbonding > counting || all == 0 {
            return Err(Rejection::InsufficientStake {
                stake: shannons(counting),
                needed: shannons(unbonding),
            });
        }
        let remaining = all - unbonding - returned;
        if let Some(minimum) = self
            .least_own_stake(&sender, id)
            .filter(|least| remaining < *least)
        {
            return Err(Rejection::SelfStakeTooSmall {
                stake: shannons(remaining),
                minimum: shannons(minimum),
            });
        }

        // Choice: what was added last goes first.
        let pool = self.pools.entry(id).or_default();
        pool.take_lots(&sender, now, returned);
        let mut left = unbonding;
        for epoch in (0..now).rev().take(MATURES_AFTER as usize) {
            left -= pool.take_lots(&sender, epoch, left);
        }
        let held = pool.shares_of(&sender);
        let shares = match withdrawal {
            Withdrawal::All => held,
            // Rounded against the caller.
            Withdrawal::Amount(_) => (left * (pool.issued + NOBODYS_SHARES))
                .div_ceil(pool.worth + 1)
                .min(held),
        };
        pool.give_back(&sender, shares);
        pool.worth -= left;
        self.credit(sender, returned);
        if unbonding > 0 {
            // It stops counting at the next boundary and waits from there.
            let release = now + 1 + self.params.unbonding_epochs;
            self.unbonding.push(Unbonding {
                owner: sender,
                amount: unbonding,
                release,
                pool: id,
                withdrawn: now,
                number: self.withdrawals,
            });
            self.withdrawals += 1;
        }
        Ok(())
    }

    /// What an owner must keep: as long as a validator stays, and until a model has retired.
    fn least_own_stake(&self, sender: &Address, id: PoolId) -> Option<u128> {
        match id {
            PoolId::Validator(address) => {
                let stays = address == *sender && !self.validators[&address].leaving;
                stays.then_some(money(self.params.validator_stake_min))
            }
            PoolId::Model(model) => {
                let model = &self.models[&model];
                let bound = model.owner == *sender && model.status != ModelStatus::Retired;
                bound.then_some(money(self.params.model_stake_min))
            }
        }
    }

    /// Choice: in the order of release, and within an epoch in that of withdrawal.
    pub(super) fn release_unbonded(&mut self) {
        self.unbonding.sort_by_key(|entry| (entry.release, entry.number));
        let due = self
            .unbonding
            .iter()
            .take(RELEASES_PER_BLOCK)
            .take_while(|entry| entry.release <= self.now.epoch)
            .count();
        for entry in self.unbonding.drain(..due).collect::<Vec<_>>() {
            let lost = self.lost(&entry);
            self.burned += lost;
            self.credit(entry.owner, entry.amount - lost);
        }
    }

    /// A reward for a pool. Choice: where nobody has shares, its owner gets it.
    pub(super) fn reward_stakers(&mut self, id: PoolId, owner: Address, amount: u128) {
        let pool = self.pools.entry(id).or_default();
        if pool.issued == 0 {
            self.credit(owner, amount);
        } else {
            pool.worth += amount;
        }
    }
}
