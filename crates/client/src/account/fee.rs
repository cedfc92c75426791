//! The limit of fees that a transaction carries.

use soma_types::{Shannons, amount::SHANNONS_PER_SOMA};

use crate::error::ClientError;

/// The most one is willing to pay, over the fee when the transaction was made. Fees move by an eighth per
/// epoch, so this covers the transaction's whole life.
const FEE_LIMIT_FACTOR: u64 = 2;
/// The most a transaction may cost in fees unless told otherwise: thousands of times a quiet network's.
pub const MAX_FEE_DEFAULT: Shannons = Shannons(SHANNONS_PER_SOMA);
/// The random part of a fee limit is below this, a thousandth of a SOMA.
const SALT_BITS: u32 = 20;

/// A fee limit from `fee` to `limit`: room for fees that rise, less a random part that makes the transaction
/// unique.
pub(super) fn limit(fee: Shannons, limit: Shannons) -> Result<Shannons, ClientError> {
    if fee > limit {
        return Err(ClientError::FeeTooHigh { fee, limit });
    }
    let mut random = [0; 4];
    getrandom::fill(&mut random).map_err(ClientError::Randomness)?;
    let salt = u64::from(u32::from_le_bytes(random) >> (u32::BITS - SALT_BITS));
    let room = fee
        .0
        .saturating_mul(FEE_LIMIT_FACTOR)
        .saturating_add(1 << SALT_BITS);
    let most = room.min(limit.0);
    Ok(Shannons(most.saturating_sub(salt).max(fee.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fee_limits_leave_room_and_differ() {
        let (fee, most) = (Shannons(12_000), MAX_FEE_DEFAULT);
        let limits: std::collections::BTreeSet<_> = (0..64).map(|_| limit(fee, most).unwrap()).collect();
        assert!(limits.len() > 60, "{limits:?}");
        let (low, high) = (limits.first().unwrap(), limits.last().unwrap());
        assert!(low.0 >= 2 * fee.0 && high.0 <= 2 * fee.0 + (1 << SALT_BITS));
        // What the user sets is never exceeded, and always enough for the fee.
        for most in [fee, Shannons(fee.0 + 1), Shannons(20_000)] {
            let limit = limit(fee, most).unwrap();
            assert!(fee <= limit && limit <= most, "{limit}");
        }
        let error = limit(fee, Shannons(fee.0 - 1)).unwrap_err();
        assert!(matches!(error, ClientError::FeeTooHigh { .. }));
        assert!(limit(Shannons(u64::MAX), Shannons(u64::MAX)).is_ok());
    }
}
