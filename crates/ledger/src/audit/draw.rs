//! Who audits whom: drawn from the epoch's seed and committee, so nothing is stored until someone votes.

use soma_types::{
    Seed,
    hash::domain_xof,
    objects::{Committee, EpochState, Seat, Submission},
    transaction::BASIS_POINTS_ONE,
};

/// Whether the winner with this `index` is audited in the epoch `audit`.
#[must_use]
pub fn is_sampled(audit: &EpochState, index: u64) -> bool {
    let draw = audit.seed.derive("audit sample", index);
    let number = u64::from_le_bytes(draw.0[..8].try_into().expect("8 bytes of 32"));
    number % u64::from(BASIS_POINTS_ONE) < u64::from(audit.audit_rate.get())
}

/// The auditors of `winner` in the epoch `audit`, drawn by stake from its `committee`. None while it is not
/// under audit: it did not win, is neither sampled nor challenged, or its auditors are yet to be drawn.
#[must_use]
pub fn auditors_of(audit: &EpochState, committee: &Committee, winner: &Submission) -> Vec<Seat> {
    let Some(index) = winner.found.as_ref().and_then(|found| found.winner_index) else {
        return Vec::new();
    };
    if is_sampled(audit, index) {
        return draw_auditors(&audit.seed, audit.auditors, committee, index);
    }
    match (winner.challenge, &audit.challenge_seed) {
        (Some(_), Some(seed)) => draw_auditors(seed, audit.auditors, committee, index),
        _ => Vec::new(),
    }
}

/// Draws `wanted` seats by stake, all where it is 0 or there are not more.
fn draw_auditors(seed: &Seed, wanted: u32, committee: &Committee, index: u64) -> Vec<Seat> {
    let wanted = wanted as usize;
    if wanted == 0 || wanted >= committee.seats.len() {
        return committee.seats.clone();
    }
    let mut left = committee.seats.clone();
    let mut total = stake(&left);
    let mut stream = auditor_stream(seed, index);
    let mut bytes = [0; 16];
    let mut drawn = Vec::with_capacity(wanted);
    while drawn.len() < wanted && total > 0 {
        stream.fill(&mut bytes);
        // The total is below 2^64, so the remainder's bias is below 2^-64.
        let mut number = u128::from_le_bytes(bytes) % total;
        let mut place = 0;
        while number >= u128::from(left[place].stake.0) {
            number -= u128::from(left[place].stake.0);
            place += 1;
        }
        let seat = left.remove(place);
        total -= u128::from(seat.stake.0);
        drawn.push(seat);
    }
    drawn
}

fn auditor_stream(seed: &Seed, index: u64) -> blake3::OutputReader {
    domain_xof("soma 2026 auditors", &[&seed.0, &index.to_le_bytes()])
}

/// The sum of these seats' stakes.
pub(super) fn stake(seats: &[Seat]) -> u128 {
    seats.iter().map(|seat| u128::from(seat.stake.0)).sum()
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;
    use soma_types::{Address, PublicKey, Shannons, transaction::BasisPoints};

    use super::*;

    /// Seats with these stakes.
    pub(in crate::audit) fn seats(stakes: &[u64]) -> Vec<Seat> {
        stakes
            .iter()
            .enumerate()
            .map(|(index, stake)| Seat {
                validator: Address([index as u8 + 1; 32]),
                network_key: PublicKey([0; 32]),
                stake: Shannons(*stake),
                commission: BasisPoints::default(),
            })
            .collect()
    }

    proptest! {
        #[test]
        fn drawn_auditors_are_distinct_and_staked(stakes in prop::collection::vec(0_u64..1 << 50, 1..30), index: u64, seed in any::<[u8; 32]>()) {
            let committee = Committee { seats: seats(&stakes) };
            let mut drawn: Vec<Address> = draw_auditors(&Seed(seed), 7, &committee, index).iter().map(|seat| seat.validator).collect();
            let count = drawn.len();
            drawn.sort_unstable();
            drawn.dedup();
            prop_assert_eq!(drawn.len(), count);
            prop_assert!(count <= stakes.len().max(7));
        }
    }
}
