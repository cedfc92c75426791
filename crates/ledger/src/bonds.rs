//! Bonds: what makes a false claim a loss (PROTOCOL.md, sections 7 and 8).
//!
//! A reveal locks `max(bond_per_byte * size, floor)`. Whoever claims a hit falsely gains at most its
//! whole reward r (he may own the model too) with chance 1 - p, where p is the audit rate, and loses the
//! bond with chance p. So the floor is `bond_margin * ceil(r * (1 - p) / p)`: at a margin of 2 cheating is a
//! loss even where the pool has doubled since the epoch began. It is frozen for the epoch, from what the pool
//! then holds and what the epoch will emit. Where everything is audited it is zero.

use soma_types::{Address, Shannons, objects::Submission, params::Params, transaction::BASIS_POINTS_ONE};

use crate::{
    bank::{Bucket, Ledger},
    error::{OrBroken, Stop},
    rewards::reward_per_hit,
};

/// The least bond in an epoch whose hits share a pool of `expected`.
pub(crate) fn bond_floor(params: &Params, expected: Shannons) -> Shannons {
    let audited = u128::from(params.audit_rate.get());
    let escaping = u128::from(BASIS_POINTS_ONE) - audited;
    let reward = u128::from(reward_per_hit(params, expected, 0).0);
    // Below 2^54 * 2^14; the rate is at least one basis point.
    let fair = (reward * escaping).div_ceil(audited.max(1));
    // A bond beyond u64 is beyond any balance.
    Shannons(u64::try_from(fair * u128::from(params.bond_margin)).unwrap_or(u64::MAX))
}

/// What each of those gets who found `winner` false.
pub(crate) fn finders_share(winner: &Submission, auditors: &[Address]) -> Shannons {
    let finders = auditors.len() + usize::from(winner.challenge.is_some());
    Shannons(winner.bond.0 / 2 / (finders as u64).max(1))
}

impl Ledger<'_> {
    /// What a reveal of `size_bytes` of data locks.
    pub(crate) fn bond_of(&self, size_bytes: u64) -> Shannons {
        let by_size = self.hot.params.bond_per_byte.mul_div(size_bytes, 1);
        // A bond beyond u64 is beyond any balance.
        by_size.unwrap_or(Shannons(u64::MAX)).max(self.hot.now.bond_floor)
    }

    /// Half of a false winner's bond goes to those who found it out, its `auditors` and its challenger, in
    /// equal parts; the rest to the reward pool.
    pub(crate) fn split_bond(&mut self, winner: &Submission, auditors: &[Address]) -> Result<(), Stop> {
        let each = finders_share(winner, auditors);
        let mut left = winner.bond;
        let challenger = winner.challenge.map(|challenge| challenge.challenger);
        for finder in auditors.iter().chain(&challenger) {
            self.credit(finder, each, Bucket::Bonds)?;
            left = left.checked_sub(each).or_broken("a bond went below zero")?;
        }
        Ok(self.forfeit(left, Bucket::Bonds)?)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use soma_types::{amount::MAX_SUPPLY, transaction::BasisPoints};

    use super::*;

    #[test]
    fn where_all_is_audited_there_is_no_floor() {
        assert_eq!(bond_floor(&Params::local(), MAX_SUPPLY), Shannons::ZERO);
        // std: 10% are audited, so nine times the reward, twice.
        let params = Params::std();
        let reward = reward_per_hit(&params, Shannons(2_500_000_000_000), 0).0;
        assert_eq!(
            bond_floor(&params, Shannons(2_500_000_000_000)),
            Shannons(18 * reward)
        );
    }

    proptest! {
        /// Also when the pool has doubled since, a claim that audits find false with chance p loses.
        #[test]
        fn cheating_is_a_loss(rate in 1_u16..=10_000, goal in 1_u64..1 << 32, pool in 0..=MAX_SUPPLY.0 / 2) {
            let params = Params {
                audit_rate: BasisPoints::new(rate).unwrap(),
                hits_goal: goal,
                ..Params::std()
            };
            let bond = u128::from(bond_floor(&params, Shannons(pool)).0);
            let reward = u128::from(reward_per_hit(&params, Shannons(2 * pool), 0).0);
            let rate = u128::from(rate);
            // Rewards are rounded to even, so twice one may fall two short of that of twice the pool.
            prop_assert!((10_000 - rate) * reward.saturating_sub(2) <= rate * bond);
        }
    }
}
