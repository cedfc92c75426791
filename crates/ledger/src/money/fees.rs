//! Fees and their burn (docs/protocol.md, sections 3 and 9).
//!
//! A transaction's fee is m * (base + per_byte * length): see [`EpochState::fee_of`]. At an epoch's end the
//! fees collected are burned up to the epoch's burn target and the rest recycled; m moves by at most an
//! eighth toward collecting the target. The price of an account is collected and burned like a fee.
//!
//! The target is a share of what circulates, but no more than `fee_share_max` of what the epoch's hits pay
//! their submitters: however few those are, a hit's fees stay a small part of it.
//!
//! A network that burns nothing has no target, and fees only keep its blocks from being filled for nothing: m
//! rises while they are more than half full, and else goes back to one. So what a transaction costs on a
//! quiet localnet does not depend on how long it has been running.

use soma_types::{Shannons, objects::EpochState, params::ONE_Q16, transaction::BASIS_POINTS_ONE};

use crate::{
    block::RELEASES_PER_BLOCK,
    error::{OrBroken, Stop},
    ledger::Ledger,
    money::{bank::Bucket, split::Split},
};

/// m = 1.
pub(crate) const MULTIPLIER_ONE_Q16: u64 = ONE_Q16 as u64;
/// m is at least 2^-4.
const MULTIPLIER_MIN_Q16: u64 = 1 << 12;
/// m is at most 2^16.
const MULTIPLIER_MAX_Q16: u64 = 1 << 32;

/// Whether an epoch's blocks were more than half full, by the number of their transactions: one that can be
/// released from in full can hold no more.
fn was_full(closed: &EpochState) -> bool {
    let room = u128::from(closed.length_blocks) * RELEASES_PER_BLOCK as u128;
    2 * u128::from(closed.transactions) > room
}

/// The multiplier after the epoch `closed`, in which `target` in fees was wanted.
fn next_multiplier(closed: &EpochState, target: Shannons) -> u64 {
    let multiplier_q16 = closed.fee_multiplier_q16;
    let eighth = multiplier_q16 / 8;
    let (low, high) = (multiplier_q16 - eighth, multiplier_q16 + eighth);
    let toward_target = |target: u128| {
        let wanted = (u128::from(multiplier_q16) * target).checked_div(u128::from(closed.fees.0));
        wanted.map_or(high, |wanted| u64::try_from(wanted).unwrap_or(u64::MAX))
    };
    let wanted = match target {
        Shannons::ZERO if was_full(closed) => high,
        Shannons::ZERO => MULTIPLIER_ONE_Q16,
        Shannons(target) => toward_target(u128::from(target)),
    };
    wanted
        .clamp(low, high)
        .clamp(MULTIPLIER_MIN_Q16, MULTIPLIER_MAX_Q16)
}

impl Ledger<'_> {
    /// Burns and recycles the fees of the epoch that closes. Returns what was burned, what recycled,
    /// and the next multiplier.
    pub(crate) fn close_fees(&mut self, closed: &EpochState) -> Result<(Shannons, Shannons, u64), Stop> {
        let params = self.hot.params.clone();
        let yearly = params.burn_per_year.of(self.hot.supply.circulating());
        debug_assert!(params.burn_per_year.get() <= BASIS_POINTS_ONE);
        let mut target = Shannons(yearly.0 / params.epochs_per_year);
        if params.fee_share_max.get() > 0 {
            // What recycled fees add to rewards comes on top.
            let emission = self.hot.network.emission.emission(closed.epoch);
            let split = Split::new(&params, emission, self.hot.supply.reward_pool, closed.hits);
            let earned = Shannons(split.per_hit.0 / 2 * closed.hits);
            target = target.min(params.fee_share_max.of(earned));
        }
        let burned = closed.fees.min(target);
        let recycled = closed
            .fees
            .checked_sub(burned)
            .or_broken("fees went below zero")?;
        self.shift(Bucket::Fees, Bucket::Burned, burned)?;
        self.shift(Bucket::Fees, Bucket::RewardPool, recycled)?;
        Ok((burned, recycled, next_multiplier(closed, target)))
    }
}

#[cfg(test)]
mod tests {
    use soma_types::params::Params;

    use super::*;

    /// What follows an epoch with this multiplier, in which `fees` were collected.
    fn after(multiplier_q16: u64, fees: u64, target: u64) -> u64 {
        let closed = EpochState {
            fee_multiplier_q16: multiplier_q16,
            fees: Shannons(fees),
            ..crate::genesis::tests::epoch_state()
        };
        next_multiplier(&closed, Shannons(target))
    }

    #[test]
    fn the_multiplier_moves_toward_the_target() {
        let one = MULTIPLIER_ONE_Q16;
        assert_eq!(after(one, 100, 100), one);
        assert_eq!(after(one, 0, 100), one + one / 8);
        assert_eq!(after(one, 1, 100), one + one / 8);
        assert_eq!(after(one, 1_000, 100), one - one / 8);
        assert_eq!(after(one, 1_000, 1_050), one * 105 / 100);
        assert_eq!(after(MULTIPLIER_MIN_Q16, 1_000, 1), MULTIPLIER_MIN_Q16);
        assert_eq!(after(MULTIPLIER_MAX_Q16, 0, 1), MULTIPLIER_MAX_Q16);
        // It leaves the lower bound again.
        assert!(after(MULTIPLIER_MIN_Q16, 1, 100) > MULTIPLIER_MIN_Q16);
    }

    #[test]
    fn without_a_target_fees_rise_only_while_blocks_are_full() {
        let one = MULTIPLIER_ONE_Q16;
        let after = |multiplier_q16, transactions| {
            let closed = EpochState {
                fee_multiplier_q16: multiplier_q16,
                length_blocks: 10,
                transactions,
                fees: Shannons(transactions * 12_000),
                ..crate::genesis::tests::epoch_state()
            };
            next_multiplier(&closed, Shannons::ZERO)
        };
        let half = 10 * RELEASES_PER_BLOCK as u64 / 2;
        for quiet in [0, 1, half] {
            assert_eq!(after(one, quiet), one);
            assert_eq!(after(2 * one, quiet), 2 * one - one / 4);
            assert_eq!(after(one / 2, quiet), one / 2 + one / 16);
        }
        assert_eq!(after(one, half + 1), one + one / 8);
        assert_eq!(after(MULTIPLIER_MAX_Q16, half + 1), MULTIPLIER_MAX_Q16);
    }

    #[test]
    fn fees_round_up() {
        let params = Params::std();
        let mut now = crate::genesis::tests::epoch_state();
        now.fee_multiplier_q16 = MULTIPLIER_ONE_Q16;
        assert_eq!(now.fee_of(&params, 100), Shannons(11_000));
        now.fee_multiplier_q16 = MULTIPLIER_ONE_Q16 + 1;
        assert_eq!(now.fee_of(&params, 100), Shannons(11_001));
    }
}
