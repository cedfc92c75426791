//! What a pool loses when its validator equivocates, from every staker in proportion.

use soma_types::{
    Shannons,
    objects::{Pool, PoolSlash, Position, Unbonding},
    transaction::BasisPoints,
};

use super::pool::MATURING_EPOCHS;
use crate::error::{Broken, OrBroken};

/// What is left of `amount`, rounded down.
fn kept(amount: Shannons, share: BasisPoints) -> Shannons {
    // Rounding what is kept down is rounding what is lost up.
    let whole = BasisPoints::new(soma_types::transaction::BASIS_POINTS_ONE - share.get());
    whole.map_or(Shannons::ZERO, |rest| rest.of(amount))
}

/// Takes a pool's slash out of what a position added before it and has not yet as shares.
pub(crate) fn slash_added(position: &mut Position, pool: &Pool) {
    let Some(slash) = pool.slashed.filter(|_| !position.slashed) else {
        return;
    };
    for entry in &mut position.added {
        // What had become shares by then has paid through their price.
        if entry.epoch < slash.epoch && slash.epoch < entry.epoch.plus(MATURING_EPOCHS) {
            entry.amount = kept(entry.amount, slash.share);
        }
    }
    position.added.retain(|entry| !entry.amount.is_zero());
    position.slashed = true;
}

/// What unbonding stake loses when it is released.
pub(crate) fn slash_unbonding(entry: &Unbonding, pool: &Pool) -> Shannons {
    match pool.slashed {
        Some(slash) if !entry.slashed && slash.offence <= entry.withdrawn => {
            entry.amount.saturating_sub(kept(entry.amount, slash.share))
        }
        _ => Shannons::ZERO,
    }
}

/// Takes `share` of all that counts in `pool`, and says how much it was. The sums of young stake keep what
/// their positions keep, or a little more.
pub(super) fn slash_pool(pool: &mut Pool, slash: PoolSlash) -> Result<Shannons, Broken> {
    let mut slashed = Shannons::ZERO;
    let stake = kept(pool.stake, slash.share);
    let young = pool.young.saturating_sub(slash.share.of(pool.young));
    let maturing = pool.maturing.saturating_sub(slash.share.of(pool.maturing));
    for (sum, left) in [
        (&mut pool.stake, stake),
        (&mut pool.young, young),
        (&mut pool.maturing, maturing),
    ] {
        slashed = slashed
            .checked_add(sum.saturating_sub(left))
            .or_broken("a slash overflowed")?;
        *sum = left;
    }
    pool.slashed = Some(slash);
    Ok(slashed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use soma_types::{
        Epoch,
        objects::{AddedStake, Shares},
    };

    use super::*;

    proptest! {
        /// Positions never keep more than their pool has for them, and all pay at least the share.
        #[test]
        fn positions_fit_into_their_pool(amounts in prop::collection::vec((0..2_u64, 1..1_u64 << 40), 1..20), points in 0..=5_000_u16) {
            let share = BasisPoints::new(points).unwrap();
            let sum = |age: u64| Shannons(amounts.iter().filter(|(at, _)| *at == age).map(|(_, amount)| amount).sum());
            let mut pool = Pool { stake: Shannons(77), shares: Shares(77_000), young: sum(0), maturing: sum(1), ..Pool::default() };
            let before = pool;
            let slash = PoolSlash { epoch: Epoch(9), offence: Epoch(8), share };
            let slashed = slash_pool(&mut pool, slash).unwrap();
            prop_assert_eq!(slashed.0, before.stake.0 - pool.stake.0 + before.young.0 - pool.young.0 + before.maturing.0 - pool.maturing.0);
            let mut left = [0, 0];
            for (age, amount) in &amounts {
                let added = AddedStake { epoch: Epoch(8 - age), amount: Shannons(*amount) };
                let mut position = Position { added: vec![added], ..Position::default() };
                slash_added(&mut position, &pool);
                slash_added(&mut position, &pool);
                let kept = position.added.first().map_or(0, |entry| entry.amount.0);
                prop_assert!(u128::from(kept) * 10_000 <= u128::from(*amount) * u128::from(10_000 - points));
                left[*age as usize] += kept;
            }
            prop_assert!(left[0] <= pool.young.0 && left[1] <= pool.maturing.0);
        }
    }
}
