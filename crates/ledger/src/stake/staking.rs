//! Staking pools (docs/protocol.md, section 4).
//!
//! A pool's stake is owned through shares; a reward raises what a share is worth. Stake added in epoch E
//! counts from E + 1, so the first rewards it earns are E + 1's, paid in E + 3's first blocks. It becomes
//! shares at the boundary into E + 3, at that boundary's price; until then it stands beside the shares at its
//! face value. So nobody can buy into rewards that others earned. Who withdraws leaves what is not yet paid
//! to those who stay.
//!
//! Shares are bought and given back rounded against the caller. A virtual shannon with [`VIRTUAL_SHARES`]
//! shares, owned by nobody, keeps the price of an empty pool sane, whatever its history.

use soma_routing::fixed::mul_div_up;
use soma_types::{
    Address, Epoch, Rejection, Shannons,
    event::Event,
    objects::{AddedStake, ModelStatus, Pool, PoolPrice, Position, Shares, Unbonding},
    transaction::{BASIS_POINTS_ONE, BasisPoints, PoolId, Withdrawal},
};

use crate::{
    block::RELEASES_PER_BLOCK,
    error::{OrBroken, Stop},
    ledger::Ledger,
    money::bank::Bucket,
    stake::{
        pool::{MATURING_EPOCHS, VIRTUAL_SHARES, added_in, bought, counting, face_value, shares_for, worth},
        slash::{slash_added, slash_unbonding},
    },
    tables::{MODELS, POOLS, POSITIONS, PRICES, RELEASES, STAKES, VALIDATORS},
};

