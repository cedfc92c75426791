//! Fees and their burn (docs/protocol.md, sections 3 and 9).
//!
//! fee = m * (base + per_byte * length), rounded up. At an epoch's end the fees collected are burned up
//! to the epoch's burn target and the rest recycled; m moves by at most an eighth toward collecting the
//! target. The price of an account is collected and burned like a fee.

use soma_types::{Shannons, objects::EpochState, params::Params, transaction::BASIS_POINTS_ONE};

use crate::{
    error::{OrBroken, Stop},
    ledger::Ledger,
    money::bank::Bucket,
};

/// m = 1.
pub(crate) const MULTIPLIER_ONE_Q16: u64 = 1 << 16;
/// m is at least 2^-4.
const MULTIPLIER_MIN_Q16: u64 = 1 << 12;
/// m is at most 2^16.
const MULTIPLIER_MAX_Q16: u64 = 1 << 32;

/// The fee of a transaction of `size_bytes` in the epoch `now`.
pub(crate) fn fee(params: &Params, now: &EpochState, size_bytes: u64) -> Shannons {
    // Bounded: (2^30 + 2^20 * 2^15) * 2^32.
    let plain = u128::from(params.fee_base.0) + u128::from(params.fee_per_byte.0) * u128::from(size_bytes);
    let fee = (plain * u128::from(now.fee_multiplier_q16)).div_ceil(u128::from(MULTIPLIER_ONE_Q16));
    Shannons(u64::try_from(fee).unwrap_or(u64::MAX))
}

/// The next epoch's multiplier, after `fees` were collected where `target` was wanted.
fn next_multiplier(multiplier_q16: u64, fees: Shannons, target: Shannons) -> u64 {
    let eighth = multiplier_q16 / 8;
    let (low, high) = (multiplier_q16 - eighth, multiplier_q16 + eighth);
    let wanted = (u128::from(multiplier_q16) * u128::from(target.0)).checked_div(u128::from(fees.0));
    let wanted = wanted.map_or(high, |wanted| u64::try_from(wanted).unwrap_or(u64::MAX));
    wanted
        .clamp(low, high)
        .clamp(MULTIPLIER_MIN_Q16, MULTIPLIER_MAX_Q16)
}

impl Ledger<'_> {
    /// Counts what left someone's balance as a fee of the epoch.
    pub(crate) fn collect_fee(&mut self, fee: Shannons) -> Result<(), Stop> {
        let fees = self.hot.now.fees.checked_add(fee);
        self.hot.now.fees = fees.or_broken("fees overflowed")?;
        Ok(self.shift(Bucket::Balances, Bucket::Fees, fee)?)
    }

    /// Burns and recycles the fees of the epoch that closes. Returns what was burned, what recycled,
    /// and the next multiplier.
    pub(crate) fn close_fees(&mut self, closed: &EpochState) -> Result<(Shannons, Shannons, u64), Stop> {
        let params = self.hot.params.clone();
        let yearly = params.burn_per_year.of(self.hot.supply.circulating());
        debug_assert!(params.burn_per_year.get() <= BASIS_POINTS_ONE);
        let target = Shannons(yearly.0 / params.epochs_per_year);
        let burned = closed.fees.min(target);
        let recycled = closed
            .fees
            .checked_sub(burned)
            .or_broken("fees went below zero")?;
        self.shift(Bucket::Fees, Bucket::Burned, burned)?;
        self.shift(Bucket::Fees, Bucket::RewardPool, recycled)?;
        Ok((
            burned,
            recycled,
            next_multiplier(closed.fee_multiplier_q16, closed.fees, target),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_multiplier_moves_toward_the_target() {
        let one = MULTIPLIER_ONE_Q16;
        assert_eq!(next_multiplier(one, Shannons(100), Shannons(100)), one);
        assert_eq!(next_multiplier(one, Shannons(0), Shannons(100)), one + one / 8);
        assert_eq!(next_multiplier(one, Shannons(1), Shannons(100)), one + one / 8);
        assert_eq!(
            next_multiplier(one, Shannons(1_000), Shannons(100)),
            one - one / 8
        );
        assert_eq!(
            next_multiplier(one, Shannons(1_000), Shannons(1_050)),
            one * 105 / 100
        );
        assert_eq!(
            next_multiplier(MULTIPLIER_MIN_Q16, Shannons(1_000), Shannons(1)),
            MULTIPLIER_MIN_Q16
        );
        assert_eq!(
            next_multiplier(MULTIPLIER_MAX_Q16, Shannons(0), Shannons(1)),
            MULTIPLIER_MAX_Q16
        );
        // It leaves the lower bound again.
        assert!(next_multiplier(MULTIPLIER_MIN_Q16, Shannons(1), Shannons(100)) > MULTIPLIER_MIN_Q16);
    }

    #[test]
    fn fees_round_up() {
        let params = Params::std();
        let mut now = crate::genesis::tests::epoch_state();
        now.fee_multiplier_q16 = MULTIPLIER_ONE_Q16;
        assert_eq!(fee(&params, &now, 100), Shannons(11_000));
        now.fee_multiplier_q16 = MULTIPLIER_ONE_Q16 + 1;
        assert_eq!(fee(&params, &now, 100), Shannons(11_001));
    }
}
