//! Staking pools (PROTOCOL.md, section 4).
//!
//! A pool's stake is owned through shares; a reward raises what a share is worth. Stake added in
//! epoch E waits as *pending* and becomes shares at the boundary into E + 1, at that boundary's price.
//! The price of new shares counts rewards that are earned but not yet paid, so nobody can buy into
//! rewards that others earned; the price of shares given back does not. Both are rounded against the
//! caller. A virtual shannon with [`VIRTUAL_SHARES`] shares, owned by nobody, keeps the price of an empty
//! pool sane, whatever its history.

use soma_types::{
    Address, Epoch, Rejection, Shannons,
    event::Event,
    objects::{ModelStatus, Pool, PoolPrice, Position, Shares, Unbonding},
    transaction::{BASIS_POINTS_ONE, BasisPoints, PoolId, Withdrawal},
};

use crate::{
    bank::{Bucket, Ledger},
    error::{Broken, OrBroken, Stop},
    fixed::{mul_div, mul_div_up},
    tables::{MODELS, POOLS, POSITIONS, PRICES, STAKE_AT, STAKES_LEN, UNBONDING, VALIDATORS},
};

/// Shares of one shannon in a pool that has earned nothing.
pub(crate) const VIRTUAL_SHARES: u128 = 1_000;

/// Most releases of unbonded stake in one block.
const RELEASES_PER_BLOCK: usize = 64;

/// What `shares` are worth when given back, rounded down.
pub(crate) fn worth(pool: &Pool, shares: Shares) -> Result<Shannons, Broken> {
    let value = mul_div(
        shares.0,
        u128::from(pool.stake.0) + 1,
        pool.shares.0 + VIRTUAL_SHARES,
    )
    .and_then(|value| u64::try_from(value).ok())
    .or_broken("the worth of shares overflowed")?;
    // The virtual shannon is not there to be paid out.
    Ok(Shannons(value.min(pool.stake.0)))
}

/// The shares that must be given back for `amount`, rounded up.
fn shares_for(pool: &Pool, amount: Shannons) -> Result<Shares, Broken> {
    mul_div_up(
        u128::from(amount.0),
        pool.shares.0 + VIRTUAL_SHARES,
        u128::from(pool.stake.0) + 1,
    )
    .map(Shares)
    .or_broken("shares overflowed")
}

/// The shares that `amount` buys at `price`, rounded down.
fn bought(price: &PoolPrice, amount: Shannons) -> Result<Shares, Broken> {
    mul_div(u128::from(amount.0), price.shares.0, u128::from(price.worth.0))
        .map(Shares)
        .or_broken("shares overflowed")
}

