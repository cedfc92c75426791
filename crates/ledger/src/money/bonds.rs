//! Bonds: what makes a false claim a loss (docs/protocol.md, sections 7 and 8).
//!
//! A reveal locks `max(bond_per_byte * size, floor)`. Whoever claims a hit falsely gains at most its whole
//! reward r (they may own the model too) with chance 1 - p, where p is the audit rate, and loses the bond
//! with chance p. So the floor is `bond_margin * ceil(r * (1 - p) / p)`: at a margin of 2 cheating is a loss
//! even where rewards have doubled since the epoch began. It is at least r: where everything is audited, a
//! false claim still costs what it keeps from others, whose target it takes. It is frozen for the epoch, from
//! what that will emit, what the last one recycled, and the reserve: all that its hits will share but fees
//! and forfeits to come. Missing hits do not raise it.

use soma_types::{Address, Shannons, objects::Submission, params::Params, transaction::BASIS_POINTS_ONE};

use crate::{
    error::{OrBroken, Stop},
    ledger::Ledger,
    money::bank::Bucket,
    money::split::Split,
};

/// The least bond in an epoch that is expected to have these rewards: see [`Split`].
pub(crate) fn bond_floor(params: &Params, fresh: Shannons, reserve: Shannons) -> Shannons {
    if params.bond_margin == 0 {
        return Shannons::ZERO;
    }
    let audited = u128::from(params.audit_rate.get());
    let escaping = u128::from(BASIS_POINTS_ONE) - audited;
    let reward = u128::from(Split::new(params, fresh, reserve, 0).per_hit.0);
    // Below 2^54 * 2^14; the rate is at least one basis point.
    let fair = (reward * escaping).div_ceil(audited.max(1));
    // A bond beyond u64 is beyond any balance.
    Shannons(u64::try_from(reward.max(fair * u128::from(params.bond_margin))).unwrap_or(u64::MAX))
}

/// Who gets what of a false winner's bond: half of it is theirs who found it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Finders {
    /// The challenger's half of that half, where somebody challenged. Whoever looks for false winners outside
    /// the sample scores many that are true, and shares with nobody what the one is worth.
    pub challenger: Shannons,
    /// An even part of the rest, for each auditor.
    pub each: Shannons,
}

impl Finders {
    /// Of the bond of `winner`, which so many `auditors` found false.
    pub(crate) fn of(winner: &Submission, auditors: usize) -> Self {
        let half = winner.bond.0 / 2;
        let challenger = winner.challenge.map_or(0, |_| half / 2);
        Self::new(half, challenger, auditors)
    }

    fn new(half: u64, challenger: u64, auditors: usize) -> Self {
        Self {
            challenger: Shannons(challenger),
            each: Shannons((half - challenger) / (auditors as u64).max(1)),
        }
    }
}

impl Ledger<'_> {
    /// Half of a false winner's bond goes to those who found it out, its `auditors` and its challenger (see
    /// [`Finders`]); the rest to the reward pool.
    pub(crate) fn split_bond(&mut self, winner: &Submission, auditors: &[Address]) -> Result<(), Stop> {
        let finders = Finders::of(winner, auditors.len());
        let mut left = winner.bond;
        let challenger = winner
            .challenge
            .map(|challenge| (challenge.challenger, finders.challenger));
        for (finder, share) in auditors
            .iter()
            .map(|auditor| (*auditor, finders.each))
            .chain(challenger)
        {
            self.credit(&finder, share, Bucket::Bonds)?;
            left = left.checked_sub(share).or_broken("a bond went below zero")?;
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
    fn a_floor_is_at_least_one_reward() {
        let fresh = Shannons(2_500_000_000_000);
        let floor = |params: &Params| bond_floor(params, fresh, Shannons::ZERO).0;
        let reward = |params: &Params| Split::new(params, fresh, Shannons::ZERO, 0).per_hit.0;
        // local: all are audited.
        let params = Params::local();
        assert_eq!(floor(&params), reward(&params));
        // std: 10% are audited, so nine times the reward, twice.
        let params = Params::std();
        assert_eq!(floor(&params), 18 * reward(&params));
        let params = Params {
            bond_margin: 0,
            ..params
        };
        assert_eq!(floor(&params), 0);
    }

    /// At std: scoring a winner costs a finder a small part of what a hit earns its submitter, who scores it
    /// too.
    #[test]
    fn a_challenger_earns_several_hits() {
        let params = Params::std();
        let fresh = Shannons(2_500_000_000_000);
        let reward = Split::new(&params, fresh, Shannons::ZERO, 0).per_hit.0;
        let bond = bond_floor(&params, fresh, Shannons::ZERO);
        for auditors in [4, 7, 100] {
            let half = bond.0 / 2;
            let finders = Finders::new(half, half / 2, auditors);
            assert!(finders.challenger.0 >= 4 * reward);
            let all = finders.challenger.0 + finders.each.0 * auditors as u64;
            assert!(all <= bond.0 / 2 && all + 100 > bond.0 / 2);
        }
    }

    proptest! {
        /// Also when rewards have doubled since, a claim that audits find false with chance p loses; and it
        /// always costs what it keeps from others.
        #[test]
        fn cheating_is_a_loss(
            rate in 1_u16..=10_000,
            goal in 1_u64..1 << 32,
            fresh in 0..=MAX_SUPPLY.0 / 4,
            reserve in 0..=MAX_SUPPLY.0 / 4,
        ) {
            let params = Params {
                audit_rate: BasisPoints::new(rate).unwrap(),
                hits_goal: goal,
                ..Params::std()
            };
            let per_hit = |times: u64| {
                let split = Split::new(&params, Shannons(times * fresh), Shannons(times * reserve), 0);
                u128::from(split.per_hit.0)
            };
            let bond = u128::from(bond_floor(&params, Shannons(fresh), Shannons(reserve)).0);
            let rate = u128::from(rate);
            // Each of three amounts is rounded down, and the reward to even.
            prop_assert!((10_000 - rate) * per_hit(2).saturating_sub(4) <= rate * bond);
            prop_assert!(bond >= per_hit(1));
        }
    }
}
