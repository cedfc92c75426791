//! The arithmetic of a pool: shares, what they are worth, and stake that is not shares yet.

use soma_routing::fixed::{mul_div, mul_div_up};
use soma_types::{
    Epoch, Shannons,
    objects::{Pool, PoolPrice, Position, Shares},
};

use crate::error::{Broken, OrBroken};

/// Shares of one shannon in a pool that has earned nothing.
pub(crate) const VIRTUAL_SHARES: u128 = 1_000;

/// Boundaries from adding stake to its becoming shares: the rewards of the epoch in which it was added
/// are paid before the third.
pub(crate) const MATURING_EPOCHS: u64 = 3;

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

/// What counts of a pool: its shares and what is past its first boundary.
pub(crate) fn counting(pool: &Pool) -> Result<Shannons, Broken> {
    let added = pool
        .young
        .checked_add(pool.maturing)
        .or_broken("a pool overflowed")?;
    pool.stake.checked_add(added).or_broken("a pool overflowed")
}

/// Whether all of a pool is shares, so that it needs no more boundaries while nobody adds to it.
pub(crate) fn is_mature(pool: &Pool) -> bool {
    pool.pending.is_zero() && pool.young.is_zero() && pool.maturing.is_zero()
}

/// The shares that must be given back for `amount`, rounded up.
pub(super) fn shares_for(pool: &Pool, amount: Shannons) -> Result<Shares, Broken> {
    mul_div_up(
        u128::from(amount.0),
        pool.shares.0 + VIRTUAL_SHARES,
        u128::from(pool.stake.0) + 1,
    )
    .map(Shares)
    .or_broken("shares overflowed")
}

/// The shares that `amount` buys at `price`, rounded down.
pub(super) fn bought(price: &PoolPrice, amount: Shannons) -> Result<Shares, Broken> {
    mul_div(u128::from(amount.0), price.shares.0, u128::from(price.worth.0))
        .map(Shares)
        .or_broken("shares overflowed")
}

/// What of `position` is not shares: all of it, and the part that counts in epoch `now`.
pub(crate) fn face_value(position: &Position, now: Epoch) -> Result<(Shannons, Shannons), Broken> {
    let (mut all, mut counting) = (Shannons::ZERO, Shannons::ZERO);
    for added in &position.added {
        all = all.checked_add(added.amount).or_broken("a stake overflowed")?;
        if added.epoch < now {
            counting = counting
                .checked_add(added.amount)
                .or_broken("a stake overflowed")?;
        }
    }
    Ok((all, counting))
}

/// Where a pool keeps the sum of what was added in `epoch`, while it is epoch `now`.
pub(super) fn added_in(pool: &mut Pool, epoch: Epoch, now: Epoch) -> Result<&mut Shannons, Broken> {
    match now.0.checked_sub(epoch.0) {
        Some(0) => Ok(&mut pool.pending),
        Some(1) => Ok(&mut pool.young),
        Some(2) => Ok(&mut pool.maturing),
        _ => Err(Broken("stake that should be shares")),
    }
}