impl Ledger<'_> {
    /// The position of `owner`, with pending stake of earlier epochs turned into shares.
    pub(crate) fn position(&mut self, pool: PoolId, owner: &Address) -> Result<Position, Stop> {
        let mut position = self.get(&POSITIONS, &(pool, *owner))?.unwrap_or_default();
        if !position.pending.is_zero() && position.pending_epoch < self.epoch() {
            let price = self.expect(&PRICES, &(pool, position.pending_epoch.next()))?;
            let shares = bought(&price, position.pending)?;
            position.shares.0 = position
                .shares
                .0
                .checked_add(shares.0)
                .or_broken("shares overflowed")?;
            position.pending = Shannons::ZERO;
        }
        Ok(position)
    }

    /// What `owner` has in `pool`, pending stake included.
    pub(crate) fn staked(&mut self, id: PoolId, owner: &Address) -> Result<Shannons, Stop> {
        let pool = self.expect(&POOLS, &id)?;
        let position = self.position(id, owner)?;
        Ok(worth(&pool, position.shares)?
            .checked_add(position.pending)
            .or_broken("a stake overflowed")?)
    }

    /// Moves `amount` from `owner`'s balance into `id` as pending stake. The pool exists.
    pub(crate) fn add_pending(&mut self, id: PoolId, owner: &Address, amount: Shannons) -> Result<(), Stop> {
        self.debit(owner, amount, Bucket::Pending)?;
        let mut pool = self.get(&POOLS, &id)?.unwrap_or_default();
        pool.pending = pool
            .pending
            .checked_add(amount)
            .or_broken("pending stake overflowed")?;
        self.set(&POOLS, &id, &pool);
        if self.get(&POSITIONS, &(id, *owner))?.is_none() {
            self.index_position(id, owner)?;
        }
        let mut position = self.position(id, owner)?;
        position.pending = position
            .pending
            .checked_add(amount)
            .or_broken("pending stake overflowed")?;
        position.pending_epoch = self.epoch();
        self.set(&POSITIONS, &(id, *owner), &position);
        self.emit(Event::StakeAdded {
            pool: id,
            staker: *owner,
            amount,
        });
        Ok(())
    }

    /// Lists a new position among its owner's.
    pub(crate) fn index_position(&mut self, id: PoolId, owner: &Address) -> Result<(), Stop> {
        let count = self.get(&STAKES_LEN, owner)?.unwrap_or(0);
        self.set(&STAKE_AT, &(*owner, count), &id);
        self.set(&STAKES_LEN, owner, &(count + 1));
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
        let counting = worth(&pool, position.shares)?;
        let (shares, amount, returned) = match withdrawal {
            Withdrawal::Amount(amount) if amount.is_zero() => return Err(Rejection::NothingToDo {}.into()),
            Withdrawal::Amount(amount) if amount > counting => {
                return Err(Rejection::InsufficientStake {
                    stake: counting,
                    needed: amount,
                }
                .into());
            }
            Withdrawal::Amount(amount) => {
                let shares = shares_for(&pool, amount)?;
                (shares.min(position.shares), amount, Shannons::ZERO)
            }
            Withdrawal::All if position.shares.0 == 0 && position.pending.is_zero() => {
                return Err(Rejection::InsufficientStake {
                    stake: Shannons::ZERO,
                    needed: Shannons::ZERO,
                }
                .into());
            }
            Withdrawal::All => (position.shares, counting, position.pending),
        };
        let remaining = self
            .staked(id, sender)?
            .saturating_sub(amount)
            .saturating_sub(returned);
        self.check_self_stake(sender, id, remaining)?;

        // After this point it must succeed.
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
        pool.stake = pool
            .stake
            .checked_sub(amount)
            .or_broken("a pool went below zero")?;
        if !returned.is_zero() {
            position.pending = Shannons::ZERO;
            pool.pending = pool
                .pending
                .checked_sub(returned)
                .or_broken("pending stake went below zero")?;
            self.credit(sender, returned, Bucket::Pending)?;
        }
        self.set(&POOLS, &id, &pool);
        self.set(&POSITIONS, &(id, *sender), &position);
        self.begin_unbonding(sender, amount)?;
        self.emit(Event::StakeWithdrawn {
            pool: id,
            staker: *sender,
            unbonding: amount,
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

    fn begin_unbonding(&mut self, owner: &Address, amount: Shannons) -> Result<(), Stop> {
        if amount.is_zero() {
            return Ok(());
        }
        self.shift(Bucket::Pools, Bucket::Unbonding, amount)?;
        let tail = self.hot.counters.unbonding_tail;
        // It stops counting at the next boundary, and waits from there.
        let release = self.epoch().plus(1).plus(self.hot.params.unbonding_epochs);
        self.set(
            &UNBONDING,
            &tail,
            &Unbonding {
                owner: *owner,
                amount,
                release,
            },
        );
        self.hot.counters.unbonding_tail = tail.checked_add(1).or_broken("unbonding queue")?;
        Ok(())
    }

    /// Pays stake whose wait is over, a bounded number a block.
    pub(crate) fn release_unbonded(&mut self) -> Result<(), Stop> {
        for _ in 0..RELEASES_PER_BLOCK {
            let head = self.hot.counters.unbonding_head;
            if head == self.hot.counters.unbonding_tail {
                break;
            }
            let entry = self.expect(&UNBONDING, &head)?;
            if entry.release > self.epoch() {
                break;
            }
            self.credit(&entry.owner, entry.amount, Bucket::Unbonding)?;
            self.remove(&UNBONDING, &head);
            self.hot.counters.unbonding_head = head + 1;
            self.emit(Event::Unbonded {
                staker: entry.owner,
                amount: entry.amount,
            });
        }
        Ok(())
    }

    /// At the boundary into the current epoch: pending stake starts to count, and what counts is frozen.
    pub(crate) fn roll_pool(&mut self, id: PoolId, pool: &mut Pool) -> Result<(), Stop> {
        if !pool.pending.is_zero() {
            let worth = pool
                .stake
                .checked_add(pool.accrued)
                .or_broken("a pool overflowed")?;
            let price = PoolPrice {
                worth: Shannons(worth.0.checked_add(1).or_broken("a pool overflowed")?),
                shares: Shares(pool.shares.0 + VIRTUAL_SHARES),
            };
            let minted = bought(&price, pool.pending)?;
            self.set(&PRICES, &(id, self.epoch()), &price);
            self.shift(Bucket::Pending, Bucket::Pools, pool.pending)?;
            pool.shares.0 = pool
                .shares
                .0
                .checked_add(minted.0)
                .or_broken("shares overflowed")?;
            pool.stake = pool
                .stake
                .checked_add(pool.pending)
                .or_broken("a pool overflowed")?;
            pool.pending = Shannons::ZERO;
        }
        pool.counted = pool.stake;
        Ok(())
    }

    /// Adds a reward to a pool's stake; to `owner` instead where no shares are left to earn it.
    pub(crate) fn pay_pool(
        &mut self,
        id: PoolId,
        owner: &Address,
        amount: Shannons,
        accrued: Shannons,
    ) -> Result<(), Stop> {
        let mut pool = self.expect(&POOLS, &id)?;
        pool.accrued = pool.accrued.saturating_sub(accrued);
        if pool.shares.0 == 0 {
            self.credit(owner, amount, Bucket::Reserved)?;
        } else {
            pool.stake = pool.stake.checked_add(amount).or_broken("a pool overflowed")?;
            self.shift(Bucket::Reserved, Bucket::Pools, amount)?;
        }
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
        let shares = mul_div_up(
            position.shares.0,
            u128::from(share.get()),
            u128::from(BASIS_POINTS_ONE),
        )
        .or_broken("shares overflowed")?;
        let amount = worth(pool, Shares(shares))?;
        position.shares.0 -= shares;
        pool.shares.0 = pool
            .shares
            .0
            .checked_sub(shares)
            .or_broken("shares went below zero")?;
        pool.stake = pool
            .stake
            .checked_sub(amount)
            .or_broken("a pool went below zero")?;
        self.set(&POSITIONS, &(id, *owner), &position);
        self.forfeit(amount, Bucket::Pools)?;
        Ok(amount)
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
            pending: Shannons::ZERO,
            pending_epoch: Epoch::ZERO,
        };
        self.set(&POSITIONS, &(id, *owner), &position);
        self.index_position(id, owner)
    }
}
