//! Pools, validators and committees (docs/protocol.md, section 4).

use std::cmp::Reverse;

use soma_types::{
    Address, PublicKey, Rejection, Signature,
    objects::{ModelStatus, Seat},
    transaction::{BasisPoints, PoolId, VALIDATOR_KEY_NAMESPACE, Withdrawal, validator_key_message},
};

use super::{Economy, Lot, Pool, Unbonding, Validator, money, part, rate_at, set_rate, shannons};

/// Choice: a shannon with 1000 shares that nobody owns is in every pool.
const NOBODYS_SHARES: u128 = 1_000;

/// Choice: rewards of epoch E are paid in E + 2, so stake added in E earns nothing that is paid before
/// E + 3. It becomes shares at the boundary into E + 3.
pub(super) const MATURES_AFTER: u64 = 3;

/// Choice: withdrawn stake is released in the order of withdrawals, at most this many a block.
const RELEASES_PER_BLOCK: usize = 512;

impl Pool {
    /// Given back, shares are worth their part of the pool, rounded down, nobody's shannon left out.
    fn worth_of(&self, shares: u128) -> u128 {
        (shares * (self.worth + 1) / (self.issued + NOBODYS_SHARES)).min(self.worth)
    }

    fn shares_of(&self, owner: &Address) -> u128 {
        self.shares.get(owner).copied().unwrap_or(0)
    }

    /// What an owner's lots add up to that were added in an epoch of which `which` holds.
    pub(super) fn lots_of(&self, owner: &Address, which: impl Fn(u64) -> bool) -> u128 {
        self.lots
            .iter()
            .filter(|lot| lot.owner == *owner && which(lot.epoch))
            .map(|lot| lot.amount)
            .sum()
    }

    /// All that was added in an epoch.
    pub(super) fn added_in(&self, epoch: u64) -> u128 {
        let lots = self.lots.iter().filter(|lot| lot.epoch == epoch);
        lots.map(|lot| lot.amount).sum::<u128>() + self.unowned.get(&epoch).unwrap_or(&0)
    }

    /// All that is not shares yet and was added in an epoch of which `which` holds.
    pub(super) fn added(&self, which: impl Fn(u64) -> bool) -> u128 {
        let lots = self.lots.iter().map(|lot| (lot.epoch, lot.amount));
        let unowned = self.unowned.iter().map(|(epoch, amount)| (*epoch, *amount));
        lots.chain(unowned)
            .filter(|(epoch, _)| which(*epoch))
            .map(|(_, amount)| amount)
            .sum()
    }

    /// Whether all of it is shares.
    pub(super) fn is_mature(&self) -> bool {
        self.added(|_| true) == 0
    }

    /// What an owner has that counts in epoch `now`, and all that it has.
    pub(super) fn stake_of(&self, owner: &Address, now: u64) -> (u128, u128) {
        let in_shares = self.worth_of(self.shares_of(owner));
        (
            in_shares + self.lots_of(owner, |epoch| epoch < now),
            in_shares + self.lots_of(owner, |_| true),
        )
    }

    /// Shares and counting stake, for comparison.
    pub(super) fn holding(&self, owner: &Address, now: u64) -> (u128, u128, u128) {
        let (counting, all) = self.stake_of(owner, now);
        (self.shares_of(owner), counting, all - counting)
    }

    /// Burns shares of an owner.
    fn give_back(&mut self, owner: &Address, shares: u128) {
        *self.shares.entry(*owner).or_default() -= shares;
        self.issued -= shares;
    }

    /// Takes up to `amount` out of an owner's lots of one epoch; says how much it was.
    pub(super) fn take_lots(&mut self, owner: &Address, epoch: u64, amount: u128) -> u128 {
        let mut left = amount;
        for lot in self
            .lots
            .iter_mut()
            .filter(|lot| lot.owner == *owner && lot.epoch == epoch)
        {
            let taken = left.min(lot.amount);
            lot.amount -= taken;
            left -= taken;
        }
        self.lots.retain(|lot| lot.amount > 0);
        amount - left
    }

    /// At the boundary into epoch `now`.
    pub(super) fn roll(&mut self, now: u64) {
        let (worth, issued) = (self.worth + 1, self.issued + NOBODYS_SHARES);
        let matured: Vec<Lot> = self
            .lots
            .iter()
            .filter(|lot| lot.epoch + MATURES_AFTER <= now)
            .cloned()
            .collect();
        self.lots.retain(|lot| lot.epoch + MATURES_AFTER > now);
        let total = matured.iter().map(|lot| lot.amount).sum::<u128>()
            + self
                .unowned
                .iter()
                .filter(|(epoch, _)| *epoch + MATURES_AFTER <= now)
                .map(|(_, amount)| amount)
                .sum::<u128>();
        self.unowned.retain(|epoch, _| epoch + MATURES_AFTER > now);
        self.worth += total;
        // Choice: rounded down for all together, and again for each owner.
        self.issued += total * issued / worth;
        let mut owned: std::collections::BTreeMap<Address, u128> = std::collections::BTreeMap::new();
        for lot in matured {
            *owned.entry(lot.owner).or_default() += lot.amount;
        }
        for (owner, amount) in owned {
            *self.shares.entry(owner).or_default() += amount * issued / worth;
        }
        self.count();
    }

    /// What counts is all but what was added after the boundary, where there is none.
    pub(super) fn count(&mut self) {
        self.counted = self.worth + self.added(|_| true);
    }