impl Ledger<'_> {
    /// The position of `owner`, with what has matured turned into shares.
    pub(crate) fn position(&mut self, pool: PoolId, owner: &Address) -> Result<Position, Stop> {
        let mut position = self.get(&POSITIONS, &(pool, *owner))?.unwrap_or_default();
        let now = self.epoch();
        if !position.added.is_empty() {
            slash_added(&mut position, &self.expect(&POOLS, &pool)?);
        }
        while let Some(first) = position
            .added
            .first()
            .filter(|first| first.epoch.plus(MATURING_EPOCHS) <= now)
        {
            let price = self.expect(&PRICES, &(pool, first.epoch.plus(MATURING_EPOCHS)))?;
            let shares = bought(&price, first.amount)?;
            let sum = position.shares.0.checked_add(shares.0);
            position.shares.0 = sum.or_broken("shares overflowed")?;
            position.added.remove(0);
        }
        Ok(position)
    }

    /// What `owner` has in `id`, all of it.
    pub(crate) fn staked(&mut self, id: PoolId, owner: &Address) -> Result<Shannons, Stop> {
        let pool = self.expect(&POOLS, &id)?;
        let position = self.position(id, owner)?;
        let (added, _) = face_value(&position, self.epoch())?;
        Ok(worth(&pool, position.shares)?
            .checked_add(added)
            .or_broken("a stake overflowed")?)
    }

    /// Moves `amount` from `owner`'s balance into `id` as pending stake.
    pub(crate) fn add_pending(&mut self, id: PoolId, owner: &Address, amount: Shannons) -> Result<(), Stop> {
        self.debit(owner, amount, Bucket::Pending)?;
        let mut pool = self.get(&POOLS, &id)?.unwrap_or_default();
        pool.pending = pool
            .pending
            .checked_add(amount)
            .or_broken("pending stake overflowed")?;
        self.set(&POOLS, &id, &pool);
        let is_new = self.get(&POSITIONS, &(id, *owner))?.is_none();
        let mut position = self.position(id, owner)?;
        if is_new {
            position.place = self.list_position(id, owner)?;
        }
        let epoch = self.epoch();
        match position.added.last_mut().filter(|last| last.epoch == epoch) {
            Some(last) => {
                last.amount = last
                    .amount
                    .checked_add(amount)
                    .or_broken("pending stake overflowed")?;
            }
            None => position.added.push(AddedStake { epoch, amount }),
        }
        self.set(&POSITIONS, &(id, *owner), &position);
        self.emit(Event::StakeAdded {
            pool: id,
            staker: *owner,
            amount,
        });
        Ok(())
    }

    /// Lists a new position among its owner's: its place.
    fn list_position(&mut self, id: PoolId, owner: &Address) -> Result<u64, Stop> {
        let place = STAKES.len(self.state, owner)?;
        STAKES.push(self.state, owner, &id).map(|()| place)
    }

    /// Keeps a position that has changed. Where nothing is left of it, nothing stays in the state.
    fn keep_position(&mut self, id: PoolId, owner: &Address, position: &Position) -> Result<(), Stop> {
        if position.shares.0 > 0 || !position.added.is_empty() {
            self.set(&POSITIONS, &(id, *owner), position);
            return Ok(());
        }
        if self.get(&POSITIONS, &(id, *owner))?.is_none() {
            return Ok(());
        }
        self.remove(&POSITIONS, &(id, *owner));
        if let Some(moved) = STAKES.swap_remove(self.state, owner, position.place)? {
            let mut other = self.expect(&POSITIONS, &(moved, *owner))?;
            other.place = position.place;
            self.set(&POSITIONS, &(moved, *owner), &other);
        }
        Ok(())
    }

    pub(crate) fn add_stake(&mut self, sender: &Address, id: PoolId, amount: Shannons) -> Result<(), Stop> {
        let minimum = self.hot.params.stake_min;
        if amount < minimum {
            return Err(Rejection::StakeTooSmall { amount, minimum }.into());
        }
        if self.get(&POOLS, &id)?.is_none() {
            return Err(Rejection::NoSuchPool {}.into());
        }
        let open = match id {
            PoolId::Validator(address) => !self.expect(&VALIDATORS, &address)?.leaving,
            PoolId::Model(model) => self.expect(&MODELS, &model)?.is_live(),
        };
        if !open {
            return Err(Rejection::PoolClosed {}.into());
        }
        self.add_pending(id, sender, amount)
    }

    pub(crate) fn withdraw_stake(
        &mut self,
        sender: &Address,
        id: PoolId,
        withdrawal: Withdrawal,
    ) -> Result<(), Stop> {
        let Some(mut pool) = self.get(&POOLS, &id)? else {
            return Err(Rejection::NoSuchPool {}.into());
        };
        let mut position = self.position(id, sender)?;
        let now = self.epoch();
        let (added, added_counting) = face_value(&position, now)?;
        let in_shares = worth(&pool, position.shares)?;
        let counting = in_shares
            .checked_add(added_counting)
            .or_broken("a stake overflowed")?;
        let stake = in_shares.checked_add(added).or_broken("a stake overflowed")?;
        // What unbonds, and what had not counted yet and comes back at once.
        let (unbonding, returned) = match withdrawal {
            Withdrawal::Amount(amount) if amount.is_zero() => return Err(Rejection::NothingToDo {}.into()),
            Withdrawal::Amount(amount) if amount > counting => {
                return Err(Rejection::InsufficientStake {
                    stake: counting,
                    needed: amount,
                }
                .into());
            }
            Withdrawal::All if stake.is_zero() => {
                return Err(Rejection::InsufficientStake { stake, needed: stake }.into());
            }
            Withdrawal::Amount(amount) => (amount, Shannons::ZERO),
            Withdrawal::All => (counting, stake.saturating_sub(counting)),
        };
        let remaining = stake.saturating_sub(unbonding).saturating_sub(returned);
        self.check_self_stake(sender, id, remaining)?;

        // From here on nothing is rejected. What has earned least goes first.
        let mut left = unbonding;
        for entry in position.added.iter_mut().rev() {
            let taken = if entry.epoch == now {
                returned
            } else {
                left.min(entry.amount)
            };
            if entry.epoch != now {
                left = left.saturating_sub(taken);
            }
            entry.amount = entry
                .amount
                .checked_sub(taken)
                .or_broken("a stake went below zero")?;
            let sum = added_in(&mut pool, entry.epoch, now)?;
            *sum = sum.checked_sub(taken).or_broken("a pool went below zero")?;
        }
        position.added.retain(|entry| !entry.amount.is_zero());
        let shares = match withdrawal {
            Withdrawal::All => position.shares,
            Withdrawal::Amount(_) => shares_for(&pool, left)?.min(position.shares),
        };
        position.shares.0 = position
            .shares
            .0
            .checked_sub(shares.0)
            .or_broken("shares went below zero")?;
        pool.shares.0 = pool
            .shares
            .0
            .checked_sub(shares.0)
            .or_broken("shares went below zero")?;
        pool.stake = pool.stake.checked_sub(left).or_broken("a pool went below zero")?;
        self.set(&POOLS, &id, &pool);
        self.keep_position(id, sender, &position)?;
        self.credit(sender, returned, Bucket::Pending)?;
        // It stops counting at the next boundary, and waits from there.
        let release = self.epoch().plus(1).plus(self.hot.now.unbonding_epochs);
        self.begin_unbonding(sender, id, &pool, unbonding, release)?;
        self.emit(Event::StakeWithdrawn {
            pool: id,
            staker: *sender,
            unbonding,
            release,
            returned,
        });
        Ok(())
    }

    /// An owner keeps the least own stake for as long as its validator or model is live.
    fn check_self_stake(&mut self, sender: &Address, id: PoolId, remaining: Shannons) -> Result<(), Stop> {
        let minimum = match id {
            PoolId::Validator(address) => {
                let bound = *sender == address && !self.expect(&VALIDATORS, &address)?.leaving;
                bound.then_some(self.hot.params.validator_stake_min)
            }
            PoolId::Model(model) => {
                let model = self.expect(&MODELS, &model)?;
                (model.owner == *sender && model.status != ModelStatus::Retired)
                    .then_some(self.hot.params.model_stake_min)
            }
        };
        match minimum {
            Some(minimum) if remaining < minimum => Err(Rejection::SelfStakeTooSmall {
                stake: remaining,
                minimum,
            }
            .into()),
            _ => Ok(()),
        }
    }

    fn begin_unbonding(
        &mut self,
        owner: &Address,
        id: PoolId,
        pool: &Pool,
        amount: Shannons,
        release: Epoch,
    ) -> Result<(), Stop> {
        if amount.is_zero() {
            return Ok(());
        }
        self.shift(Bucket::Pools, Bucket::Unbonding, amount)?;
        let entry = Unbonding {
            owner: *owner,
            amount,
            release,
            pool: id,
            withdrawn: self.epoch(),
            slashed: pool.slashed.is_some(),
        };
        RELEASES.push(self.state, &release, &entry)
    }

    /// Pays stake whose wait is over, a bounded number a block. In the order of release, for a vote can make
    /// later withdrawals wait less than earlier ones.
    pub(crate) fn release_unbonded(&mut self) -> Result<(), Stop> {
        let mut left = RELEASES_PER_BLOCK;
        while left > 0 && self.hot.counters.release_epoch <= self.epoch() {
            let (epoch, index) = (self.hot.counters.release_epoch, self.hot.counters.release_index);
            let Some(entry) = RELEASES.take(self.state, &epoch, index)? else {
                // Whatever is withdrawn is released in a later epoch than this one.
                self.hot.counters.release_epoch = epoch.next();
                self.hot.counters.release_index = 0;
                continue;
            };
            let lost = slash_unbonding(&entry, &self.expect(&POOLS, &entry.pool)?);
            let amount = entry.amount.saturating_sub(lost);
            self.shift(Bucket::Unbonding, Bucket::Burned, lost)?;
            self.credit(&entry.owner, amount, Bucket::Unbonding)?;
            self.hot.counters.release_index += 1;
            left -= 1;
            self.emit(Event::Unbonded {
                staker: entry.owner,
                amount,
            });
        }
        Ok(())
    }

    /// At the boundary into the current epoch: added stake grows older, and what counts is frozen.
    pub(crate) fn roll_pool(&mut self, id: PoolId, pool: &mut Pool) -> Result<(), Stop> {
        if !pool.maturing.is_zero() {
            let price = PoolPrice {
                worth: Shannons(pool.stake.0.checked_add(1).or_broken("a pool overflowed")?),
                shares: Shares(pool.shares.0 + VIRTUAL_SHARES),
            };
            let minted = bought(&price, pool.maturing)?;
            self.set(&PRICES, &(id, self.epoch()), &price);
            pool.shares.0 = pool
                .shares
                .0
                .checked_add(minted.0)
                .or_broken("shares overflowed")?;
            pool.stake = pool
                .stake
                .checked_add(pool.maturing)
                .or_broken("a pool overflowed")?;
        }
        self.shift(Bucket::Pending, Bucket::Pools, pool.pending)?;
        (pool.maturing, pool.young, pool.pending) = (pool.young, pool.pending, Shannons::ZERO);
        pool.counted = counting(pool)?;
        Ok(())
    }

    /// Adds a reward to a pool's stake; to `owner` instead where no shares are left to earn it.
    pub(crate) fn pay_pool(&mut self, id: PoolId, owner: &Address, amount: Shannons) -> Result<(), Stop> {
        let mut pool = self.expect(&POOLS, &id)?;
        if pool.shares.0 == 0 {
            return self.credit(owner, amount, Bucket::Reserved);
        }
        pool.stake = pool.stake.checked_add(amount).or_broken("a pool overflowed")?;
        self.shift(Bucket::Reserved, Bucket::Pools, amount)?;
        self.set(&POOLS, &id, &pool);
        Ok(())
    }

    /// Takes `share` of `owner`'s counting stake in `pool` as a forfeit, and says how much it was.
    pub(crate) fn slash_position(
        &mut self,
        id: PoolId,
        pool: &mut Pool,
        owner: &Address,
        share: BasisPoints,
    ) -> Result<Shannons, Stop> {
        let mut position = self.position(id, owner)?;
        let now = self.epoch();
        let shares = mul_div_up(
            position.shares.0,
            u128::from(share.get()),
            u128::from(BASIS_POINTS_ONE),
        )
        .or_broken("shares overflowed")?;
        let mut slashed = worth(pool, Shares(shares))?;
        position.shares.0 -= shares;
        pool.shares.0 = pool
            .shares
            .0
            .checked_sub(shares)
            .or_broken("shares went below zero")?;
        pool.stake = pool
            .stake
            .checked_sub(slashed)
            .or_broken("a pool went below zero")?;
        for entry in position.added.iter_mut().filter(|entry| entry.epoch < now) {
            let taken = share.of(entry.amount);
            entry.amount = entry.amount.saturating_sub(taken);
            let sum = added_in(pool, entry.epoch, now)?;
            *sum = sum.checked_sub(taken).or_broken("a pool went below zero")?;
            slashed = slashed.checked_add(taken).or_broken("a slash overflowed")?;
        }
        // A pool in which nothing matures records no price: nothing may be left that needs one.
        position.added.retain(|entry| !entry.amount.is_zero());
        self.keep_position(id, owner, &position)?;
        self.forfeit(slashed, Bucket::Pools)?;
        Ok(slashed)
    }

    /// Gives genesis stake to a validator: it counts from the first block.
    pub(crate) fn genesis_stake(
        &mut self,
        id: PoolId,
        owner: &Address,
        amount: Shannons,
    ) -> Result<(), Stop> {
        let shares = Shares(u128::from(amount.0) * VIRTUAL_SHARES);
        let pool = Pool {
            stake: amount,
            shares,
            counted: amount,
            ..Pool::default()
        };
        self.set(&POOLS, &id, &pool);
        let position = Position {
            shares,
            place: self.list_position(id, owner)?,
            ..Position::default()
        };
        self.set(&POSITIONS, &(id, *owner), &position);
        Ok(())
    }
}