    /// Takes a share of all that an owner has that counts in epoch `now`; says how much it was.
    pub(super) fn slash(&mut self, owner: &Address, share: BasisPoints, now: u64) -> u128 {
        let shares = (self.shares_of(owner) * u128::from(share.get())).div_ceil(10_000);
        let mut slashed = self.worth_of(shares);
        self.give_back(owner, shares);
        self.worth -= slashed;
        let epochs: Vec<u64> = (0..now).filter(|epoch| epoch + MATURES_AFTER >= now).collect();
        for epoch in epochs {
            let amount = self.lots_of(owner, |added| added == epoch);
            slashed += self.take_lots(owner, epoch, part(amount, share));
        }
        slashed
    }
}

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

    pub(super) fn register_validator(
        &mut self,
        sender: Address,
        network_key: PublicKey,
        proof: &Signature,
        commission: BasisPoints,
        stake: u128,
    ) -> Result<(), Rejection> {
        if stake < money(self.params.validator_stake_min) {
            return Err(Rejection::StakeTooSmall {
                amount: shannons(stake),
                minimum: self.params.validator_stake_min,
            });
        }
        if self.validators.get(&sender).is_some_and(|known| known.listed) {
            return Err(Rejection::AlreadyValidator {});
        }
        let mut listed = self.validators.values().filter(|known| known.listed);
        if listed.any(|known| known.network_key == network_key) {
            return Err(Rejection::NetworkKeyTaken {});
        }
        let message = validator_key_message(&self.chain, &sender);
        if !network_key.verify(VALIDATOR_KEY_NAMESPACE, &message, proof) {
            return Err(Rejection::BadKeyProof {});
        }
        if self.validators.get(&sender).is_some_and(|known| known.barred) {
            return Err(Rejection::Barred {});
        }
        self.stake(sender, PoolId::Validator(sender), stake)?;
        let validator = Validator {
            network_key,
            commission: vec![(self.now.epoch, commission)],
            leaving: false,
            listed: true,
            rent_vote: None,
            barred: false,
        };
        self.validators.insert(sender, validator);
        Ok(())
    }

    /// A validator of the sender that is not leaving.
    fn own_validator(&mut self, sender: &Address) -> Result<&mut Validator, Rejection> {
        self.validators
            .get_mut(sender)
            .filter(|validator| !validator.leaving)
            .ok_or(Rejection::NotValidator {})
    }

    pub(super) fn leave_validator(&mut self, sender: Address) -> Result<(), Rejection> {
        self.own_validator(&sender)?;
        if self.validators.values().filter(|one| !one.leaving).count() == 1 {
            return Err(Rejection::LastValidator {});
        }
        self.own_validator(&sender)?.leaving = true;
        Ok(())
    }

    pub(super) fn set_validator_commission(
        &mut self,
        sender: Address,
        commission: BasisPoints,
    ) -> Result<(), Rejection> {
        let epoch = self.now.epoch;
        set_rate(&mut self.own_validator(&sender)?.commission, commission, epoch);
        Ok(())
    }

    pub(super) fn set_rent_vote(&mut self, sender: Address, rate: u128) -> Result<(), Rejection> {
        let validator = self.own_validator(&sender)?;
        // Choice: the most is one SOMA per MiB and epoch.
        let limit = 1_000_000_000;
        if rate > limit {
            return Err(Rejection::RentOutOfBounds {
                rate: shannons(rate),
                limit: shannons(limit),
            });
        }
        validator.rent_vote = Some(rate);
        Ok(())
    }

    /// The new epoch's committee, the largest first, and the rent it votes for.
    pub(super) fn seat_committee(&mut self) {
        let now = self.now.epoch;
        for (address, validator) in self.validators.iter_mut().filter(|(_, one)| one.listed) {
            let pool = self.pools.entry(PoolId::Validator(*address)).or_default();
            pool.roll(now);
            validator.listed = !(validator.leaving && pool.is_mature());
        }
        let mut seats: Vec<Seat> = self
            .validators
            .iter()
            .filter(|(_, validator)| !validator.leaving)
            .map(|(address, validator)| Seat {
                validator: *address,
                network_key: validator.network_key,
                stake: shannons(self.pools[&PoolId::Validator(*address)].counted),
                commission: rate_at(&validator.commission, now),
            })
            .filter(|seat| seat.stake.0 > 0)
            .collect();
        seats.sort_by_key(|seat| (Reverse(seat.stake), seat.validator));
        seats.truncate(self.params.committee_size as usize);
        self.now.rent_rate = self.voted_rent(&seats);
        self.committees.insert(now, seats);
    }

    /// The least rate at or below which half of the stake votes. Choice: who has not voted is for what is.
    fn voted_rent(&self, seats: &[Seat]) -> u128 {
        let vote = |seat: &Seat| {
            self.validators[&seat.validator]
                .rent_vote
                .unwrap_or(self.now.rent_rate)
        };
        let total: u128 = seats.iter().map(|seat| money(seat.stake)).sum();
        let mut rates: Vec<u128> = seats.iter().map(vote).collect();
        rates.sort_unstable();
        rates
            .into_iter()
            .find(|rate| {
                let below = seats.iter().filter(|seat| vote(seat) <= *rate);
                2 * below.map(|seat| money(seat.stake)).sum::<u128>() >= total
            })
            .unwrap_or(self.now.rent_rate)
    }
}
